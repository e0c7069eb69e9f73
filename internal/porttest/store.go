package porttest

import (
	"context"
	"errors"
	"reflect"
	"testing"

	"belfry"
)

// The identities of the tests: one person in two companies, and others.
var (
	ann      = belfry.Identity{User: "1", Company: "acme"}
	annOther = belfry.Identity{User: "1", Company: "other"}
	bob      = belfry.Identity{User: "10", Company: "acme"}
	carl     = belfry.Identity{User: "2", Company: "other"}
)

type byType = map[belfry.MessageType]int

// TestStore runs the contract of [belfry.Store]. Every call of open returns an
// empty store, which it closes when its t ends. The tests run in parallel.
func TestStore(t *testing.T, open func(t *testing.T) belfry.Store) { testStore(t, false, open) }

// TestSlowStore is TestStore for a store that takes milliseconds for what others do in microseconds, and time
// for every row that it does not want: all tests, which assert the same of fewer rows and rounds. Who
// runs it alone tests by himself what takes more than a thousand rows: that a [belfry.Marked] lists no more
// than [belfry.MaxMarkIDs].
func TestSlowStore(t *testing.T, open func(t *testing.T) belfry.Store) { testStore(t, true, open) }

func testStore(t *testing.T, slow bool, open func(t *testing.T) belfry.Store) {
	for _, tests := range []map[string]func(*testing.T, *fixture){
		generalTests, entryTests, messageTests, markTests, noticeTests, activityTests, retentionTests, agendaTests, logTests,
		settingTests,
	} {
		run(t, slow, open, tests)
	}
}

// generalTests are about all methods.
var generalTests = map[string]func(*testing.T, *fixture){
	"an empty store has nothing for anybody":      testEmpty,
	"ids that look like syntax are only ids":      testHostileIDs,
	"a write whose context has ended is not done": testEndedContext,
	"counts stay exact while many change them":    testHammer,
}

func testEmpty(t *testing.T, f *fixture) {
	ctx := context.Background()
	f.wantInbox(ann)
	f.wantList(ann, belfry.InboxQuery{Unread: true})
	f.wantList(ann, belfry.InboxQuery{Archived: true})
	f.wantWaiting(ann, 10)
	f.wantFeed("acme", belfry.FeedQuery{})
	wantCounts(t, f.counts(ann), 0, 0, byType{})
	wantCounts(t, f.markAll(ann, belfry.RevisionRead, 0).Counts, 0, 0, byType{})
	f.wantSince(ann, belfry.ID{}, true)
	if last, err := f.Last(ctx); err != nil || !last.IsZero() {
		t.Errorf("Last is %v, %v", last, err)
	}
	if due, err := f.NextDue(ctx); err != nil || !due.IsZero() {
		t.Errorf("NextDue is %v, %v", due, err)
	}
	if due, err := f.Due(ctx, start, 10); err != nil || len(due) != 0 {
		t.Errorf("Due is %v, %v", due, err)
	}
	if expired, err := f.Expire(ctx, start, belfry.At(f.place()), 10); err != nil || len(expired) != 0 {
		t.Errorf("Expire returns %v, %v", expired, err)
	}
	if n, err := f.PruneRevisions(ctx, f.place(), 10); err != nil || n != 0 {
		t.Errorf("PruneRevisions: %d, %v", n, err)
	}
	if n, err := f.PruneRequests(ctx, start, 10); err != nil || n != 0 {
		t.Errorf("PruneRequests: %d, %v", n, err)
	}
	if p, err := f.preferences(ann.User); err != nil || len(p) != 0 {
		t.Errorf("Preferences are %v, %v", p, err)
	}
	if p, err := f.Profile(ctx, ann); err != nil || !reflect.DeepEqual(p, belfry.Profile{}) {
		t.Errorf("Profile is %+v, %v", p, err)
	}
	if _, err := f.Add(ctx, belfry.Entries{}); err != nil {
		t.Errorf("storing nothing: %v", err)
	}
}

