package belfry_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"belfry"
)

func notice(title string, company belfry.CompanyID, later bool) belfry.Push {
	return belfry.Push{Message: belfry.Message{Title: title, Company: company, Later: later}, Notice: true}
}

func TestANoticeReachesEveryMemberAndIsCountedForEach(t *testing.T) {
	b := newBench(t)
	anns, _ := b.login(ann)
	bobs, _ := b.login(bob)
	elsewhere, _ := b.login(annOther)
	r := b.send(notice("n", "acme", false))
	if len(r.IDs) != 1 || r.Pages != 2 || !r.Stored {
		t.Errorf("receipt is %+v", r)
	}
	for _, p := range []*page{anns, bobs} {
		wantTold(t, p, "n ")
		waitFor(t, func() bool {
			counts := p.got(belfry.EventCounts)
			return len(counts) > 0 && counts[len(counts)-1].(belfry.Counts).Unread == 1
		})
	}
	wantTold(t, elsewhere, "")
	if c := b.counts(annOther); c.Unread != 0 {
		t.Errorf("the other company counts %+v", c)
	}
	// Reading it is one's own affair.
	if c := b.mark(ann, belfry.RevisionRead, r.IDs...); c.Unread != 0 {
		t.Errorf("after reading, counts are %+v", c)
	}
	if c := b.counts(bob); c.Unread != 1 {
		t.Errorf("bob counts %+v", c)
	}
	b.send(notice("all", "", false))
	wantTold(t, elsewhere, "all ")
	wantTold(t, bobs, "n all ")
}

func TestWhoJoinsLaterSeesANoticeOrNotAsItSays(t *testing.T) {
	b := newBench(t)
	b.login(ann)
	b.send(notice("members", "acme", false))
	b.send(notice("later", "acme", true))
	if p, w := b.login(bob); w.Counts.Unread != 1 || p.story() != "" {
		t.Errorf("who joins later is welcomed with %+v and told %q; old notices are no news", w, p.story())
	}
	if got := b.inbox(bob, belfry.InboxQuery{}); got != "later " {
		t.Errorf("the inbox of who joined later is %q", got)
	}
	if got := b.inbox(ann, belfry.InboxQuery{}); got != "later members " {
		t.Errorf("the inbox of who was there is %q", got)
	}
	// The application may say who is a member before they come.
	if err := b.AddMembers(context.Background(), "acme", []belfry.UserID{"7"}); err != nil {
		t.Fatal(err)
	}
	b.send(notice("again", "acme", false))
	seven := belfry.Identity{User: "7", Company: "acme"}
	if p, w := b.login(seven); w.Counts.Unread != 2 || p.story() != "again " {
		t.Errorf("a known member is welcomed with %+v and told %q", w, p.story())
	}
	if c := b.counts(belfry.Identity{User: "8", Company: "acme"}); c.Unread != 1 {
		t.Errorf("who has never come counts %+v", c)
	}
	wantInvalid(t, b.AddMembers(context.Background(), " ", nil), "companyID is missing")
}

func TestANoticeThatAMemberMissedIsToldOnceAtTheNextLogin(t *testing.T) {
	b := newBench(t)
	p, _ := b.login(ann)
	b.logout(ann, p)
	b.send(notice("missed", "acme", false))
	p, _ = b.login(ann)
	wantTold(t, p, "missed ")
	b.send(notice("live", "acme", false))
	wantTold(t, p, "missed live ")
	b.logout(ann, p)
	p, _ = b.login(ann)
	wantTold(t, p, "")
}

func TestACollapseKeyReplacesWhatIsUnread(t *testing.T) {
	b := newBench(t)
	p, _ := b.login(ann)
	push := func(title, key string, to ...belfry.UserID) belfry.Receipt {
		return b.send(belfry.Push{Message: belfry.Message{Title: title, CollapseKey: key}, Receivers: to})
	}
	first := push("1 of 3", "build", "1", "10")
	second := push("2 of 3", "build", "1")
	push("other", "deploy", "1")
	wantTold(t, p, fmt.Sprintf("1 of 3 msg_changed:%d 2 of 3 other ", belfry.RevisionReplaced))
	if r := p.got(belfry.EventChanged)[0].(belfry.RevisionEvent); r.IDs[0] != first.IDs[0] || r.Place != second.IDs[0] {
		t.Errorf("the page was told %+v", r)
	}
	if got := b.inbox(ann, belfry.InboxQuery{}); got != "other 2 of 3 " {
		t.Errorf("the inbox is %q", got)
	}
	if got := b.inbox(bob, belfry.InboxQuery{}); got != "1 of 3 " {
		t.Errorf("another receiver's inbox is %q", got)
	}
	b.mark(ann, belfry.RevisionRead, second.IDs...)
	push("3 of 3", "build", "1")
	if got := b.inbox(ann, belfry.InboxQuery{}); got != "3 of 3 other 2 of 3 " {
		t.Errorf("what was read is gone: %q", got)
	}
}

