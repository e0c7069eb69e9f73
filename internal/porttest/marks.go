package porttest

import (
	"context"
	"fmt"
	"reflect"
	"testing"

	"belfry"
)

// markTests are the cases of MarkStore.
var markTests = map[string]func(*testing.T, *fixture){
	"what waits is oldest first and limited":              testUndelivered,
	"what is delivered or read waits no longer":           testDelivered,
	"marking concerns only the identity's own messages":   testMarkOwn,
	"a mark tells what it has changed, by company":        testMarked,
	"each kind of mark does what it says":                 testMarkKinds,
	"marking all leaves other companies alone":            testMarkAll,
	"marking all of a type leaves other types alone":      testMarkAllOfType,
	"marking all lists a bounded number and counts right": testMarkMany,
	"marking all is for reading and archiving alone":      testMarkAllKinds,
	"what is marked is kept as revisions":                 testMarkRevisions,
	"seen never goes back and belongs to one identity":    testMarkSeen,
}

func testUndelivered(t *testing.T, f *fixture) {
	a, b, c := f.send("1", "acme", 1), f.send("1", "", 1), f.send("1", "acme", 1)
	f.send("1", "other", 1)
	f.wantWaiting(ann, 10, a, b, c)
	f.wantWaiting(ann, 2, a, b)
	f.wantWaiting(bob, 10)
}

func testDelivered(t *testing.T, f *fixture) {
	ctx := context.Background()
	a, b, c, d := f.send("1", "", 1), f.send("1", "", 1), f.send("1", "acme", 1), f.send("1", "", 1)
	if err := f.MarkDelivered(ctx, "1", []belfry.ID{a, c}); err != nil {
		t.Fatal(err)
	}
	f.wantWaiting(ann, 1, b)
	f.wantWaiting(ann, 10, b, d)
	if err := f.MarkDelivered(ctx, "10", []belfry.ID{b}); err != nil { // not bob's
		t.Fatal(err)
	}
	f.wantWaiting(ann, 10, b, d)
	f.read(ann, b)
	f.wantWaiting(ann, 10, d)
	if err := f.MarkDelivered(ctx, "1", []belfry.ID{a, d}); err != nil { // a again
		t.Fatal(err)
	}
	f.wantWaiting(ann, 10)
	f.wantInbox(ann, d, c, b, a)
	wantCounts(t, f.counts(ann), 3, 3, byType{1: 3})
}

func testMarkOwn(t *testing.T, f *fixture) {
	f.join(ann, annOther, bob)
	mine := []belfry.ID{f.send("1", "", 1), f.send("1", "acme", 2), f.announce("acme", false), f.announce("", false)}
	others := []belfry.ID{f.send("1", "other", 1), f.send("10", "acme", 1), f.announce("other", true), {1, 2, 3}, {}}
	counts := []belfry.Counts{f.counts(annOther), f.counts(bob)}
	for _, kind := range []belfry.RevisionKind{
		belfry.RevisionRead, belfry.RevisionUnread, belfry.RevisionArchived, belfry.RevisionUnarchived,
	} {
		if got := f.mark(ann, kind, others...); got.OwnRows+got.SharedRows+len(got.Own)+len(got.Shared) != 0 {
			t.Errorf("kind %d has changed %+v", kind, got)
		}
	}
	for i, who := range []belfry.Identity{annOther, bob} {
		if after := f.counts(who); !reflect.DeepEqual(after, counts[i]) {
			t.Errorf("counts of %v went from %+v to %+v", who, counts[i], after)
		}
	}
	wantCounts(t, f.read(ann, mine[:2]...), 2, 2, byType{1: 2})
	wantCounts(t, f.read(ann), 2, 2, byType{1: 2})
	wantCounts(t, f.counts(annOther), 3, 3, byType{1: 3}) // the shared message is read there, too
	f.read(ann, mine[3])
	wantCounts(t, f.counts(annOther), 2, 2, byType{1: 2}) // and so is the shared notice
	wantCounts(t, f.counts(bob), 3, 3, byType{1: 3})
}

func testMarked(t *testing.T, f *fixture) {
	f.join(ann)
	own := []belfry.ID{f.send("1", "acme", 1), f.announce("acme", true)}
	shared := []belfry.ID{f.send("1", "", 1), f.announce("", false)}
	done := f.send("1", "acme", 1)
	f.read(ann, done)
	for _, kind := range []belfry.RevisionKind{
		belfry.RevisionRead, belfry.RevisionUnread, belfry.RevisionArchived, belfry.RevisionUnarchived,
	} {
		if kind == belfry.RevisionUnread {
			f.mark(ann, belfry.RevisionUnread, done) // it is no news any more
		}
		if kind == belfry.RevisionArchived {
			f.mark(ann, belfry.RevisionArchived, done)
		}
		if kind == belfry.RevisionUnarchived {
			f.mark(ann, belfry.RevisionUnarchived, done)
		}
		got := f.mark(ann, kind, own[0], shared[0], done, own[1], shared[1], own[0])
		if fmt.Sprint(got.Own, got.Shared, got.OwnRows, got.SharedRows) != fmt.Sprint(own, shared, 2, 2) {
			t.Errorf("kind %d has changed %+v, want %v and %v", kind, got, own, shared)
		}
		if counts := f.counts(ann); !reflect.DeepEqual(got.Counts, counts) {
			t.Errorf("kind %d: counts are %+v, want %+v", kind, got.Counts, counts)
		}
		if again := f.mark(ann, kind, append(own, shared...)...); again.OwnRows+again.SharedRows != 0 {
			t.Errorf("kind %d again has changed %+v", kind, again)
		}
	}
}

