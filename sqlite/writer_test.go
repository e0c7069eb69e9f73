package sqlite_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"belfry"
)

// waitFor waits until a condition holds.
func waitFor(t *testing.T, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatal("the condition does not come true")
		}
		time.Sleep(time.Millisecond)
	}
}

func TestDeliveriesAreRecordedSoonWithoutAnyOtherWrite(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s, other := open(t, dir), open(t, dir) // other knows only what is in the file
	ids := belfry.NewIDSource()
	var messages []belfry.Message
	var delivered []belfry.ID
	for range 2000 { // more than one write takes
		m := belfry.Message{ID: ids.New(time.Now()), Receiver: ann.User, Type: 1, Title: "t", Date: time.Now()}
		messages, delivered = append(messages, m), append(delivered, m.ID)
	}
	if err := add(ctx, s, messages...); err != nil {
		t.Fatal(err)
	}
	if got, err := other.Undelivered(ctx, ann, 5000); err != nil || len(got) != len(messages) {
		t.Fatalf("%d wait (%v), want %d", len(got), err, len(messages))
	}
	if err := s.MarkDelivered(ctx, ann.User, delivered); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool {
		if got, err := s.Undelivered(ctx, ann, 5000); err != nil || len(got) != 0 {
			t.Fatalf("%d wait (%v) while deliveries are being recorded", len(got), err)
		}
		got, err := other.Undelivered(ctx, ann, 1)
		return err == nil && len(got) == 0
	})
}

func TestWhatMembersHeardIsRecordedSoonWithoutAnyOtherWrite(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s, other := open(t, dir), open(t, dir) // other knows only what is in the file
	ids := belfry.NewIDSource()
	if err := s.AddMembers(ctx, ann.Company, []belfry.UserID{ann.User}, ids.New(time.Now())); err != nil {
		t.Fatal(err)
	}
	notice := belfry.Message{ID: ids.New(time.Now()), Company: ann.Company, Type: 1, Date: time.Now()}
	if err := add(ctx, s, notice); err != nil {
		t.Fatal(err)
	}
	if got, err := other.Undelivered(ctx, ann, 1); err != nil || len(got) != 1 {
		t.Fatalf("%d wait (%v), want 1", len(got), err)
	}
	if err := s.MarkHeard(ctx, ann, notice.ID); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool {
		if got, err := s.Undelivered(ctx, ann, 1); err != nil || len(got) != 0 {
			t.Fatalf("%d wait (%v) while it is being recorded", len(got), err)
		}
		got, err := other.Undelivered(ctx, ann, 1)
		return err == nil && len(got) == 0
	})
}

func TestAWriteThatFailsDoesNotDisturbTheOthersOfItsBatch(t *testing.T) {
	ctx := context.Background()
	s := open(t, t.TempDir())
	ids := belfry.NewIDSource()
	twice := belfry.Message{ID: ids.New(time.Now()), Receiver: ann.User, Type: 1, Title: "t", Date: time.Now()}
	if err := add(ctx, s, twice); err != nil {
		t.Fatal(err)
	}
	const goroutines, rounds = 16, 20
	var work sync.WaitGroup
	for g := range goroutines {
		work.Go(func() {
			for i := range rounds {
				m := twice
				want := belfry.ErrConflict
				if (g+i)%4 != 0 {
					m.ID, want = ids.New(time.Now()), ""
				}
				if err := add(ctx, s, m); belfry.ErrorCode(err) != want {
					t.Errorf("the answer is %v, want %q", err, want)
				}
			}
		})
	}
	work.Wait()
	if c, err := s.Counts(ctx, ann); err != nil || c.Unread != 1+goroutines*rounds*3/4 {
		t.Errorf("counts are %+v (%v), want %d unread", c, err, 1+goroutines*rounds*3/4)
	}
}

func TestVersionsGrowAlsoWhenTwoProcessesWrite(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	a, b := open(t, dir), open(t, dir)
	ids := belfry.NewIDSource()
	var last int64
	states := make(map[int64]string)
	for i := range 20 {
		one, two := a, b
		if i%3 == 0 {
			one, two = b, a
		}
		m := belfry.Message{ID: ids.New(time.Now()), Receiver: ann.User, Type: 1, Title: "t", Date: time.Now()}
		if err := add(ctx, one, m); err != nil {
			t.Fatal(err)
		}
		c, err := two.MarkSeen(ctx, ann, m.ID)
		if err != nil {
			t.Fatal(err)
		}
		if c.Version <= last || c.Unread != i+1 || c.Unseen != 0 {
			t.Fatalf("counts are %+v after version %d and %d messages", c, last, i+1)
		}
		if state, ok := states[c.Version]; ok {
			t.Fatalf("version %d stands for %s and %+v", c.Version, state, c)
		}
		last, states[c.Version] = c.Version, fmt.Sprint(c)
	}
}
