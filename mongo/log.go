package mongo

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"belfry"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// A revision is an entry of the log. Of notices, owner is empty.
type revision struct {
	owner       belfry.UserID
	company     belfry.CompanyID
	place       belfry.ID
	kind        belfry.RevisionKind
	messageType belfry.MessageType
	ids         []belfry.ID // nil is all
}

type revisionDocument struct {
	Key       string          `bson:"_id"`
	Owner     word            `bson:"owner"`
	CompanyID word            `bson:"companyID"`
	Place     bson.ObjectID   `bson:"place"`
	Kind      int32           `bson:"kind"`
	TypeID    int32           `bson:"typeID"`
	IDs       []bson.ObjectID `bson:"ids"`
}

// key tells revisions apart.
func (r *revision) key() string {
	return r.place.String() + "/" + strconv.Itoa(int(r.kind)) + "/" + identityKey(belfry.Identity{User: r.owner, Company: r.company})
}

// revise keeps a revision, with whom it concerns.
func (c *changes) revise(r revision) {
	var ids any // of all, null
	if r.ids != nil {
		ids = objectIDs(r.ids)
	}
	c.do(op{In: belfryRevisions, IDs: []any{r.key()}, Upsert: true, Set: bson.D{
		{Key: "owner", Value: word(r.owner)}, {Key: "companyID", Value: word(r.company)}, {Key: "place", Value: objectID(r.place)},
		{Key: "kind", Value: int32(r.kind)}, {Key: "typeID", Value: int32(r.messageType)}, {Key: "ids", Value: ids},
	}})
	c.touch(touchOf(r.owner, r.company))
	c.at(r.place)
}

func (d *revisionDocument) revision() belfry.Revision {
	r := belfry.Revision{
		Place: belfry.ID(d.Place), Kind: belfry.RevisionKind(d.Kind), Company: belfry.CompanyID(d.CompanyID), Type: belfry.MessageType(d.TypeID),
	}
	for _, id := range d.IDs {
		r.IDs = append(r.IDs, belfry.ID(id))
	}
	return r
}

// A floorDocument says back to where the log reaches: all up to and including Place
// may be gone of a user, or of everybody.
type floorDocument struct {
	Key   string        `bson:"_id"` // of a user that of touchUser
	Place bson.ObjectID `bson:"place"`
}

const floorOfAll = "*"

// raiseFloor says that the log of a user, or of everybody, no longer has what is at a place
// or below.
func (s *Store) raiseFloor(ctx context.Context, c *changes, key string, place belfry.ID) error {
	d, _, err := findOne[floorDocument](ctx, s.c.floors, key)
	if err == nil && place.Compare(belfry.ID(d.Place)) > 0 {
		c.do(op{In: belfryFloors, IDs: []any{key}, Upsert: true, Set: bson.D{{Key: "place", Value: objectID(place)}}})
	}
	return err
}

// raiseFloorAlone raises the floor of everybody.
func (s *Store) raiseFloorAlone(ctx context.Context, place belfry.ID) error {
	return s.renew(ctx, func(ctx context.Context, c *commit) error {
		raised := changes{}
		err := s.raiseFloor(ctx, &raised, floorOfAll, place)
		c.Ops = raised.ops
		return err
	})
}

// Since implements [belfry.LogStore]. Revisions of what is no longer there to be
// shown as edited count for the limit.
func (s *Store) Since(ctx context.Context, who belfry.Identity, after, until belfry.ID, limit int) ([]belfry.LogEntry, bool, error) {
	entries, complete, look, err := s.settledSince(ctx, who, after, until, limit)
	if err == nil && look {
		if err = s.lookAtAll(ctx, false); err == nil {
			entries, complete, _, err = s.settledSince(ctx, who, after, until, limit)
		}
	}
	if err != nil || !complete {
		return nil, false, err
	}
	return entries, true, nil
}

// settledSince is Since, but where it says to look at capped collections: then that is to be done before it is known.
func (s *Store) settledSince(ctx context.Context, who belfry.Identity, after, until belfry.ID, limit int) (entries []belfry.LogEntry, complete, look bool, err error) {
	_, err = s.snapshot(ctx, append(touching(who), touchFeed(who.Company)), func(ctx context.Context) (err error) {
		look = false
		if entries, complete, err = s.since(ctx, who, after, until, limit); complete && s.capped {
			complete, look, err = s.undropped(ctx, after)
		}
		return err
	})
	return entries, complete, look, err
}

