package server

import (
	"context"
	"log/slog"
	"net/http"
	"runtime/debug"

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

// statusOf is how an error looks over HTTP.
func statusOf(code belfry.Code) int {
	switch code {
	case belfry.ErrInvalid:
		return http.StatusUnprocessableEntity
	case belfry.ErrUnauthorized:
		return http.StatusUnauthorized
	case belfry.ErrNotFound:
		return http.StatusNotFound
	case belfry.ErrConflict:
		return http.StatusConflict
	case belfry.ErrLimited:
		return http.StatusTooManyRequests
	case belfry.ErrUnavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// codeOf is the code for a status that HTTP itself asked for.
func codeOf(status int) belfry.Code {
	switch {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		return belfry.ErrUnauthorized
	case status == http.StatusNotFound:
		return belfry.ErrNotFound
	case status >= http.StatusInternalServerError:
		return belfry.ErrInternal
	}
	return belfry.ErrInvalid
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

// loggingPanics logs a panic of a handler where an operator sees it, and cuts
// the request off without an answer: how much was done of it is not known. The
// process goes on.
func loggingPanics(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if v := recover(); v != nil {
				if v != http.ErrAbortHandler {
					log.Error("panic in a handler", "path", r.URL.Path, "panic", v, "stack", string(debug.Stack()))
				}
				panic(http.ErrAbortHandler)
			}
		}()
		next.ServeHTTP(w, r)
	})
}
