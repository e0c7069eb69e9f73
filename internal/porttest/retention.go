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
	"notices go with the messages, and their marks with them":   testPruneNotices,
	"pruning tells who has lost unread messages":                testPrunedUnread,
	"the log ends where something was pruned":                   testPrunedLog,
	"activities go by age and by rows, the oldest first":        testPruneActivities,
	"counts stay exact while messages come, are read and go":    testPruneHammer,
	"a limit stays kept by however many callers it is enforced": testPruneTogether,
}

// prune deletes until nothing is left to do, and returns how many have gone.
func (f *fixture) prune(limits belfry.MessageLimits, step int) (total int) {
	f.t.Helper()
	return f.pruneAll(step, func(ctx context.Context) (belfry.Pruned, error) { return f.PruneMessages(ctx, limits, step) })
}

func (f *fixture) pruneAll(step int, prune func(context.Context) (belfry.Pruned, error)) (total int) {
	f.t.Helper()
	const maxCalls = 10_000
	for range maxCalls {
		pruned, err := prune(context.Background())
		if err != nil || pruned.Deleted < 0 || pruned.Deleted > step {
			f.t.Fatalf("a step of %d did %+v, %v", step, pruned, err)
		}
		if total += pruned.Deleted; !pruned.More {
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
	f.wantInbox(ann, ids[1], ids[0])
	f.wantInbox(bob, ids[2])
}

func testPruneOld(t *testing.T, f *fixture) {
	ids := f.sendAll("1", "10", "1", "10", "1")
	f.read(ann, ids[0])
	limits := belfry.MessageLimits{Since: ids[4]}
	for i, want := range []struct{ ann, bob []belfry.ID }{
		{[]belfry.ID{ids[4], ids[2]}, []belfry.ID{ids[3]}},
		{[]belfry.ID{ids[4]}, nil},
	} {
		pruned, err := f.PruneMessages(context.Background(), limits, 2)
		if err != nil || pruned.Deleted != 2 || i == 0 && !pruned.More {
			t.Fatalf("step %d did %+v, %v", i, pruned, err)
		}
		f.wantInbox(ann, want.ann...)
		f.wantInbox(bob, want.bob...)
	}
	f.wantPruned(limits, 2, 0)
}

func testPruneSurplus(t *testing.T, f *fixture) {
	ids := f.sendAll("10", "1", "10", "1", "1", "10", "1")
	f.wantPruned(belfry.MessageLimits{Rows: 4}, 2, 3)
	f.wantInbox(ann, ids[6], ids[4], ids[3])
	f.wantInbox(bob, ids[5])
	f.wantPruned(belfry.MessageLimits{Rows: 4}, 2, 0)
	f.wantPruned(belfry.MessageLimits{Rows: 1}, belfry.MaxPruneStep, 3)
	f.wantInbox(ann, ids[6])
}

func testPruneSurplusOfUser(t *testing.T, f *fixture) {
	a := f.sendAll("1", "1", "1", "1", "1")
	b := f.sendAll("10", "10")
	other := f.send("1", "other", 1) // of the same user: it counts
	f.send("2", "acme", 1)
	f.wantPruned(belfry.MessageLimits{RowsPerUser: 3}, 2, 3)
	f.wantInbox(ann, a[4], a[3])
	f.wantInbox(annOther, other)
	f.wantInbox(bob, b[1], b[0])
	f.wantPruned(belfry.MessageLimits{RowsPerUser: 3}, 2, 0)
	f.wantPruned(belfry.MessageLimits{RowsPerUser: 1}, 2, 3) // a lower limit concerns others
	f.wantInbox(bob, b[1])
}

func testPruneCombined(t *testing.T, f *fixture) {
	ids := f.sendAll("10", "1", "10", "1", "1", "1", "10")
	// By age the first goes, by rows the second, by user all but two of ann's.
	f.wantPruned(belfry.MessageLimits{Since: ids[1], Rows: 5, RowsPerUser: 2}, 1, 3)
	f.wantInbox(ann, ids[5], ids[4])
	f.wantInbox(bob, ids[6], ids[2])
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
		f.wantInbox(ann, last[2], last[1])
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
	wantCounts(t, f.read(ann, a, b, c), 1, 1, byType{3: 1})
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
		if pruned, err := f.PruneMessages(ctx, limits, 10); pruned.Deleted != 0 || !errors.Is(err, context.Canceled) {
			t.Errorf("%+v: %+v, %v; want %v", limits, pruned, err, context.Canceled)
		}
	}
	f.wantInbox(ann, ids[2], ids[1], ids[0])
	f.wantPruned(belfry.MessageLimits{RowsPerUser: 1}, 10, 2) // what failed is made up for
}

func testPruneActivities(t *testing.T, f *fixture) {
	var ids []belfry.ID
	for _, company := range []belfry.CompanyID{"acme", "other", "acme", "acme", "other", "acme"} {
		ids = append(ids, f.act(company))
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
		gone := f.pruneAll(1, func(ctx context.Context) (belfry.Pruned, error) { return f.PruneActivities(ctx, tt.limits, 1) })
		if gone != tt.gone {
			t.Errorf("%+v: %d have gone, want %d", tt.limits, gone, tt.gone)
		}
		f.wantFeed("acme", belfry.FeedQuery{}, tt.acme...)
		f.wantFeed("other", belfry.FeedQuery{}, tt.other...)
	}
	f.wantInbox(ann, message)
}

// testPruneHammer is testHammer with retention beside the hammering.
func testPruneHammer(t *testing.T, f *fixture) {
	h := newHammer(f)
	h.pruning = true
	h.run()
	rows := f.many(16, 40)
	for range rows { // whatever has been withdrawn, there is too much again
		f.send("1", "acme", 1)
	}
	f.prune(belfry.MessageLimits{Rows: rows}, 7)
	f.wantPruned(belfry.MessageLimits{Rows: rows}, 7, 0)
	f.wantPruned(belfry.MessageLimits{Rows: rows - 1}, 7, 1) // there were exactly as many as there may be
	f.prune(belfry.MessageLimits{RowsPerUser: rows * 3 / 8}, 7)
	for _, who := range h.identities {
		h.recount(who)
	}
}

func testPruneTogether(t *testing.T, f *fixture) {
	const kept = 10
	n := f.many(26, 60)
	var ids []belfry.ID
	for range n {
		ids = append(ids, f.send("1", "acme", 1))
	}
	var pruning sync.WaitGroup
	var mu sync.Mutex
	total := 0
	for range 4 {
		pruning.Go(func() {
			for more := true; more; {
				pruned, err := f.PruneMessages(context.Background(), belfry.MessageLimits{Rows: kept}, 3)
				if err != nil {
					t.Error(err)
				}
				more = pruned.More
				mu.Lock()
				total += pruned.Deleted
				mu.Unlock()
			}
		})
	}
	pruning.Wait()
	if total != n-kept {
		t.Errorf("%d have gone, want %d", total, n-kept)
	}
	f.wantList(ann, belfry.InboxQuery{Limit: 1}, ids[n-1])
	f.wantList(ann, belfry.InboxQuery{Before: ids[n-kept+1]}, ids[n-kept])
}

func testPruneNotices(t *testing.T, f *fixture) {
	f.join(ann)
	var ids []belfry.ID
	for i := range 6 {
		if i%2 == 0 {
			ids = append(ids, f.announce("acme", i%4 == 0))
		} else {
			ids = append(ids, f.send("1", "acme", 1))
		}
	}
	f.read(ann, ids[0], ids[4])
	f.wantPruned(belfry.MessageLimits{RowsPerUser: 3}, 10, 0) // notices are no user's
	f.wantPruned(belfry.MessageLimits{Since: ids[1]}, 10, 1)
	f.wantPruned(belfry.MessageLimits{Rows: 3}, 1, 2)
	f.wantInbox(ann, ids[5], ids[4], ids[3])
	wantCounts(t, f.counts(ann), 2, 2, byType{1: 2})
	f.wantPruned(belfry.MessageLimits{Rows: 1}, 10, 2)
	f.wantInbox(ann, ids[5])
	// Marks of what has gone mark nothing.
	f.mark(ann, belfry.RevisionUnread, ids...)
	f.mark(ann, belfry.RevisionArchived, ids[:5]...)
	f.wantList(ann, belfry.InboxQuery{Archived: true})
	wantCounts(t, f.counts(ann), 1, 1, byType{1: 1})
}

func testPrunedUnread(t *testing.T, f *fixture) {
	ids := []belfry.ID{f.send("1", "acme", 1), f.send("1", "other", 1), f.send("10", "acme", 1), f.send("2", "acme", 1)}
	f.read(bob, ids[2])
	everybody, acme, acmeLater := f.notice("", 1, true), f.notice("acme", 1, false), f.notice("acme", 1, true)
	replaced, newer := f.notice("other", 1, true), f.notice("other", 1, true)
	replaced.CollapseKey, newer.CollapseKey = "k", "k"
	f.add(everybody, acme, acmeLater, replaced, newer)
	for i, tt := range []struct {
		limits belfry.MessageLimits
		want   []belfry.Identity
	}{
		{belfry.MessageLimits{RowsPerUser: 1}, []belfry.Identity{{User: "1"}}},
		{belfry.MessageLimits{Since: everybody.ID}, []belfry.Identity{{User: "1"}, {User: "2"}}},
		{belfry.MessageLimits{Since: newer.ID}, []belfry.Identity{{}, {Company: "acme"}}},
		{belfry.MessageLimits{Since: f.place()}, []belfry.Identity{{Company: "other"}}},
		{belfry.MessageLimits{Since: f.place()}, nil},
	} {
		pruned, err := f.PruneMessages(context.Background(), tt.limits, 200)
		if err != nil || fmt.Sprint(pruned.Unread) != fmt.Sprint(tt.want) {
			t.Errorf("step %d: %q have lost unread messages (%v), want %q", i, pruned.Unread, err, tt.want)
		}
	}
}

func testPrunedLog(t *testing.T, f *fixture) {
	first, second := f.send("1", "acme", 1), f.send("1", "acme", 1)
	f.send("10", "acme", 1)
	f.wantPruned(belfry.MessageLimits{RowsPerUser: 1}, 10, 1)
	f.wantSince(ann, belfry.ID{}, false)
	f.wantSince(ann, first, true, second)
	if _, complete := f.since(bob, belfry.ID{}, 100); !complete {
		t.Error("the log of a user is cut where another's messages went")
	}
	f.wantPruned(belfry.MessageLimits{Rows: 1}, 10, 1)
	f.wantSince(ann, first, false)
	f.wantSince(bob, first, false)
	f.wantSince(ann, second, true)

	one, two := f.act("acme"), f.act("acme")
	if n := f.pruneAll(10, func(ctx context.Context) (belfry.Pruned, error) {
		return f.PruneActivities(ctx, belfry.ActivityLimits{Rows: 1}, 10)
	}); n != 1 {
		t.Errorf("%d activities have gone, want 1", n)
	}
	f.wantSince(ann, second, false)
	f.wantSince(ann, one, true, two)
}
