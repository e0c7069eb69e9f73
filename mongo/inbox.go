package mongo

import (
	"context"
	"slices"

	"belfry"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// own returns the conditions of messages of the identity, and further ones.
func own(who belfry.Identity, further ...bson.E) bson.D {
	return append(bson.D{
		{Key: "receiverID", Value: word(who.User)}, {Key: "companyID", Value: bson.D{{Key: "$in", Value: companies(who)}}},
	}, further...)
}

// notArchived also takes what applications have stored by themselves.
var notArchived = bson.E{Key: "isArchived", Value: bson.D{{Key: "$in", Value: bson.A{int32(0), nil}}}}

// Inbox implements [belfry.MessageStore].
func (s *Store) Inbox(ctx context.Context, who belfry.Identity, q belfry.InboxQuery) ([]belfry.Message, error) {
	if q.Unread && q.Archived || q.Limit <= 0 { // what is archived is read
		return nil, ctx.Err()
	}
	var further bson.D
	if q.Type != 0 {
		further = append(further, bson.E{Key: "typeID", Value: int32(q.Type)})
	}
	if q.Category != "" {
		further = append(further, bson.E{Key: "category", Value: q.Category})
	}
	state := notArchived
	switch {
	case q.Unread:
		state = bson.E{Key: "isRead", Value: int32(0)}
	case q.Archived:
		state = bson.E{Key: "isArchived", Value: int32(1)}
	}
	keep := func(d *messageDocument) bool {
		return (d.IsArchived != 0) == q.Archived && !(q.Unread && d.IsRead != 0)
	}
	var messages, notices []messageDocument
	_, err := s.snapshot(ctx, touching(who), func(ctx context.Context) error {
		return together(
			func() (err error) {
				filter := append(append(own(who, state), further...), between(belfry.ID{}, q.Before)...)
				messages, err = find[messageDocument](ctx, s.c.messages, filter,
					options.Find().SetSort(bson.D{{Key: "_id", Value: -1}}).SetLimit(int64(q.Limit)))
				return err
			},
			func() error {
				v, err := s.viewer(ctx, who)
				if err != nil {
					return err
				}
				if q.Archived {
					notices, err = s.archivedNotices(ctx, &v, further, q)
				} else {
					notices, err = s.notices(ctx, &v, belfry.ID{}, q.Before, true, q.Limit, keep, further...)
				}
				return err
			},
		)
	})
	if err != nil {
		return nil, err
	}
	all := append(messages, notices...)
	slices.SortFunc(all, func(a, b messageDocument) int { return belfry.ID(b.ID).Compare(belfry.ID(a.ID)) })
	return messagesOf(all[:min(q.Limit, len(all))])
}

// archivedNotices goes from the marks to the notices: most users have archived few.
func (s *Store) archivedNotices(ctx context.Context, v *viewer, further bson.D, q belfry.InboxQuery) ([]messageDocument, error) {
	marked, err := s.allMarks(ctx, v.who, bson.E{Key: "isArchived", Value: int32(1)})
	if err != nil || len(marked) == 0 {
		return nil, err
	}
	var ids []belfry.ID
	for id := range marked {
		ids = append(ids, id)
	}
	bounds := bson.D{{Key: "$in", Value: objectIDs(ids)}}
	if !q.Before.IsZero() {
		bounds = append(bounds, bson.E{Key: "$lt", Value: objectID(q.Before)})
	}
	found, err := find[messageDocument](ctx, s.c.notices, v.sees(append(further[:len(further):len(further)], bson.E{Key: "_id", Value: bounds})...),
		options.Find().SetSort(bson.D{{Key: "_id", Value: -1}}).SetLimit(int64(q.Limit)))
	for i := range found {
		found[i].IsRead, found[i].IsArchived = 1, 1
	}
	return found, err
}

// Counts implements [belfry.MessageStore].
func (s *Store) Counts(ctx context.Context, who belfry.Identity) (belfry.Counts, error) {
	var counts belfry.Counts
	at, err := s.snapshot(ctx, touching(who), func(ctx context.Context) (err error) {
		counts, err = s.count(ctx, who)
		return err
	})
	counts.Version = at.Version
	if err != nil {
		return belfry.Counts{}, err
	}
	return counts, nil
}

func (s *Store) count(ctx context.Context, who belfry.Identity) (belfry.Counts, error) {
	counts := belfry.Counts{ByType: make(map[belfry.MessageType]int)}
	v, err := s.viewer(ctx, who)
	if err != nil {
		return counts, err
	}
	var seen belfry.ID
	unread := bson.E{Key: "isRead", Value: int32(0)}
	var all, unseen []typeCount
	var notices []messageDocument
	questions := []func() error{
		func() (err error) { all, err = s.countTypes(ctx, own(who, unread)); return err },
		func() (err error) { notices, err = s.unreadNotices(ctx, &v); return err },
	}
	if v.reader.Seen != nil {
		seen = belfry.ID(*v.reader.Seen)
		questions = append(questions, func() (err error) {
			unseen, err = s.countTypes(ctx, own(who, unread, greater(seen)[0]))
			return err
		})
	}
	err = together(questions...)
	if v.reader.Seen == nil {
		unseen = all
	}
	for _, one := range all {
		counts.Unread += one.N
		counts.ByType[belfry.MessageType(one.Type)] += one.N
	}
	for _, one := range unseen {
		counts.Unseen += one.N
	}
	for i := range notices {
		counts.Unread++
		counts.ByType[belfry.MessageType(notices[i].TypeID)]++
		if belfry.ID(notices[i].ID).Compare(seen) > 0 {
			counts.Unseen++
		}
	}
	return counts, err
}

type typeCount struct {
	Type int32 `bson:"_id"`
	N    int   `bson:"n"`
}

// countTypes counts the messages of each type that meet conditions.
func (s *Store) countTypes(ctx context.Context, filter bson.D) ([]typeCount, error) {
	cursor, err := s.c.messages.Aggregate(ctx, bson.A{
		bson.D{{Key: "$match", Value: filter}},
		bson.D{{Key: "$group", Value: bson.D{{Key: "_id", Value: "$typeID"}, {Key: "n", Value: bson.D{{Key: "$sum", Value: int32(1)}}}}}},
	})
	if err != nil {
		return nil, err
	}
	var found []typeCount
	err = cursor.All(ctx, &found)
	return found, err
}
