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

// A prunedStore is what the janitor sees of a store: rows that it can delete, by
// their ids. It notes when it is asked.
type prunedStore struct {
	belfry.Store               // the janitor uses nothing else of it
	takes        time.Duration // a step on messages

	mu         sync.Mutex
	fail       error
	messages   []prunedRow
	activities []belfry.ID
	revisions  []belfry.ID
	requests   []time.Time
	began      time.Time
	calls      []time.Duration // on messages, since began
}

type prunedRow struct {
	id       belfry.ID
	receiver belfry.UserID
}

func newPrunedStore() *prunedStore { return &prunedStore{began: time.Now()} }

func (s *prunedStore) PruneMessages(ctx context.Context, limits belfry.MessageLimits, step int) (belfry.Pruned, error) {
	s.mu.Lock()
	s.calls = append(s.calls, time.Since(s.began))
	s.mu.Unlock()
	select {
	case <-time.After(s.takes):
	case <-ctx.Done():
		return belfry.Pruned{}, ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return belfry.Pruned{}, s.fail
	}
	var p belfry.Pruned
	newer := make(map[belfry.UserID]int)
	var kept []prunedRow
	for i, row := range slices.Backward(s.messages) {
		beyond := row.id.Compare(limits.Since) < 0 ||
			limits.Rows > 0 && len(s.messages)-i > limits.Rows ||
			limits.RowsPerUser > 0 && newer[row.receiver] >= limits.RowsPerUser
		newer[row.receiver]++
		if beyond {
			p.Unread = append(p.Unread, belfry.Identity{User: row.receiver})
		}
		kept = append(kept, row)
		if beyond && p.Deleted < step {
			kept, p.Deleted = kept[:len(kept)-1], p.Deleted+1
		}
	}
	p.More = len(p.Unread) > p.Deleted
	slices.Reverse(kept)
	s.messages = kept
	return p, nil
}

func (s *prunedStore) PruneActivities(_ context.Context, limits belfry.ActivityLimits, step int) (belfry.Pruned, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		return belfry.Pruned{}, s.fail
	}
	n := 0
	for n < len(s.activities) && n < step && (s.activities[n].Compare(limits.Since) < 0 || limits.Rows > 0 && len(s.activities)-n > limits.Rows) {
		n++
	}
	s.activities = s.activities[n:]
	return belfry.Pruned{Deleted: n, More: n == step}, nil
}

func (s *prunedStore) PruneRevisions(_ context.Context, before belfry.ID, step int) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for n < len(s.revisions) && n < step && s.revisions[n].Compare(before) < 0 {
		n++
	}
	s.revisions = s.revisions[n:]
	return n, s.fail
}

func (s *prunedStore) PruneRequests(_ context.Context, before time.Time, step int) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for n < len(s.requests) && n < step && s.requests[n].Before(before) {
		n++
	}
	s.requests = s.requests[n:]
	return n, s.fail
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

func (s *prunedStore) wantLeft(t *testing.T, messages, activities int) {
	t.Helper()
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.messages) != messages || len(s.activities) != activities {
		t.Errorf("%d messages and %d activities are left, want %d and %d", len(s.messages), len(s.activities), messages, activities)
	}
}

// addNow stores a message for each user, an activity, a revision and a request.
func (s *prunedStore) addNow(ids *belfry.IDSource, users ...belfry.UserID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, user := range users {
		s.messages = append(s.messages, prunedRow{ids.New(time.Now()), user})
		s.activities = append(s.activities, ids.New(time.Now()))
		s.revisions = append(s.revisions, ids.New(time.Now()))
		s.requests = append(s.requests, time.Now())
	}
}

