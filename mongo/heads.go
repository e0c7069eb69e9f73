package mongo

import (
	"context"
	"encoding/binary"
	"math"
	"slices"

	"belfry"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// A headDocument says what was known of a capped collection when it was looked at last. The head is the document that was
// stored first of those that are there. The server drops nothing else, so that nothing was dropped while it is the same.
type headDocument struct {
	Name string         `bson:"_id"`
	Head *bson.ObjectID `bson:"head"` // nil where there was none
	// Dropped says that something may have been dropped before.
	Dropped bool `bson:"dropped"`
}

// keep notes a head.
func (c *changes) keep(d headDocument) {
	c.do(op{In: belfryCapped, IDs: []any{d.Name}, Upsert: true, Set: bson.D{{Key: "head", Value: d.Head}, {Key: "dropped", Value: d.Dropped}}})
}

// forgetHeads is the op after which the collections count as newly capped, if they are.
var forgetHeads = op{In: belfryCapped, IDs: []any{msgNotice, handleLog}, Delete: true}

// headOf returns the head of a capped collection, or nil where that is empty. Without says what it may not be.
func headOf(ctx context.Context, c *driver.Collection, without ...bson.E) (*bson.ObjectID, error) {
	found, err := find[struct {
		ID bson.ObjectID `bson:"_id"`
	}](ctx, c, append(bson.D{}, without...), options.Find().SetSort(bson.D{{Key: "$natural", Value: 1}}).SetLimit(1).SetProjection(bson.D{{Key: "_id", Value: 1}}))
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return &found[0].ID, nil
}

func sameHead(a, b *bson.ObjectID) bool { return a == b || a != nil && b != nil && *a == *b }

// droppedBelow returns the place up to which the server may have dropped what was stored before a head. Places grow from commit to
// commit. Those of one commit were made within seconds, and stored in any order.
func droppedBelow(head bson.ObjectID) belfry.ID {
	var id belfry.ID
	binary.BigEndian.PutUint32(id[:4], uint32(min(head.Timestamp().Add(maxSkew).Unix(), math.MaxUint32)))
	return id
}

// followCapped makes the database know whether its collections are capped. When that changes, all is counted, and the log is
// cut: what was dropped before is not known.
func (s *Store) followCapped(ctx context.Context) error {
	known, err := find[headDocument](ctx, s.c.heads, bson.D{})
	if err != nil || len(known) > 0 == s.capped {
		return err
	}
	return s.renew(ctx, func(ctx context.Context, c *commit) (err error) {
		c.State.Version++
		if c.State.Messages, c.State.Activities, err = s.countAll(ctx); err != nil {
			return err
		}
		changed := changes{}
		if err := s.raiseFloor(ctx, &changed, floorOfAll, belfry.ID(c.State.Last)); err != nil {
			return err
		}
		if !s.capped {
			changed.do(forgetHeads)
		}
		for _, name := range cappedOnes {
			if !s.capped {
				break
			}
			head, err := headOf(ctx, s.c.byName[name])
			if err != nil {
				return err
			}
			changed.keep(headDocument{Name: name, Head: head})
		}
		c.Ops = changed.ops
		return nil
	})
}

// noticeDropped makes a commit that says so where the server has dropped documents of a capped collection since somebody looked
// last: of several processes, one finds that it has, and has its readers told.
func (s *Store) noticeDropped(ctx context.Context, name string) (dropped bool, err error) {
	if dropped, err = s.look(ctx, name, true); dropped {
		s.log.DebugContext(ctx, "the server has dropped the oldest documents of a capped collection", "collection", name)
	}
	return dropped, err
}

// look notes the head of a capped collection. What was dropped stays to be noticed unless it is to be said.
func (s *Store) look(ctx context.Context, name string, say bool) (dropped bool, err error) {
	err = s.writer.do(ctx, nil, func(ctx context.Context, at state) (*changes, error) {
		dropped = false
		known, capped, err := findOne[headDocument](ctx, s.c.heads, name)
		if err != nil || !capped {
			return nil, err
		}
		head, err := headOf(ctx, s.c.byName[name])
		if err != nil || sameHead(head, known.Head) {
			return nil, err
		}
		if dropped = known.Head != nil || known.Dropped; !dropped {
			if dropped, err = s.fewer(ctx, name, at); err != nil {
				return nil, err
			}
		}
		if dropped && !say {
			return nil, nil
		}
		c := &changes{}
		c.keep(headDocument{Name: name, Head: head, Dropped: known.Dropped || dropped})
		if !dropped {
			return c, nil
		}
		if name == msgNotice {
			c.counts = true
			c.touch(touchNotices("")) // everybody
		}
		gone := belfry.ID(at.Last)
		if head != nil {
			gone = droppedBelow(*head)
		}
		return c, s.raiseFloor(ctx, c, floorOfAll, gone)
	})
	return dropped && err == nil, err
}

func (s *Store) lookAtAll(ctx context.Context, say bool) error {
	for _, name := range cappedOnes {
		if _, err := s.look(ctx, name, say); err != nil {
			return err
		}
	}
	return nil
}

// moveHeads notes the heads that capped collections have when ops have deleted documents of them, so that the next look does not
// take these for dropped.
func (s *Store) moveHeads(ctx context.Context, ops []op) (*changes, error) {
	moved := &changes{}
	for _, name := range cappedOnes {
		var deleted []any
		for i := range ops {
			if ops[i].In == name && ops[i].Delete {
				deleted = append(deleted, ops[i].IDs...)
			}
		}
		if len(deleted) == 0 {
			continue
		}
		known, _, err := findOne[headDocument](ctx, s.c.heads, name)
		if err != nil {
			return nil, err
		}
		if known.Head == nil || !slices.Contains(deleted, any(*known.Head)) {
			continue
		}
		if known.Head, err = headOf(ctx, s.c.byName[name], bson.E{Key: "_id", Value: bson.D{{Key: "$nin", Value: deleted}}}); err != nil {
			return nil, err
		}
		moved.keep(known)
	}
	return moved, nil
}

// fewer reports whether there are fewer documents than the commits have stored and not deleted. It counts them, so that it is for a
// collection that has just begun.
func (s *Store) fewer(ctx context.Context, name string, at state) (bool, error) {
	if name == handleLog {
		n, err := s.c.activities.CountDocuments(ctx, bson.D{})
		return n < at.Activities, err
	}
	var messages, notices int64
	err := together(
		func() (err error) { messages, err = s.c.messages.CountDocuments(ctx, bson.D{}); return err },
		func() (err error) { notices, err = s.c.notices.CountDocuments(ctx, bson.D{}); return err },
	)
	return messages+notices < at.Messages, err
}

// undropped reports whether the server has dropped nothing that was stored after a place. To ask after the rest was read is to
// know that it was there then. Look says that nobody has looked since a collection was empty.
func (s *Store) undropped(ctx context.Context, after belfry.ID) (all, look bool, err error) {
	var heads [2]*bson.ObjectID
	err = together(
		func() (err error) { heads[0], err = headOf(ctx, s.c.messages); return err },
		func() (err error) { heads[1], err = headOf(ctx, s.c.activities); return err },
	)
	if err != nil {
		return false, false, err
	}
	for i, name := range cappedOnes {
		if heads[i] == nil || after.Compare(droppedBelow(*heads[i])) >= 0 {
			continue
		}
		known, _, err := findOne[headDocument](ctx, s.c.heads, name)
		switch {
		case err != nil || known.Dropped:
			return false, false, err
		case known.Head == nil:
			return false, true, nil
		case !sameHead(heads[i], known.Head):
			return false, false, nil
		}
	}
	return true, false, nil
}
