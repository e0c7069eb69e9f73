package socketio

import (
	"context"
	"sync/atomic"
	"time"
)

// An Event is what a client emitted.
type Event struct {
	Name string
	Args Args

	socket *Socket
	id     int64
	acked  atomic.Bool
}

// WantsAck reports whether the client waits for an acknowledgement.
func (e *Event) WantsAck() bool { return e.id != noAck }

// Ack answers the event; see [Broadcast.Emit] for the arguments. It can be
// called at any time and from any goroutine, but only once: later calls return
// [ErrAcknowledged]. Where the client does not wait it returns [ErrNoAck].
func (e *Event) Ack(args ...any) error {
	if !e.WantsAck() {
		return ErrNoAck
	}
	enc := newEncoder(e.socket.namespace.server.options.MaxAttachments)
	defer enc.free()
	if err := enc.ack(args); err != nil {
		return err
	}
	switch {
	case !e.socket.Connected():
		return ErrNotConnected
	case e.acked.Swap(true):
		return ErrAcknowledged
	}
	return e.socket.send(enc, packetAck, e.id)
}

// ackFunc gets the answer to an event, or why there is none.
type ackFunc func(Args, error)

// pendingAcks are the events of one socket that wait for an answer. Guarded by
// Socket.mu.
type pendingAcks struct {
	next    int64
	waiting map[int64]pendingAck
}

// A pendingAck waits for one answer: with a function, which is called in the
// order of the connection's handlers, or with a channel of capacity 1.
type pendingAck struct {
	f     ackFunc
	timer *time.Timer // for f
	ch    chan ackResult
}

type ackResult struct {
	args Args
	err  error
}

// abandon empties the list. Whoever waits at a channel is told at once, since a
// handler may be waiting there; the functions are returned.
func (p *pendingAcks) abandon() (functions []ackFunc) {
	if p == nil {
		return nil
	}
	for _, w := range p.waiting {
		if w.ch != nil {
			w.ch <- ackResult{err: ErrNotConnected}
			continue
		}
		w.timer.Stop()
		functions = append(functions, w.f)
	}
	return functions
}

// EmitAckFunc sends an event and calls f once: with the client's answer, with
// [ErrAckTimeout] when there is none in the given time (0 means
// Options.AckTimeout), or with [ErrNotConnected] when the socket is disconnected
// first. f is called as a handler is, one at a time. If EmitAckFunc returns an
// error, f is not called.
func (s *Socket) EmitAckFunc(event string, timeout time.Duration, f func(Args, error), args ...any) error {
	if timeout <= 0 {
		timeout = s.namespace.server.options.AckTimeout
	}
	id, err := s.emitPending(event, args, func(id int64) pendingAck {
		timer := time.AfterFunc(timeout, func() {
			if _, ok := s.takeAck(id); ok {
				s.conn.later(func() { f(Args{}, ErrAckTimeout) })
			}
		})
		return pendingAck{f: f, timer: timer}
	})
	if err != nil && id != noAck {
		if w, ok := s.takeAck(id); ok {
			w.timer.Stop()
			return err
		}
		return nil // f has been or will be told
	}
	return err
}

// EmitWithAck sends an event and waits for the client's answer until ctx ends,
// and at most for Options.AckTimeout if ctx has no deadline; then it returns
// [ErrAckTimeout] or the context's error. It must not be called in a handler of
// the same connection: the answer cannot arrive before the handler returns. Use
// [Socket.EmitAckFunc] there.
func (s *Socket) EmitWithAck(ctx context.Context, event string, args ...any) (Args, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, s.namespace.server.options.AckTimeout, ErrAckTimeout)
		defer cancel()
	}
	ch := make(chan ackResult, 1)
	id, err := s.emitPending(event, args, func(int64) pendingAck { return pendingAck{ch: ch} })
	if err != nil {
		if id != noAck {
			s.takeAck(id)
		}
		return Args{}, err
	}
	select {
	case r := <-ch:
		return r.args, r.err
	case <-ctx.Done():
		s.takeAck(id)
		return Args{}, context.Cause(ctx)
	}
}

// emitPending encodes an event, notes that it waits for an answer, and sends
// it. With an error, an id other than noAck has been noted.
func (s *Socket) emitPending(event string, args []any, wait func(id int64) pendingAck) (int64, error) {
	e := newEncoder(s.namespace.server.options.MaxAttachments)
	defer e.free()
	if err := e.event(event, args); err != nil {
		return noAck, err
	}
	s.mu.Lock()
	if s.state != stateConnected {
		s.mu.Unlock()
		return noAck, ErrNotConnected
	}
	if s.acks == nil {
		s.acks = &pendingAcks{waiting: make(map[int64]pendingAck)}
	}
	id := s.acks.next
	s.acks.next++
	s.acks.waiting[id] = wait(id)
	s.mu.Unlock()
	return id, s.send(e, packetEvent, id)
}

// takeAck removes what waits for the answer with this id.
func (s *Socket) takeAck(id int64) (pendingAck, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.acks == nil {
		return pendingAck{}, false
	}
	w, ok := s.acks.waiting[id]
	delete(s.acks.waiting, id)
	return w, ok
}

// acknowledged handles an ACK packet. An id that nobody waits for, or no longer,
// is overlooked.
func (s *Socket) acknowledged(id int64, args Args) {
	w, ok := s.takeAck(id)
	switch {
	case !ok:
	case w.ch != nil:
		w.ch <- ackResult{args: args}
	default:
		w.timer.Stop()
		w.f(args, nil)
	}
}
