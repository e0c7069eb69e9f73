//go:build !linux

package engineio

import "net/http"

// A parkedPoll is something that needs a poller.
type parkedPoll struct{}

func (*parkedPoll) wake() {}

func (*Session) park(http.ResponseWriter, *http.Request, *poll, responseForm) bool { return false }
