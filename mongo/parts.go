package mongo

import (
	"context"
	"strconv"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
)

// A part holds ops of a commit that is too big for one document.
type part struct {
	ID  string    `bson:"_id"`
	At  time.Time `bson:"at"`
	Ops []op      `bson:"ops"`
}

func partKey(token bson.ObjectID, i int) string { return token.Hex() + "/" + strconv.Itoa(i) }

func partKeys(token bson.ObjectID, n int) (keys bson.A) {
	for i := range n {
		keys = append(keys, partKey(token, i))
	}
	return keys
}

// split moves ops that are too big for one document into parts, and stores those.
// Nothing knows of them before the commit.
func (s *Store) split(ctx context.Context, c *commit) error {
	var parts []part
	size, next := 0, part{At: c.At}
	for _, one := range c.Ops {
		raw, err := bson.Marshal(one)
		if err != nil {
			return err
		}
		if size+len(raw) > maxInlineBytes && size > 0 {
			parts = append(parts, next)
			size, next = 0, part{At: c.At}
		}
		size += len(raw)
		next.Ops = append(next.Ops, one)
	}
	if len(parts) == 0 {
		return nil
	}
	parts = append(parts, next)
	for i := range parts {
		parts[i].ID = partKey(c.Token, i)
		if _, err := s.c.parts.InsertOne(ctx, parts[i]); err != nil && !driver.IsDuplicateKeyError(err) {
			return err
		}
	}
	c.Parts = len(parts)
	return nil
}
