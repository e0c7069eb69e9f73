package mongo

import (
	"context"
	"math"
	"slices"

	"belfry"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// maxUsersPerStep bounds the users that one step looks at.
const maxUsersPerStep = 100

// PruneMessages implements [belfry.MessageStore]. One step enforces one limit.
// Rows are messages and notices together.
func (s *Store) PruneMessages(ctx context.Context, limits belfry.MessageLimits, step int) (belfry.Pruned, error) {
	s.pruning.Lock()
	defer s.pruning.Unlock()
	if s.capped {
		dropped, err := s.noticeDropped(ctx, msgNotice)
		if err != nil {
			return belfry.Pruned{}, err
		}
		if dropped { // whose it was is not known
			return belfry.Pruned{More: true, Unread: []belfry.Identity{{}}}, nil
		}
	}
	step = min(step, belfry.MaxPruneStep)
	var pruned belfry.Pruned
	err := s.writer.do(ctx, nil, func(ctx context.Context, at state) (*changes, error) {
		pruned = belfry.Pruned{}
		c := &changes{}
		found, err := s.oldestMessages(ctx, c, at, limits, step)
		if err != nil || len(found) == 0 {
			return c, err
		}
		pruned = c.prune(found)
		return c, s.raiseFloor(ctx, c, floorOfAll, belfry.ID(found[len(found)-1].ID))
	})
	if err != nil {
		return belfry.Pruned{}, err
	}
	if pruned.More = pruned.Deleted > 0; pruned.More || limits.RowsPerUser <= 0 {
		return pruned, nil
	}
	return s.pruneInboxes(ctx, limits.RowsPerUser, step)
}

// oldestMessages returns at most step of the oldest messages and notices that are beyond a
// limit on all of them: the age, and where that leaves nothing to do the number.
func (s *Store) oldestMessages(ctx context.Context, c *changes, at state, limits belfry.MessageLimits, step int) ([]messageDocument, error) {
	if !limits.Since.IsZero() {
		found, err := s.agedMessages(ctx, limits.Since, step)
		if err != nil || len(found) > 0 {
			return found, err
		}
	}
	if limits.Rows <= 0 {
		return nil, nil
	}
	if s.ttl.MessageAge > 0 || s.capped {
		return nil, errNotCounted
	}
	surplus := int(at.Messages) - limits.Rows
	if surplus <= 0 {
		return nil, nil
	}
	return s.oldest(ctx, bson.D{}, min(step, surplus))
}

func (s *Store) oldest(ctx context.Context, filter bson.D, limit int) ([]messageDocument, error) {
	all, err := s.messagesAndNotices(ctx, filter, oldestFirst(limit))
	return firstOnes(all, limit), err
}

func oldestFirst(limit int) *options.FindOptionsBuilder {
	return options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}).SetLimit(int64(limit)).SetProjection(ownerAndState)
}

// firstOnes returns the oldest.
func firstOnes(all []messageDocument, limit int) []messageDocument {
	slices.SortFunc(all, func(a, b messageDocument) int { return belfry.ID(a.ID).Compare(belfry.ID(b.ID)) })
	return all[:min(limit, len(all))]
}

// ownerAndState are the fields that deleting needs.
var ownerAndState = bson.D{{Key: "receiverID", Value: 1}, {Key: "companyID", Value: 1}, {Key: "isRead", Value: 1}, {Key: "replaced", Value: 1}}

// prune deletes messages and notices.
func (c *changes) prune(documents []messageDocument) (pruned belfry.Pruned) {
	losers := make(map[belfry.Identity]struct{})
	for i := range documents {
		d := &documents[i]
		c.remove(d)
		pruned.Deleted++
		owner := belfry.Identity{User: d.owner()}
		unread := d.IsRead == 0
		if d.ReceiverID == nil {
			owner, unread = belfry.Identity{Company: belfry.CompanyID(d.CompanyID)}, d.Replaced == 0
		}
		if _, known := losers[owner]; unread && !known {
			losers[owner] = struct{}{}
			pruned.Unread = append(pruned.Unread, owner)
		}
	}
	return pruned
}

// pruneInboxes enforces the limit on the rows of one user, for the next users
// that may have more.
func (s *Store) pruneInboxes(ctx context.Context, limit, step int) (belfry.Pruned, error) {
	s.inboxes.Watch(limit)
	users, more, err := s.nextSuspects(ctx)
	if err != nil {
		return belfry.Pruned{}, err
	}
	var pruned belfry.Pruned
	var full []belfry.UserID // those who may have more that is to go
	err = s.writer.do(ctx, nil, func(ctx context.Context, _ state) (*changes, error) {
		pruned, full = belfry.Pruned{}, nil
		var found []messageDocument
		c := &changes{}
		for _, user := range users {
			room := step - len(found)
			if room == 0 {
				full = append(full, user)
				continue
			}
			surplus, err := s.surplusOf(ctx, user, limit, room)
			if err != nil {
				return nil, err
			}
			if len(surplus) == 0 {
				continue
			}
			if len(surplus) == room {
				full = append(full, user)
			}
			found = append(found, surplus...)
			if err := s.raiseFloor(ctx, c, touchUser(user), belfry.ID(surplus[len(surplus)-1].ID)); err != nil {
				return nil, err
			}
		}
		pruned = c.prune(found)
		return c, nil
	})
	if err != nil {
		s.inboxes.Add(users...)
		return belfry.Pruned{}, err
	}
	s.inboxes.Add(full...)
	pruned.More = more || len(full) > 0
	return pruned, nil
}

