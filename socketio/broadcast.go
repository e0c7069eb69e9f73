package socketio

import (
	"errors"
	"iter"
	"slices"

	"belfry/engineio"
)

// A Broadcast says which sockets of a namespace something is for. It is a
// value: To and Except return a new one, and one Broadcast can be used many
// times.
type Broadcast struct {
	namespace *Namespace
	selection selection
}

// To adds rooms. A broadcast with rooms reaches the sockets that are in at
// least one of them, each once.
func (b Broadcast) To(rooms ...string) Broadcast {
	b.selection.rooms = append(slices.Clip(b.selection.rooms), rooms...)
	return b
}

// Except leaves out the sockets that are in at least one of the rooms.
func (b Broadcast) Except(rooms ...string) Broadcast {
	b.selection.except = append(slices.Clip(b.selection.except), rooms...)
	return b
}

// Occupied reports whether there may be sockets that are addressed. It is cheap, and errs
// only on the side of true.
func (b Broadcast) Occupied() bool { return b.namespace.registry.sizeOf(b.selection) > 0 }

// Emit sends an event and returns for how many sockets it was queued, or kept
// where they are held; see [Socket.Hold]. Where a single room with many sockets is addressed, that is
// the size of the room, and the event is on its way to them when Emit returns, ahead of
// whatever is sent to each of them later; see [Namespace.Pace]. Nil, strings, numbers, bools and [json.RawMessage] become JSON, and so does all else
// that encoding/json encodes. A []byte or [Binary], also inside a map[string]any
// or []any, becomes an attachment. Where there is no socket the arguments are not
// encoded, and an error in them is not noticed.
func (b Broadcast) Emit(event string, args ...any) (sockets int, err error) {
	n := b.namespace
	size := n.registry.sizeOf(b.selection)
	if size == 0 {
		return 0, nil
	}
	e := newEncoder(n.server.options.MaxAttachments)
	defer e.free()
	if err := e.event(event, args); err != nil {
		return 0, err
	}
	c := &n.caster
	if room, ok := b.selection.oneRoom(); ok && size >= c.threshold {
		if sockets, ok := c.begin(n, room, e); ok {
			return sockets, nil
		}
	}
	if c.busy() {
		c.mu.Lock()
		defer c.mu.Unlock()
		for _, s := range b.list() {
			c.settle(s)
		}
	}
	return b.emit(e, size), nil
}

// batchFrom is the number of sockets from which on a broadcast lets others go first.
const batchFrom = 64

// emit sends the event in e to all sockets, of which there are about size.
func (b Broadcast) emit(e *encoder, size int) (sockets int) {
	n := b.namespace
	var batch *engineio.Batch
	if size >= batchFrom {
		batch = n.server.engine.NewBatch()
		defer batch.Flush()
	}
	var frames [2]*engineio.Frame // by revision
	n.registry.each(b.selection, func(s *Socket) {
		f := &frames[s.conn.revision-4]
		if *f == nil {
			*f = e.frame(s.conn.revision, packetEvent, n.name, noAck)
		}
		if s.deliver(*f, batch) {
			sockets++
		}
	})
	return sockets
}

// Sockets returns the sockets that are addressed when the iteration starts.
// They may have disconnected when their turn comes.
func (b Broadcast) Sockets() iter.Seq[*Socket] {
	return func(yield func(*Socket) bool) {
		for _, s := range b.list() {
			if !yield(s) {
				return
			}
		}
	}
}

func (b Broadcast) list() []*Socket {
	var list []*Socket
	b.namespace.registry.each(b.selection, func(s *Socket) { list = append(list, s) })
	return list
}

// Disconnect disconnects the sockets; see [Socket.Disconnect].
func (b Broadcast) Disconnect(closeTransport bool) {
	for s := range b.Sockets() {
		s.Disconnect(closeTransport)
	}
}

// Join lets the sockets join rooms. Sockets that have disconnected meanwhile
// are passed over; the error tells of those that are in too many rooms.
func (b Broadcast) Join(rooms ...string) error {
	var failed error
	for s := range b.Sockets() {
		if err := s.Join(rooms...); err != nil && !errors.Is(err, ErrNotConnected) {
			failed = err
		}
	}
	return failed
}

// Leave lets the sockets leave rooms.
func (b Broadcast) Leave(rooms ...string) {
	for s := range b.Sockets() {
		s.Leave(rooms...)
	}
}