func (s *Store) since(ctx context.Context, who belfry.Identity, after, until belfry.ID, limit int) ([]belfry.LogEntry, bool, error) {
	floors, err := find[floorDocument](ctx, s.c.floors, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: bson.A{floorOfAll, touchUser(who.User)}}}}})
	if err != nil {
		return nil, false, err
	}
	floors = append(floors, floorDocument{Place: objectID(s.ttl.floor(time.Now()))})
	for _, floor := range floors {
		if after.Compare(belfry.ID(floor.Place)) < 0 {
			return nil, false, nil
		}
	}
	var (
		v                 viewer
		revisions         []revisionDocument
		messages, notices []messageDocument
		activities        []belfry.Activity
		past              = following(until)
		most              = limit + 1
	)
	if v, err = s.viewer(ctx, who); err != nil {
		return nil, false, err
	}
	inOrder := options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}).SetLimit(int64(most))
	err = together(
		func() (err error) {
			place := between(after, past)
			if place != nil {
				place[0].Key = "place"
			}
			revisions, err = find[revisionDocument](ctx, s.c.revisions, append(bson.D{
				{Key: "owner", Value: bson.D{{Key: "$in", Value: bson.A{"", word(who.User)}}}},
				{Key: "companyID", Value: bson.D{{Key: "$in", Value: companies(who)}}},
			}, place...), options.Find().SetSort(bson.D{{Key: "place", Value: 1}, {Key: "kind", Value: 1}, {Key: "_id", Value: 1}}).SetLimit(int64(most)))
			return err
		},
		func() (err error) {
			messages, err = find[messageDocument](ctx, s.c.messages, own(who, between(after, past)...), inOrder)
			return err
		},
		func() (err error) {
			all := func(*messageDocument) bool { return true }
			notices, err = s.notices(ctx, &v, after, past, false, most, all)
			return err
		},
		func() (err error) {
			filter := append(bson.D{{Key: "companyID", Value: word(who.Company)}}, between(after, past)...)
			activities, err = s.findActivities(ctx, filter, 1, most)
			return err
		},
	)
	if err != nil || len(revisions)+len(messages)+len(notices)+len(activities) > limit {
		return nil, false, err
	}
	entries, err := s.revised(ctx, &v, revisions)
	if err != nil {
		return nil, false, err
	}
	told, err := messagesOf(append(messages, notices...))
	for i := range told {
		entries = append(entries, belfry.LogEntry{Place: told[i].ID, Message: &told[i]})
	}
	for i := range activities {
		entries = append(entries, belfry.LogEntry{Place: activities[i].ID, Activity: &activities[i]})
	}
	// Revisions are first, and stay so at their place.
	slices.SortStableFunc(entries, func(a, b belfry.LogEntry) int { return a.Place.Compare(b.Place) })
	return entries, err == nil, err
}

// following returns the next ID, or the zero ID after the last.
func following(id belfry.ID) belfry.ID {
	for i := len(id) - 1; i >= 0; i-- {
		id[i]++
		if id[i] != 0 {
			break
		}
	}
	return id
}

// revised makes entries of revisions. Those that edited a message bring it along,
// unless it is gone or the identity does not see it.
func (s *Store) revised(ctx context.Context, v *viewer, revisions []revisionDocument) ([]belfry.LogEntry, error) {
	var ids []belfry.ID
	for i := range revisions {
		if revisions[i].Kind == int32(belfry.RevisionEdited) {
			for _, id := range revisions[i].IDs {
				ids = append(ids, belfry.ID(id))
			}
		}
	}
	edited, err := s.seenNow(ctx, v, ids)
	if err != nil {
		return nil, err
	}
	entries := make([]belfry.LogEntry, 0, len(revisions))
	for i := range revisions {
		r := revisions[i].revision()
		if r.Kind != belfry.RevisionEdited {
			entries = append(entries, belfry.LogEntry{Place: r.Place, Revision: &r})
			continue
		}
		for _, id := range r.IDs {
			if m, ok := edited[id]; ok {
				one := r
				one.IDs = []belfry.ID{id}
				entries = append(entries, belfry.LogEntry{Place: r.Place, Revision: &one, Edited: &m})
			}
		}
	}
	return entries, nil
}

