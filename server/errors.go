package server

import (
	"context"
	"log/slog"

	"belfry"
)

// An eventError is how an error looks to a page, in the answer to its event.
type eventError struct {
	Code    belfry.Code `json:"code"`
	Message string      `json:"message"`
}

// A refusal answers an event that failed.
type refusal struct {
	OK    bool       `json:"ok"`
	Error eventError `json:"error"`
}

func refuse(err error) refusal {
	return refusal{Error: eventError{belfry.ErrorCode(err), belfry.ErrorMessage(err)}}
}

// logFailure notes what a caller was refused: faults of belfry's own and of what
// it needs loudly, those of callers quietly.
func logFailure(ctx context.Context, log *slog.Logger, what string, err error, attrs ...any) {
	level := slog.LevelInfo
	switch belfry.ErrorCode(err) {
	case belfry.ErrInternal:
		level = slog.LevelError
	case belfry.ErrUnavailable:
		level = slog.LevelWarn
	}
	log.Log(ctx, level, what, append(attrs, "err", err)...)
}
