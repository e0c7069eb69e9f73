package porttest

import (
	"context"
	"fmt"
	"reflect"
	"testing"
	"time"

	"belfry"
)

// entryTests are the cases of EntryStore.
var entryTests = map[string]func(*testing.T, *fixture){
	"entries are stored all or none":                                       testAllOrNone,
	"an id is taken once, by whomever":                                     testTakenIDs,
	"a message replaces those of its key, receiver and company":            testCollapse,
	"a message does not replace what was read or archived":                 testCollapseRead,
	"a message replaces an earlier one of the same call":                   testCollapseWithin,
	"a notice replaces those of its key and company, unless one read them": testCollapseNotices,
	"a request's key is taken once in its lifetime":                        testRequests,
	"the answer of a request is replaced":                                  testAnswerRequest,
	"old requests go, the oldest first":                                    testPruneRequests,
}

func testAllOrNone(t *testing.T, f *fixture) {
	ctx := context.Background()
	a := f.message("1", "", 1)
	f.add(a)
	activity := f.act("acme")
	scheduled := belfry.Scheduled{ID: f.place(), Due: start, Message: f.message("", "", 1)}
	f.addAll(belfry.Entries{Scheduled: []belfry.Scheduled{scheduled}})
	f.addAll(belfry.Entries{Request: &belfry.Request{Key: "taken", Made: start}})
	collapsing := f.message("1", "", 1)
	collapsing.CollapseKey = "k"
	f.add(collapsing)
	before := f.counts(ann)
	for what, spoil := range map[string]func(*belfry.Entries){
		"a message's id": func(e *belfry.Entries) { e.Messages = append(e.Messages, a) },
		"an activity's": func(e *belfry.Entries) {
			e.Activities = append(e.Activities, belfry.Activity{ID: activity, Company: "acme", Date: start})
		},
		"a scheduled one": func(e *belfry.Entries) { e.Scheduled, e.Fulfils = append(e.Scheduled, scheduled), nil },
		"nothing to fulfil": func(e *belfry.Entries) {
			e.Fulfils = append(e.Fulfils, f.place())
		},
		"fulfilled twice": func(e *belfry.Entries) { e.Fulfils = append(e.Fulfils, scheduled.ID) },
		"a request's key": func(e *belfry.Entries) { e.Request.Key = "taken" },
	} {
		again := f.message("1", "", 1)
		again.CollapseKey = "k"
		entries := belfry.Entries{
			Messages:   []belfry.Message{again, f.message("10", "", 1), f.notice("acme", 1, true)},
			Activities: []belfry.Activity{f.activity("acme")},
			Scheduled:  []belfry.Scheduled{{ID: f.place(), Due: start.Add(-time.Hour)}},
			Fulfils:    []belfry.ID{scheduled.ID},
			Request:    &belfry.Request{Key: "free", Made: start},
		}
		spoil(&entries)
		_, err := f.Add(ctx, entries)
		wantCode(t, what, err, belfry.ErrConflict)
	}
	f.wantInbox(ann, collapsing.ID, a.ID)
	f.wantInbox(bob)
	f.wantFeed("acme", belfry.FeedQuery{}, activity)
	if after := f.counts(ann); !reflect.DeepEqual(before, after) {
		t.Errorf("counts went from %+v to %+v", before, after)
	}
	if due, err := f.Due(ctx, start, 10); err != nil || len(due) != 1 || due[0].ID != scheduled.ID {
		t.Errorf("due is %v (%v), want %v alone", due, err, scheduled.ID)
	}
	_, err := f.Request(ctx, "free", start)
	wantCode(t, "the request", err, belfry.ErrNotFound)
	f.wantSince(ann, belfry.ID{}, true, a.ID, activity, collapsing.ID)
}

