package engineio

import (
	"sync"
	"time"
)

// wheelSlots is how many ticks one turn of the wheel has; a power of two.
const wheelSlots = 256

// A wheel is a hashed timing wheel (Varghese and Lauck, "Hashed and Hierarchical
// Timing Wheels", 1987, scheme 6): one timer for all sessions. Scheduling and
// removing are constant in time and need no memory beside the session.
type wheel struct {
	tick time.Duration

	mu    sync.Mutex
	turn  int64 // ticks that have passed
	slots [wheelSlots]wheelSlot
}

type wheelSlot struct{ head *Session }

// newWheel makes a wheel that is at most a tenth of the shortest heartbeat late:
// one tick for rounding up, one until the timer comes round.
func newWheel(o Options) *wheel {
	tick := min(o.PingInterval, o.PingTimeout) / 20
	return &wheel{tick: min(max(tick, 5*time.Millisecond), time.Second)}
}

// schedule sets when s.tick is called next. s.mu is held and the session is not
// closed, so that nothing puts it back once it has been removed. A session that has
// a place which comes up early enough keeps it: tick looks at the time again.
func (w *wheel) schedule(s *Session, due time.Duration) {
	h := &s.heartbeat
	earlier := due < h.due
	h.due = due
	w.mu.Lock()
	defer w.mu.Unlock()
	if h.slot != nil {
		if !earlier {
			return
		}
		w.unlink(s)
	}
	w.link(s, due)
}

// remove takes s off the wheel.
func (w *wheel) remove(s *Session) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.heartbeat.slot != nil {
		w.unlink(s)
	}
}

func (w *wheel) link(s *Session, due time.Duration) {
	// Rounded up: never before due. Never into the slot that is being read.
	turn := max(int64((due+w.tick-1)/w.tick), w.turn+1)
	slot := &w.slots[turn%wheelSlots]
	h := &s.heartbeat
	h.slot, h.prev, h.next = slot, nil, slot.head
	if slot.head != nil {
		slot.head.heartbeat.prev = s
	}
	slot.head = s
}

func (w *wheel) unlink(s *Session) {
	h := &s.heartbeat
	if h.prev != nil {
		h.prev.heartbeat.next = h.next
	} else {
		h.slot.head = h.next
	}
	if h.next != nil {
		h.next.heartbeat.prev = h.prev
	}
	h.slot, h.prev, h.next = nil, nil, nil
}

// advance turns the wheel up to now and calls tick on the sessions that came up.
func (w *wheel) advance(now time.Duration, due []*Session, pings *Batch) []*Session {
	target := int64(now / w.tick)
	w.mu.Lock()
	if behind := target - w.turn; behind > wheelSlots {
		w.turn = target - wheelSlots // one whole turn visits every slot
	}
	for w.turn < target {
		w.turn++
		slot := &w.slots[w.turn%wheelSlots]
		for slot.head != nil {
			due = append(due, slot.head)
			w.unlink(slot.head)
		}
	}
	w.mu.Unlock()
	for i, s := range due {
		s.tick(now, pings)
		due[i] = nil
	}
	pings.Flush()
	return due[:0]
}

// run turns the wheel until stop is closed.
func (w *wheel) run(now func() time.Duration, pings *Batch, stop <-chan struct{}) {
	ticker := time.NewTicker(w.tick)
	defer ticker.Stop()
	var due []*Session
	for {
		select {
		case <-ticker.C:
			due = w.advance(now(), due, pings)
		case <-stop:
			return
		}
	}
}
