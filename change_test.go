package belfry_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"belfry"
)

func TestAnEditIsSeenInTheInboxAndInPagesThatAreOpen(t *testing.T) {
	ctx := context.Background()
	b := newBench(t)
	p, _ := b.login(ann)
	elsewhere, _ := b.login(annOther)
	r := b.push("typo", "", "1")
	b.mark(ann, belfry.RevisionRead, r.IDs...)
	title, kind := "fixed", belfry.MessageType(7)
	data := json.RawMessage(` {"a": 1} `)
	m, err := b.EditMessage(ctx, r.IDs[0], belfry.Edit{Title: &title, Type: &kind, Data: &data})
	if err != nil || m.Title != "fixed" || m.ID != r.IDs[0] || string(m.Data) != `{"a":1}` || !m.IsRead {
		t.Fatalf("the message is %+v, %v", m, err)
	}
	for _, page := range []*page{p, elsewhere} {
		changed := page.got(belfry.EventChanged)
		if len(changed) != 1 {
			t.Fatalf("%s was told %v", page.id, changed)
		}
		if e := changed[0].(belfry.RevisionEvent); e.Kind != belfry.RevisionEdited || e.Message.Title != "fixed" || e.IDs[0] != r.IDs[0] {
			t.Errorf("%s was told %+v", page.id, e)
		}
	}
	if got := b.inbox(ann, belfry.InboxQuery{}); got != "fixed " {
		t.Errorf("the inbox is %q", got)
	}
	long := string(make([]byte, belfry.MaxTitleBytes+1))
	_, err = b.EditMessage(ctx, r.IDs[0], belfry.Edit{Title: &long})
	wantInvalid(t, err, "title is 1025")
	if _, err := b.EditMessage(ctx, belfry.ID{1}, belfry.Edit{Title: &title}); belfry.ErrorCode(err) != belfry.ErrNotFound {
		t.Errorf("editing nothing: %v", err)
	}
}

func TestWhatIsWithdrawnIsGoneEverywhere(t *testing.T) {
	ctx := context.Background()
	b := newBench(t)
	p, _ := b.login(ann)
	bobs, _ := b.login(bob)
	message, note := b.push("m", "acme", "1"), b.send(notice("n", "acme", true))
	for _, id := range []belfry.ID{message.IDs[0], note.IDs[0]} {
		if err := b.WithdrawMessage(ctx, id); err != nil {
			t.Fatal(err)
		}
		if err := b.WithdrawMessage(ctx, id); belfry.ErrorCode(err) != belfry.ErrNotFound {
			t.Errorf("withdrawing it again: %v", err)
		}
	}
	wantTold(t, p, fmt.Sprintf("m n msg_changed:%d msg_changed:%d ", belfry.RevisionWithdrawn, belfry.RevisionWithdrawn))
	wantTold(t, bobs, fmt.Sprintf("n msg_changed:%d ", belfry.RevisionWithdrawn))
	if c := b.counts(ann); c.Unread != 0 || b.inbox(ann, belfry.InboxQuery{}) != "" {
		t.Errorf("counts are %+v, the inbox %q", c, b.inbox(ann, belfry.InboxQuery{}))
	}
}

