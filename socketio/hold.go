package socketio

import (
	"sync"
	"time"

	"belfry/engineio"
)

// held is what is kept of the broadcasts to a socket.
type held struct {
	mu     sync.Mutex
	state  heldState
	frames []*engineio.Frame
	size   int // bytes of the frames
}

type heldState uint8

const (
	heldKeeping heldState = iota
	heldReleased
	heldDropped // nothing may follow what the client will not get
)

// Hold keeps broadcasts to the socket aside, in their order, until Release. What
// is emitted to the socket itself, and acknowledgements, are sent at once. So a
// client can be told what it has missed while what happens meanwhile waits.
//
// When Hold returns, all broadcasts that are not kept are queued for the client:
// it waits for those that are under way in the socket's rooms, milliseconds where
// they have many thousands of receivers. In a middleware it keeps every broadcast
// from the first on. Calls do not nest: one Release ends any number of Holds.
//
// What is kept is bounded as the queue of the connection is: where
// engineio.Options.MaxQueue bytes wait, one more broadcast closes the connection
// with [engineio.ReasonTooSlow]. It is dropped when the socket is disconnected.
func (s *Socket) Hold() {
	s.mu.Lock()
	if s.state == stateClosed {
		s.mu.Unlock()
		return
	}
	connected := s.state == stateConnected
	c := &s.namespace.caster
	c.mu.Lock()
	if connected {
		c.settle(s)
	}
	s.held.CompareAndSwap(nil, new(held))
	c.mu.Unlock()
	s.mu.Unlock()
	if !connected {
		return // broadcasts cannot reach it yet
	}
	// Those that have not seen that the socket is held hold a lock of a room. The
	// rooms that are joined from here on are those of sockets that are held.
	for _, room := range append(s.Rooms(), s.id) {
		s.namespace.registry.settle(room)
	}
}

// Release queues for the client what Hold has kept, in its order, and lets
// broadcasts through again. None is lost, sent twice or overtaken by a later one,
// those that come during Release included. Without a Hold it does nothing. Where together with what
// is queued already it may be more than engineio.Options.MaxQueue, ReleasePaced is the one to call.
func (s *Socket) Release() {
	if h := s.held.Load(); h != nil {
		h.release(s, func() bool { return false })
	}
}

// ReleasePaced is Release as fast as the client takes it: it queues as much as
// there is room for, and waits for more room as [engineio.Session.Pace] does, each time for no longer
// than limit. What is broadcast meanwhile is kept, too. It reports whether the
// client is there.
func (s *Socket) ReleasePaced(limit time.Duration) bool {
	h := s.held.Load()
	for h != nil && !h.release(s, s.conn.session.Crowded) {
		if !s.conn.session.Pace(limit) {
			return false // what is kept is dropped with the socket
		}
	}
	return s.Connected()
}

// Drop forgets what Hold has kept and lets broadcasts through again: for a client that
// must not be told of what came later, since it cannot be told what it has missed.
func (s *Socket) Drop() {
	if h := s.held.Load(); h != nil {
		h.drop()
		s.held.CompareAndSwap(h, nil)
	}
}

// release queues what is kept until crowded says that there is no more room, and
// reports whether that was all.
func (h *held) release(s *Socket, crowded func() bool) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state != heldKeeping {
		return true
	}
	for len(h.frames) > 0 {
		if crowded() {
			return false
		}
		f := h.frames[0]
		s.conn.session.Send(f) // after one that fails, all fail
		h.frames[0] = nil
		h.frames = h.frames[1:]
		h.size -= f.Size()
	}
	h.state, h.frames = heldReleased, nil
	s.held.CompareAndSwap(h, nil)
	return true
}

// deliver queues the frame of a broadcast, or keeps it if the socket is held. With
// a batch it is one of many that go out together.
func (s *Socket) deliver(f *engineio.Frame, b *engineio.Batch) bool {
	if h := s.held.Load(); h != nil {
		return s.keep(h, f)
	}
	if b != nil {
		return b.Send(s.conn.session, f)
	}
	return s.conn.session.Send(f)
}

func (s *Socket) keep(h *held, f *engineio.Frame) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.state == heldReleased:
		return s.conn.session.Send(f)
	case h.state == heldDropped:
		return false
	case h.size >= s.namespace.server.options.Engine.MaxQueue:
		h.state, h.frames = heldDropped, nil
		s.conn.session.Close(engineio.ReasonTooSlow)
		return false
	}
	h.frames = append(h.frames, f)
	h.size += f.Size()
	return true
}

// drop forgets what is kept, and what is still to be.
func (h *held) drop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.state == heldKeeping {
		h.state, h.frames = heldDropped, nil
	}
}
