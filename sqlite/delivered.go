package sqlite

import (
	"context"
	"slices"
	"sync"

	"belfry"
)

// maxPending bounds the deliveries that wait to be recorded, for the time when
// the database cannot be written.
const maxPending = 200_000

// A delivery says that pages got a message.
type delivery struct {
	receiver belfry.UserID
	id       belfry.ID
}

// A deliveredSet holds deliveries from MarkDelivered until they are durable.
// Recording them late spares every push a second commit; that a crash forgets
// them costs a repetition at most.
type deliveredSet struct {
	mu      sync.Mutex
	pending map[belfry.UserID][]belfry.ID // all that are not durable
	queue   []delivery                    // those of them that no write has taken
	err     error                         // of the last write
}

func newDeliveredSet() *deliveredSet {
	return &deliveredSet{pending: make(map[belfry.UserID][]belfry.ID)}
}

// add reports whether there was room.
func (d *deliveredSet) add(receiver belfry.UserID, ids []belfry.ID) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.queue)+len(ids) > maxPending {
		return false
	}
	d.pending[receiver] = append(d.pending[receiver], ids...)
	for _, id := range ids {
		d.queue = append(d.queue, delivery{receiver, id})
	}
	return true
}

// of returns the deliveries to a receiver that the database does not know yet.
// Taken before a query it is right for that query: one that leaves the set
// later was in it, and one that left it before is in the database.
func (d *deliveredSet) of(receiver belfry.UserID) []belfry.ID {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.pending[receiver])
}

func (d *deliveredSet) len() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.queue)
}

// failed reports whether the last write failed.
func (d *deliveredSet) failed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err != nil
}

// write returns a write that records up to n deliveries, or nil if none wait.
func (d *deliveredSet) write(n int) *write {
	deliveries := d.take(n)
	if len(deliveries) == 0 {
		return nil
	}
	return &write{
		ctx:    context.Background(),
		rows:   len(deliveries),
		run:    func(b *batch) error { return b.markDelivered(deliveries) },
		answer: func(err error) { d.settle(deliveries, err) },
	}
}

// take removes up to n deliveries from the queue.
func (d *deliveredSet) take(n int) []delivery {
	d.mu.Lock()
	defer d.mu.Unlock()
	n = min(n, len(d.queue))
	taken := d.queue[:n:n]
	if d.queue = d.queue[n:]; len(d.queue) == 0 {
		d.queue = nil
	}
	return taken
}

// settle ends a write: the deliveries are durable, or back in the queue.
func (d *deliveredSet) settle(deliveries []delivery, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err = err; err != nil {
		d.queue = append(slices.Clone(deliveries), d.queue...)
		return
	}
	for _, one := range deliveries {
		ids := d.pending[one.receiver]
		if i := slices.Index(ids, one.id); i >= 0 {
			ids = slices.Delete(ids, i, i+1)
		}
		if len(ids) == 0 {
			delete(d.pending, one.receiver)
			continue
		}
		d.pending[one.receiver] = ids
	}
}
