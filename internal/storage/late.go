package storage

import (
	"slices"
	"sync"

	"belfry"
)

// maxPending bounds the deliveries that wait to be recorded, for the time when
// the database cannot be written.
const maxPending = 200_000

// A Hearer is who got something: a user got messages, whatever the company, or a
// member got notices.
type Hearer struct {
	Who     belfry.Identity
	Notices bool
}

// A Delivery says that pages of a hearer got a message, or all notices up to one.
type Delivery struct {
	Hearer
	ID belfry.ID
}

// Late holds deliveries from MarkDelivered and MarkHeard until they are
// durable. Recording them late spares every push a second commit; that a crash
// forgets them costs a repetition at most. It is safe for concurrent use.
type Late struct {
	mu      sync.Mutex
	pending map[Hearer][]belfry.ID // all that are not durable
	queue   []Delivery             // those of them that no write has taken
	due     int                    // the first of the queue, to be recorded now
	err     error                  // of the last write
}

// NewLate makes an empty set.
func NewLate() *Late { return &Late{pending: make(map[Hearer][]belfry.ID)} }

// Add fails with [belfry.ErrUnavailable] if there is no room.
func (l *Late) Add(h Hearer, ids ...belfry.ID) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue)+len(ids) > maxPending {
		return belfry.Errorf(belfry.ErrUnavailable, "too many deliveries wait to be recorded")
	}
	l.pending[h] = append(l.pending[h], ids...)
	for _, id := range ids {
		l.queue = append(l.queue, Delivery{h, id})
	}
	return nil
}

// Of returns the deliveries that the database does not know yet. Taken before a
// query it is right for that query: one that leaves the set later was in it, and
// one that left it before is in the database.
func (l *Late) Of(h Hearer) []belfry.ID {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.pending[h])
}

// Has reports whether there are deliveries to a user that the database does not know yet.
func (l *Late) Has(user belfry.UserID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for h := range l.pending {
		if h.Who.User == user {
			return true
		}
	}
	return false
}

// Age has all be recorded that are there now.
func (l *Late) Age() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.due = len(l.queue)
}

// Aging reports whether deliveries wait to be recorded now.
func (l *Late) Aging() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.due > 0
}

// Len returns how many wait, those of a write that is under way left aside.
func (l *Late) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue)
}

// Failed reports whether the last write failed.
func (l *Late) Failed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err != nil
}

// Take removes up to n deliveries that are to be recorded now. Settle must follow.
func (l *Late) Take(n int) []Delivery {
	l.mu.Lock()
	defer l.mu.Unlock()
	n = min(n, l.due)
	taken := l.queue[:n:n]
	l.due -= n
	if l.queue = l.queue[n:]; len(l.queue) == 0 {
		l.queue = nil
	}
	return taken
}

// Settle ends a write: the deliveries are durable, or wait for the next call of Age.
func (l *Late) Settle(deliveries []Delivery, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err = err; err != nil {
		l.queue = append(slices.Clone(deliveries), l.queue...)
		return
	}
	for _, one := range deliveries {
		ids := l.pending[one.Hearer]
		if i := slices.Index(ids, one.ID); i >= 0 {
			ids = slices.Delete(ids, i, i+1)
		}
		if len(ids) == 0 {
			delete(l.pending, one.Hearer)
			continue
		}
		l.pending[one.Hearer] = ids
	}
}