func testTakenIDs(t *testing.T, f *fixture) {
	m, n, a := f.message("1", "acme", 1), f.notice("acme", 1, true), f.activity("acme")
	f.addAll(belfry.Entries{Messages: []belfry.Message{m, n}, Activities: []belfry.Activity{a}})
	others := m
	others.Receiver = "10"
	notice := n
	notice.Company, notice.Later = "other", false
	asNotice := n
	asNotice.ID = m.ID
	for what, entries := range map[string]belfry.Entries{
		"the same message":           {Messages: []belfry.Message{m}},
		"a message to another":       {Messages: []belfry.Message{others}},
		"a notice":                   {Messages: []belfry.Message{n}},
		"a notice to others":         {Messages: []belfry.Message{notice}},
		"a notice with a message's":  {Messages: []belfry.Message{asNotice}},
		"an activity":                {Activities: []belfry.Activity{a}},
		"two messages of one call":   {Messages: []belfry.Message{{ID: f.place(), Receiver: "2", Type: 1, Date: start}, m}},
		"a message next to activity": {Messages: []belfry.Message{f.message("1", "acme", 1)}, Activities: []belfry.Activity{a}},
	} {
		_, err := f.Add(context.Background(), entries)
		wantCode(t, what, err, belfry.ErrConflict)
	}
	f.wantInbox(ann, n.ID, m.ID)
	f.wantInbox(bob, n.ID)
	f.wantInbox(annOther)
}

// keyed makes a message with a collapse key.
func (f *fixture) keyed(to belfry.UserID, company belfry.CompanyID, key string) belfry.Message {
	m := f.message(to, company, 1)
	m.CollapseKey = key
	return m
}

func testCollapse(t *testing.T, f *fixture) {
	old, older := f.keyed("1", "acme", "k"), f.keyed("1", "acme", "k")
	older.Type = 2
	older.IsRead = true // both stay until they are unread
	f.add(older)
	f.add(old)
	f.mark(ann, belfry.RevisionUnread, older.ID)
	apart := []belfry.Message{
		f.keyed("1", "", "k"), f.keyed("1", "other", "k"), f.keyed("10", "acme", "k"), f.keyed("1", "acme", "K"),
		f.keyed("1", "acme", "k "), f.keyed("1", "acme", ""), f.keyed("", "acme", "k"),
	}
	f.join(ann)
	f.add(apart...)
	before := f.counts(ann)
	plain := f.message("1", "acme", 1)
	newer := f.keyed("1", "acme", "k")
	got := f.addAll(belfry.Entries{Messages: []belfry.Message{plain, newer}})
	want := map[belfry.Replaced]bool{{ID: old.ID, By: 1}: true, {ID: older.ID, By: 1}: true}
	if len(got) != 2 || !want[got[0]] || !want[got[1]] || got[0] == got[1] {
		t.Errorf("replaced %v, want %v", got, want)
	}
	wantCounts(t, f.counts(ann), before.Unread, before.Unseen, byType{1: before.Unread})
	for _, gone := range []belfry.ID{old.ID, older.ID} {
		_, err := f.Message(context.Background(), gone)
		wantCode(t, "what was replaced", err, belfry.ErrNotFound)
	}
	for _, m := range apart {
		if _, err := f.Message(context.Background(), m.ID); err != nil {
			t.Errorf("%+v has gone: %v", m, err)
		}
	}
	entries, _ := f.since(ann, newer.ID, 10)
	if len(entries) != 0 {
		t.Errorf("after the newer one there is %+v", entries)
	}
	entries, _ = f.since(ann, apart[6].ID, 10)
	last := entries[len(entries)-2:] // at one place, the revision is first
	if r := last[0].Revision; r == nil || r.Kind != belfry.RevisionReplaced || r.Place != newer.ID || r.Company != "acme" || len(r.IDs) != 2 {
		t.Errorf("the log has %+v", last[0])
	}
	if m := last[1].Message; m == nil || m.ID != newer.ID {
		t.Errorf("the log has %+v", last[1])
	}
	if entries, _ := f.since(annOther, apart[6].ID, 10); len(entries) != 0 {
		t.Errorf("another company is told of %+v", entries)
	}
}