func testMarkKinds(t *testing.T, f *fixture) {
	f.join(ann)
	for _, m := range []belfry.Message{f.message("1", "acme", 1), f.message("1", "", 1), f.notice("acme", 1, false), f.notice("", 1, true)} {
		f.add(m)
		id := m.ID
		state := func(what string, unread int, read, archived bool) {
			t.Helper()
			for _, q := range []belfry.InboxQuery{{}, {Archived: true}, {Unread: true}} {
				q.Limit = 1
				listed := q.Archived == archived && (!q.Unread || !read)
				list := f.list(ann, q)
				if (len(list) == 1 && list[0].ID == id) != listed {
					t.Errorf("%s: by %+v there is %v", what, q, messageIDs(list))
				} else if listed && (list[0].IsRead != read || list[0].IsArchived != archived) {
					t.Errorf("%s: it is read %t, archived %t", what, list[0].IsRead, list[0].IsArchived)
				}
			}
			if c := f.counts(ann); c.Unread != unread || c.Unseen != unread {
				t.Errorf("%s: counts are %+v, want %d", what, c, unread)
			}
		}
		state("new", 1, false, false)
		f.mark(ann, belfry.RevisionUnarchived, id)
		state("not archived", 1, false, false)
		f.mark(ann, belfry.RevisionRead, id)
		state("read", 0, true, false)
		f.mark(ann, belfry.RevisionUnread, id)
		state("unread", 1, false, false)
		f.mark(ann, belfry.RevisionArchived, id)
		state("archived", 0, true, true)
		f.mark(ann, belfry.RevisionUnread, id)
		state("archived stays read", 0, true, true)
		f.mark(ann, belfry.RevisionRead, id)
		state("archived stays archived", 0, true, true)
		f.mark(ann, belfry.RevisionUnarchived, id)
		state("unarchived", 0, true, false)
		f.mark(ann, belfry.RevisionArchived, id)
	}
}

func testMarkAll(t *testing.T, f *fixture) {
	f.join(ann, annOther, bob)
	ids := []belfry.ID{f.send("1", "", 1), f.send("1", "acme", 2), f.announce("acme", true), f.announce("", true)}
	f.send("1", "other", 3)
	f.announce("other", true)
	f.send("10", "acme", 1)
	got := f.markAll(ann, belfry.RevisionRead, 0)
	wantCounts(t, got.Counts, 0, 0, byType{})
	if fmt.Sprint(got.Own, got.Shared) != fmt.Sprint([]belfry.ID{ids[1], ids[2]}, []belfry.ID{ids[0], ids[3]}) || got.OwnRows != 2 || got.SharedRows != 2 {
		t.Errorf("it has changed %+v", got)
	}
	wantCounts(t, f.counts(annOther), 2, 2, byType{1: 1, 3: 1})
	wantCounts(t, f.counts(bob), 3, 3, byType{1: 3})
	f.wantWaiting(ann, 10)
	f.mark(ann, belfry.RevisionUnread, ids[2])
	got = f.markAll(ann, belfry.RevisionArchived, 0)
	wantCounts(t, got.Counts, 0, 0, byType{})
	if got.OwnRows != 2 || got.SharedRows != 2 {
		t.Errorf("it has archived %+v", got)
	}
	f.wantInbox(ann)
	f.wantList(ann, belfry.InboxQuery{Archived: true}, ids[3], ids[2], ids[1], ids[0])
	if got := f.markAll(ann, belfry.RevisionArchived, 0); got.OwnRows+got.SharedRows != 0 {
		t.Errorf("again it has archived %+v", got)
	}
	wantCounts(t, f.counts(annOther), 2, 2, byType{1: 1, 3: 1})
}

func testMarkAllOfType(t *testing.T, f *fixture) {
	f.join(ann)
	for _, typ := range []belfry.MessageType{1, 2} {
		f.add(f.message("1", "acme", typ), f.message("1", "", typ), f.notice("acme", typ, false), f.notice("", typ, true))
	}
	wantCounts(t, f.markAll(ann, belfry.RevisionRead, 2).Counts, 4, 4, byType{1: 4})
	wantCounts(t, f.markAll(ann, belfry.RevisionArchived, 2).Counts, 4, 4, byType{1: 4})
	if n := len(f.list(ann, belfry.InboxQuery{Archived: true, Limit: 10})); n != 4 {
		t.Errorf("%d are archived, want 4", n)
	}
	wantCounts(t, f.markAll(ann, belfry.RevisionArchived, 1).Counts, 0, 0, byType{})
	f.wantReplay(ann)
}