func TestEveryPageOfTheUserFollowsWhatIsRead(t *testing.T) {
	ctx := context.Background()
	b := newBench(t)
	p, _ := b.login(ann)
	second, _ := b.login(ann)
	elsewhere, _ := b.login(annOther)
	bobs, _ := b.login(bob)
	shared, own := b.push("shared", "", "1", "10"), b.push("own", "acme", "1")
	c := b.mark(ann, belfry.RevisionRead, shared.IDs[0], shared.IDs[1], own.IDs[0]) // one of them is bob's
	if c.Unread != 0 {
		t.Errorf("counts are %+v", c)
	}
	for page, want := range map[*page][][]belfry.ID{
		p: {shared.IDs[:1], own.IDs}, second: {shared.IDs[:1], own.IDs}, elsewhere: {shared.IDs[:1]}, bobs: nil,
	} {
		var got [][]belfry.ID
		for _, arg := range page.got(belfry.EventRead) {
			e := arg.(belfry.RevisionEvent)
			got = append(got, e.IDs)
			if e.Kind != belfry.RevisionRead {
				t.Errorf("%s was told %+v", page.id, e)
			}
		}
		if counts := page.got(belfry.EventCounts); len(got) > 0 && (len(counts) != 1 || counts[0].(belfry.Counts).Unread != 0) {
			t.Errorf("%s counts %v", page.id, counts)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s was told of %v, want %v", page.id, got, want)
		}
	}
	// The first of two events of one place does not say that all is told.
	var cursors []belfry.Cursor
	for _, e := range p.all() {
		if e.name == belfry.EventRead {
			cursors = append(cursors, e.cursor)
		}
	}
	if len(cursors) != 2 || cursors[0] != (belfry.Cursor{}) || cursors[1] == (belfry.Cursor{}) {
		t.Errorf("cursors are %v", cursors)
	}
	before := len(p.all())
	if again := b.mark(ann, belfry.RevisionRead, own.IDs...); again.Version != c.Version || len(p.all()) != before {
		t.Errorf("marking what is marked tells pages, and counts %+v after %+v", again, c)
	}
	if c := b.mark(ann, belfry.RevisionUnread, own.IDs...); c.Unread != 1 || b.inbox(ann, belfry.InboxQuery{Unread: true}) != "own " {
		t.Errorf("after unread, counts are %+v", c)
	}
	if c := b.counts(bob); c.Unread != 1 {
		t.Errorf("bob counts %+v", c)
	}
	_, err := b.Mark(ctx, ann, belfry.Mark{Kind: belfry.RevisionRead, IDs: make([]belfry.ID, belfry.MaxMarkIDs+1)})
	wantInvalid(t, err, "ids has 1001 entries")
}

func TestAllOfATypeIsRead(t *testing.T) {
	b := newBench(t)
	p, _ := b.login(ann)
	for _, kind := range []belfry.MessageType{1, 2, 2} {
		b.send(belfry.Push{Message: belfry.Message{Title: "m", Type: kind}, Receivers: []belfry.UserID{"1"}})
	}
	n := notice("n", "acme", false)
	n.Message.Type = 2
	b.send(n)
	c, err := b.Mark(context.Background(), ann, belfry.Mark{Kind: belfry.RevisionRead, Type: 2})
	if err != nil || c.Unread != 1 || c.ByType[1] != 1 || len(c.ByType) != 1 {
		t.Errorf("counts are %+v, %v", c, err)
	}
	told := 0
	for _, arg := range p.got(belfry.EventRead) {
		told += len(arg.(belfry.RevisionEvent).IDs)
	}
	if told != 3 {
		t.Errorf("the page was told of %d messages: %+v", told, p.got(belfry.EventRead))
	}
	if c := b.mark(ann, belfry.RevisionRead); c.Unread != 0 {
		t.Errorf("after all, counts are %+v", c)
	}
}

func TestWhatIsArchivedIsListedApartAndCountsNowhere(t *testing.T) {
	b := newBench(t)
	p, _ := b.login(ann)
	r, n := b.push("m", "", "1"), b.send(notice("n", "acme", false))
	b.push("stays", "", "1")
	if c := b.mark(ann, belfry.RevisionArchived, r.IDs[0], n.IDs[0]); c.Unread != 1 {
		t.Errorf("counts are %+v", c)
	}
	if in, away := b.inbox(ann, belfry.InboxQuery{}), b.inbox(ann, belfry.InboxQuery{Archived: true}); in != "stays " || away != "n m " {
		t.Errorf("the inbox is %q, the archive %q", in, away)
	}
	if got := len(p.got(belfry.EventChanged)); got != 2 {
		t.Errorf("the page was told %d times", got)
	}
	if c := b.mark(ann, belfry.RevisionUnarchived, r.IDs...); c.Unread != 1 || b.inbox(ann, belfry.InboxQuery{}) != "stays m " {
		t.Errorf("counts are %+v, the inbox %q", c, b.inbox(ann, belfry.InboxQuery{}))
	}
}

func TestSeenTellsAllPagesOfTheIdentityTheCounts(t *testing.T) {
	b := newBench(t)
	p, _ := b.login(ann)
	r := b.push("m", "", "1")
	b.push("n", "", "1")
	seen, err := b.MarkSeen(context.Background(), ann, r.IDs[0])
	if err != nil || seen.Unseen != 1 || seen.Unread != 2 {
		t.Errorf("MarkSeen: %+v, %v", seen, err)
	}
	if got := p.got(belfry.EventCounts); len(got) != 1 || fmt.Sprint(got[0]) != fmt.Sprint(seen) {
		t.Errorf("the page got %v", got)
	}
}