func testCollapseRead(t *testing.T, f *fixture) {
	read, archived := f.keyed("1", "acme", "k"), f.keyed("1", "acme", "k")
	f.add(read)
	f.read(ann, read.ID)
	f.add(archived)
	f.mark(ann, belfry.RevisionArchived, archived.ID)
	newer := f.keyed("1", "acme", "k")
	if got := f.addAll(belfry.Entries{Messages: []belfry.Message{newer}}); len(got) != 0 {
		t.Errorf("replaced %v", got)
	}
	f.wantInbox(ann, newer.ID, read.ID)
	f.wantList(ann, belfry.InboxQuery{Archived: true}, archived.ID)
}

func testCollapseWithin(t *testing.T, f *fixture) {
	one, two, three := f.keyed("1", "acme", "k"), f.keyed("10", "acme", "k"), f.keyed("1", "acme", "k")
	got := f.addAll(belfry.Entries{Messages: []belfry.Message{one, two, three}})
	if want := []belfry.Replaced{{ID: one.ID, By: 2}}; !reflect.DeepEqual(got, want) {
		t.Errorf("replaced %v, want %v", got, want)
	}
	f.wantInbox(ann, three.ID)
	f.wantInbox(bob, two.ID)
	wantCounts(t, f.counts(ann), 1, 1, byType{1: 1})
	f.wantPruned(belfry.MessageLimits{Rows: 2}, 10, 0) // they are counted right
	f.wantPruned(belfry.MessageLimits{Rows: 1}, 10, 1)
}

func testCollapseNotices(t *testing.T, f *fixture) {
	f.join(ann, bob, annOther)
	old := f.keyed("", "acme", "k")
	apart := []belfry.Message{f.keyed("", "", "k"), f.keyed("", "other", "k"), f.keyed("", "acme", "l"), f.keyed("1", "acme", "k")}
	f.add(append([]belfry.Message{old}, apart...)...)
	f.read(ann, old.ID)
	newer := f.keyed("", "acme", "k")
	got := f.addAll(belfry.Entries{Messages: []belfry.Message{newer}})
	if want := []belfry.Replaced{{ID: old.ID, By: 0}}; !reflect.DeepEqual(got, want) {
		t.Errorf("replaced %v, want %v", got, want)
	}
	f.wantInbox(ann, newer.ID, apart[3].ID, apart[2].ID, apart[0].ID, old.ID)
	f.wantInbox(bob, newer.ID, apart[2].ID, apart[0].ID)
	f.wantWaiting(bob, 10, apart[0].ID, apart[2].ID, newer.ID)
	wantCounts(t, f.counts(ann), 4, 4, byType{1: 4})
	wantCounts(t, f.counts(bob), 3, 3, byType{1: 3})
	if n := f.mark(bob, belfry.RevisionRead, old.ID).OwnRows; n != 0 {
		t.Errorf("%d marked that bob does not see", n)
	}
	if n := f.mark(bob, belfry.RevisionArchived, old.ID).OwnRows; n != 0 {
		t.Errorf("%d archived that bob does not see", n)
	}
	// Unread, nobody would see it.
	if n := f.mark(ann, belfry.RevisionUnread, old.ID).OwnRows; n != 0 {
		t.Errorf("%d marked unread", n)
	}
	f.mark(ann, belfry.RevisionArchived, old.ID)
	f.wantList(ann, belfry.InboxQuery{Archived: true}, old.ID)
	f.mark(ann, belfry.RevisionUnarchived, old.ID)
	for _, who := range []belfry.Identity{ann, bob} {
		entries, _ := f.since(who, apart[3].ID, 10)
		if r := entries[len(entries)-2].Revision; who == bob && (r == nil || r.Kind != belfry.RevisionReplaced || r.Place != newer.ID || fmt.Sprint(r.IDs) != fmt.Sprint([]belfry.ID{old.ID})) {
			t.Errorf("%v: the log has %+v", who, entries)
		}
		f.wantReplay(who)
	}
	if got := f.addAll(belfry.Entries{Messages: []belfry.Message{f.keyed("", "acme", "k")}}); len(got) != 1 || got[0].ID != newer.ID {
		t.Errorf("the next one replaces %v, want %v alone", got, newer.ID)
	}
}

