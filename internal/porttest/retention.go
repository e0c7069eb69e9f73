package porttest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"belfry"
)

// retentionTests are the cases of PruneMessages and PruneActivities.
var retentionTests = map[string]func(*testing.T, *fixture){
	"without limits nothing goes":                               testPruneNothing,
	"messages that are too old go, the oldest first, in steps":  testPruneOld,
	"messages beyond the rows of all go, the oldest first":      testPruneSurplus,
	"messages beyond the rows of one user go, and no other's":   testPruneSurplusOfUser,
	"a message goes that is beyond any of several limits":       testPruneCombined,
	"what is added after pruning is pruned in its turn":         testPruneAgain,
	"counts are exact after unread messages have gone":          testPruneCounts,
	"a delivery of a message that has gone is harmless":         testPruneDelivered,
	"pruning whose context has ended does nothing":              testPruneEnded,
	"activities go by age and by rows, the oldest first":        testPruneActivities,
	"counts stay exact while messages come, are read and go":    testPruneHammer,
	"a limit stays kept by however many callers it is enforced": testPruneTogether,
}

// prune deletes until nothing is left to do, and returns how many have gone.
func (f *fixture) prune(limits belfry.MessageLimits, step int) (total int) {
	f.t.Helper()
	return f.pruneAll(step, func(ctx context.Context) (int, bool, error) { return f.PruneMessages(ctx, limits, step) })
}

func (f *fixture) pruneAll(step int, prune func(context.Context) (int, bool, error)) (total int) {
	f.t.Helper()
	const maxCalls = 10_000
	for range maxCalls {
		deleted, more, err := prune(context.Background())
		if err != nil || deleted < 0 || deleted > step {
			f.t.Fatalf("a step of %d deleted %d, %v", step, deleted, err)
		}
		if total += deleted; !more {
			return total
		}
	}
	f.t.Fatal("pruning does not come to an end")
	return 0
}

// wantPruned checks how many go.
func (f *fixture) wantPruned(limits belfry.MessageLimits, step, want int) {
	f.t.Helper()
	if got := f.prune(limits, step); got != want {
		f.t.Errorf("%+v: %d have gone, want %d", limits, got, want)
	}
}

// sendAll sends a message to each of the users and returns their ids.
func (f *fixture) sendAll(users ...belfry.UserID) (ids []belfry.ID) {
	f.t.Helper()
	for _, user := range users {
		ids = append(ids, f.send(user, "acme", 1))
	}
	return ids
}

func testPruneNothing(t *testing.T, f *fixture) {
	f.wantPruned(belfry.MessageLimits{RowsPerUser: 1, Rows: 1}, 10, 0)
	ids := f.sendAll("1", "1", "10")
	f.wantPruned(belfry.MessageLimits{}, 10, 0)
	f.wantPruned(belfry.MessageLimits{Since: ids[0], Rows: 3, RowsPerUser: 2}, 10, 0)
	f.wantInbox(ann, belfry.ID{}, 10, ids[1], ids[0])
	f.wantInbox(bob, belfry.ID{}, 10, ids[2])
}

func testPruneOld(t *testing.T, f *fixture) {
	ids := f.sendAll("1", "10", "1", "10", "1")
	f.read(ann, ids[:1])
	limits := belfry.MessageLimits{Since: ids[4]}
	for i, want := range []struct{ ann, bob []belfry.ID }{
		{[]belfry.ID{ids[4], ids[2]}, []belfry.ID{ids[3]}},
		{[]belfry.ID{ids[4]}, nil},
	} {
		deleted, more, err := f.PruneMessages(context.Background(), limits, 2)
		if err != nil || deleted != 2 || i == 0 && !more {
			t.Fatalf("step %d deleted %d, more %t, %v", i, deleted, more, err)
		}
		f.wantInbox(ann, belfry.ID{}, 10, want.ann...)
		f.wantInbox(bob, belfry.ID{}, 10, want.bob...)
	}
	f.wantPruned(limits, 2, 0)
}

func testPruneSurplus(t *testing.T, f *fixture) {
	ids := f.sendAll("10", "1", "10", "1", "1", "10", "1")
	f.wantPruned(belfry.MessageLimits{Rows: 4}, 2, 3)
	f.wantInbox(ann, belfry.ID{}, 10, ids[6], ids[4], ids[3])
	f.wantInbox(bob, belfry.ID{}, 10, ids[5])
	f.wantPruned(belfry.MessageLimits{Rows: 4}, 2, 0)
	f.wantPruned(belfry.MessageLimits{Rows: 1}, belfry.MaxPruneStep, 3)
	f.wantInbox(ann, belfry.ID{}, 10, ids[6])
}

