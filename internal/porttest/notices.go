package porttest

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"belfry"
)

// noticeTests are the cases of notices and of MemberStore.
var noticeTests = map[string]func(*testing.T, *fixture){
	"a notice comes back as it was stored":                    testNoticeFields,
	"a notice is for its company, or for everybody":           testNoticeTenancy,
	"a notice is for who was a member, or also for later":     testNoticeMembership,
	"a preference turns notices off, unless they are forced":  testNoticePreferences,
	"notices wait for members until they have been heard":     testHeard,
	"a member stays one since the lowest place":               testMembers,
	"who enrols sees what is stored after it":                 testEnrol,
	"a member who joins again has still heard only so much":   testMemberAgain,
	"a notice is as long as a message, and costs its own row": testNoticeRows,
}

func testNoticeFields(t *testing.T, f *fixture) {
	f.join(ann)
	n, plain := f.fullMessage("", "acme"), f.notice("", 1, false)
	n.Later, n.IsRead = true, false
	f.add(n, plain)
	got := f.list(ann, belfry.InboxQuery{Limit: 10})
	if len(got) != 2 {
		t.Fatalf("there are %d notices", len(got))
	}
	wantMessage(t, got[0], plain)
	wantMessage(t, got[1], n)
	f.mark(ann, belfry.RevisionArchived, n.ID)
	n.IsRead, n.IsArchived = true, true
	wantMessage(t, f.list(ann, belfry.InboxQuery{Limit: 10, Archived: true})[0], n)
}

// wantSeen checks what identities see, count and are told of.
func (f *fixture) wantSeen(who belfry.Identity, newestFirst ...belfry.ID) {
	f.t.Helper()
	f.wantInbox(who, newestFirst...)
	f.wantList(who, belfry.InboxQuery{Unread: true}, newestFirst...)
	if c := f.counts(who); c.Unread != len(newestFirst) || c.Unseen != len(newestFirst) {
		f.t.Errorf("counts of %v are %+v, want %d", who, c, len(newestFirst))
	}
	oldestFirst := make([]belfry.ID, 0, len(newestFirst))
	for i := range newestFirst {
		oldestFirst = append(oldestFirst, newestFirst[len(newestFirst)-1-i])
	}
	f.wantSince(who, belfry.ID{}, true, oldestFirst...)
}

func testNoticeTenancy(t *testing.T, f *fixture) {
	f.join(ann, annOther, bob, carl)
	everybody, acme, other := f.announce("", false), f.announce("acme", true), f.announce("other", false)
	f.wantSeen(ann, acme, everybody)
	f.wantSeen(bob, acme, everybody)
	f.wantSeen(annOther, other, everybody)
	f.wantSeen(carl, other, everybody)
	// An identity without a company is no wildcard, and sees nothing twice.
	later := f.announce("", true)
	f.wantSeen(belfry.Identity{User: "1"}, later)
}

func testNoticeMembership(t *testing.T, f *fixture) {
	once, always := f.announce("acme", false), f.announce("acme", true)
	onceAll, alwaysAll := f.announce("", false), f.announce("", true)
	f.wantSeen(ann, alwaysAll, always)
	for _, kind := range []belfry.RevisionKind{belfry.RevisionRead, belfry.RevisionArchived} {
		if got := f.mark(ann, kind, once, onceAll); got.OwnRows+got.SharedRows != 0 {
			t.Errorf("%+v was marked and is not seen", got)
		}
	}
	f.join(ann)
	f.wantSeen(ann, alwaysAll, always)
	onceMore, onceMoreAll := f.announce("acme", false), f.announce("", false)
	f.wantSeen(ann, onceMoreAll, onceMore, alwaysAll, always)
	f.wantSeen(bob, alwaysAll, always)
	f.wantSeen(annOther, alwaysAll) // membership is of an identity
	f.wantSeen(carl, alwaysAll)
	// A notice whose id is that of the membership is not newer.
	exact := f.notice("acme", 1, false)
	if err := f.AddMembers(context.Background(), "acme", []belfry.UserID{"10"}, exact.ID); err != nil {
		t.Fatal(err)
	}
	f.add(exact)
	f.wantSeen(bob, alwaysAll, always)
}

