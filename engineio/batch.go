package engineio

import "sync"

// A Batch sends to many sessions, none of which is to wait for the others any
// longer than it must: what is sent with [Session.Send] is written first, and batches
// take turns. Frames of one session leave in the order in which they were sent all the
// same, by whichever way.
//
// A Batch is for one goroutine at a time. It must be flushed.
type Batch struct{ lanes []*lane }

// A lane is what a batch has for one flusher.
type lane struct {
	filling *run // not handed over yet
	flusher *flusher

	// Guarded by flusher.mu.
	head, tail *run
	listed     bool
}

// A run is as many sessions of a batch as are written at one turn.
type run struct {
	sessions [runSize]*Session
	n        int
	next     *run
}

// runSize bounds what an urgent session waits for, at some 5 to 10 microseconds
// a write.
const runSize = 32

var runs = sync.Pool{New: func() any { return new(run) }}

func (r *run) free() {
	r.n, r.next = 0, nil
	runs.Put(r)
}

// NewBatch makes a batch for sessions of s.
func (s *Server) NewBatch() *Batch {
	lanes := make([]lane, len(s.flushers))
	b := &Batch{lanes: make([]*lane, len(s.flushers))}
	for i := range lanes {
		lanes[i].flusher = s.flushers[i]
		b.lanes[i] = &lanes[i]
	}
	return b
}

// Send is [Session.Send] with what follows deferred to Flush at the latest.
func (b *Batch) Send(s *Session, f *Frame) bool {
	listed, ok := s.sendBatched(f)
	if !listed {
		return ok
	}
	l := b.lanes[s.flusher.number]
	if l.filling == nil {
		l.filling = runs.Get().(*run)
	}
	l.filling.sessions[l.filling.n] = s
	if l.filling.n++; l.filling.n == runSize {
		l.handOver()
	}
	return ok
}

// Flush has the rest written. The batch can be used again.
func (b *Batch) Flush() {
	for _, l := range b.lanes {
		if l.filling != nil {
			l.handOver()
		}
	}
}

// handOver gives the run that was filled to the flusher.
func (l *lane) handOver() {
	r, f := l.filling, l.flusher
	l.filling = nil
	f.mu.Lock()
	if l.tail != nil {
		l.tail.next = r
	} else {
		l.head = r
	}
	l.tail = r
	first := !l.listed
	if first {
		l.listed = true
		f.batches = append(f.batches, l)
	}
	f.mu.Unlock()
	if first {
		f.rouse()
	}
}

// nextRun takes the next run of the batch whose turn it is, or nil. f.mu is held.
func (f *flusher) nextRun() *run {
	if len(f.batches) == 0 {
		return nil
	}
	l := f.batches[0]
	r := l.head
	l.head = r.next
	copy(f.batches, f.batches[1:])
	last := len(f.batches) - 1
	if l.head != nil {
		f.batches[last] = l
		return r
	}
	f.batches[last] = nil
	f.batches = f.batches[:last]
	l.tail, l.listed = nil, false
	return r
}