func testPruneSurplusOfUser(t *testing.T, f *fixture) {
	a := f.sendAll("1", "1", "1", "1", "1")
	b := f.sendAll("10", "10")
	other := f.send("1", "other", 1) // of the same user: it counts
	f.send("2", "acme", 1)
	f.wantPruned(belfry.MessageLimits{RowsPerUser: 3}, 2, 3)
	f.wantInbox(ann, belfry.ID{}, 10, a[4], a[3])
	f.wantInbox(annOther, belfry.ID{}, 10, other)
	f.wantInbox(bob, belfry.ID{}, 10, b[1], b[0])
	f.wantPruned(belfry.MessageLimits{RowsPerUser: 3}, 2, 0)
	f.wantPruned(belfry.MessageLimits{RowsPerUser: 1}, 2, 3) // a lower limit concerns others
	f.wantInbox(bob, belfry.ID{}, 10, b[1])
}

func testPruneCombined(t *testing.T, f *fixture) {
	ids := f.sendAll("10", "1", "10", "1", "1", "1", "10")
	// By age the first goes, by rows the second, by user all but two of ann's.
	f.wantPruned(belfry.MessageLimits{Since: ids[1], Rows: 5, RowsPerUser: 2}, 1, 3)
	f.wantInbox(ann, belfry.ID{}, 10, ids[5], ids[4])
	f.wantInbox(bob, belfry.ID{}, 10, ids[6], ids[2])
}

func testPruneAgain(t *testing.T, f *fixture) {
	for limits, want := range map[belfry.MessageLimits]int{
		{RowsPerUser: 2}: 3, {Rows: 2}: 3,
	} {
		f.prune(belfry.MessageLimits{Since: f.ids.New(start)}, 200)
		f.sendAll("1", "1", "1", "1", "1")
		f.wantPruned(limits, 2, want)
		last := f.sendAll("1", "1", "1")
		f.wantPruned(limits, 2, 3)
		f.wantInbox(ann, belfry.ID{}, 10, last[2], last[1])
	}
}

func testPruneCounts(t *testing.T, f *fixture) {
	a := f.send("1", "", 1)
	b, c := f.send("1", "acme", 2), f.send("1", "acme", 3)
	if _, err := f.MarkSeen(context.Background(), ann, b); err != nil {
		t.Fatal(err)
	}
	d := f.send("1", "acme", 3)
	before := f.counts(ann)
	wantCounts(t, before, 4, 2, byType{1: 1, 2: 1, 3: 2})
	f.wantPruned(belfry.MessageLimits{Since: b}, 10, 1)
	after := f.counts(ann)
	wantCounts(t, after, 3, 2, byType{2: 1, 3: 2})
	if after.Version <= before.Version {
		t.Errorf("the version went from %d to %d", before.Version, after.Version)
	}
	f.wantPruned(belfry.MessageLimits{Rows: 2}, 10, 1)
	wantCounts(t, f.counts(ann), 2, 2, byType{3: 2})
	f.wantPruned(belfry.MessageLimits{RowsPerUser: 1}, 10, 1)
	wantCounts(t, f.counts(ann), 1, 1, byType{3: 1})
	wantCounts(t, f.counts(annOther), 0, 0, byType{})
	f.wantWaiting(ann, 10, d)
	wantCounts(t, f.read(ann, []belfry.ID{a, b, c}), 1, 1, byType{3: 1})
}

func testPruneDelivered(t *testing.T, f *fixture) {
	ids := f.sendAll("1", "1", "1")
	deliver := func(ids ...belfry.ID) {
		t.Helper()
		if err := f.MarkDelivered(context.Background(), "1", ids); err != nil {
			t.Fatal(err)
		}
	}
	deliver(ids[0])
	f.wantPruned(belfry.MessageLimits{Rows: 1}, 10, 2)
	deliver(ids[1])
	f.wantWaiting(ann, 10, ids[2])
	last := f.send("1", "acme", 1)
	f.wantWaiting(ann, 10, ids[2], last)
	wantCounts(t, f.counts(ann), 2, 2, byType{1: 2})
}

