package porttest

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"belfry"
)

// agendaTests are the cases of AgendaStore.
var agendaTests = map[string]func(*testing.T, *fixture){
	"a scheduled push comes back as it was stored":           testScheduledFields,
	"what is due is found by its time":                       testDue,
	"a scheduled push is fulfilled or cancelled once":        testFulfil,
	"the next due is the next push or the next expiry":       testNextDue,
	"what has expired goes, and its log says so":             testExpire,
	"expiring goes by steps and by what is stored then":      testExpireSteps,
	"expired notices go for everybody, and their marks, too": testExpireNotices,
}

// schedule stores a scheduled push.
func (f *fixture) schedule(due time.Time) belfry.Scheduled {
	f.t.Helper()
	p := belfry.Scheduled{ID: f.place(), Due: due, Message: belfry.Message{Type: 1, Title: "t", Date: start}}
	f.addAll(belfry.Entries{Scheduled: []belfry.Scheduled{p}})
	return p
}

func testScheduledFields(t *testing.T, f *fixture) {
	full := belfry.Scheduled{
		ID: f.place(), Due: start.Add(123 * time.Millisecond), Message: f.fullMessage("", "acme"), Receivers: []belfry.UserID{"1", "' \x00 <é"},
	}
	full.Message.ID, full.Message.Later = belfry.ID{}, true
	full.Message.Data = json.RawMessage("{ \"a\" : [1e2, \"<\\u0041\"] }")
	plain := belfry.Scheduled{ID: f.place(), Due: start, Message: belfry.Message{Type: 1, Date: start}}
	f.addAll(belfry.Entries{Scheduled: []belfry.Scheduled{full, plain}})
	for _, want := range []belfry.Scheduled{full, plain} {
		got, err := f.ScheduledPush(context.Background(), want.ID)
		if err != nil || !got.Due.Equal(want.Due) || got.ID != want.ID || !reflect.DeepEqual(got.Receivers, want.Receivers) {
			t.Fatalf("%+v (%v), want %+v", got, err, want)
		}
		wantMessage(t, got.Message, want.Message)
	}
	_, err := f.ScheduledPush(context.Background(), f.place())
	wantCode(t, "an unknown id", err, belfry.ErrNotFound)
}

// wantDue checks the ids of what is due.
func (f *fixture) wantDue(now time.Time, limit int, want ...belfry.ID) {
	f.t.Helper()
	due, err := f.Due(context.Background(), now, limit)
	if err != nil {
		f.t.Fatal(err)
	}
	var got []belfry.ID
	for _, p := range due {
		got = append(got, p.ID)
	}
	wantIDs(f.t, fmt.Sprint("due at ", now), got, want)
}

func testDue(t *testing.T, f *fixture) {
	third, first := f.schedule(start.Add(2*time.Second)).ID, f.schedule(start).ID
	second := f.schedule(start.Add(time.Millisecond)).ID
	f.wantDue(start.Add(-time.Millisecond), 10)
	f.wantDue(start, 10, first)
	f.wantDue(start.Add(time.Hour), 10, first, second, third)
	f.wantDue(start.Add(time.Hour), 2, first, second)
}

func testFulfil(t *testing.T, f *fixture) {
	ctx := context.Background()
	a, b, stays := f.schedule(start).ID, f.schedule(start).ID, f.schedule(start).ID
	m := f.message("1", "acme", 1)
	f.addAll(belfry.Entries{Messages: []belfry.Message{m}, Fulfils: []belfry.ID{a}})
	if err := f.Cancel(ctx, b); err != nil {
		t.Fatal(err)
	}
	for _, id := range []belfry.ID{a, b, m.ID} {
		_, err := f.Add(ctx, belfry.Entries{Messages: []belfry.Message{f.message("1", "acme", 1)}, Fulfils: []belfry.ID{id}})
		wantCode(t, "fulfilling what is not there", err, belfry.ErrConflict)
		wantCode(t, "cancelling what is not there", f.Cancel(ctx, id), belfry.ErrNotFound)
		_, err = f.ScheduledPush(ctx, id)
		wantCode(t, "reading what is not there", err, belfry.ErrNotFound)
	}
	f.wantDue(start, 10, stays)
	f.wantInbox(ann, m.ID)
}

