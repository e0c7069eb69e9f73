package mongo

import (
	"context"
	"encoding/binary"
	"math"
	"time"

	"belfry"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// Feed implements [belfry.ActivityStore].
func (s *Store) Feed(ctx context.Context, company belfry.CompanyID, q belfry.FeedQuery) ([]belfry.Activity, error) {
	filter := bson.D{{Key: "companyID", Value: word(company)}}
	if q.OperatorID != "" {
		filter = append(filter, bson.E{Key: "operatorID", Value: word(q.OperatorID)})
	}
	if q.ObjectType != 0 {
		filter = append(filter, bson.E{Key: "objectType", Value: int32(q.ObjectType)})
		if q.ObjectID != "" {
			filter = append(filter, bson.E{Key: "objectID", Value: word(q.ObjectID)})
		}
	}
	until := q.Before
	if !q.Until.IsZero() {
		end, beyond := firstOf(q.Until)
		if !beyond && (until.IsZero() || end.Compare(until) < 0) {
			if until = end; end.IsZero() {
				return nil, ctx.Err()
			}
		}
	}
	var bounds bson.D
	if !until.IsZero() {
		bounds = append(bounds, bson.E{Key: "$lt", Value: objectID(until)})
	}
	if !q.From.IsZero() {
		from, beyond := firstOf(q.From)
		if beyond {
			return nil, ctx.Err()
		}
		bounds = append(bounds, bson.E{Key: "$gte", Value: objectID(from)})
	}
	if bounds != nil {
		filter = append(filter, bson.E{Key: "_id", Value: bounds})
	}
	return s.findActivities(ctx, filter, -1, q.Limit)
}

// firstOf returns the lowest ID of a second, or says that the second is beyond all IDs.
func firstOf(t time.Time) (id belfry.ID, beyond bool) {
	seconds := t.Unix()
	if seconds > math.MaxUint32 {
		return id, true
	}
	binary.BigEndian.PutUint32(id[:4], uint32(max(0, seconds)))
	return id, false
}

func (s *Store) findActivities(ctx context.Context, filter bson.D, order, limit int) ([]belfry.Activity, error) {
	if limit <= 0 {
		return nil, ctx.Err()
	}
	found, err := find[activityDocument](ctx, s.c.activities, filter,
		options.Find().SetSort(bson.D{{Key: "_id", Value: order}}).SetLimit(int64(limit)))
	if err != nil {
		return nil, portError(ctx, err)
	}
	var activities []belfry.Activity
	for i := range found {
		a, err := found[i].activity()
		if err != nil {
			return nil, err
		}
		activities = append(activities, a)
	}
	return activities, nil
}
