package belfry

import (
	"context"
	"errors"
	"fmt"
)

// A Code says what kind of failure an [Error] is, for callers that decide by it.
type Code string

// The codes. Each edge maps them to its own form in one place.
const (
	ErrInvalid      Code = "invalid"      // the input is wrong; the message says which field and why
	ErrUnauthorized Code = "unauthorized" // no identity, or one that may not do this
	ErrNotFound     Code = "not_found"    // no such thing, or not one the caller may see
	ErrConflict     Code = "conflict"     // the state does not allow it
	ErrLimited      Code = "limited"      // too many or too much; try again later
	ErrUnavailable  Code = "unavailable"  // a part that is needed is away; nothing was done
	ErrInternal     Code = "internal"     // a fault of belfry's own
)

// An Error is the one error type that the rules return. Message is written for
// the person who called and holds no secret; Err, where set, is for the log
// and never leaves the process.
type Error struct {
	Code    Code
	Message string
	Err     error
}

func (e *Error) Error() string {
	if e.Err != nil {
		return fmt.Sprintf("%s: %s: %v", e.Code, e.Message, e.Err)
	}
	return fmt.Sprintf("%s: %s", e.Code, e.Message)
}

func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an [Error] with a message for the caller.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// ErrorCode returns the code of the first [Error] in err's chain,
// [ErrUnavailable] for a context that has ended, [ErrInternal] for any other
// error and "" for nil.
func ErrorCode(err error) Code {
	var e *Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.Code
	case contextEnded(err):
		return ErrUnavailable
	}
	return ErrInternal
}

// ErrorMessage returns what a caller may be told of err: the message of the
// first [Error] in its chain, or a sentence that gives nothing away.
func ErrorMessage(err error) string {
	var e *Error
	switch {
	case err == nil:
		return ""
	case errors.As(err, &e):
		return e.Message
	case contextEnded(err):
		return "the request ended before it was done"
	}
	return "internal error"
}

func contextEnded(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
