package sqlite

import (
	"context"
	"slices"
	"sync"

	"belfry"
)

const sqlMarkHeard = `UPDATE members SET heard = ?3 WHERE receiver = ?1 AND company = ?2 AND heard < ?3`

// maxPending bounds the deliveries that wait to be recorded, for the time when
// the database cannot be written.
const maxPending = 200_000

// A hearer is who got something: a user got messages, whatever the company, or a
// member got notices.
type hearer struct {
	who     belfry.Identity
	notices bool
}

// A delivery says that pages of a hearer got a message that waited, or all notices up to one.
type delivery struct {
	hearer
	id belfry.ID
}

// A lateSet holds deliveries from MarkDelivered and MarkHeard until they are
// durable. Recording them late spares every push a second commit; that a crash
// forgets them costs a repetition at most.
type lateSet struct {
	mu      sync.Mutex
	pending map[hearer][]belfry.ID // all that are not durable
	queue   []delivery             // those of them that no write has taken
	due     int                    // the first of the queue, to be recorded now
	err     error                  // of the last write
}

func newLateSet() *lateSet {
	return &lateSet{pending: make(map[hearer][]belfry.ID)}
}

// add reports whether there was room.
func (l *lateSet) add(h hearer, ids ...belfry.ID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue)+len(ids) > maxPending {
		return false
	}
	l.pending[h] = append(l.pending[h], ids...)
	for _, id := range ids {
		l.queue = append(l.queue, delivery{h, id})
	}
	return true
}

// of returns the deliveries that the database does not know yet. Taken before a
// query it is right for that query: one that leaves the set later was in it, and
// one that left it before is in the database.
func (l *lateSet) of(h hearer) []belfry.ID {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.pending[h])
}

// age has all be recorded that are there now.
func (l *lateSet) age() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.due = len(l.queue)
}

// aging reports whether deliveries wait to be recorded now.
func (l *lateSet) aging() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.due > 0
}

func (l *lateSet) len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.queue)
}

// failed reports whether the last write failed.
func (l *lateSet) failed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err != nil
}

// write returns a write that records up to n deliveries, or nil if none wait.
func (l *lateSet) write(n int) *write {
	deliveries := l.take(n)
	if len(deliveries) == 0 {
		return nil
	}
	return &write{
		ctx:    context.Background(),
		rows:   len(deliveries),
		run:    func(b *batch) error { return b.record(deliveries) },
		answer: func(err error) { l.settle(deliveries, err) },
	}
}

// take removes up to n deliveries from the queue.
func (l *lateSet) take(n int) []delivery {
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

// settle ends a write: the deliveries are durable, or back in the queue.
func (l *lateSet) settle(deliveries []delivery, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err = err; err != nil {
		l.queue = append(slices.Clone(deliveries), l.queue...)
		return
	}
	for _, one := range deliveries {
		ids := l.pending[one.hearer]
		if i := slices.Index(ids, one.id); i >= 0 {
			ids = slices.Delete(ids, i, i+1)
		}
		if len(ids) == 0 {
			delete(l.pending, one.hearer)
			continue
		}
		l.pending[one.hearer] = ids
	}
}

func (b *batch) record(deliveries []delivery) error {
	for i := range deliveries {
		d := &deliveries[i]
		var err error
		if d.notices {
			_, err = b.exec(sqlMarkHeard, string(d.who.User), string(d.who.Company), d.id[:])
		} else {
			_, err = b.exec(sqlWaitNoMore, string(d.who.User), d.id[:])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// MarkDelivered implements [belfry.MarkStore]. What is fresh is so no longer, and there is
// nothing to record. Other ids are kept in memory, where Undelivered finds them, until the writer records them
// within half a second.
func (s *Store) MarkDelivered(ctx context.Context, receiver belfry.UserID, ids []belfry.ID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ids = slices.DeleteFunc(slices.Clone(ids), func(id belfry.ID) bool { return s.unsettled.deliver(receiver, id) })
	if len(ids) == 0 {
		return nil
	}
	return s.addLate(ctx, hearer{who: belfry.Identity{User: receiver}}, ids...)
}

// MarkHeard implements [belfry.MemberStore], as MarkDelivered does.
func (s *Store) MarkHeard(ctx context.Context, who belfry.Identity, place belfry.ID) error {
	return s.addLate(ctx, hearer{who: who, notices: true}, place)
}

func (s *Store) addLate(ctx context.Context, h hearer, ids ...belfry.ID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !s.late.add(h, ids...) {
		return belfry.Errorf(belfry.ErrUnavailable, "too many deliveries wait to be recorded")
	}
	return nil
}
