package belfry

import (
	"context"
	"log/slog"
	"testing"
	"time"
)

// A lastStore knows the last place, and that what is stored concerns nobody.
type lastStore struct {
	Store
	last ID
}

func (s lastStore) Last(context.Context) (ID, error) { return s.last, nil }

func (s lastStore) Concerned(context.Context, ID) ([]Identity, bool, error) { return nil, true, nil }

// TestALossDoesNotEndBeforeAllIsTold has a flight of this node hold up the look at what others have stored.
func TestALossDoesNotEndBeforeAllIsTold(t *testing.T) {
	presence := NewMemoryPresence(PresenceOptions{})
	defer presence.Close()
	s := &Service{
		store: lastStore{last: placeAt(9)}, presence: presence, follower: newFollower(), shared: true,
		line: newLine(NewIDSource(), placeAt(1), time.Now, slog.New(slog.DiscardHandler)),
	}
	own := s.line.book(1)
	own.depart(placeAt(1)) // others have stored more since, and it will depart again
	s.follower.set(true, true)
	if all, err := s.catchUp(t.Context()); all || err != nil || s.place() != placeAt(1) {
		t.Errorf("while it is this node's turn, all is told: %v, %v, up to %s", all, err, s.place())
	}
	own.drop()
	if all, err := s.catchUp(t.Context()); !all || err != nil || s.place() != placeAt(9) {
		t.Errorf("when it is not, all is told: %v, %v, up to %s", all, err, s.place())
	}
}