func testNoticePreferences(t *testing.T, f *fixture) {
	ctx := context.Background()
	f.join(ann, bob)
	notice := func(typ belfry.MessageType, category string, forced bool) belfry.ID {
		n := f.notice("acme", typ, true)
		n.Category, n.Forced = category, forced
		f.add(n)
		return n.ID
	}
	one, oneC, two, twoC, forced := notice(1, "", false), notice(1, "c", false), notice(2, "", false), notice(2, "c", false), notice(1, "c", true)
	m := f.message("1", "acme", 1) // messages are not turned off by the store
	m.Category = "c"
	f.add(m)
	for _, tt := range []struct {
		preferences []belfry.Preference
		want        []belfry.ID
	}{
		{[]belfry.Preference{{Off: true}}, []belfry.ID{m.ID, forced}},
		{[]belfry.Preference{{Off: true, Type: 1}}, []belfry.ID{m.ID, forced, twoC, two}},
		{[]belfry.Preference{{Off: true, Category: "c"}}, []belfry.ID{m.ID, forced, two, one}},
		{[]belfry.Preference{{Off: true, Category: "c", Type: 2}}, []belfry.ID{m.ID, forced, two, oneC, one}},
		{[]belfry.Preference{{Off: true, Type: 3}, {Off: true, Category: "d"}}, []belfry.ID{m.ID, forced, twoC, two, oneC, one}},
		{[]belfry.Preference{{Type: 1}, {Off: true, Type: 2}, {Off: true, Category: "c"}}, []belfry.ID{m.ID, forced, one}},
		{[]belfry.Preference{{MuteUntil: start}}, []belfry.ID{m.ID, forced, twoC, two, oneC, one}},
		{nil, []belfry.ID{m.ID, forced, twoC, two, oneC, one}},
	} {
		if err := f.SetPreferences(ctx, "1", tt.preferences); err != nil {
			t.Fatal(err)
		}
		f.wantSeen(ann, tt.want...)
		f.wantSeen(bob, forced, twoC, two, oneC, one)
		waiting, err := f.Undelivered(ctx, ann, 10)
		if err != nil || len(waiting) != len(tt.want) {
			t.Errorf("%+v: %d wait (%v), want %d", tt.preferences, len(waiting), err, len(tt.want))
		}
	}
	if err := f.SetPreferences(ctx, "1", []belfry.Preference{{Off: true, Type: 2}}); err != nil {
		t.Fatal(err)
	}
	if got := f.markAll(ann, belfry.RevisionArchived, 0); got.OwnRows != 4 {
		t.Errorf("%d are archived, want 4: what is off is not", got.OwnRows)
	}
	f.wantList(ann, belfry.InboxQuery{Archived: true}, m.ID, forced, oneC, one)
	if got := f.mark(ann, belfry.RevisionRead, two, twoC); got.OwnRows != 0 {
		t.Errorf("%+v was marked and is off", got)
	}
}

func testHeard(t *testing.T, f *fixture) {
	heard := func(who belfry.Identity, place belfry.ID) {
		t.Helper()
		if err := f.MarkHeard(context.Background(), who, place); err != nil {
			t.Fatal(err)
		}
	}
	f.announce("acme", true) // who joins has heard it
	f.join(ann, annOther, bob)
	a, message := f.announce("acme", false), f.send("1", "acme", 1)
	b, c := f.announce("", true), f.announce("acme", true)
	f.wantWaiting(ann, 10, a, message, b, c)
	f.wantWaiting(ann, 2, a, message)
	f.wantWaiting(annOther, 10, b)
	f.wantWaiting(carl, 10) // no member
	heard(ann, a)
	f.wantWaiting(ann, 10, message, b, c)
	heard(ann, b)
	f.wantWaiting(ann, 10, message, c)
	heard(ann, a)
	f.wantWaiting(ann, 10, message, c)
	heard(carl, b)
	f.wantWaiting(bob, 10, a, b, c)
	f.wantWaiting(annOther, 10, b)
	f.read(bob, b)
	f.wantWaiting(bob, 10, a, c)
	heard(bob, f.place())
	f.wantWaiting(bob, 10)
	f.wantWaiting(ann, 10, message, c)
	d := f.announce("acme", false)
	f.wantWaiting(bob, 10, d)
	// Whoever has heard of nothing has only that.
	f.wantNoMember(carl)
}

