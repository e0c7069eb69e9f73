package engineio

import (
	"sync"
	"sync/atomic"
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
//
// What is meant for one session comes before what is meant for many: between two
// runs of a [Batch], which take turns, all that was sent with [Session.Send]
// meanwhile is written.
type flusher struct {
	number int // among the flushers of the server
	busy   *busyFlushers

	mu      sync.Mutex
	urgent  []*Session
	batches []*lane       // those that have runs, in the order of their turns
	wake    chan struct{} // capacity 1

	stop     <-chan struct{}
	breather breather
	breath   func() // of the breather
	writes   int    // since it last waited
	breathed time.Time
	stint    time.Duration // from then on to the next breath
	joined   []byte        // scratch of the flusher's goroutine
}

// breatheAfter is how many writes a flusher makes before it lets the rest of the
// process look at the network: about a quarter of a millisecond.
const breatheAfter = 32

// busyFlushers counts the flushers of a server that are at work.
type busyFlushers struct {
	count atomic.Int32
	all   int32
}

func newFlusher(number int, busy *busyFlushers, stop <-chan struct{}) *flusher {
	f := &flusher{
		number: number,
		busy:   busy,
		wake:   make(chan struct{}, 1),
		stop:   stop,
		joined: make([]byte, 0, flushChunk),
	}
	f.breath = f.breather.breathe
	return f
}

// add puts s, which the caller has marked as listed and urgent, on the list.
func (f *flusher) add(s *Session) {
	f.mu.Lock()
	f.urgent = append(f.urgent, s)
	first := len(f.urgent) == 1
	f.mu.Unlock()
	if first {
		f.rouse()
	}
}

func (f *flusher) rouse() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

func (f *flusher) run() {
	defer f.breather.close()
	var urgent []*Session
	for {
		select {
		case <-f.wake:
		case <-f.stop:
			return
		}
		f.busy.count.Add(1)
		f.writes, f.breathed, f.stint = 0, time.Now(), 0 // waiting is breathing
		for more := true; more; {
			var batch *run
			f.mu.Lock()
			urgent, f.urgent = f.urgent, urgent[:0]
			batch = f.nextRun()
			f.mu.Unlock()
			more = len(urgent) > 0 || batch != nil
			for i, s := range urgent {
				f.flush(s)
				urgent[i] = nil
				if i%breatheAfter == breatheAfter-1 { // so that many urgent ones keep up no batch
					f.flushRun(batch)
					f.mu.Lock()
					batch = f.nextRun()
					f.mu.Unlock()
				}
			}
			f.flushRun(batch)
		}
		f.busy.count.Add(-1)
	}
}

func (f *flusher) flushRun(r *run) {
	if r == nil {
		return
	}
	for i, s := range r.sessions[:r.n] {
		f.flush(s)
		r.sessions[i] = nil
	}
	r.free()
}

// flush makes one write for s. What the kernel does not take is left until it
// says that it takes more, or to a goroutine of the session's own; what has come
// meanwhile, to the next round. A session that was on two lists is passed over the
// second time.
func (f *flusher) flush(s *Session) {
	s.mu.Lock()
	if s.turn&turnListed == 0 {
		s.mu.Unlock()
		return
	}
	s.turn = turnTaken
	wire, p, alone := s.gather(f.joined)
	if wire == nil {
		s.written() // unlocks
		return
	}
	s.mu.Unlock()
	n, err := wire.TryWrite(p)
	f.breathe()
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
			w.whenWritable(func() { f.again(s) })
		} else {
			go s.drain()
		}
	case alone:
		f.addLater(s)
	default:
		f.again(s)
	}
}

// breathe lets the goroutines run that wait for the network. The writes themselves
// never tell the scheduler that they are system calls, and where every processor has a flusher at
// work, the process would otherwise hear of a request only when the runtime's monitor looks, every 10 ms.
//
// What the others do then may take long, above all where one of them waits for the disk with the
// processor in its hands. So after a breath the flusher works for as long as it took: it has half of the time
// at least, however much the others have to do.
func (f *flusher) breathe() {
	if f.writes++; f.writes%breatheAfter > 0 || f.busy.count.Load() < f.busy.all {
		return
	}
	now := time.Now()
	if now.Sub(f.breathed) < f.stint {
		return
	}
	f.breath()
	f.breathed = time.Now()
	f.stint = min(f.breathed.Sub(now), longestStint)
}

// longestStint bounds for how long nobody else hears of the network.
const longestStint = 20 * time.Millisecond

// again lists s, whose turn it is, for another write.
func (f *flusher) again(s *Session) {
	s.mu.Lock()
	s.turn = turnListed | turnUrgent
	s.mu.Unlock()
	f.add(s)
}

// addLater is again after [aloneDelay].
func (f *flusher) addLater(s *Session) {
	time.AfterFunc(aloneDelay, func() { f.again(s) })
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
