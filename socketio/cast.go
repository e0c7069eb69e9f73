package socketio

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"belfry/engineio"
)

// A cast is a broadcast to one large room, on its way. It begins in no time,
// whatever the size of the room, and then goes out in chunks, between which everything
// else has its turn. Whatever else is sent to a socket meanwhile is preceded by the casts that
// have begun and not come to it, and whoever joins or leaves a room has had, or has not to
// expect, those that began before: to a socket it is as if each cast had gone out at
// the moment when it began.
type cast struct {
	number uint64 // casts of a namespace are numbered from 1 on as they begin
	room   string
	frames [2]*engineio.Frame // by revision
	batch  *engineio.Batch
	// next is the index in the room's list of the next socket; it goes down. Who
	// leaves is replaced by the last of the list, who is behind or has joined later, so nobody is
	// left out, and Socket.told says who was there already.
	next int
	done chan struct{}
}

// A caster has the casts of a namespace.
type caster struct {
	registry  *registry
	threshold int // the size from which on a room is large
	chunk     int // how many sockets are sent to at one turn

	// mu is held for a chunk at most. The lock of a socket is taken before it, those
	// of the registry after it.
	mu      sync.Mutex
	latest  uint64 // the number of the last cast that has begun
	pending []*cast
	turn    int // of pending
	scratch []*Socket
	count   atomic.Int32 // len(pending)
}

const (
	castFrom  = 1024 // sockets, from which on a room is large
	castChunk = 256  // sockets, of which each takes about 0.15 µs
	// maxPending is how many casts may be under way before Pace waits.
	maxPending = 16
)

// busy reports whether casts are under way. Those that began before the call,
// as the caller knows it, are seen.
func (c *caster) busy() bool { return c.count.Load() > 0 }

// begin begins a cast of the event in e, if the room is large, and returns how many
// sockets are in the room.
func (c *caster) begin(n *Namespace, room string, e *encoder) (sockets int, begun bool) {
	k := &cast{
		room:   room,
		frames: [2]*engineio.Frame{e.frame(4, packetEvent, n.name, noAck), e.frame(5, packetEvent, n.name, noAck)},
		batch:  n.server.engine.NewBatch(),
		done:   make(chan struct{}),
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if sockets = c.registry.size(room); sockets < c.threshold || c.registry.socket(room) != nil {
		return 0, false
	}
	k.next = sockets - 1
	c.latest++
	k.number = c.latest
	c.pending = append(c.pending, k)
	c.count.Add(1)
	if len(c.pending) == 1 {
		go c.run()
	}
	return sockets, true
}

// run sends chunks, of all casts in turn, until none is left.
func (c *caster) run() {
	for c.sendChunk() {
		runtime.Gosched() // to whoever waits for mu
	}
}

// sendChunk reports whether more is to be sent.
func (c *caster) sendChunk() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.turn %= len(c.pending)
	k := c.pending[c.turn]
	c.scratch, k.next = c.registry.list(k.room, k.next, c.chunk, c.scratch[:0])
	for i, s := range c.scratch {
		c.tell(s, k)
		c.scratch[i] = nil
	}
	if k.next >= 0 {
		c.turn++
		return true
	}
	k.batch.Flush()
	close(k.done)
	c.pending = slices.Delete(c.pending, c.turn, c.turn+1)
	c.count.Add(-1)
	return len(c.pending) > 0
}

// tell sends to s, which is in the room of k, all that it has not been told up to
// and including k. c.mu is held.
func (c *caster) tell(s *Socket, k *cast) {
	for _, earlier := range c.pending {
		if earlier.number > k.number {
			break
		}
		if s.told < earlier.number && (earlier.room == k.room || c.registry.has(earlier.room, s)) {
			s.deliver(earlier.frames[s.conn.revision-4], earlier.batch)
		}
	}
	s.told = max(s.told, k.number)
}

// settle sends to s all that it has not been told. What is sent to it next comes
// after that, and the rooms that it joins are those of one that has been told. c.mu is held.
func (c *caster) settle(s *Socket) {
	for _, k := range c.pending {
		if s.told < k.number && c.registry.has(k.room, s) {
			s.deliver(k.frames[s.conn.revision-4], nil)
		}
	}
	s.told = c.latest
}

// precede settles s before something is sent to it.
func (c *caster) precede(s *Socket) {
	if c.busy() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.settle(s)
	}
}

// pace waits while maxPending casts or more are under way.
func (c *caster) pace() {
	for c.busy() {
		c.mu.Lock()
		over := len(c.pending) - maxPending
		if over < 0 {
			c.mu.Unlock()
			return
		}
		done := c.pending[over].done
		c.mu.Unlock()
		<-done
	}
}