func testNextDue(t *testing.T, f *fixture) {
	want := func(want time.Time) {
		t.Helper()
		if got, err := f.NextDue(context.Background()); err != nil || !got.Equal(want) {
			t.Errorf("the next due is %v (%v), want %v", got, err, want)
		}
	}
	f.send("1", "acme", 1) // it never expires
	want(time.Time{})
	p := f.schedule(start.Add(5 * time.Second))
	want(p.Due)
	n := f.notice("acme", 1, false)
	n.Expires = start.Add(4 * time.Second)
	f.add(n)
	want(n.Expires)
	m := f.message("1", "acme", 1)
	m.Expires = start.Add(3 * time.Second)
	f.add(m)
	want(m.Expires)
	early := f.schedule(start.Add(2 * time.Second))
	want(early.Due)
	if err := f.Cancel(context.Background(), early.ID); err != nil {
		t.Fatal(err)
	}
	want(m.Expires)
	m.Expires = time.Time{}
	if err := f.Edit(context.Background(), m, belfry.At(f.place())); err != nil {
		t.Fatal(err)
	}
	want(n.Expires)
}

// expiring makes a message that expires.
func (f *fixture) expiring(to belfry.UserID, company belfry.CompanyID, at time.Time) belfry.Message {
	m := f.message(to, company, 1)
	m.Expires = at
	return m
}

func testExpire(t *testing.T, f *fixture) {
	f.join(ann, bob)
	own, shared := f.expiring("1", "acme", start), f.expiring("1", "", start.Add(-time.Hour))
	own2, bobs, notice := f.expiring("1", "acme", start.Add(-time.Millisecond)), f.expiring("10", "acme", start), f.expiring("", "acme", start)
	late, never := f.expiring("1", "acme", start.Add(time.Millisecond)), f.message("1", "acme", 1)
	f.add(own, shared, own2, bobs, notice, late, never)
	f.read(ann, own.ID)
	place := f.place()
	expired, err := f.Expire(context.Background(), start, belfry.At(place), 100)
	if err != nil || len(expired) != 5 {
		t.Fatalf("%d have expired (%v), want 5", len(expired), err)
	}
	own.IsRead = true
	for _, want := range []belfry.Message{own, shared, own2, bobs, notice} {
		found := false
		for _, got := range expired {
			if got.ID == want.ID {
				wantMessage(t, got, want)
				found = true
			}
		}
		if !found {
			t.Errorf("%+v is not returned", want)
		}
	}
	f.wantInbox(ann, never.ID, late.ID)
	f.wantInbox(bob)
	f.wantWaiting(bob, 10)
	wantCounts(t, f.counts(ann), 2, 2, byType{1: 2})
	wantCounts(t, f.counts(bob), 0, 0, byType{})
	for who, want := range map[belfry.Identity]int{ann: 4, annOther: 1, bob: 2, carl: 0} {
		entries, _ := f.since(who, prev(place), 10)
		told := map[belfry.ID]bool{}
		for _, e := range entries {
			if e.Revision.Kind != belfry.RevisionExpired || e.Place != place {
				t.Errorf("%v is told of %+v", who, e.Revision)
			}
			for _, id := range e.Revision.IDs {
				told[id] = true
			}
		}
		if len(told) != want {
			t.Errorf("%v is told of %v, want %d", who, told, want)
		}
	}
}

func testExpireSteps(t *testing.T, f *fixture) {
	ctx := context.Background()
	var ids []belfry.ID
	for i := range 5 {
		m := f.expiring("1", "acme", start.Add(time.Duration(-i)*time.Second))
		f.add(m)
		ids = append(ids, m.ID)
	}
	place := f.place() // all steps may have one
	for i, want := range []int{2, 2, 1, 0} {
		if expired, err := f.Expire(ctx, start, belfry.At(place), 2); err != nil || len(expired) != want {
			t.Errorf("step %d: %d have expired (%v), want %d", i, len(expired), err, want)
		}
	}
	entries, _ := f.since(ann, prev(place), 10)
	if len(entries) != 1 || len(entries[0].Revision.IDs) != len(ids) {
		t.Errorf("the log has %+v, want all of %v", entries, ids)
	}
	f.wantInbox(ann)
	f.wantPruned(belfry.MessageLimits{Rows: 1}, 10, 0) // they are counted right
	f.send("1", "acme", 1)
	f.wantPruned(belfry.MessageLimits{Rows: 1}, 10, 0)
}

func testExpireNotices(t *testing.T, f *fixture) {
	f.join(ann, bob)
	n := f.expiring("", "acme", start)
	f.add(n)
	f.mark(ann, belfry.RevisionArchived, n.ID)
	if expired, err := f.Expire(context.Background(), start, belfry.At(f.place()), 1); err != nil || len(expired) != 1 || expired[0].IsRead {
		t.Errorf("%+v have expired (%v), want the notice, unread", expired, err)
	}
	f.wantList(ann, belfry.InboxQuery{Archived: true})
	f.wantInbox(ann)
	f.wantInbox(bob)
	if got := f.mark(ann, belfry.RevisionUnarchived, n.ID); got.OwnRows != 0 {
		t.Errorf("%+v was marked", got)
	}
}
