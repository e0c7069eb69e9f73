package porttest

import (
	"bytes"
	"context"
	"fmt"
	"reflect"
	"testing"
	"time"

	"belfry"
)

// logTests are the cases of LogStore.
var logTests = map[string]func(*testing.T, *fixture){
	"the log merges messages, activities and revisions by place": testLogOrder,
	"the log is between two places":                              testLogRange,
	"the log is complete up to its limit and not beyond":         testLogLimit,
	"the log is of one identity":                                 testLogTenancy,
	"an edit brings the message along while it is there":         testLogEdits,
	"the last place is the highest of all":                       testLast,
	"old revisions go, and the log ends there":                   testPruneRevisions,
}

// pastAll is greater than any id that the tests make.
var pastAll = belfry.ID(bytes.Repeat([]byte{0xff}, len(belfry.ID{})))

// prev returns the greatest id that is lower.
func prev(id belfry.ID) belfry.ID {
	for i := len(id) - 1; i >= 0; i-- {
		id[i]--
		if id[i] != 0xff {
			break
		}
	}
	return id
}

// since returns the log of an identity.
func (f *fixture) since(who belfry.Identity, after belfry.ID, limit int) ([]belfry.LogEntry, bool) {
	f.t.Helper()
	return f.sinceUntil(who, after, pastAll, limit)
}

func (f *fixture) sinceUntil(who belfry.Identity, after, until belfry.ID, limit int) ([]belfry.LogEntry, bool) {
	f.t.Helper()
	entries, complete, err := f.Since(context.Background(), who, after, until, limit)
	if err != nil {
		f.t.Fatalf("Since: %v", err)
	}
	if !complete && len(entries) != 0 {
		f.t.Errorf("the log is not complete and has %d entries", len(entries))
	}
	for i, e := range entries {
		set := 0
		for _, is := range []bool{e.Message != nil, e.Activity != nil, e.Revision != nil} {
			if is {
				set++
			}
		}
		if set != 1 || (e.Edited != nil) != (e.Revision != nil && e.Revision.Kind == belfry.RevisionEdited) {
			f.t.Errorf("entry %d is %+v", i, e)
		}
		if bytes.Compare(e.Place[:], after[:]) <= 0 || bytes.Compare(e.Place[:], until[:]) > 0 ||
			i > 0 && bytes.Compare(e.Place[:], entries[i-1].Place[:]) < 0 {
			f.t.Errorf("entry %d is at %v, after %v and until %v", i, e.Place, after, until)
		}
	}
	return entries, complete
}

// wantSince checks whether the log is complete, and the places of its messages and
// activities.
func (f *fixture) wantSince(who belfry.Identity, after belfry.ID, complete bool, want ...belfry.ID) {
	f.t.Helper()
	entries, got := f.since(who, after, 1000)
	if got != complete {
		f.t.Errorf("the log of %v after %v is complete: %t, want %t", who, after, got, complete)
	}
	var places []belfry.ID
	for _, e := range entries {
		if e.Revision == nil {
			places = append(places, e.Place)
		}
	}
	wantIDs(f.t, fmt.Sprintf("the log of %v after %v", who, after), places, want)
}

// fillLog makes a log with everything in it, and returns its places as ann is told of
// them.
func fillLog(f *fixture) []belfry.ID {
	ctx := context.Background()
	f.join(ann, annOther, bob)
	var places []belfry.ID
	note := func(id belfry.ID) belfry.ID { places = append(places, id); return id }
	mark := func(kind belfry.RevisionKind, id belfry.ID) {
		place := note(f.place())
		if _, err := f.Mark(ctx, ann, belfry.Mark{Kind: kind, IDs: []belfry.ID{id}, Place: belfry.At(place)}); err != nil {
			f.t.Fatal(err)
		}
	}
	m := f.message("1", "acme", 1)
	f.add(m)
	note(m.ID)
	a := f.activity("acme")
	n := f.notice("", 1, false)
	f.addAll(belfry.Entries{Messages: []belfry.Message{n}, Activities: []belfry.Activity{a}})
	note(a.ID)
	note(n.ID)
	mark(belfry.RevisionRead, m.ID)
	if err := f.Edit(ctx, n, belfry.At(note(f.place()))); err != nil {
		f.t.Fatal(err)
	}
	mark(belfry.RevisionArchived, n.ID)
	old, newer := f.keyed("1", "", "k"), f.keyed("1", "", "k")
	f.add(old)
	f.add(newer)
	note(newer.ID) // the revision
	note(newer.ID)
	if _, err := f.Withdraw(ctx, m.ID, belfry.At(note(f.place()))); err != nil {
		f.t.Fatal(err)
	}
	return append(places[1:], note(f.announce("acme", true)))
}