func testMarkMany(t *testing.T, f *fixture) {
	n := f.many(210, belfry.MaxMarkIDs+5)
	var messages []belfry.Message
	for i := range n {
		m := f.message("1", "acme", 1)
		if i%100 == 0 {
			m.Company = ""
		}
		messages = append(messages, m, f.message("1", "acme", 2))
	}
	messages = messages[:n+n/100+2]
	f.add(messages...)
	f.wantList(ann, belfry.InboxQuery{Unread: true, Limit: 1}, messages[len(messages)-1].ID)
	shared := 0
	for _, m := range messages {
		if m.Company == "" {
			shared++
		}
	}
	own := len(messages) - shared
	for _, kind := range []belfry.RevisionKind{belfry.RevisionRead, belfry.RevisionArchived} {
		got := f.markAll(ann, kind, 0)
		if got.OwnRows != own || got.SharedRows != shared || len(got.Own) != min(own, belfry.MaxMarkIDs) || len(got.Shared) != shared {
			t.Errorf("it has changed %d and %d, and lists %d and %d", got.OwnRows, got.SharedRows, len(got.Own), len(got.Shared))
		}
	}
	f.send("1", "acme", 1)
	f.wantReplay(ann)
	f.wantReplay(annOther)
}

func testMarkAllKinds(t *testing.T, f *fixture) {
	id := f.send("1", "acme", 1)
	for _, kind := range []belfry.RevisionKind{belfry.RevisionUnread, belfry.RevisionUnarchived, belfry.RevisionWithdrawn, 0} {
		_, err := f.Mark(context.Background(), ann, belfry.Mark{Kind: kind, Place: belfry.At(f.place())})
		wantCode(t, fmt.Sprint("kind ", kind), err, belfry.ErrInvalid)
	}
	f.wantInbox(ann, id)
}

func testMarkRevisions(t *testing.T, f *fixture) {
	f.join(ann, annOther)
	own, notice := f.send("1", "acme", 1), f.announce("acme", true)
	shared, everybody := f.send("1", "", 1), f.announce("", true)
	for _, kind := range []belfry.RevisionKind{
		belfry.RevisionRead, belfry.RevisionUnread, belfry.RevisionArchived, belfry.RevisionUnarchived,
	} {
		place := f.place()
		mark := belfry.Mark{Kind: kind, IDs: []belfry.ID{own, notice, shared, everybody, own}, Place: belfry.At(place)}
		for range 2 { // the second changes nothing, and keeps nothing
			if _, err := f.Mark(context.Background(), ann, mark); err != nil {
				t.Fatal(err)
			}
			mark.Place = belfry.At(f.place())
		}
		forOwn := belfry.Revision{Place: place, Kind: kind, Company: "acme", IDs: []belfry.ID{own, notice}}
		forShared := belfry.Revision{Place: place, Kind: kind, IDs: []belfry.ID{shared, everybody}}
		for who, want := range map[belfry.Identity][]belfry.Revision{
			ann: {forShared, forOwn}, annOther: {forShared}, bob: nil, carl: nil,
		} {
			var got []belfry.Revision
			entries, _ := f.since(who, prev(place), 10)
			for _, e := range entries {
				got = append(got, *e.Revision)
			}
			if len(got) == 2 && got[0].Company != "" {
				got[0], got[1] = got[1], got[0] // of one place, in whatever order
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%v is told of %+v, want %+v", who, got, want)
			}
		}
	}
}

func testMarkSeen(t *testing.T, f *fixture) {
	seen := func(who belfry.Identity, id belfry.ID) belfry.Counts {
		t.Helper()
		c, err := f.MarkSeen(context.Background(), who, id)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	f.join(ann, annOther)
	a, b := f.send("1", "", 1), f.send("1", "acme", 2)
	wantCounts(t, seen(ann, a), 2, 1, byType{1: 1, 2: 1})
	wantCounts(t, seen(ann, b), 2, 0, byType{1: 1, 2: 1})
	wantCounts(t, seen(ann, a), 2, 0, byType{1: 1, 2: 1})
	wantCounts(t, f.counts(annOther), 1, 1, byType{1: 1})
	f.send("1", "", 3)
	notice := f.announce("acme", false)
	wantCounts(t, f.counts(ann), 4, 2, byType{1: 2, 2: 1, 3: 1})
	wantCounts(t, seen(ann, notice), 4, 0, byType{1: 2, 2: 1, 3: 1})
	f.wantWaiting(ann, 1, a) // seen is not read: it still waits
}
