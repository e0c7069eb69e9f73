package mongo

import (
	"context"
	"errors"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
)

// The server of the tests reads whole collections, on a machine that has much else to do.
func init() { opTimeout = time.Minute }

// MakeIndexes makes the indexes of a database.
func MakeIndexes(ctx context.Context, db *driver.Database) error {
	c := collectionsOf(db)
	return c.makeIndexes(ctx)
}

// AssumeTTL makes a store one with a TTL, on a server that has none: the test deletes what the server would.
func (s *Store) AssumeTTL(ttl TTL) { s.ttl = ttl }

// EndTTL does what Open does where the indexes of a TTL are no longer wanted, but for the indexes.
func (s *Store) EndTTL(ctx context.Context) error {
	if err := s.raiseFloorAlone(ctx, s.ttl.floor(time.Now())); err != nil {
		return err
	}
	s.ttl = TTL{}
	if _, err := s.pending().InsertOne(ctx, bson.D{{Key: "_id", Value: uncounted}}); err != nil {
		return err
	}
	return s.countAfterTTL(ctx)
}

// CapCollections makes the collections that are missing, without a try of what the server does.
func CapCollections(ctx context.Context, db *driver.Database, want Capped) error {
	c := collectionsOf(db)
	want, err := want.checked()
	if err != nil {
		return err
	}
	return c.makeCapped(ctx, want, cappedOnes)
}

// AssumeCapped makes a store one whose server drops the oldest, or no longer does, whatever its collections are: the test drops
// what the server would.
func (s *Store) AssumeCapped(ctx context.Context, capped bool) error {
	s.capped = capped
	return s.followCapped(ctx)
}

// Undiminished is what a copy writes with.
func Undiminished(ctx context.Context, c *driver.Collection, n int, write func() error) error {
	of := collectionsOf(c.Database())
	return of.undiminished(ctx, c, n, write)
}

// LeaveUnapplied makes a store as it is when the server went away after its last commit, and before that was applied.
func (s *Store) LeaveUnapplied() {
	s.writer.unapplied.Store(true)
}

// Head is the number of the newest commit that the store knows to be applied.
func (s *Store) Head() int64 {
	at, _ := s.head.get()
	return int64(at.N)
}

// Idle makes a store as it is when it was not used for a long time.
func (s *Store) Idle() {
	s.head.mu.Lock()
	defer s.head.mu.Unlock()
	s.head.at = time.Time{}
}

// Concern makes changes that concern some each, and that all wait for the same commit.
func (s *Store) Concern(ctx context.Context, touches map[string][]string) error {
	done := make(chan error, len(touches))
	w := s.writer
	w.mu.Lock()
	for name, of := range touches {
		w.queue = append(w.queue, &write{ctx: ctx, names: []string{name}, prepare: func(context.Context, state) (*changes, error) {
			return &changes{ops: []op{{In: belfryFloors, IDs: []any{name}, Upsert: true}}, touches: of}, nil
		}, done: func(err error) { done <- err }})
	}
	w.nudge()
	w.mu.Unlock()
	var all error
	for range touches {
		all = errors.Join(all, <-done)
	}
	return all
}

// Trim does what is done after a commit now and then.
func (s *Store) Trim(ctx context.Context, n int64) error { return s.trim(ctx, number(n)) }

// ChangeTTL brings the indexes from one TTL to another.
func (s *Store) ChangeTTL(ctx context.Context, have, want TTL) error {
	return s.changeTTL(ctx, have, want)
}
