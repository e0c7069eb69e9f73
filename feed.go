package belfry

import (
	"context"
	"time"
)

// Feed returns the activities of a company that the query asks for, newest first, within the
// limits of [Service.Inbox]. It fails with [ErrInvalid].
func (s *Service) Feed(ctx context.Context, company CompanyID, q FeedQuery) ([]Activity, error) {
	if err := q.check(); err != nil {
		return nil, err
	}
	q.Limit = ListLimit(q.Limit)
	return s.store.Feed(ctx, company, q)
}

func (q *FeedQuery) check() error {
	if q.ObjectID != "" && q.ObjectType == 0 {
		return invalidField("objectID", "needs objectType")
	}
	if !q.From.IsZero() && !q.Until.IsZero() && !q.From.Before(q.Until) {
		return invalidField("until", "is not after from")
	}
	return nil
}

const (
	// groupWindow is how far apart two neighbours of a group may be.
	groupWindow = 5 * time.Minute
	// maxGroupRows bounds the activities that one page of groups is made of.
	maxGroupRows = 500
)

// A Group is what one operator did to one object within minutes: one or more
// activities, newest first.
type Group []Activity

// Groups is Feed with activities of one operator on one object grouped, if each is at most
// 5 minutes before the next. The group stands where its newest activity does. Activities without an operator or
// an object stay alone. Next is the activity before which the list goes
// on, zero at its end. What would belong to a group of the page before makes a group of its own.
func (s *Service) Groups(ctx context.Context, company CompanyID, q FeedQuery) (groups []Group, next ID, err error) {
	if err := q.check(); err != nil {
		return nil, ID{}, err
	}
	limit := ListLimit(q.Limit)
	q.Limit = MaxListLimit
	var g grouping
	for {
		rows, err := s.store.Feed(ctx, company, q)
		if err != nil {
			return nil, ID{}, err
		}
		for _, a := range rows {
			if g.rows == maxGroupRows || len(g.groups) == limit && !g.joins(&a) {
				return g.groups, q.Before, nil
			}
			g.add(a)
			q.Before = a.ID
		}
		if len(rows) < q.Limit {
			return g.groups, ID{}, nil
		}
	}
}

// A grouping collects activities, newest first.
type grouping struct {
	groups []Group
	rows   int
	open   map[groupKey]int // of groups, by what they are about
}

type groupKey struct {
	operator string
	typ      ObjectType
	object   string
}

func keyOf(a *Activity) (groupKey, bool) {
	return groupKey{a.OperatorID, a.ObjectType, a.ObjectID}, a.OperatorID != "" && a.ObjectID != ""
}

// joins reports whether an activity belongs to a group that is there.
func (g *grouping) joins(a *Activity) bool {
	key, ok := keyOf(a)
	i, open := g.open[key]
	if !ok || !open {
		return false
	}
	oldest := g.groups[i][len(g.groups[i])-1]
	return oldest.ID.Time().Sub(a.ID.Time()) <= groupWindow
}

func (g *grouping) add(a Activity) {
	g.rows++
	key, grouped := keyOf(&a)
	if g.joins(&a) {
		i := g.open[key]
		g.groups[i] = append(g.groups[i], a)
		return
	}
	g.groups = append(g.groups, Group{a})
	if grouped {
		if g.open == nil {
			g.open = make(map[groupKey]int)
		}
		g.open[key] = len(g.groups) - 1
	}
}