func testMembers(t *testing.T, f *fixture) {
	ctx := context.Background()
	low, middle, high := f.place(), f.place(), f.place()
	add := func(since belfry.ID, users ...belfry.UserID) {
		t.Helper()
		if err := f.AddMembers(ctx, "acme", users, since); err != nil {
			t.Fatal(err)
		}
	}
	member := f.wantMember
	add(middle, "1", "10", "1")
	add(high)
	member(ann, middle)
	member(bob, middle)
	for _, who := range []belfry.Identity{annOther, carl, {User: "2", Company: "acme"}} {
		f.wantNoMember(who)
	}
	add(high, "1", "2")
	member(ann, middle)
	member(belfry.Identity{User: "2", Company: "acme"}, high)
	add(low, "10")
	member(bob, low)
	member(ann, middle)
	add(belfry.ID{}, "3") // since ever
	member(belfry.Identity{User: "3", Company: "acme"}, belfry.ID{})
}

// Who has enrolled sees every notice that is stored after it, however soon.
func testEnrol(t *testing.T, f *fixture) {
	ctx := context.Background()
	f.announce("acme", false) // which nobody sees who enrols later
	since := f.place()
	var want []belfry.ID
	for i := range f.many(12, 50) {
		who := belfry.Identity{User: belfry.UserID(fmt.Sprint("new", i)), Company: "acme"}
		if err := f.Enrol(ctx, who, since); err != nil {
			t.Fatal(err)
		}
		f.wantMember(who, since) // at once
		want = append([]belfry.ID{f.announce("acme", false)}, want...)
		f.wantInbox(who, want...)
		oldest := slices.Clone(want)
		slices.Reverse(oldest)
		f.wantWaiting(who, 100, oldest...)
		f.wantMember(who, since)
	}
	// Who is one stays one since the lower place.
	f.join(ann)
	before := f.profile(ann).Since
	if err := f.Enrol(ctx, ann, f.place()); err != nil {
		t.Fatal(err)
	}
	f.announce("other", false)
	f.wantMember(ann, before)
}

func testMemberAgain(t *testing.T, f *fixture) {
	before := f.place()
	early := f.announce("acme", false)
	f.join(ann)
	heard, waits := f.announce("acme", false), f.announce("acme", false)
	if err := f.MarkHeard(context.Background(), ann, heard); err != nil {
		t.Fatal(err)
	}
	f.join(ann)
	f.wantWaiting(ann, 10, waits)
	f.wantInbox(ann, waits, heard)
	if err := f.AddMembers(context.Background(), "acme", []belfry.UserID{"1"}, before); err != nil {
		t.Fatal(err)
	}
	f.wantWaiting(ann, 10, waits)
	f.wantInbox(ann, waits, heard, early)
}

func testNoticeRows(t *testing.T, f *fixture) {
	var users []belfry.UserID
	for i := range f.many(20, 100) {
		users = append(users, belfry.UserID(string(rune('a'+i%26))+string(rune('a'+i/26))))
	}
	if err := f.AddMembers(context.Background(), "acme", users, f.place()); err != nil {
		t.Fatal(err)
	}
	a, b := f.announce("acme", false), f.announce("acme", false)
	for _, user := range users {
		f.wantSeen(belfry.Identity{User: user, Company: "acme"}, b, a)
	}
	f.wantPruned(belfry.MessageLimits{Rows: 2}, 10, 0)
	f.wantPruned(belfry.MessageLimits{Rows: 1}, 10, 1)
}