func places(entries []belfry.LogEntry) (places []belfry.ID) {
	for _, e := range entries {
		places = append(places, e.Place)
	}
	return places
}

func testLogOrder(t *testing.T, f *fixture) {
	want := fillLog(f)
	entries, complete := f.since(ann, belfry.ID{}, 1000)
	wantIDs(t, "the log", places(entries), want)
	if !complete {
		t.Error("the log is not complete")
	}
	for i, e := range entries {
		if i > 0 && entries[i-1].Place == e.Place && entries[i-1].Revision == nil {
			t.Errorf("at %v the message is before the revision", e.Place)
		}
		if e.Message != nil {
			m, err := f.Message(context.Background(), e.Message.ID)
			if err != nil || e.Message.ID != e.Place {
				t.Fatalf("%+v at %v, %v", e.Message, e.Place, err)
			}
			m.IsRead, m.IsArchived = e.Message.IsRead, e.Message.IsArchived
			wantMessage(t, *e.Message, m)
		}
	}
	f.wantReplay(ann)
}

func testLogRange(t *testing.T, f *fixture) {
	all := fillLog(f)
	for i, after := range all {
		for _, until := range all[i:] {
			var want []belfry.ID
			for _, p := range all {
				if bytes.Compare(p[:], after[:]) > 0 && bytes.Compare(p[:], until[:]) <= 0 {
					want = append(want, p)
				}
			}
			entries, complete := f.sinceUntil(ann, after, until, 100)
			wantIDs(t, fmt.Sprintf("the log from %v to %v", after, until), places(entries), want)
			if !complete {
				t.Error("the log is not complete")
			}
		}
	}
	if entries, complete := f.sinceUntil(ann, all[3], all[1], 100); len(entries) != 0 || !complete {
		t.Errorf("backwards there is %+v, complete %t", entries, complete)
	}
}

func testLogLimit(t *testing.T, f *fixture) {
	all := fillLog(f)
	for limit := range len(all) + 3 {
		entries, complete := f.since(ann, belfry.ID{}, limit)
		if complete != (limit >= len(all)) || complete && len(entries) != len(all) {
			t.Errorf("of %d, at most %d: %d, complete %t", len(all), limit, len(entries), complete)
		}
	}
	if _, complete := f.since(ann, all[2], len(all)-3); !complete {
		t.Error("what is left is not complete")
	}
}

