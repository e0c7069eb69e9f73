package mongo

import (
	"context"
	"slices"

	"belfry"
	"belfry/internal/storage"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// maxLate bounds the deliveries of one commit.
const maxLate = 5_000

// writeLate returns a write that records some deliveries, or nil if none wait.
func (w *writer) writeLate() *write {
	s := w.store
	s.late.Age()
	deliveries := s.late.Take(maxLate)
	if len(deliveries) == 0 {
		return nil
	}
	return &write{
		ctx:     context.Background(),
		prepare: func(ctx context.Context, _ state) (*changes, error) { return s.recordLate(ctx, deliveries) },
		done:    func(err error) { s.late.Settle(deliveries, err) },
	}
}

// recordLate returns the changes that make deliveries durable. They touch nobody:
// no count and no inbox shows them.
func (s *Store) recordLate(ctx context.Context, deliveries []storage.Delivery) (*changes, error) {
	c := &changes{}
	delivered := make(map[belfry.UserID][]any)
	heard := make(map[belfry.Identity]belfry.ID)
	var keys bson.A
	for _, d := range deliveries {
		if !d.Notices {
			delivered[d.Who.User] = append(delivered[d.Who.User], objectID(d.ID))
			continue
		}
		if _, known := heard[d.Who]; !known {
			keys = append(keys, identityKey(d.Who))
		}
		if d.ID.Compare(heard[d.Who]) >= 0 {
			heard[d.Who] = d.ID
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
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.late.Add(storage.Hearer{Who: belfry.Identity{User: receiver}}, ids...)
}

// MarkHeard implements [belfry.MemberStore], as MarkDelivered does.
func (s *Store) MarkHeard(ctx context.Context, who belfry.Identity, place belfry.ID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.late.Add(storage.Hearer{Who: who, Notices: true}, place)
}

// RecordDelivered implements [belfry.MarkStore].
func (s *Store) RecordDelivered(ctx context.Context, user belfry.UserID) error {
	if !s.late.Has(user) {
		return nil
	}
	var deliveries []storage.Delivery
	err := s.writer.do(ctx, []string{"late"}, func(ctx context.Context, _ state) (*changes, error) {
		if deliveries == nil { // the first time
			s.late.Age()
			deliveries = s.late.Take(maxLate)
		}
		return s.recordLate(ctx, deliveries)
	})
	if deliveries != nil {
		s.late.Settle(deliveries, err)
	}
	return err
}

// Undelivered implements [belfry.MarkStore].
func (s *Store) Undelivered(ctx context.Context, who belfry.Identity, limit int) ([]belfry.Message, error) {
	// Before the queries.
	delivered := s.late.Of(storage.Hearer{Who: belfry.Identity{User: who.User}})
	var heard belfry.ID
	for _, id := range s.late.Of(storage.Hearer{Who: who, Notices: true}) {
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