func testPruneEnded(t *testing.T, f *fixture) {
	ids := f.sendAll("1", "1", "1")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, limits := range []belfry.MessageLimits{{Since: ids[1]}, {Rows: 1}, {RowsPerUser: 1}} {
		if n, _, err := f.PruneMessages(ctx, limits, 10); n != 0 || !errors.Is(err, context.Canceled) {
			t.Errorf("%+v: %d have gone, %v; want %v", limits, n, err, context.Canceled)
		}
	}
	f.wantInbox(ann, belfry.ID{}, 10, ids[2], ids[1], ids[0])
	f.wantPruned(belfry.MessageLimits{RowsPerUser: 1}, 10, 2) // what failed is made up for
}

func testPruneActivities(t *testing.T, f *fixture) {
	var ids []belfry.ID
	for _, company := range []belfry.CompanyID{"acme", "other", "acme", "acme", "other", "acme"} {
		a := belfry.Activity{ID: f.ids.New(start), Company: company, Title: "t", Date: start}
		if err := f.AddActivity(context.Background(), a); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, a.ID)
	}
	message := f.send("1", "acme", 1)
	for _, tt := range []struct {
		limits      belfry.ActivityLimits
		gone        int
		acme, other []belfry.ID
	}{
		{belfry.ActivityLimits{}, 0, []belfry.ID{ids[5], ids[3], ids[2], ids[0]}, []belfry.ID{ids[4], ids[1]}},
		{belfry.ActivityLimits{Since: ids[1]}, 1, []belfry.ID{ids[5], ids[3], ids[2]}, []belfry.ID{ids[4], ids[1]}},
		{belfry.ActivityLimits{Since: ids[1], Rows: 3}, 2, []belfry.ID{ids[5], ids[3]}, []belfry.ID{ids[4]}},
		{belfry.ActivityLimits{Rows: 3}, 0, []belfry.ID{ids[5], ids[3]}, []belfry.ID{ids[4]}},
		{belfry.ActivityLimits{Since: ids[5], Rows: 3}, 2, []belfry.ID{ids[5]}, nil},
	} {
		gone := f.pruneAll(1, func(ctx context.Context) (int, bool, error) { return f.PruneActivities(ctx, tt.limits, 1) })
		if gone != tt.gone {
			t.Errorf("%+v: %d have gone, want %d", tt.limits, gone, tt.gone)
		}
		for company, want := range map[belfry.CompanyID][]belfry.ID{"acme": tt.acme, "other": tt.other} {
			feed, err := f.Feed(context.Background(), company, belfry.ID{}, 10)
			if err != nil {
				t.Fatal(err)
			}
			var got []belfry.ID
			for _, a := range feed {
				got = append(got, a.ID)
			}
			wantIDs(t, fmt.Sprintf("feed of %s after %+v", company, tt.limits), got, want)
		}
	}
	f.wantInbox(ann, belfry.ID{}, 10, message)
}

// testPruneHammer is testHammer with retention beside the hammering.
func testPruneHammer(t *testing.T, f *fixture) {
	stop := make(chan struct{})
	var pruning sync.WaitGroup
	for _, limits := range []belfry.MessageLimits{{Rows: 60}, {RowsPerUser: 40}} {
		pruning.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, _, err := f.PruneMessages(context.Background(), limits, 7); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	hammer(t, f)
	close(stop)
	pruning.Wait()
	f.prune(belfry.MessageLimits{RowsPerUser: 40}, 7)
	f.wantPruned(belfry.MessageLimits{Rows: 40, RowsPerUser: 40}, 7, 0)
	f.wantPruned(belfry.MessageLimits{Rows: 39}, 7, 1) // there were exactly as many as there may be
	f.recount(ann)
	f.recount(annOther)
}

func testPruneTogether(t *testing.T, f *fixture) {
	var ids []belfry.ID
	for range 60 {
		ids = append(ids, f.send("1", "acme", 1))
	}
	var pruning sync.WaitGroup
	var mu sync.Mutex
	total := 0
	for range 4 {
		pruning.Go(func() {
			for more := true; more; {
				var n int
				var err error
				if n, more, err = f.PruneMessages(context.Background(), belfry.MessageLimits{Rows: 10}, 3); err != nil {
					t.Error(err)
				}
				mu.Lock()
				total += n
				mu.Unlock()
			}
		})
	}
	pruning.Wait()
	if total != 50 {
		t.Errorf("%d have gone, want 50", total)
	}
	f.wantInbox(ann, belfry.ID{}, 1, ids[59])
	f.wantInbox(ann, ids[51], 10, ids[50])
}