func testLogTenancy(t *testing.T, f *fixture) {
	f.join(ann, annOther, bob, carl)
	ctx := context.Background()
	// Everything that can be in a log, and who is told of it.
	message := func(to belfry.UserID, company belfry.CompanyID) {
		m := f.message(to, company, 1)
		f.add(m)
		if err := f.Edit(ctx, m, belfry.At(f.place())); err != nil {
			t.Fatal(err)
		}
		for _, who := range []belfry.Identity{ann, annOther, bob, carl} {
			f.read(who, m.ID)
		}
		f.act("acme")
		if company == "other" {
			if _, err := f.Withdraw(ctx, m.ID, belfry.At(f.place())); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, to := range []belfry.UserID{"1", "10", ""} {
		for _, company := range []belfry.CompanyID{"", "acme", "other"} {
			message(to, company)
		}
	}
	// Messages of one's own that are there, with an edit and a mark each; the marks of
	// those that are not, and withdrawals; the activities.
	for who, want := range map[belfry.Identity]int{
		ann:                       4*3 + 9,     // two messages, two notices
		annOther:                  2*3 + 2 + 2, // one and one; of those that have gone, a mark and a withdrawal each
		bob:                       4*3 + 9,
		carl:                      1*3 + 2, // notices alone
		{User: "3", Company: "x"}: 0,       // no member
	} {
		entries, _ := f.since(who, belfry.ID{}, 1000)
		if len(entries) != want {
			t.Errorf("%v is told of %d, want %d", who, len(entries), want)
		}
	}
}

func testLogEdits(t *testing.T, f *fixture) {
	ctx := context.Background()
	f.join(ann)
	m, n := f.message("1", "acme", 1), f.notice("acme", 1, true)
	f.add(m, n)
	for _, title := range []string{"first", "second"} {
		m.Title, n.Title = title, title
		for _, edit := range []belfry.Message{m, n} {
			if err := f.Edit(ctx, edit, belfry.At(f.place())); err != nil {
				t.Fatal(err)
			}
		}
	}
	f.read(ann, n.ID)
	edited := func(want int) {
		t.Helper()
		entries, complete := f.since(ann, n.ID, 1000)
		got := 0
		for _, e := range entries {
			if e.Edited == nil {
				continue
			}
			got++
			if e.Edited.Title != "second" || e.Edited.ID != e.Revision.IDs[0] || e.Edited.IsRead != e.Edited.IsNotice() {
				t.Errorf("an edit brings %+v", e.Edited)
			}
		}
		if got != want || !complete {
			t.Errorf("%d edits, complete %t; want %d", got, complete, want)
		}
	}
	edited(4)
	if err := f.SetPreferences(ctx, "1", []belfry.Preference{{Off: true}}); err != nil {
		t.Fatal(err)
	}
	edited(2)
	if _, err := f.Withdraw(ctx, m.ID, belfry.At(f.place())); err != nil {
		t.Fatal(err)
	}
	edited(0)
}

func testLast(t *testing.T, f *fixture) {
	want := func(want belfry.ID) {
		t.Helper()
		if got, err := f.Last(context.Background()); err != nil || got != want {
			t.Errorf("the last is %v (%v), want %v", got, err, want)
		}
	}
	m := f.send("1", "acme", 1)
	want(m)
	want(f.announce("other", false))
	want(f.act("third"))
	place := f.place()
	if _, err := f.Mark(context.Background(), ann, belfry.Mark{Kind: belfry.RevisionRead, IDs: []belfry.ID{m}, Place: belfry.At(place)}); err != nil {
		t.Fatal(err)
	}
	want(place)
	want(f.schedule(start.Add(-time.Hour)).ID)
	last := f.send("10", "", 1)
	want(last)
	f.prune(belfry.MessageLimits{Since: last}, 100)
	want(last)
}

func testPruneRevisions(t *testing.T, f *fixture) {
	ctx := context.Background()
	m, bobs := f.send("1", "acme", 1), f.send("10", "acme", 1)
	var marks []belfry.ID
	for i := range 6 {
		place := f.place()
		marks = append(marks, place)
		who, id := ann, m
		if i%2 == 1 {
			who, id = bob, bobs
		}
		kind := []belfry.RevisionKind{belfry.RevisionRead, belfry.RevisionUnread}[i/2%2]
		if _, err := f.Mark(ctx, who, belfry.Mark{Kind: kind, IDs: []belfry.ID{id}, Place: belfry.At(place)}); err != nil {
			t.Fatal(err)
		}
	}
	for i, want := range []int{3, 1, 0} {
		if n, err := f.PruneRevisions(ctx, marks[4], 3); err != nil || n != want {
			t.Errorf("step %d deleted %d (%v), want %d", i, n, err, want)
		}
	}
	for _, who := range []belfry.Identity{ann, bob} {
		for _, after := range []belfry.ID{{}, prev(m), marks[2]} {
			if _, complete := f.since(who, after, 100); complete {
				t.Errorf("%v: after %v the log is complete", who, after)
			}
		}
		want := map[belfry.Identity][]belfry.ID{ann: nil, bob: marks[5:]}[who]
		entries, complete := f.since(who, marks[4], 100)
		if !reflect.DeepEqual(places(entries), want) || !complete {
			t.Errorf("%v: the log has %v, complete %t; want %v", who, places(entries), complete, want)
		}
	}
	f.wantInbox(ann, m)
	if c := f.counts(ann); c.Unread != 0 {
		t.Errorf("counts are %+v", c)
	}
}