// surplusOf returns the oldest messages of a user beyond a number.
func (s *Store) surplusOf(ctx context.Context, user belfry.UserID, limit, room int) ([]messageDocument, error) {
	its := bson.D{{Key: "receiverID", Value: word(user)}}
	border, err := find[messageDocument](ctx, s.c.messages, its, options.Find().
		SetSort(bson.D{{Key: "_id", Value: -1}}).SetSkip(int64(limit)).SetLimit(1).SetProjection(bson.D{{Key: "_id", Value: 1}}))
	if err != nil || len(border) == 0 {
		return nil, err
	}
	return find[messageDocument](ctx, s.c.messages, append(its, bson.E{Key: "_id", Value: bson.D{{Key: "$lte", Value: border[0].ID}}}),
		options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}).SetLimit(int64(room)).SetProjection(ownerAndState))
}

// nextSuspects returns some users who may have too many messages, and whether there are
// others.
func (s *Store) nextSuspects(ctx context.Context) (users []belfry.UserID, more bool, err error) {
	for len(users) < maxUsersPerStep {
		if user, ok := s.inboxes.Take(); ok {
			users = append(users, user)
			continue
		}
		after, sweeping := s.inboxes.SweepFrom()
		if !sweeping {
			return users, false, nil
		}
		user, ok, err := s.nextUser(ctx, after)
		if err != nil {
			s.inboxes.Add(users...)
			return nil, false, portError(ctx, err)
		}
		if !ok {
			s.inboxes.SweptAll()
			continue
		}
		s.inboxes.SweptTo(user)
		users = append(users, user)
	}
	return users, true, nil
}

// nextUser returns the next user with messages: those who are numbers come first.
func (s *Store) nextUser(ctx context.Context, after belfry.UserID) (belfry.UserID, bool, error) {
	bounds := []bson.D{
		{{Key: "$gte", Value: int64(math.MinInt64)}}, {{Key: "$gte", Value: ""}},
	}
	if _, number := word(after).integer(); number {
		bounds[0] = bson.D{{Key: "$gt", Value: word(after)}}
	} else if after != "" {
		bounds = []bson.D{{{Key: "$gt", Value: word(after)}}}
	}
	for _, bound := range bounds {
		found, err := find[messageDocument](ctx, s.c.messages, bson.D{{Key: "receiverID", Value: bound}},
			options.Find().SetSort(bson.D{{Key: "receiverID", Value: 1}}).SetLimit(1).SetProjection(bson.D{{Key: "receiverID", Value: 1}}))
		if err != nil {
			return "", false, err
		}
		if len(found) > 0 {
			return found[0].owner(), true, nil
		}
	}
	return "", false, nil
}

// PruneActivities implements [belfry.ActivityStore].
func (s *Store) PruneActivities(ctx context.Context, limits belfry.ActivityLimits, step int) (belfry.Pruned, error) {
	if s.capped {
		if _, err := s.noticeDropped(ctx, handleLog); err != nil {
			return belfry.Pruned{}, err
		}
	}
	step = min(step, belfry.MaxPruneStep)
	var pruned belfry.Pruned
	err := s.writer.do(ctx, nil, func(ctx context.Context, at state) (*changes, error) {
		pruned = belfry.Pruned{}
		var found []activityDocument
		var err error
		if !limits.Since.IsZero() {
			aged := bson.D{{Key: "_id", Value: bson.D{{Key: "$lt", Value: objectID(limits.Since)}}}}
			if s.ttl.ActivityAge > 0 {
				aged = append(aged, bson.E{Key: "storedAt", Value: nil}) // the server deletes the others
			}
			found, err = oldestActivities(ctx, s.c.activities, aged, step)
		}
		if err == nil && limits.Rows > 0 && (s.ttl.ActivityAge > 0 || s.capped) {
			return nil, errNotCounted
		}
		if surplus := int(at.Activities) - limits.Rows; err == nil && len(found) == 0 && limits.Rows > 0 && surplus > 0 {
			found, err = oldestActivities(ctx, s.c.activities, bson.D{}, min(step, surplus))
		}
		if err != nil || len(found) == 0 {
			return nil, err
		}
		c := &changes{activities: -int64(len(found))}
		var ids []any
		for i := range found {
			ids = append(ids, found[i].ID)
			c.touch(touchFeed(belfry.CompanyID(found[i].CompanyID)))
		}
		c.do(op{In: handleLog, IDs: ids, Delete: true})
		pruned = belfry.Pruned{Deleted: len(found), More: true}
		return c, s.raiseFloor(ctx, c, floorOfAll, belfry.ID(found[len(found)-1].ID))
	})
	if err != nil {
		return belfry.Pruned{}, err
	}
	return pruned, nil
}

func oldestActivities(ctx context.Context, c *driver.Collection, filter bson.D, limit int) ([]activityDocument, error) {
	return find[activityDocument](ctx, c, filter, options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}).SetLimit(int64(limit)).
		SetProjection(bson.D{{Key: "companyID", Value: 1}}))
}
