package server

import (
	"log/slog"
	"time"

	"belfry"
	"belfry/socketio"
)

// An emitter writes envelopes to the pages of this node. Pages that take text
// are in rooms of their own, so that each format is encoded once and only where
// somebody reads it.
type emitter struct {
	pages *socketio.Namespace
	zone  *time.Location
	log   *slog.Logger
}

var _ belfry.Emitter = (*emitter)(nil)

// roomsOf returns the rooms that pages of the format are in for the named ones.
func (f format) roomsOf(rooms []string) []string {
	if f == formatHTML {
		return rooms
	}
	named := make([]string, len(rooms))
	for i, room := range rooms {
		named[i] = "text " + room
	}
	return named
}

// Emit implements [belfry.Emitter].
func (e *emitter) Emit(env belfry.Envelope) (pages int) {
	for _, f := range []format{formatHTML, formatText} {
		to := e.pages.To(f.roomsOf(env.Rooms)...).Except(env.Except...).Except(f.roomsOf(env.Except)...)
		if env.Disconnect {
			pages += disconnect(to, env.Revoked)
			continue
		}
		if !to.Occupied() {
			continue
		}
		n, err := to.Emit(env.Event, eventArgs(env.Args, env.Cursor, f, e.zone)...)
		if err != nil {
			// The arguments are belfry's own: that they do not encode is a fault of it.
			e.log.Error("event not encoded", "event", env.Event, "err", err)
		}
		pages += n
	}
	return pages
}

// Pace implements [belfry.Emitter].
func (e *emitter) Pace() { e.pages.Pace() }

// disconnect ends the sockets of a broadcast, where the time is set only those with tokens that are void by it, and returns how many.
func disconnect(to socketio.Broadcast, revoked time.Time) (sockets int) {
	for s := range to.Sockets() {
		if p := pageOf(s); !revoked.IsZero() && (p == nil || !p.isVoid(revoked)) {
			continue
		}
		s.Disconnect(true)
		sockets++
	}
	return sockets
}