func testHostileIDs(t *testing.T, f *fixture) {
	type own struct{ message, notice, activity belfry.ID }
	want := map[belfry.UserID]own{}
	users := []belfry.UserID{"%", "_", "1", "01", "1.0", "' OR ''='", "$ne", "a.b", "é", "e\u0301", "A", "a", "*"}
	for _, u := range users {
		company := belfry.CompanyID(u)
		f.join(belfry.Identity{User: u, Company: company})
		want[u] = own{f.send(u, company, 1), f.announce(company, false), f.act(company)}
	}
	for _, u := range users {
		who, w := belfry.Identity{User: u, Company: belfry.CompanyID(u)}, want[u]
		f.wantInbox(who, w.notice, w.message)
		f.wantInbox(belfry.Identity{User: u, Company: "acme"})
		f.wantInbox(belfry.Identity{User: "acme", Company: who.Company})
		f.wantWaiting(who, 10, w.message, w.notice)
		f.wantFeed(who.Company, belfry.FeedQuery{}, w.activity)
		f.wantSince(who, belfry.ID{}, true, w.message, w.notice, w.activity)
		wantCounts(t, f.counts(who), 2, 2, byType{1: 2})
	}
	for _, u := range users {
		who := belfry.Identity{User: u, Company: belfry.CompanyID(u)}
		f.markAll(who, belfry.RevisionRead, 0)
		wantCounts(t, f.counts(who), 0, 0, byType{})
	}
}

func testEndedContext(t *testing.T, f *fixture) {
	id := f.send("1", "", 1)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	m := f.message("1", "", 1)
	for name, do := range map[string]func() error{
		"Add": func() error { _, err := f.Add(ctx, belfry.Entries{Messages: []belfry.Message{m}}); return err },
		"Mark": func() error {
			_, err := f.Mark(ctx, ann, belfry.Mark{Kind: belfry.RevisionRead, Place: belfry.At(f.place())})
			return err
		},
		"MarkSeen":        func() error { _, err := f.MarkSeen(ctx, ann, id); return err },
		"MarkDelivered":   func() error { return f.MarkDelivered(ctx, "1", []belfry.ID{id}) },
		"MarkHeard":       func() error { return f.MarkHeard(ctx, ann, id) },
		"Edit":            func() error { return f.Edit(ctx, belfry.Message{ID: id, Type: 2, Date: start}, belfry.At(f.place())) },
		"Withdraw":        func() error { _, err := f.Withdraw(ctx, id, belfry.At(f.place())); return err },
		"Counts":          func() error { _, err := f.Counts(ctx, ann); return err },
		"Inbox":           func() error { _, err := f.Inbox(ctx, ann, belfry.InboxQuery{Limit: 1}); return err },
		"Message":         func() error { _, err := f.Message(ctx, id); return err },
		"Undelivered":     func() error { _, err := f.Undelivered(ctx, ann, 1); return err },
		"Since":           func() error { _, _, err := f.Since(ctx, ann, belfry.ID{}, id, 1); return err },
		"Last":            func() error { _, err := f.Last(ctx); return err },
		"AddMembers":      func() error { return f.AddMembers(ctx, "acme", []belfry.UserID{"1"}, id) },
		"Enrol":           func() error { return f.Enrol(ctx, ann, id) },
		"Cancel":          func() error { return f.Cancel(ctx, id) },
		"SetPreferences":  func() error { return f.SetPreferences(ctx, "1", nil) },
		"Revoke":          func() error { return f.Revoke(ctx, "1", start) },
		"AnswerRequest":   func() error { return f.AnswerRequest(ctx, "k", nil) },
		"PruneActivities": func() error { _, err := f.PruneActivities(ctx, belfry.ActivityLimits{Since: id}, 1); return err },
	} {
		if err := do(); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v, want %v", name, err, context.Canceled)
		}
	}
	f.wantInbox(ann, id)
	f.wantWaiting(ann, 10, id)
	wantCounts(t, f.counts(ann), 1, 1, byType{1: 1})
	f.wantNoMember(ann)
}