func TestANoticeReplacesOneThatIsUnread(t *testing.T) {
	b := newBench(t)
	b.login(ann)
	p, _ := b.login(bob)
	old := notice("old", "acme", true)
	old.Message.CollapseKey = "k"
	r := b.send(old)
	b.mark(ann, belfry.RevisionRead, r.IDs...)
	old.Message.Title = "new"
	b.send(old)
	if got := b.inbox(ann, belfry.InboxQuery{}); got != "new old " {
		t.Errorf("the inbox of who had read it is %q", got)
	}
	if got := b.inbox(bob, belfry.InboxQuery{}); got != "new " {
		t.Errorf("the inbox of who had not is %q", got)
	}
	if a, b := b.counts(ann).Unread, b.counts(bob).Unread; a != 1 || b != 1 {
		t.Errorf("unread are %d and %d", a, b)
	}
	wantTold(t, p, fmt.Sprintf("old msg_changed:%d new ", belfry.RevisionReplaced))
}

func TestANoticeHasNoReceiversAndAMessageHasSome(t *testing.T) {
	b := newBench(t)
	push := notice("n", "acme", true)
	push.Receivers = []belfry.UserID{"1"}
	_, err := b.PushMessage(context.Background(), push, nil)
	wantInvalid(t, err, "receiverID does not go with a notice")
	_, err = b.PushMessage(context.Background(), belfry.Push{Message: belfry.Message{Title: "m"}}, nil)
	wantInvalid(t, err, "receiverID is missing")
}

func TestAnEditedNoticeIsShownToNobodyWhoDoesNotSeeIt(t *testing.T) {
	b := newBench(t)
	member, _ := b.login(ann)
	r, open := b.send(notice("members", "acme", false)), b.send(notice("open", "acme", true))
	later, _ := b.login(bob)
	b.prefer("1", belfry.Preference{Type: 9, Off: true})
	text := "changed"
	for _, id := range []belfry.ID{r.IDs[0], open.IDs[0]} {
		if _, err := b.EditMessage(context.Background(), id, belfry.Edit{Content: &text}); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []*page{member, later} {
		for _, arg := range p.got(belfry.EventChanged) {
			e := arg.(belfry.RevisionEvent)
			if shown := e.Message != nil; shown != (e.IDs[0] == open.IDs[0]) {
				t.Errorf("%s was told %+v", p.id, e)
			}
		}
	}
}

func TestWhatIsBeyondTheReplayWaitsForTheNextLogin(t *testing.T) {
	b := newBench(t, func(o *belfry.ServiceOptions) { o.ReplayLimit = 2 })
	p, _ := b.login(ann)
	b.logout(ann, p)
	for _, title := range []string{"1", "2", "3"} {
		b.send(notice(title, "acme", false))
	}
	p, _ = b.login(ann)
	b.send(notice("4", "acme", false))
	b.logout(ann, p)
	again, _ := b.login(ann)
	wantTold(t, p, "1 2 4 ")
	wantTold(t, again, "3 4 ") // rather twice than never
}

// TestCountsThatCouldNotBeReadAreToldLater has the counts of a message, and of a notice, not to be had for a while.
func TestCountsThatCouldNotBeReadAreToldLater(t *testing.T) {
	b := newBench(t)
	p, _ := b.login(ann)
	away := errors.New("away")
	failing := func(err error) { b.store.set(func(s *shakyStore) { s.counts = err }) }
	failing(away)
	b.push("m", "", ann.User)
	if got := p.messages(); len(got) != 1 || got[0].Counts != nil {
		t.Fatalf("the page was told %+v, want a message without counts", got)
	}
	failing(nil)
	waitFor(t, func() bool { return lastUnread(p) == 1 })
	failing(away)
	if _, err := b.PushMessage(t.Context(), belfry.Push{Message: belfry.Message{Company: "acme", Content: "all"}, Notice: true}, nil); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return len(p.got(belfry.EventMessage)) == 2 })
	failing(nil)
	waitFor(t, func() bool { return lastUnread(p) == 2 })
}

// lastUnread is what a page was told last that is unread, by counts alone.
func lastUnread(p *page) int {
	all := p.got(belfry.EventCounts)
	if len(all) == 0 {
		return -1
	}
	return all[len(all)-1].(belfry.Counts).Unread
}
