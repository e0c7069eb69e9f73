package mongo

import (
	"context"
	"slices"
	"time"

	"belfry"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// What commits touch, by whom it concerns: "<kind>:<name>".
const (
	touchesUser    = "u"
	touchesNotices = "n"
	touchesFeed    = "a"
)

func touchUser(user belfry.UserID) string { return touchesUser + ":" + string(user) }

// touchNotices is for who sees the notices of a company, everybody where it is empty.
func touchNotices(company belfry.CompanyID) string { return touchesNotices + ":" + string(company) }

func touchFeed(company belfry.CompanyID) string { return touchesFeed + ":" + string(company) }

// touching is whatever may change what an identity sees of messages.
func touching(who belfry.Identity) []string {
	touches := []string{touchUser(who.User), touchNotices("")}
	if who.Company != "" {
		touches = append(touches, touchNotices(who.Company))
	}
	return touches
}

// touchOf is what a change to a message touches.
func touchOf(receiver belfry.UserID, company belfry.CompanyID) string {
	if receiver == "" {
		return touchNotices(company)
	}
	return touchUser(receiver)
}

const (
	// politeReads is how often a reader tries again whom commits disturb, before it holds up
	// those of its own process.
	politeReads = 2
	// readTimeout bounds all attempts: other processes may commit on.
	readTimeout = 30 * time.Second
)

// snapshot runs a function that reads, until no commit that touches what it reads
// was made or applied meanwhile. What it read is then what there was after the commit that
// it returns, and so are later states with regard to these touches.
func (s *Store) snapshot(ctx context.Context, touches []string, read func(ctx context.Context) error) (state, error) {
	bounded, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	for attempt := 0; ; attempt++ {
		if attempt == politeReads {
			select {
			case s.turn <- struct{}{}:
				defer func() { <-s.turn }()
			case <-bounded.Done():
				return state{}, portError(ctx, bounded.Err())
			}
		}
		st, err := s.current(bounded)
		if err == nil {
			err = read(bounded)
		}
		if err != nil {
			return state{}, portError(ctx, err)
		}
		disturbed, err := s.touchedSince(bounded, st.N, touches)
		if err == nil && !disturbed {
			return st, nil
		}
		if err == nil {
			err = s.advance(bounded)
		}
		if err != nil {
			return state{}, portError(ctx, err)
		}
	}
}

// touchedSince reports whether a commit after n touches one of these, or any
// where touches is nil.
func (s *Store) touchedSince(ctx context.Context, n number, touches []string) (bool, error) {
	for range maxSteps {
		n++
		next, ok, err := s.commitAt(ctx, n)
		switch {
		case err != nil, !ok:
			return false, err
		case touches == nil, slices.ContainsFunc(next.Touches, func(t string) bool { return slices.Contains(touches, t) }):
			return true, nil
		case next.State.Applied:
			s.head.set(next.State) // whoever reads next begins after it
		}
	}
	found, err := find[struct{}](ctx, s.c.commits, bson.D{
		{Key: "_id", Value: bson.D{{Key: "$gt", Value: n}}}, {Key: "touches", Value: bson.D{{Key: "$in", Value: touches}}},
	}, options.Find().SetLimit(1).SetProjection(bson.D{{Key: "_id", Value: 1}}))
	return len(found) > 0, err
}
