package engineio

import (
	"sync"
	"time"
)

// flushChunk bounds what one write call carries, in bytes, unless a single
// frame is larger.
const flushChunk = 64 << 10

// aloneDelay is how long nothing is written after a frame that goes alone, and
// before the first frame of a connection. Two packets that reach a client in one
// read are handed over in one go, even where its code has not come to listen for
// the second one.
const aloneDelay = 8 * time.Millisecond

// A flusher writes for the sessions that have something queued: it takes one
// after the other, joins what has gathered for it and hands that to the kernel in
// one call that does not wait. There is one flusher per processor.
type flusher struct {
	mu     sync.Mutex
	dirty  []*Session
	wake   chan struct{} // capacity 1
	stop   <-chan struct{}
	joined []byte // scratch of the flusher's goroutine
}

func newFlusher(stop <-chan struct{}) *flusher {
	return &flusher{
		wake:   make(chan struct{}, 1),
		stop:   stop,
		joined: make([]byte, 0, flushChunk),
	}
}

// add puts s, whose writing flag the caller has set, on the list.
func (f *flusher) add(s *Session) {
	f.mu.Lock()
	f.dirty = append(f.dirty, s)
	first := len(f.dirty) == 1
	f.mu.Unlock()
	if first {
		select {
		case f.wake <- struct{}{}:
		default:
		}
	}
}

func (f *flusher) run() {
	var taken []*Session
	for {
		select {
		case <-f.wake:
		case <-f.stop:
			return
		}
		f.mu.Lock()
		taken, f.dirty = f.dirty, taken[:0]
		f.mu.Unlock()
		for i, s := range taken {
			f.flush(s)
			taken[i] = nil
		}
	}
}

// flush makes one write for s. What the kernel does not take is left until it
// says that it takes more, or to a goroutine of the session's own; what has come
// meanwhile, to the next round.
func (f *flusher) flush(s *Session) {
	s.mu.Lock()
	wire, p, alone := s.gather(f.joined)
	if wire == nil {
		s.written() // unlocks
		return
	}
	s.mu.Unlock()
	n, err := wire.TryWrite(p)
	if err != nil {
		s.abort(ReasonTransportError)
		return
	}
	s.mu.Lock()
	s.advance(n)
	if s.queue.first == nil && !alone {
		s.written() // unlocks
		return
	}
	s.mu.Unlock()
	switch {
	case n < len(p):
		if w, ok := wire.(spaceWire); ok {
			w.whenWritable(func() { f.add(s) })
		} else {
			go s.drain()
		}
	case alone:
		f.addLater(s)
	default:
		f.add(s)
	}
}

// addLater puts s, whose writing flag is set, on the list after [aloneDelay].
func (f *flusher) addLater(s *Session) {
	time.AfterFunc(aloneDelay, func() { f.add(s) })
}

// drain writes what is queued for s and waits for the peer to take it. It runs
// only while the peer or the kind of connection makes it necessary.
func (s *Session) drain() {
	buf := joinBuffers.Get().(*[]byte)
	defer joinBuffers.Put(buf)
	s.mu.Lock()
	for {
		wire, p, alone := s.gather(*buf)
		if wire == nil {
			s.written() // unlocks
			return
		}
		s.mu.Unlock()
		if err := wire.Write(p); err != nil {
			s.abort(ReasonTransportError)
			return
		}
		s.mu.Lock()
		s.advance(len(p))
		if alone {
			s.mu.Unlock()
			s.flusher.addLater(s)
			return
		}
	}
}

var joinBuffers = sync.Pool{New: func() any {
	b := make([]byte, 0, 16<<10)
	return &b
}}

// gather returns what s should write next: the first frame itself, or several
// joined in scratch as far as its capacity goes. A nil wire says that there is
// nothing. s.mu is held.
func (s *Session) gather(scratch []byte) (wire Wire, p []byte, alone bool) {
	n := s.queue.upToAlone()
	if n == 0 || s.link == nil || s.state == stateClosed {
		return nil, nil, false
	}
	first := s.wireOf(s.queue.first)[s.queue.sent:]
	if n == 1 || len(first) >= cap(scratch) {
		return s.link.wire, first, s.queue.first.alone
	}
	p = append(scratch[:0], first...)
	last := 0
	for i := 1; i < n; i++ {
		next := s.wireOf(s.queue.at(i))
		if len(p)+len(next) > cap(scratch) {
			break
		}
		p, last = append(p, next...), i
	}
	return s.link.wire, p, s.queue.at(last).alone
}

// advance takes n written bytes off the queue. s.mu is held.
func (s *Session) advance(n int) {
	for n > 0 && s.queue.first != nil {
		left := len(s.wireOf(s.queue.first)) - s.queue.sent
		if n < left {
			s.queue.sent += n
			return
		}
		n -= left
		s.queue.pop()
	}
}

// wireOf returns the bytes of f for this session.
func (s *Session) wireOf(f *Frame) []byte {
	if s.binary == binaryAsText && f.hasBinary() {
		return f.base64Wire()
	}
	return f.wire
}