func TestTheJanitorDeletesWhatGrowsTooOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPrunedStore()
		ids := belfry.NewIDSource()
		ids.New(time.Now())
		time.Sleep(10 * time.Second)
		s.addNow(ids, "1", "2")
		j := belfry.NewJanitor(belfry.JanitorOptions{
			Store:     s,
			Retention: belfry.Retention{MessageAge: time.Hour, ActivityAge: 2 * time.Hour},
		})
		defer j.Close()
		time.Sleep(30 * time.Minute)
		s.addNow(ids, "1")
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
		s := newPrunedStore()
		ids := belfry.NewIDSource()
		s.addNow(ids, "1", "1", "1", "2", "3", "1")
		j := belfry.NewJanitor(belfry.JanitorOptions{
			Store:     s,
			Retention: belfry.Retention{Messages: 4, MessagesPerUser: 1, Activities: 2},
			Interval:  time.Second,
		})
		defer j.Close()
		time.Sleep(500 * time.Millisecond)
		s.wantLeft(t, 3, 2)
		s.addNow(ids, "4", "5", "6")
		time.Sleep(time.Second)
		s.wantLeft(t, 4, 2)
	})
}

func TestTheJanitorRestsBetweenItsStepsAndItsRounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPrunedStore()
		s.takes = 20 * time.Millisecond
		ids := belfry.NewIDSource()
		s.addNow(ids, slices.Repeat([]belfry.UserID{"1"}, 120)...)
		j := belfry.NewJanitor(belfry.JanitorOptions{Store: s, Retention: belfry.Retention{Messages: 1}})
		defer j.Close()
		time.Sleep(time.Second)
		const ms = time.Millisecond
		var want []time.Duration
		for i := range time.Duration(4) { // 119 rows: 6, and then more at once, as that takes long anyway
			want = append(want, i*60*ms)
		}
		if got := s.asked(); !slices.Equal(got, want) {
			t.Errorf("it was asked at %v, want %v: a third of the time at most", got, want)
		}
		s.wantLeft(t, 1, 120)
		time.Sleep(time.Minute)
		if got, want := s.asked(), []time.Duration{time.Minute + 200*ms}; !slices.Equal(got, want) {
			t.Errorf("it was asked at %v, want %v", got, want)
		}
	})
}

func TestTheJanitorGoesOnAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPrunedStore()
		s.addNow(belfry.NewIDSource(), "1", "1", "1")
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

func TestAJanitorWithoutLimitsAsksAndDeletesNoMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPrunedStore()
		s.addNow(belfry.NewIDSource(), "1", "1")
		j := belfry.NewJanitor(belfry.JanitorOptions{Store: s})
		defer j.Close()
		time.Sleep(time.Hour)
		if got := s.asked(); len(got) != 61 {
			t.Errorf("it was asked %d times, want once a minute", len(got))
		}
		s.wantLeft(t, 2, 2)
	})
}

func TestRevisionsAndRequestsEndByThemselves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPrunedStore()
		ids := belfry.NewIDSource()
		s.addNow(ids, slices.Repeat([]belfry.UserID{"1"}, 120)...)
		j := belfry.NewJanitor(belfry.JanitorOptions{Store: s, Interval: time.Hour})
		defer j.Close()
		want := func(revisions, requests int) {
			t.Helper()
			synctest.Wait()
			s.mu.Lock()
			defer s.mu.Unlock()
			if len(s.revisions) != revisions || len(s.requests) != requests {
				t.Errorf("%d revisions and %d requests are left, want %d and %d", len(s.revisions), len(s.requests), revisions, requests)
			}
		}
		time.Sleep(belfry.RequestLifetime - time.Minute)
		want(120, 120)
		time.Sleep(time.Hour + 2*time.Minute)
		want(120, 0)
		time.Sleep(belfry.DefaultLogAge - belfry.RequestLifetime - 2*time.Hour)
		want(120, 0)
		time.Sleep(2 * time.Hour)
		want(0, 0)
	})
}

func TestTheJanitorTellsWhoHasLostUnreadMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newPrunedStore()
		s.addNow(belfry.NewIDSource(), "1", "2")
		var told []belfry.Identity
		j := belfry.NewJanitor(belfry.JanitorOptions{
			Store: s, Retention: belfry.Retention{Messages: 1},
			Pruned: func(_ context.Context, owners []belfry.Identity) { told = append(told, owners...) },
		})
		time.Sleep(time.Second)
		j.Close()
		if want := []belfry.Identity{{User: "1"}}; !slices.Equal(told, want) {
			t.Errorf("%v were told, want %v", told, want)
		}
	})
}