func TestEveryMessageCarriesTheCountsOfWhoeverGetsIt(t *testing.T) {
	b := newBench(t)
	p, _ := b.login(ann)
	elsewhere, _ := b.login(annOther)
	b.push("acme", "acme", "1")
	b.push("shared", "", "1")
	b.push("shared", "", "1")
	unread := func(p *page) []int {
		var n []int
		for _, m := range p.messages() {
			n = append(n, m.Counts.Unread)
		}
		return n
	}
	if got := unread(p); !slices.Equal(got, []int{1, 2, 3}) {
		t.Errorf("the page counted %v", got)
	}
	if got := unread(elsewhere); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("the page in the other company counted %v", got)
	}
}

func TestWhatExpiresIsTakenBackEverywhere(t *testing.T) {
	clock := newClock()
	b := newBench(t, func(o *belfry.ServiceOptions) { o.Now = clock.time })
	p, _ := b.login(ann)
	soon := clock.time().Add(time.Second)
	b.send(belfry.Push{Message: belfry.Message{Title: "m", Expires: soon}, Receivers: []belfry.UserID{"1"}})
	n := notice("n", "", true)
	n.Message.Expires = soon.Add(time.Millisecond)
	b.send(n)
	b.push("stays", "", "1")
	if c := b.counts(ann); c.Unread != 3 {
		t.Errorf("counts are %+v before anything expires", c)
	}
	clock.pass(2 * time.Second)
	waitFor(t, func() bool { return b.counts(ann).Unread == 1 && len(p.got(belfry.EventChanged)) >= 1 })
	waitFor(t, func() bool {
		gone := 0
		for _, arg := range p.got(belfry.EventChanged) {
			if e := arg.(belfry.RevisionEvent); e.Kind == belfry.RevisionExpired {
				gone += len(e.IDs)
			}
		}
		return gone == 2
	})
	if got := b.inbox(ann, belfry.InboxQuery{}); got != "stays " {
		t.Errorf("the inbox is %q", got)
	}
	_, err := b.PushMessage(context.Background(), belfry.Push{Message: belfry.Message{Title: "m", Expires: clock.time()}, Receivers: []belfry.UserID{"1"}}, nil)
	wantInvalid(t, err, "expiresAt is over already")
}

func TestAScheduledPushIsSentWhenItsTimeComesAlsoAfterARestart(t *testing.T) {
	ctx := context.Background()
	clock := newClock()
	timed := func(o *belfry.ServiceOptions) { o.Now = clock.time }
	b := newBench(t, timed)
	push := belfry.Push{
		Message:   belfry.Message{Title: "later", Company: "acme"},
		Receivers: []belfry.UserID{"1", "10"}, DeliverAt: clock.time().Add(time.Hour),
	}
	r := b.send(push)
	if r.Scheduled.IsZero() || len(r.IDs) != 0 || r.Pages != 0 {
		t.Fatalf("receipt is %+v", r)
	}
	cancelled := b.send(push)
	if err := b.WithdrawMessage(ctx, cancelled.Scheduled); err != nil {
		t.Fatal(err)
	}
	waiting, err := b.ScheduledPush(ctx, r.Scheduled)
	if err != nil || !waiting.Due.Equal(push.DeliverAt) || waiting.Message.Title != "later" || len(waiting.Receivers) != 2 {
		t.Errorf("what waits is %+v, %v", waiting, err)
	}
	if c := b.counts(ann); c.Unread != 0 {
		t.Errorf("counts are %+v before its time", c)
	}
	b.Close()

	clock.pass(2 * time.Hour)
	b = newBenchOn(t, b.store, timed)
	p, _ := b.login(ann)
	waitFor(t, func() bool { return p.story() == "later " && b.counts(bob).Unread == 1 })
	if c := b.counts(ann); c.Unread != 1 {
		t.Errorf("counts are %+v", c)
	}
	if _, err := b.ScheduledPush(ctx, r.Scheduled); belfry.ErrorCode(err) != belfry.ErrNotFound {
		t.Errorf("it still waits: %v", err)
	}
	push.DeliverAt, push.Message.Expires = clock.time().Add(time.Hour), clock.time().Add(time.Minute)
	_, err = b.PushMessage(ctx, push, nil)
	wantInvalid(t, err, "deliverAt is not before expiresAt")
}
