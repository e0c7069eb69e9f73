package belfry_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"belfry"
)

func TestAnErrorTellsTheCallerItsCodeAndNothingFromInside(t *testing.T) {
	secret := errors.New("dial 10.0.0.7: password is hunter2")
	own := &belfry.Error{Code: belfry.ErrUnavailable, Message: "the database is not available", Err: secret}
	for _, tt := range []struct {
		err     error
		code    belfry.Code
		message string
	}{
		{nil, "", ""},
		{belfry.Errorf(belfry.ErrInvalid, "uid is %d", 1), belfry.ErrInvalid, "uid is 1"},
		{own, belfry.ErrUnavailable, "the database is not available"},
		{fmt.Errorf("login: %w", own), belfry.ErrUnavailable, "the database is not available"},
		{secret, belfry.ErrInternal, "internal error"},
		{fmt.Errorf("query: %w", context.DeadlineExceeded), belfry.ErrUnavailable, "the request ended before it was done"},
		{context.Canceled, belfry.ErrUnavailable, "the request ended before it was done"},
	} {
		if code, message := belfry.ErrorCode(tt.err), belfry.ErrorMessage(tt.err); code != tt.code || message != tt.message {
			t.Errorf("%v: %s, %q; want %s, %q", tt.err, code, message, tt.code, tt.message)
		}
	}
	if !errors.Is(own, secret) || !strings.Contains(own.Error(), "hunter2") {
		t.Errorf("the log does not learn the cause: %v", own)
	}
}
