package mongo

import (
	"context"

	"belfry"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

var errTaken = belfry.Errorf(belfry.ErrConflict, "it is stored already")

// Add implements [belfry.EntryStore].
func (s *Store) Add(ctx context.Context, entries belfry.Entries) ([]belfry.Replaced, error) {
	if len(entries.Messages)+len(entries.Activities)+len(entries.Scheduled)+len(entries.Fulfils) == 0 && entries.Request == nil {
		return nil, nil
	}
	var replaced []belfry.Replaced
	err := s.writer.do(ctx, namesOf(&entries), func(ctx context.Context, at state) (*changes, error) {
		mine := entries // the calls of Place of several attempts
		if mine.Place != nil {
			mine.Place(belfry.ID(at.Last), &mine)
		}
		a := addition{store: s, entries: &mine, n: int64(at.N + 1)}
		err := a.prepare(ctx)
		replaced = a.replaced
		return &a.changes, err
	})
	if err != nil {
		return nil, err
	}
	s.inboxes.Received(entries.Messages)
	return replaced, nil
}

// namesOf returns what other writes may not touch in the same commit.
func namesOf(e *belfry.Entries) []string {
	names := []string{}
	for i := range e.Messages {
		m := &e.Messages[i]
		if e.Place == nil { // otherwise the IDs are yet to be made, and new
			names = append(names, "i:"+m.ID.String())
		}
		switch {
		case m.CollapseKey == "":
		case m.IsNotice():
			names = append(names, touchNotices(m.Company))
		default:
			names = append(names, touchUser(m.Receiver))
		}
	}
	if e.Place == nil {
		for i := range e.Activities {
			names = append(names, "i:"+e.Activities[i].ID.String())
		}
	}
	for i := range e.Scheduled {
		names = append(names, "s:"+e.Scheduled[i].ID.String())
	}
	for _, id := range e.Fulfils {
		names = append(names, "s:"+id.String())
	}
	if e.Request != nil {
		names = append(names, "r:"+e.Request.Key)
	}
	return names
}

// An addition is one Add in the making.
type addition struct {
	store    *Store
	entries  *belfry.Entries
	n        int64
	changes  changes
	replaced []belfry.Replaced

	replaceable map[string][]belfry.ID // what new messages may replace, by collapseOf
	stored      map[belfry.ID]bool     // of those, what is in the database
}

func (a *addition) prepare(ctx context.Context) error {
	s, e := a.store, a.entries
	a.replaceable, a.stored = make(map[string][]belfry.ID), make(map[belfry.ID]bool)
	var messages, activities, scheduled, keys []any
	given := e.Place == nil // IDs that are made are higher than any there is
	for i := range e.Messages {
		if given {
			messages = append(messages, objectID(e.Messages[i].ID))
		}
		if key := collapseOf(&e.Messages[i]); key != "" {
			keys = append(keys, key)
		}
	}
	for i := range e.Activities {
		if given {
			activities = append(activities, objectID(e.Activities[i].ID))
		}
	}
	for i := range e.Scheduled {
		scheduled = append(scheduled, objectID(e.Scheduled[i].ID))
	}
	if repeats(messages) || repeats(activities) || repeats(scheduled) || repeats(objectIDs(e.Fulfils)) {
		return errTaken
	}
	var inMessages, inNotices []idAndKey
	err := together(
		func() error { return a.addRequest(ctx) },
		func() error { return a.wantFulfilled(ctx) },
		func() error { return wantFree(ctx, s.c.messages, messages) },
		func() error { return wantFree(ctx, s.c.notices, messages) },
		func() error { return wantFree(ctx, s.c.activities, activities) },
		func() error { return wantFree(ctx, s.c.scheduled, scheduled) },
		func() (err error) { inMessages, err = findReplaceable(ctx, s.c.messages, keys, "isRead"); return err },
		func() (err error) { inNotices, err = findReplaceable(ctx, s.c.notices, keys, "replaced"); return err },
	)
	if err != nil {
		return err
	}
	for _, one := range append(inMessages, inNotices...) {
		id := belfry.ID(one.ID)
		a.replaceable[one.CollapseOf] = append(a.replaceable[one.CollapseOf], id)
		a.stored[id] = true
	}
	if e.Request != nil {
		a.changes.do(requestOp(e.Request))
	}
	if len(e.Fulfils) > 0 {
		a.changes.do(op{In: belfryScheduled, IDs: objectIDs(e.Fulfils), Delete: true})
	}
	if err := a.addMessages(); err != nil {
		return err
	}
	for i := range e.Activities {
		if err := a.addActivity(&e.Activities[i]); err != nil {
			return err
		}
	}
	for i := range e.Scheduled {
		if err := a.addScheduled(&e.Scheduled[i]); err != nil {
			return err
		}
	}
	return nil
}

// addMessages adds the messages, without those that are replaced by others of the same
// call.
func (a *addition) addMessages() error {
	documents := make([]*messageDocument, len(a.entries.Messages))
	byID := make(map[belfry.ID]int) // those of this call
	for i := range a.entries.Messages {
		m := &a.entries.Messages[i]
		d, err := newMessageDocument(m, a.n)
		if err != nil {
			return err
		}
		if !m.IsNotice() {
			d.StoredAt = storedAt(d.ID, a.store.ttl.MessageAge)
		}
		documents[i], byID[m.ID] = &d, i
		a.changes.counts = true
		a.changes.touch(touchOf(m.Receiver, m.Company))
		a.changes.at(m.ID)
		if d.CollapseOf == "" {
			continue
		}
		gone := a.replaceable[d.CollapseOf]
		a.replaceable[d.CollapseOf] = nil
		if d.IsRead == 0 {
			a.replaceable[d.CollapseOf] = []belfry.ID{m.ID}
		}
		if len(gone) == 0 {
			continue
		}
		for _, id := range gone {
			a.replaced = append(a.replaced, belfry.Replaced{ID: id, By: i})
			switch {
			case a.stored[id] && m.IsNotice():
				a.changes.do(op{In: belfryNotices, IDs: []any{objectID(id)}, Set: bson.D{{Key: "replaced", Value: int32(1)}}})
			case a.stored[id]:
				a.changes.do(op{In: msgNotice, IDs: []any{objectID(id)}, Delete: true})
				a.changes.messages--
			case m.IsNotice():
				documents[byID[id]].Replaced = 1
			default:
				documents[byID[id]] = nil
			}
		}
		a.changes.revise(revision{
			owner: m.Receiver, company: m.Company, place: m.ID, kind: belfry.RevisionReplaced, ids: gone,
		})
	}
	for i, d := range documents {
		if d == nil {
			continue
		}
		raw, err := bson.Marshal(d)
		if err != nil {
			return err
		}
		in := msgNotice
		if a.entries.Messages[i].IsNotice() {
			in = belfryNotices
		}
		a.changes.do(op{In: in, Doc: raw})
		a.changes.messages++
	}
	return nil
}

func (a *addition) addActivity(activity *belfry.Activity) error {
	d, err := newActivityDocument(activity, a.n)
	if err != nil {
		return err
	}
	d.StoredAt = storedAt(d.ID, a.store.ttl.ActivityAge)
	raw, err := bson.Marshal(d)
	a.changes.do(op{In: handleLog, Doc: raw})
	a.changes.touch(touchFeed(activity.Company))
	a.changes.at(activity.ID)
	a.changes.activities++
	return err
}

type idAndKey struct {
	ID         bson.ObjectID `bson:"_id"`
	CollapseOf string        `bson:"collapseOf"`
}

// findReplaceable returns what has one of the collapse keys and is unread, or of notices not
// replaced.
func findReplaceable(ctx context.Context, c *driver.Collection, keys []any, unless string) ([]idAndKey, error) {
	if len(keys) == 0 {
		return nil, nil
	}
	return find[idAndKey](ctx, c, bson.D{{Key: "collapseOf", Value: bson.D{{Key: "$in", Value: keys}}}, {Key: unless, Value: int32(0)}},
		options.Find().SetProjection(bson.D{{Key: "collapseOf", Value: 1}}).SetSort(bson.D{{Key: "_id", Value: 1}}))
}

// present returns how many of the ids a collection has.
func present(ctx context.Context, c *driver.Collection, ids []any) (int, error) {
	if len(ids) == 0 {
		return 0, nil
	}
	found, err := find[struct{}](ctx, c, bson.D{{Key: "_id", Value: among(ids)}}, options.Find().SetProjection(bson.D{{Key: "_id", Value: 1}}))
	return len(found), err
}

// wantFree fails with errTaken if a collection has one of the ids.
func wantFree(ctx context.Context, c *driver.Collection, ids []any) error {
	n, err := present(ctx, c, ids)
	if err == nil && n > 0 {
		err = errTaken
	}
	return err
}

func (a *addition) wantFulfilled(ctx context.Context) error {
	n, err := present(ctx, a.store.c.scheduled, objectIDs(a.entries.Fulfils))
	if err == nil && n < len(a.entries.Fulfils) {
		err = belfry.Errorf(belfry.ErrConflict, "there is no such scheduled push")
	}
	return err
}

// repeats reports whether an id is there twice.
func repeats(ids []any) bool {
	seen := make(map[any]struct{}, len(ids))
	for _, id := range ids {
		seen[id] = struct{}{}
	}
	return len(seen) < len(ids)
}