func testRequests(t *testing.T, f *fixture) {
	ctx := context.Background()
	made := belfry.Request{Key: "k", Fingerprint: [32]byte{1, 2}, Answer: []byte{0, 1, '"'}, Made: start.Add(5 * time.Millisecond)}
	m := f.message("1", "acme", 1)
	f.addAll(belfry.Entries{Request: &made, Messages: []belfry.Message{m}})
	f.addAll(belfry.Entries{Request: &belfry.Request{Key: "K", Made: start}})
	for _, since := range []time.Time{{}, start, made.Made} {
		got, err := f.Request(ctx, "k", since)
		if err != nil || !got.Made.Equal(made.Made) {
			t.Fatalf("since %v: %+v, %v", since, got, err)
		}
		got.Made = made.Made
		if !reflect.DeepEqual(got, made) {
			t.Errorf("the request is %+v, want %+v", got, made)
		}
	}
	for key, since := range map[string]time.Time{"k": made.Made.Add(time.Millisecond), "unknown": {}} {
		_, err := f.Request(ctx, key, since)
		wantCode(t, "a request that is not there", err, belfry.ErrNotFound)
	}
	again := made
	again.Made = made.Made.Add(24 * time.Hour)
	_, err := f.Add(ctx, belfry.Entries{Request: &again})
	wantCode(t, "within its lifetime", err, belfry.ErrConflict)
	again.Made, again.Answer = again.Made.Add(time.Second), nil
	f.addAll(belfry.Entries{Request: &again})
	if got, err := f.Request(ctx, "k", again.Made); err != nil || got.Answer != nil || got.Fingerprint != again.Fingerprint {
		t.Errorf("the request is %+v, %v", got, err)
	}
	f.wantInbox(ann, m.ID)
}

func testAnswerRequest(t *testing.T, f *fixture) {
	ctx := context.Background()
	f.addAll(belfry.Entries{Request: &belfry.Request{Key: "k", Made: start}})
	f.addAll(belfry.Entries{Request: &belfry.Request{Key: "l", Made: start, Answer: []byte("stays")}})
	for i := range 20 {
		answer := fmt.Append(nil, i)
		if err := f.AnswerRequest(ctx, "k", answer); err != nil {
			t.Fatal(err)
		}
		clear(answer) // the store keeps its own
		if got, err := f.Request(ctx, "k", start); err != nil || string(got.Answer) != fmt.Sprint(i) {
			t.Fatalf("the answer is %q (%v), want %d", got.Answer, err, i)
		}
	}
	f.send("1", "acme", 1) // after it, the answers are stored as well
	if got, err := f.Request(ctx, "k", start); err != nil || string(got.Answer) != "19" {
		t.Errorf("the answer is %q (%v), want 19", got.Answer, err)
	}
	if got, err := f.Request(ctx, "l", start); err != nil || string(got.Answer) != "stays" {
		t.Errorf("the other answer is %q (%v)", got.Answer, err)
	}
	if err := f.AnswerRequest(ctx, "unknown", nil); err != nil {
		t.Errorf("answering what was not asked: %v", err)
	}
	_, err := f.Request(ctx, "unknown", time.Time{})
	wantCode(t, "what was not asked", err, belfry.ErrNotFound)
}

func testPruneRequests(t *testing.T, f *fixture) {
	ctx := context.Background()
	for i := range 5 {
		f.addAll(belfry.Entries{Request: &belfry.Request{Key: fmt.Sprint(i), Made: start.Add(time.Duration(i) * time.Second)}})
	}
	before := start.Add(3 * time.Second)
	for i, want := range []int{2, 1, 0} {
		if n, err := f.PruneRequests(ctx, before, 2); err != nil || n != want {
			t.Errorf("step %d deleted %d (%v), want %d", i, n, err, want)
		}
		if i == 0 {
			if _, err := f.Request(ctx, "2", time.Time{}); err != nil {
				t.Errorf("the oldest are not the first to go: %v", err)
			}
		}
	}
	for i := range 5 {
		if _, err := f.Request(ctx, fmt.Sprint(i), time.Time{}); (err == nil) != (i >= 3) {
			t.Errorf("request %d: %v", i, err)
		}
	}
}