// seenNow returns those of some messages and notices that the identity sees.
func (s *Store) seenNow(ctx context.Context, v *viewer, ids []belfry.ID) (map[belfry.ID]belfry.Message, error) {
	if len(ids) == 0 {
		return nil, nil
	}
	these := bson.E{Key: "_id", Value: among(objectIDs(ids))}
	messages, err := find[messageDocument](ctx, s.c.messages, own(v.who, these))
	if err != nil {
		return nil, err
	}
	all := func(*messageDocument) bool { return true }
	notices, err := s.notices(ctx, v, belfry.ID{}, belfry.ID{}, false, len(ids), all, bson.E{Key: "$and", Value: bson.A{bson.D{these}}})
	if err != nil {
		return nil, err
	}
	found, err := messagesOf(append(messages, notices...))
	seen := make(map[belfry.ID]belfry.Message, len(found))
	for _, m := range found {
		seen[m.ID] = m
	}
	return seen, err
}

// Last implements [belfry.LogStore]. What retention has deleted had places, too.
func (s *Store) Last(ctx context.Context) (belfry.ID, error) {
	if err := s.advance(ctx); err != nil {
		return belfry.ID{}, portError(ctx, err)
	}
	at, _ := s.head.get()
	return belfry.ID(at.Last), nil
}

// maxConcerned bounds the commits that Concerned looks at.
const maxConcerned = 2000

// Concerned implements [belfry.LogStore]. It knows as far back as commits are kept, and goes back from the newest one, so that it
// reads no others than it needs.
func (s *Store) Concerned(ctx context.Context, after belfry.ID) (owners []belfry.Identity, known bool, err error) {
	newest, err := s.c.commits.Find(ctx, bson.D{}, options.Find().SetSort(bson.D{{Key: "_id", Value: -1}}).SetLimit(maxConcerned+1).
		SetProjection(bson.D{{Key: "touches", Value: 1}, {Key: "last", Value: 1}}))
	if err != nil {
		return nil, false, portError(ctx, err)
	}
	defer newest.Close(context.WithoutCancel(ctx))
	var touches []string
	read := number(0) // the last one
	for newest.Next(ctx) {
		var c commit
		if err := newest.Decode(&c); err != nil {
			return nil, false, portError(ctx, err)
		}
		switch {
		case read > 0 && c.State.N != read-1: // those between have been trimmed
			return nil, false, nil
		case belfry.ID(c.State.Last).Compare(after) <= 0:
			return ownersOf(touches), true, nil
		}
		touches = append(touches, c.Touches...)
		read = c.State.N
	}
	if err := newest.Err(); err != nil || read != 1 { // before the first there was nothing
		return nil, false, portError(ctx, err)
	}
	return ownersOf(touches), true, nil
}

// ownersOf returns whom touches are about.
func ownersOf(touches []string) (owners []belfry.Identity) {
	slices.Sort(touches)
	for _, touch := range slices.Compact(touches) {
		kind, name, _ := strings.Cut(touch, ":")
		if owner := (belfry.Identity{User: belfry.UserID(name)}); kind == touchesUser {
			owners = append(owners, owner)
			continue
		}
		if owner := (belfry.Identity{Company: belfry.CompanyID(name)}); !slices.Contains(owners, owner) { // by its notices and its feed
			owners = append(owners, owner)
		}
	}
	return owners
}

// PruneRevisions implements [belfry.LogStore].
func (s *Store) PruneRevisions(ctx context.Context, before belfry.ID, step int) (deleted int, err error) {
	err = s.writer.do(ctx, nil, func(ctx context.Context, _ state) (*changes, error) {
		found, err := find[revisionDocument](ctx, s.c.revisions, bson.D{{Key: "place", Value: bson.D{{Key: "$lt", Value: objectID(before)}}}},
			options.Find().SetSort(bson.D{{Key: "place", Value: 1}}).SetLimit(int64(step)).SetProjection(bson.D{{Key: "ids", Value: 0}}))
		deleted = len(found)
		if err != nil || deleted == 0 {
			return nil, err
		}
		c := &changes{}
		var keys []any
		for i := range found {
			keys = append(keys, found[i].Key)
			c.touch(touchOf(belfry.UserID(found[i].Owner), belfry.CompanyID(found[i].CompanyID)))
		}
		c.do(op{In: belfryRevisions, IDs: keys, Delete: true})
		return c, s.raiseFloor(ctx, c, floorOfAll, belfry.ID(found[len(found)-1].Place))
	})
	if err != nil {
		return 0, err
	}
	return deleted, nil
}
