package mongo

import (
	"context"
	"encoding/binary"
	"errors"
	"math"
	"time"

	"belfry"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
)

// A TTL says what the server deletes by itself, by TTL indexes: messages that are read, and activities. It needs
// MongoDB, with partial indexes, and no other belfry that has another TTL on the database.
//
// What is unread the server leaves to PruneMessages, so that no count changes without a commit, and
// notices, and what was stored before there was a TTL. Since knows what may have gone by itself. The numbers of all
// messages and activities are not known meanwhile, so that there is no limit on them.
type TTL struct {
	// MessageAge is how long a message is kept after belfry got it, in whole seconds, and ActivityAge likewise; 0 means
	// that the server deletes none.
	MessageAge, ActivityAge time.Duration
}

const (
	ttlIndex = "belfryTTL"
	// belfryPending is there only while a TTL ends.
	belfryPending = "belfryPending"
	// agedIndex is for the unread messages of an age, which PruneMessages deletes.
	agedIndex = "belfryAged"
	// maxSkew is how far the clock of the server may be ahead.
	maxSkew = time.Minute
)

// MinTTL is the shortest age that a [TTL] may have, other than 0.
const MinTTL = time.Hour

// maxTTL is what MongoDB allows.
const maxTTL = math.MaxInt32 * time.Second

// inSeconds returns the TTL as an index can have it.
func (t TTL) inSeconds() (TTL, error) {
	for _, age := range []*time.Duration{&t.MessageAge, &t.ActivityAge} {
		if *age = age.Truncate(time.Second); *age != 0 && (*age < MinTTL || *age > maxTTL) {
			return t, belfry.Errorf(belfry.ErrInvalid, "a TTL is %v: it is from %v to 68 years", *age, MinTTL)
		}
	}
	return t, nil
}

// floor returns up to where messages or activities may have gone by themselves, or the zero ID.
func (t TTL) floor(now time.Time) belfry.ID {
	var id belfry.ID
	age := t.MessageAge
	if age == 0 || t.ActivityAge > 0 && t.ActivityAge < age {
		age = t.ActivityAge
	}
	if age > 0 {
		binary.BigEndian.PutUint32(id[:4], uint32(max(0, now.Add(maxSkew-age).Unix())))
	}
	return id
}

// storedAt returns what a document has for the TTL index: when belfry got it. It is nil where there is no age.
func storedAt(id bson.ObjectID, age time.Duration) *time.Time {
	if age == 0 {
		return nil
	}
	t := id.Timestamp().UTC()
	return &t
}

// useTTL brings the indexes of the database to a TTL. What may have gone by an earlier one is gone for the log, and where
// the server deletes no longer, what is there is counted again.
func (s *Store) useTTL(ctx context.Context, ttl TTL, indexed bool) error {
	want, err := ttl.inSeconds()
	if err != nil {
		return err
	}
	s.ttl = want
	if !indexed {
		if want != (TTL{}) {
			return belfry.Errorf(belfry.ErrInvalid, "the server has no TTL indexes: leave deleting to belfry")
		}
		return nil
	}
	have, err := s.ttlThere(ctx)
	if err != nil {
		return err
	}
	if have != want {
		if err := s.changeTTL(ctx, have, want); err != nil {
			return err
		}
	}
	return s.countAfterTTL(ctx)
}

// uncounted is the _id of a document that is there from before the indexes go until all is counted, so that a process that
// dies in between leaves no wrong numbers.
const uncounted = "uncounted"

