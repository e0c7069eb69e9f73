package belfry_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"belfry"
)

func keyed(key string, fingerprint byte) *belfry.RequestKey {
	return &belfry.RequestKey{Key: key, Fingerprint: [32]byte{fingerprint}}
}

func TestTheSameRequestHasTheSameAnswerAndIsDoneOnce(t *testing.T) {
	ctx := context.Background()
	b := newBench(t)
	p, _ := b.login(ann)
	push := belfry.Push{Message: belfry.Message{Title: "m"}, Receivers: []belfry.UserID{"1"}}
	first, err := b.PushMessage(ctx, push, keyed("k", 1))
	if err != nil || first.Pages != 1 {
		t.Fatalf("receipt is %+v, %v", first, err)
	}
	for range 3 {
		again, err := b.PushMessage(ctx, push, keyed("k", 1))
		if err != nil || fmt.Sprint(again) != fmt.Sprint(first) {
			t.Errorf("the second answer is %+v (%v), want %+v", again, err, first)
		}
	}
	if _, err := b.PushMessage(ctx, push, keyed("k", 2)); belfry.ErrorCode(err) != belfry.ErrConflict {
		t.Errorf("another request with the key: %v", err)
	}
	wantTold(t, p, "m ")

	// A restart does not make it forget.
	b.Close()
	b = newBenchOn(t, b.store)
	again, err := b.PushMessage(ctx, push, keyed("k", 1))
	if err != nil || fmt.Sprint(again) != fmt.Sprint(first) || b.counts(ann).Unread != 1 {
		t.Errorf("after a restart the answer is %+v (%v), want %+v", again, err, first)
	}
	for _, bad := range []string{"", " k", string(make([]byte, 3)), fmt.Sprintf("%0200d", 1)} {
		_, err := b.PushMessage(ctx, push, keyed(bad, 1))
		wantInvalid(t, err, "the idempotency key")
	}
}

func TestARequestThatFailedMayBeMadeAgain(t *testing.T) {
	ctx := context.Background()
	b := newBench(t)
	push := belfry.Push{Message: belfry.Message{Title: "m"}, Receivers: []belfry.UserID{"1"}}
	b.store.set(func(s *shakyStore) { s.fail = belfry.Errorf(belfry.ErrUnavailable, "away") })
	if _, err := b.PushMessage(ctx, push, keyed("k", 1)); belfry.ErrorCode(err) != belfry.ErrUnavailable {
		t.Fatalf("PushMessage: %v", err)
	}
	b.store.set(func(s *shakyStore) { s.fail = nil })
	if r, err := b.PushMessage(ctx, push, keyed("k", 1)); err != nil || len(r.IDs) != 1 || b.counts(ann).Unread != 1 {
		t.Errorf("receipt is %+v, %v", r, err)
	}
}

func TestRequestsAtTheSameTimeAreDoneOnce(t *testing.T) {
	ctx := context.Background()
	b := newBench(t)
	other := newBenchOn(t, b.store) // another process on the same store
	push := belfry.Push{Message: belfry.Message{Title: "m"}, Receivers: []belfry.UserID{"1"}}
	for round := range 10 {
		var work sync.WaitGroup
		receipts := make([]belfry.Receipt, 12)
		for i := range receipts {
			work.Go(func() {
				var err error
				receipts[i], err = []*bench{b, other}[i%2].PushMessage(ctx, push, keyed(fmt.Sprint(round), 1))
				if err != nil {
					t.Errorf("PushMessage: %v", err)
				}
			})
		}
		work.Wait()
		for _, r := range receipts {
			if fmt.Sprint(r.IDs) != fmt.Sprint(receipts[0].IDs) {
				t.Errorf("the answers are %+v and %+v", r, receipts[0])
			}
		}
	}
	if c := b.counts(ann); c.Unread != 10 {
		t.Errorf("counts are %+v, want 10 unread", c)
	}
}

func TestWhatIsNotStoredIsSentOnceToo(t *testing.T) {
	ctx := context.Background()
	b := newBench(t)
	p, _ := b.login(ann)
	for range 2 {
		push := belfry.Push{Message: belfry.Message{Title: "m"}, Receivers: []belfry.UserID{"1"}, Transient: true}
		if r, err := b.PushMessage(ctx, push, keyed("m", 1)); err != nil || r.Pages != 1 {
			t.Errorf("receipt is %+v, %v", r, err)
		}
		if pages, err := b.PublishEvent(ctx, belfry.GenericEvent{Event: "e", Rooms: []string{"uid:1"}}, keyed("e", 1)); err != nil || pages != 1 {
			t.Errorf("the event reached %d, %v", pages, err)
		}
	}
	if n, m := len(p.got("e")), len(p.messages()); n != 1 || m != 1 {
		t.Errorf("the page got %d events and %d messages", n, m)
	}
}

func TestOfSeveralPushesEachHasItsAnswer(t *testing.T) {
	ctx := context.Background()
	b := newBench(t)
	p, _ := b.login(ann)
	pushes := []belfry.Push{
		{Message: belfry.Message{Title: "1"}, Receivers: []belfry.UserID{"1"}},
		{Message: belfry.Message{}, Receivers: nil},
		notice("2", "acme", false),
		{Message: belfry.Message{Title: "3"}, Receivers: []belfry.UserID{"1"}, Transient: true},
		{Message: belfry.Message{Title: "4"}, Receivers: []belfry.UserID{"1"}, DeliverAt: time.Now().Add(time.Hour)},
		{Message: belfry.Message{Title: "5"}, Receivers: []belfry.UserID{"1", "10"}},
	}
	results, err := b.PushMessages(ctx, pushes, keyed("k", 1))
	if err != nil || len(results) != len(pushes) {
		t.Fatalf("results are %+v, %v", results, err)
	}
	for i, want := range []int{1, 0, 1, 1, 0, 1} {
		if got := results[i].Receipt.Pages; got != want {
			t.Errorf("push %d reached %d pages, want %d", i, got, want)
		}
	}
	refused := results[1].Refused
	if refused == nil || refused.Code != belfry.ErrInvalid || len(refused.Fields) != 2 || results[0].Refused != nil {
		t.Errorf("the second was answered %+v", results[1])
	}
	if results[4].Receipt.Scheduled.IsZero() || results[3].Receipt.Stored || !results[5].Receipt.Stored {
		t.Errorf("results are %+v", results)
	}
	wantTold(t, p, "1 2 5 3 ") // what has no place in the log comes last
	again, err := b.PushMessages(ctx, pushes, keyed("k", 1))
	if err != nil || fmt.Sprint(again[5], again[1].Refused) != fmt.Sprint(results[5], results[1].Refused) {
		t.Errorf("the second answer is %+v (%v)\nwant %+v", again, err, results)
	}
	_, err = b.PushMessages(ctx, make([]belfry.Push, belfry.MaxPushes+1), nil)
	wantInvalid(t, err, "there are 1001 items")
}
