package belfry_test

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"belfry"
)

// A prunedStore notes when it is asked to prune.
type prunedStore struct {
	*memStore
	takes time.Duration // of one step

	mu    sync.Mutex
	began time.Time
	calls []time.Duration // since began
}

func newPrunedStore() *prunedStore { return &prunedStore{memStore: newMemStore(), began: time.Now()} }

func (s *prunedStore) PruneMessages(ctx context.Context, limits belfry.MessageLimits, step int) (int, bool, error) {
	s.mu.Lock()
	s.calls = append(s.calls, time.Since(s.began))
	s.mu.Unlock()
	select {
	case <-time.After(s.takes):
	case <-ctx.Done():
		return 0, false, ctx.Err()
	}
	return s.memStore.PruneMessages(ctx, limits, step)
}

// asked returns when it was asked since the last time.
func (s *prunedStore) asked() []time.Duration {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	calls := s.calls
	s.calls = nil
	return calls
}

// left counts what is stored.
func (s *memStore) left(t *testing.T) (messages, activities int) {
	t.Helper()
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, inbox := range s.messages {
		messages += len(inbox)
	}
	for _, feed := range s.activities {
		activities += len(feed)
	}
	return messages, activities
}

func (s *memStore) wantLeft(t *testing.T, messages, activities int) {
	t.Helper()
	if m, a := s.left(t); m != messages || a != activities {
		t.Errorf("%d messages and %d activities are left, want %d and %d", m, a, messages, activities)
	}
}

// addNow stores a message for each user and an activity, dated long ago.
func (s *memStore) addNow(t *testing.T, ids *belfry.IDSource, users ...belfry.UserID) {
	t.Helper()
	long := time.Unix(0, 0)
	for _, user := range users {
		m := belfry.Message{ID: ids.New(time.Now()), Receiver: user, Type: 1, Title: "t", Date: long}
		a := belfry.Activity{ID: ids.New(time.Now()), Company: "acme", Title: "t", Date: long}
		if err := s.AddMessages(context.Background(), []belfry.Message{m}); err != nil {
			t.Fatal(err)
		}
		if err := s.AddActivity(context.Background(), a); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheJanitorDeletesWhatGrowsTooOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemStore()
		ids := belfry.NewIDSource()
		ids.New(time.Now())
		time.Sleep(10 * time.Second)
		s.addNow(t, ids, "1", "2")
		j := belfry.NewJanitor(belfry.JanitorOptions{
			Store:     s,
			Retention: belfry.Retention{MessageAge: time.Hour, ActivityAge: 2 * time.Hour},
		})
		defer j.Close()
		time.Sleep(30 * time.Minute)
		s.addNow(t, ids, "1")
		s.wantLeft(t, 3, 3)
		time.Sleep(29 * time.Minute)
		s.wantLeft(t, 3, 3)
		time.Sleep(2*time.Minute + time.Second)
		s.wantLeft(t, 1, 3)
		time.Sleep(time.Hour)
		s.wantLeft(t, 0, 1)
		time.Sleep(time.Hour)
		s.wantLeft(t, 0, 0)
	})
}

func TestTheJanitorKeepsTheNumbersOfRows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemStore()
		ids := belfry.NewIDSource()
		s.addNow(t, ids, "1", "1", "1", "2", "3", "1")
		j := belfry.NewJanitor(belfry.JanitorOptions{
			Store:     s,
			Retention: belfry.Retention{Messages: 4, MessagesPerUser: 1, Activities: 2},
			Interval:  time.Second,
		})
		defer j.Close()
		time.Sleep(500 * time.Millisecond)
		s.wantLeft(t, 3, 2)
		s.addNow(t, ids, "4", "5", "6")
		time.Sleep(time.Second)
		s.wantLeft(t, 4, 2)
	})
}

func TestTheJanitorRestsBetweenItsStepsAndItsRounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPrunedStore()
		s.takes = 10 * time.Millisecond
		ids := belfry.NewIDSource()
		s.addNow(t, ids, slices.Repeat([]belfry.UserID{"1"}, 120)...)
		j := belfry.NewJanitor(belfry.JanitorOptions{Store: s, Retention: belfry.Retention{Messages: 1}})
		defer j.Close()
		time.Sleep(time.Second)
		const ms = time.Millisecond
		if got, want := s.asked(), []time.Duration{0, 30 * ms, 60 * ms}; !slices.Equal(got, want) {
			t.Errorf("it was asked at %v, want %v: a third of the time at most", got, want)
		}
		s.wantLeft(t, 1, 120)
		time.Sleep(time.Minute)
		if got, want := s.asked(), []time.Duration{time.Minute + 70*ms}; !slices.Equal(got, want) {
			t.Errorf("it was asked at %v, want %v", got, want)
		}
	})
}

func TestTheJanitorGoesOnAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newMemStore()
		s.addNow(t, belfry.NewIDSource(), "1", "1", "1")
		s.fail = belfry.Errorf(belfry.ErrUnavailable, "away")
		j := belfry.NewJanitor(belfry.JanitorOptions{
			Store:     s,
			Retention: belfry.Retention{Messages: 1, Activities: 1},
			Logger:    slog.New(slog.DiscardHandler),
		})
		defer j.Close()
		time.Sleep(time.Second)
		s.wantLeft(t, 3, 3)
		s.mu.Lock()
		s.fail = nil
		s.mu.Unlock()
		time.Sleep(time.Minute)
		s.wantLeft(t, 1, 1)
	})
}

func TestClosingTheJanitorEndsAStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPrunedStore()
		s.takes = time.Hour
		j := belfry.NewJanitor(belfry.JanitorOptions{Store: s, Retention: belfry.Retention{Messages: 1}})
		if got := s.asked(); len(got) != 1 {
			t.Errorf("it was asked %d times, want once", len(got))
		}
		began := time.Now()
		j.Close()
		if d := time.Since(began); d != 0 {
			t.Errorf("closing took %v", d)
		}
		time.Sleep(2 * time.Hour)
		if got := s.asked(); len(got) != 0 {
			t.Errorf("it was asked after it was closed")
		}
	})
}

func TestAJanitorWithoutLimitsLeavesTheStoreAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPrunedStore()
		s.addNow(t, belfry.NewIDSource(), "1", "1")
		j := belfry.NewJanitor(belfry.JanitorOptions{Store: s})
		defer j.Close()
		time.Sleep(time.Hour)
		if got := s.asked(); len(got) != 0 {
			t.Errorf("it was asked %d times", len(got))
		}
		s.wantLeft(t, 2, 2)
	})
}
