package mongo

import (
	"context"
	"slices"
	"time"

	"belfry"
	"belfry/internal/storage"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

type scheduledDocument struct {
	ID    bson.ObjectID `bson:"_id"`
	Due   time.Time     `bson:"due"`
	Draft string        `bson:"draft"` // JSON
	V     int64         `bson:"v"`
}

func (a *addition) addScheduled(p *belfry.Scheduled) error {
	draft, err := storage.EncodeDraft(p)
	if err != nil {
		return err
	}
	raw, err := bson.Marshal(scheduledDocument{ID: objectID(p.ID), Due: p.Due.UTC(), Draft: draft, V: a.n})
	a.changes.do(op{In: belfryScheduled, Doc: raw})
	a.changes.at(p.ID)
	return err
}

func (d *scheduledDocument) scheduled() (belfry.Scheduled, error) {
	p := belfry.Scheduled{ID: belfry.ID(d.ID), Due: d.Due.UTC()}
	err := storage.DecodeDraft(d.Draft, &p)
	return p, err
}

// NextDue implements [belfry.AgendaStore].
func (s *Store) NextDue(ctx context.Context) (time.Time, error) {
	type timed struct {
		Due     time.Time `bson:"due"`
		Expires time.Time `bson:"expires"`
	}
	var next [3]time.Time
	first := func(i int, c *driver.Collection, field string) func() error {
		return func() error {
			found, err := find[timed](ctx, c, bson.D{{Key: field, Value: bson.D{{Key: "$exists", Value: true}}}},
				options.Find().SetSort(bson.D{{Key: field, Value: 1}}).SetLimit(1).SetProjection(bson.D{{Key: field, Value: 1}}))
			for _, one := range found {
				if next[i] = one.Due; field == "expires" {
					next[i] = one.Expires
				}
			}
			return err
		}
	}
	err := together(first(0, s.c.scheduled, "due"), first(1, s.c.messages, "expires"), first(2, s.c.notices, "expires"))
	if err != nil {
		return time.Time{}, portError(ctx, err)
	}
	var soonest time.Time
	for _, t := range next {
		if !t.IsZero() && (soonest.IsZero() || t.Before(soonest)) {
			soonest = t.UTC()
		}
	}
	return soonest, nil
}

// Due implements [belfry.AgendaStore].
func (s *Store) Due(ctx context.Context, now time.Time, limit int) ([]belfry.Scheduled, error) {
	found, err := find[scheduledDocument](ctx, s.c.scheduled, bson.D{{Key: "due", Value: bson.D{{Key: "$lte", Value: now.UTC()}}}},
		options.Find().SetSort(bson.D{{Key: "due", Value: 1}, {Key: "_id", Value: 1}}).SetLimit(int64(limit)))
	if err != nil {
		return nil, portError(ctx, err)
	}
	var pushes []belfry.Scheduled
	for i := range found {
		p, err := found[i].scheduled()
		if err != nil {
			return nil, err
		}
		pushes = append(pushes, p)
	}
	return pushes, nil
}

var errNoScheduled = belfry.Errorf(belfry.ErrNotFound, "there is no such scheduled push")

// ScheduledPush implements [belfry.AgendaStore].
func (s *Store) ScheduledPush(ctx context.Context, id belfry.ID) (belfry.Scheduled, error) {
	d, ok, err := findOne[scheduledDocument](ctx, s.c.scheduled, objectID(id))
	if err == nil && !ok {
		err = errNoScheduled
	}
	if err != nil {
		return belfry.Scheduled{}, portError(ctx, err)
	}
	return d.scheduled()
}

// Cancel implements [belfry.AgendaStore].
func (s *Store) Cancel(ctx context.Context, id belfry.ID) error {
	return s.writer.do(ctx, []string{"s:" + id.String()}, func(ctx context.Context, _ state) (*changes, error) {
		n, err := present(ctx, s.c.scheduled, []any{objectID(id)})
		if err == nil && n == 0 {
			err = errNoScheduled
		}
		return &changes{ops: []op{{In: belfryScheduled, IDs: []any{objectID(id)}, Delete: true}}}, err
	})
}

// Expire implements [belfry.AgendaStore].
func (s *Store) Expire(ctx context.Context, now time.Time, place belfry.Placer, step int) ([]belfry.Message, error) {
	var expired []belfry.Message
	err := s.writer.do(ctx, nil, func(ctx context.Context, before state) (*changes, error) {
		found, err := s.expired(ctx, now, step)
		if err != nil || len(found) == 0 {
			return nil, err
		}
		if expired, err = messagesOf(found); err != nil {
			return nil, err
		}
		at := before.place(place)
		c := &changes{}
		revisions := make(map[string]*revision)
		for i := range found {
			c.remove(&found[i])
			r := revision{owner: found[i].owner(), company: expired[i].Company, place: at, kind: belfry.RevisionExpired}
			if known := revisions[r.key()]; known != nil {
				known.ids = append(known.ids, expired[i].ID)
			} else {
				r.ids = []belfry.ID{expired[i].ID}
				revisions[r.key()] = &r
			}
		}
		for key, r := range revisions {
			// Steps of one Expire share their place.
			before, _, err := findOne[revisionDocument](ctx, s.c.revisions, key)
			if err != nil {
				return nil, err
			}
			r.ids = append(before.revision().IDs, r.ids...)
			c.revise(*r)
		}
		return c, nil
	})
	if err != nil {
		return nil, err
	}
	return expired, nil
}

// expired returns messages and notices that have expired, the first ones first.
func (s *Store) expired(ctx context.Context, now time.Time, step int) ([]messageDocument, error) {
	filter := bson.D{{Key: "expires", Value: bson.D{{Key: "$lte", Value: now.UTC()}}}}
	all, err := s.messagesAndNotices(ctx, filter, options.Find().SetSort(bson.D{{Key: "expires", Value: 1}}).SetLimit(int64(step)))
	slices.SortStableFunc(all, func(a, b messageDocument) int { return a.Expires.Compare(*b.Expires) })
	return all[:min(step, len(all))], err
}
