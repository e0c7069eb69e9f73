package belfry

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	// Fields are what is wrong with the input, where it is several things.
	Fields []FieldError
	Err    error
}

// A FieldError says what is wrong with one field, by its name on the wire.
type FieldError struct {
	Field   string
	Message string // begins with the field
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

// invalidField is the ErrInvalid of one field.
func invalidField(field, format string, args ...any) *Error {
	message := field + " " + fmt.Sprintf(format, args...)
	return &Error{Code: ErrInvalid, Message: message, Fields: []FieldError{{field, message}}}
}

// allInvalid joins the errors that are not nil into one that names all their fields.
func allInvalid(errs ...error) error {
	var all *Error
	for _, err := range errs {
		e, ok := errors.AsType[*Error](err)
		if !ok {
			continue
		}
		if all == nil {
			all = &Error{Code: e.Code, Message: e.Message, Fields: e.Fields, Err: e.Err}
			continue
		}
		all.Message += "; " + e.Message
		all.Fields = append(slices.Clip(all.Fields), e.Fields...)
	}
	if all == nil {
		return nil
	}
	return all
}

// ErrorFields returns what is wrong with the input, by field.
func ErrorFields(err error) []FieldError {
	var e *Error
	if errors.As(err, &e) {
		return e.Fields
	}
	return nil
}

// ErrorCode returns the code of the first [Error] in err's chain,
// [ErrUnavailable] for a context that has ended, [ErrInternal] for any other
// error and "" for nil.
func ErrorCode(err error) Code {
	if err == nil {
		return ""
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	if contextEnded(err) {
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