func (s *Store) changeTTL(ctx context.Context, have, want TTL) error {
	// Before the indexes change: if that fails half way, it is done again.
	if have != (TTL{}) {
		if err := s.raiseFloorAlone(ctx, have.floor(time.Now())); err != nil {
			return err
		}
	}
	if have.MessageAge > 0 && want.MessageAge == 0 || have.ActivityAge > 0 && want.ActivityAge == 0 {
		_, err := s.pending().InsertOne(ctx, bson.D{{Key: "_id", Value: uncounted}})
		if err != nil && !driver.IsDuplicateKeyError(err) {
			return err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, indexTimeout)
	defer cancel()
	for _, command := range ttlCommands(have, want) {
		if err := s.c.commits.Database().RunCommand(ctx, command).Err(); err != nil && !isIndexGone(err) {
			return err
		}
	}
	return nil
}

// isIndexGone says that an index which was to be dropped is not there: another process that starts at the same time was first.
func isIndexGone(err error) bool {
	var refused driver.ServerError
	return errors.As(err, &refused) && refused.HasErrorCode(27)
}

func (s *Store) pending() *driver.Collection { return s.c.commits.Database().Collection(belfryPending) }

// countAfterTTL counts what is there if the server has deleted by itself and does not any more.
func (s *Store) countAfterTTL(ctx context.Context) error {
	_, ok, err := findOne[struct{}](ctx, s.pending(), uncounted)
	if err != nil || !ok {
		return err
	}
	if err := s.recount(ctx, state{}); err != nil {
		return err
	}
	return s.pending().Drop(ctx)
}

// ttlThere returns the TTL that the indexes of the database stand for.
func (s *Store) ttlThere(ctx context.Context) (have TTL, err error) {
	for c, age := range map[*driver.Collection]*time.Duration{s.c.messages: &have.MessageAge, s.c.activities: &have.ActivityAge} {
		indexes, err := c.Indexes().ListSpecifications(ctx)
		if err != nil {
			return have, err
		}
		for _, index := range indexes {
			if index.Name == ttlIndex && index.ExpireAfterSeconds != nil {
				*age = time.Duration(*index.ExpireAfterSeconds) * time.Second
			}
		}
	}
	return have, nil
}

// ttlCommands returns what makes the indexes of one TTL those of another.
func ttlCommands(have, want TTL) (commands []bson.D) {
	readOnes := bson.D{{Key: "isRead", Value: int32(1)}}
	for _, one := range []struct {
		in         string
		have, want time.Duration
		partial    bson.D
	}{
		{msgNotice, have.MessageAge, want.MessageAge, readOnes},
		{handleLog, have.ActivityAge, want.ActivityAge, nil},
	} {
		seconds := int32(one.want / time.Second)
		switch {
		case one.have == one.want:
		case one.want == 0:
			commands = append(commands, bson.D{{Key: "dropIndexes", Value: one.in}, {Key: "index", Value: ttlIndex}})
			if one.partial != nil {
				commands = append(commands, bson.D{{Key: "dropIndexes", Value: one.in}, {Key: "index", Value: agedIndex}})
			}
		case one.have != 0:
			commands = append(commands, bson.D{{Key: "collMod", Value: one.in}, {Key: "index", Value: bson.D{
				{Key: "name", Value: ttlIndex}, {Key: "expireAfterSeconds", Value: seconds},
			}}})
		default:
			index := bson.D{{Key: "key", Value: bson.D{{Key: "storedAt", Value: int32(1)}}}, {Key: "name", Value: ttlIndex}, {Key: "expireAfterSeconds", Value: seconds}}
			indexes := bson.A{index}
			if one.partial != nil {
				// The one that deletes is last.
				indexes = bson.A{
					bson.D{{Key: "key", Value: bson.D{{Key: "isRead", Value: int32(1)}, {Key: "_id", Value: int32(1)}}}, {Key: "name", Value: agedIndex}},
					append(index, bson.E{Key: "partialFilterExpression", Value: one.partial}),
				}
			}
			commands = append(commands, bson.D{{Key: "createIndexes", Value: one.in}, {Key: "indexes", Value: indexes}})
		}
	}
	return commands
}

// agedMessages returns at most limit of the oldest messages and notices before a place, without those that the server
// deletes by itself.
func (s *Store) agedMessages(ctx context.Context, before belfry.ID, limit int) ([]messageDocument, error) {
	aged := bson.E{Key: "_id", Value: bson.D{{Key: "$lt", Value: objectID(before)}}}
	if s.ttl.MessageAge == 0 {
		return s.oldest(ctx, bson.D{aged}, limit)
	}
	var all []messageDocument
	for _, one := range []struct {
		in     *driver.Collection
		filter bson.D
	}{
		{s.c.messages, bson.D{{Key: "isRead", Value: int32(0)}, aged}},
		{s.c.messages, bson.D{{Key: "isRead", Value: int32(1)}, {Key: "storedAt", Value: nil}, aged}},
		{s.c.notices, bson.D{aged}},
	} {
		found, err := find[messageDocument](ctx, one.in, one.filter, oldestFirst(limit))
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return firstOnes(all, limit), nil
}

var errNotCounted = belfry.Errorf(belfry.ErrInvalid, "where the server deletes by itself, belfry does not know how many there are: there can be no limit on all rows")
