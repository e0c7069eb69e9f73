package mongo

import (
	"context"

	driver "go.mongodb.org/mongo-driver/v2/mongo"
)

// MakeIndexes makes the indexes of a database.
func MakeIndexes(ctx context.Context, db *driver.Database) error {
	c := collectionsOf(db)
	return c.makeIndexes(ctx)
}
