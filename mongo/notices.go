package mongo

import (
	"context"

	"belfry"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// A viewer is what decides which notices an identity sees.
type viewer struct {
	who    belfry.Identity
	reader readerDocument
	off    []preferenceDocument
}

func (s *Store) viewer(ctx context.Context, who belfry.Identity) (viewer, error) {
	v := viewer{who: who}
	var settings settingsDocument
	err := together(
		func() (err error) {
			v.reader, _, err = findOne[readerDocument](ctx, s.c.readers, identityKey(who))
			return err
		},
		func() (err error) {
			settings, _, err = findOne[settingsDocument](ctx, s.c.settings, string(who.User))
			return err
		},
	)
	for _, p := range settings.Preferences {
		if p.Off {
			v.off = append(v.off, p)
		}
	}
	return v, err
}

// sees returns the conditions that a notice meets which the identity sees, replaced
// ones among them, and further ones.
func (v *viewer) sees(further ...bson.E) bson.D {
	membership := bson.D{{Key: "later", Value: int32(1)}}
	if v.reader.Since != nil {
		membership = bson.D{{Key: "$or", Value: bson.A{membership, greater(belfry.ID(*v.reader.Since))}}}
	}
	all := bson.A{
		bson.D{{Key: "companyID", Value: bson.D{{Key: "$in", Value: companies(v.who)}}}},
		membership,
	}
	if len(v.off) > 0 {
		var off bson.A
		everything := false
		for _, p := range v.off {
			var matches bson.D
			if p.TypeID != 0 {
				matches = append(matches, bson.E{Key: "typeID", Value: p.TypeID})
			}
			if p.Category != "" {
				matches = append(matches, bson.E{Key: "category", Value: p.Category})
			}
			everything = everything || matches == nil
			off = append(off, matches)
		}
		wanted := bson.A{bson.D{{Key: "forced", Value: true}}}
		if !everything {
			wanted = append(wanted, bson.D{{Key: "$nor", Value: off}})
		}
		all = append(all, bson.D{{Key: "$or", Value: wanted}})
	}
	if len(further) > 0 {
		all = append(all, bson.D(further))
	}
	return bson.D{{Key: "$and", Value: all}}
}

func greater(id belfry.ID) bson.D {
	return bson.D{{Key: "_id", Value: bson.D{{Key: "$gt", Value: objectID(id)}}}}
}

// A markDocument says that a user has read a notice, or had: then IsRead is 0.
type markDocument struct {
	Notice     bson.ObjectID `bson:"notice"`
	IsRead     int32         `bson:"isRead"`
	IsArchived int32         `bson:"isArchived"`
}

// marks are those of one user, without those that count no more.
type marks map[belfry.ID]markDocument

func marksOf(documents []markDocument) marks {
	m := make(marks, len(documents))
	for _, d := range documents {
		if d.IsRead != 0 {
			m[belfry.ID(d.Notice)] = d
		}
	}
	return m
}

// allMarks returns the marks of an identity.
func (s *Store) allMarks(ctx context.Context, who belfry.Identity, further ...bson.E) (marks, error) {
	documents, err := find[markDocument](ctx, s.c.marks, append(bson.D{
		{Key: "receiverID", Value: word(who.User)}, {Key: "companyID", Value: bson.D{{Key: "$in", Value: companies(who)}}},
	}, further...))
	return marksOf(documents), err
}

// marksOn returns the marks of a user on some notices.
func (s *Store) marksOn(ctx context.Context, user belfry.UserID, notices []messageDocument) (marks, error) {
	if len(notices) == 0 {
		return nil, nil
	}
	var keys bson.A
	for i := range notices {
		keys = append(keys, markKey(belfry.ID(notices[i].ID), user))
	}
	documents, err := find[markDocument](ctx, s.c.marks, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: keys}}}})
	return marksOf(documents), err
}

// markOp sets the mark of a user on a notice.
func markOp(user belfry.UserID, company belfry.CompanyID, notice belfry.ID, read, archived bool) op {
	return op{
		In: belfryMarks, IDs: []any{markKey(notice, user)}, Upsert: true,
		Set: bson.D{
			{Key: "receiverID", Value: word(user)}, {Key: "companyID", Value: word(company)}, {Key: "notice", Value: objectID(notice)},
			{Key: "isRead", Value: flag(read)}, {Key: "isArchived", Value: flag(archived)},
		},
	}
}

// noticePage bounds the notices that are read at once.
const noticePage = 100

// notices returns at most limit of the notices that the identity sees and that meet
// further conditions and keep, which is asked with the user's mark. They come in the order of their IDs, or
// against it.
func (s *Store) notices(ctx context.Context, v *viewer, after, before belfry.ID, newestFirst bool, limit int, keep func(*messageDocument) bool, further ...bson.E) ([]messageDocument, error) {
	var kept []messageDocument
	order := 1
	if newestFirst {
		order = -1
	}
	page := max(noticePage, min(limit, 1000))
	for {
		conditions := append(further[:len(further):len(further)], between(after, before)...)
		found, err := find[messageDocument](ctx, s.c.notices, v.sees(conditions...),
			options.Find().SetSort(bson.D{{Key: "_id", Value: order}}).SetLimit(int64(page)))
		if err != nil {
			return nil, err
		}
		marked, err := s.marksOn(ctx, v.who.User, found)
		if err != nil {
			return nil, err
		}
		for i := range found {
			d := &found[i]
			mark, ok := marked[belfry.ID(d.ID)]
			d.IsRead, d.IsArchived = flag(ok), mark.IsArchived
			if d.Replaced != 0 && !ok || !keep(d) {
				continue
			}
			if kept = append(kept, *d); len(kept) == limit {
				return kept, nil
			}
		}
		if len(found) < page {
			return kept, nil
		}
		if last := belfry.ID(found[len(found)-1].ID); newestFirst {
			before = last
		} else {
			after = last
		}
	}
}

// between returns the conditions of IDs after one and before another, where these are
// not zero.
func between(after, before belfry.ID) bson.D {
	var bounds bson.D
	if !after.IsZero() {
		bounds = append(bounds, bson.E{Key: "$gt", Value: objectID(after)})
	}
	if !before.IsZero() {
		bounds = append(bounds, bson.E{Key: "$lt", Value: objectID(before)})
	}
	if bounds == nil {
		return nil
	}
	return bson.D{{Key: "_id", Value: bounds}}
}

// unreadNotices returns type and ID of the notices that the identity sees and has not read.
func (s *Store) unreadNotices(ctx context.Context, v *viewer, further ...bson.E) ([]messageDocument, error) {
	var found []messageDocument
	var read marks
	err := together(
		func() (err error) {
			found, err = find[messageDocument](ctx, s.c.notices, v.sees(append(further, bson.E{Key: "replaced", Value: int32(0)})...),
				options.Find().SetProjection(bson.D{{Key: "typeID", Value: 1}, {Key: "companyID", Value: 1}}))
			return err
		},
		func() (err error) { read, err = s.allMarks(ctx, v.who); return err },
	)
	unread := found[:0]
	for i := range found {
		if _, ok := read[belfry.ID(found[i].ID)]; !ok {
			unread = append(unread, found[i])
		}
	}
	return unread, err
}
