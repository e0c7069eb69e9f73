package mongo

import (
	"context"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// maxGone bounds the marks of deleted notices that are deleted at once.
const maxGone = 200

// sweepGone deletes some marks of a notice that is gone, and reports whether there
// may be more to do. They count for nothing without it, and nobody makes new ones, so
// that this is no matter of the history, and any number of processes may do it. There may
// be as many marks as there are users.
func (s *Store) sweepGone(ctx context.Context) (more bool, err error) {
	type keyed[T any] struct {
		ID T `bson:"_id"`
	}
	gone, err := find[keyed[bson.ObjectID]](ctx, s.c.gone, bson.D{}, options.Find().SetLimit(1))
	if err != nil || len(gone) == 0 {
		return false, err
	}
	notice := gone[0].ID
	// The keys of its marks begin with the notice's, and "0" comes after "/".
	found, err := find[keyed[string]](ctx, s.c.marks, bson.D{{Key: "_id", Value: bson.D{
		{Key: "$gt", Value: notice.Hex() + "/"}, {Key: "$lt", Value: notice.Hex() + "0"},
	}}}, options.Find().SetLimit(maxGone).SetProjection(bson.D{{Key: "_id", Value: 1}}))
	if err != nil {
		return false, err
	}
	if len(found) > 0 {
		var keys bson.A
		for _, one := range found {
			keys = append(keys, one.ID)
		}
		if _, err := s.c.marks.DeleteMany(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: keys}}}}); err != nil {
			return false, err
		}
	}
	if len(found) < maxGone {
		_, err = s.c.gone.DeleteOne(ctx, bson.D{{Key: "_id", Value: notice}})
	}
	return true, err
}
