package mongo

import (
	"context"
	"slices"
	"sync"

	"belfry"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

const (
	// maxPending bounds the deliveries that wait to be recorded, for the time when the
	// database cannot be written, and maxLate those of one commit.
	maxPending = 200_000
	maxLate    = 5_000
)

// A hearer is who got something: a user got messages, whatever the company, or a
// member got notices.
type hearer struct {
	who     belfry.Identity
	notices bool
}

// A delivery says that pages of a hearer got a message, or all notices up to one.
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

// failed reports whether the last write failed.
func (l *lateSet) failed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err != nil
}

// write returns a write that records some deliveries, or nil if none wait.
func (l *lateSet) write(s *Store) *write {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.queue) == 0 {
		return nil
	}
	n := min(maxLate, len(l.queue))
	deliveries := l.queue[:n:n]
	if l.queue = l.queue[n:]; len(l.queue) == 0 {
		l.queue = nil
	}
	return &write{
		ctx:     context.Background(),
		prepare: func(ctx context.Context, _ state) (*changes, error) { return s.recordLate(ctx, deliveries) },
		done:    func(err error) { l.settle(deliveries, err) },
	}
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

// recordLate returns the changes that make deliveries durable. They touch nobody:
// no count and no inbox shows them.
func (s *Store) recordLate(ctx context.Context, deliveries []delivery) (*changes, error) {
	c := &changes{}
	delivered := make(map[belfry.UserID][]any)
	heard := make(map[belfry.Identity]belfry.ID)
	var keys bson.A
	for _, d := range deliveries {
		if !d.notices {
			delivered[d.who.User] = append(delivered[d.who.User], objectID(d.id))
			continue
		}
		if _, known := heard[d.who]; !known {
			keys = append(keys, identityKey(d.who))
		}
		if d.id.Compare(heard[d.who]) >= 0 {
			heard[d.who] = d.id
		}
	}
	for user, ids := range delivered {
		c.do(op{
			In: msgNotice, IDs: ids, Where: bson.D{{Key: "receiverID", Value: word(user)}},
			Set: bson.D{{Key: "isDelivered", Value: int32(1)}},
		})
	}
	if len(keys) == 0 {
		return c, nil
	}
	found, err := find[readerDocument](ctx, s.c.readers, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: keys}}}})
	members := make(map[string]readerDocument, len(found))
	for _, d := range found {
		members[d.Key] = d
	}
	for who, place := range heard {
		d := members[identityKey(who)]
		if d.Heard != nil && place.Compare(belfry.ID(*d.Heard)) > 0 {
			c.do(d.set(who, bson.E{Key: "heard", Value: objectID(place)}))
		}
	}
	return c, err
}

// MarkDelivered implements [belfry.MarkStore]. The ids are kept in memory, where
// Undelivered finds them, until the writer records them after half a second at most.
func (s *Store) MarkDelivered(ctx context.Context, receiver belfry.UserID, ids []belfry.ID) error {
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

// Undelivered implements [belfry.MarkStore].
func (s *Store) Undelivered(ctx context.Context, who belfry.Identity, limit int) ([]belfry.Message, error) {
	// Before the queries.
	delivered := s.late.of(hearer{who: belfry.Identity{User: who.User}})
	var heard belfry.ID
	for _, id := range s.late.of(hearer{who: who, notices: true}) {
		if id.Compare(heard) > 0 {
			heard = id
		}
	}
	var messages, notices []messageDocument
	_, err := s.snapshot(ctx, touching(who), func(ctx context.Context) error {
		return together(
			func() (err error) {
				waiting := own(who, bson.E{Key: "isDelivered", Value: int32(0)}, bson.E{Key: "isRead", Value: int32(0)})
				messages, err = find[messageDocument](ctx, s.c.messages, waiting,
					options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}).SetLimit(int64(limit+len(delivered))))
				return err
			},
			func() error {
				notices = nil
				v, err := s.viewer(ctx, who)
				if err != nil || v.reader.Heard == nil { // who is no member has heard everything
					return err
				}
				after := belfry.ID(later(*v.reader.Heard, objectID(heard)))
				unread := func(d *messageDocument) bool { return d.IsRead == 0 }
				notices, err = s.notices(ctx, &v, after, belfry.ID{}, false, limit, unread, bson.E{Key: "replaced", Value: int32(0)})
				return err
			},
		)
	})
	if err != nil {
		return nil, err
	}
	known := make(map[belfry.ID]struct{}, len(delivered))
	for _, id := range delivered {
		known[id] = struct{}{}
	}
	all := append(messages, notices...)
	all = slices.DeleteFunc(all, func(d messageDocument) bool {
		_, ok := known[belfry.ID(d.ID)]
		return ok && d.ReceiverID != nil
	})
	slices.SortFunc(all, func(a, b messageDocument) int { return belfry.ID(a.ID).Compare(belfry.ID(b.ID)) })
	return messagesOf(all[:min(limit, len(all))])
}
