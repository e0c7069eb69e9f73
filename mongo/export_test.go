package mongo

import (
	"context"
	"time"

	driver "go.mongodb.org/mongo-driver/v2/mongo"
)

// MakeIndexes makes the indexes of a database.
func MakeIndexes(ctx context.Context, db *driver.Database) error {
	c := collectionsOf(db)
	return c.makeIndexes(ctx)
}

// LeaveUnapplied makes a store as it is when the server went away after its last commit, and before that was applied.
func (s *Store) LeaveUnapplied() {
	s.writer.unapplied.Store(true)
}

// Idle makes a store as it is when it was not used for a long time.
func (s *Store) Idle() {
	s.head.mu.Lock()
	defer s.head.mu.Unlock()
	s.head.at = time.Time{}
}
