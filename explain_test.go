package belfry_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"belfry"
	"belfry/sqlite"
)

// newRecordedBench is a bench with a delivery record.
func newRecordedBench(t *testing.T, change ...func(*belfry.ServiceOptions)) *bench {
	t.Helper()
	journal, err := sqlite.OpenJournal(context.Background(), t.TempDir(), sqlite.JournalOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := journal.Close(); err != nil {
			t.Error(err)
		}
	})
	return newBench(t, append(change, func(o *belfry.ServiceOptions) { o.Journal = journal })...)
}

// explain returns the verdict about a message and the kinds of its steps.
func (b *bench) explain(id belfry.ID, user belfry.UserID) (string, []belfry.FactKind) {
	b.t.Helper()
	e, err := b.Explain(context.Background(), id, user)
	if err != nil {
		b.t.Fatalf("Explain: %v", err)
	}
	var kinds []belfry.FactKind
	for i, f := range e.Steps {
		kinds = append(kinds, f.Kind)
		if i > 0 && f.At.Before(e.Steps[i-1].At) {
			b.t.Errorf("steps are not in order: %+v", e.Steps)
		}
	}
	return e.Verdict, kinds
}

func TestTheStoryOfAMessageIsToldInOrder(t *testing.T) {
	ctx := context.Background()
	b := newRecordedBench(t)
	p, _ := b.login(ann)
	r := b.push("m", "", "1")
	if err := b.Acknowledge(ann, p.ID(), r.IDs); err != nil {
		t.Fatal(err)
	}
	if verdict, _ := b.explain(r.IDs[0], "1"); !strings.Contains(verdict, "confirmed") {
		t.Errorf("verdict %q", verdict)
	}
	if _, err := b.MarkSeen(ctx, ann, r.IDs[0]); err != nil {
		t.Fatal(err)
	}
	b.mark(ann, belfry.RevisionRead, r.IDs...)
	b.logout(ann, p)
	verdict, kinds := b.explain(r.IDs[0], "")
	want := []belfry.FactKind{belfry.FactLogin, belfry.FactStored, belfry.FactSent, belfry.FactAcked, belfry.FactSeen, belfry.FactRead, belfry.FactLogout}
	if !strings.Contains(verdict, "has read it") || len(kinds) != len(want) {
		t.Fatalf("verdict %q, steps %v, want %v", verdict, kinds, want)
	}
	for i := range want {
		if kinds[i] != want[i] {
			t.Errorf("steps %v, want %v", kinds, want)
		}
	}
	e, err := b.Explain(ctx, r.IDs[0], "1")
	if err != nil || e.Steps[2].Detail != p.ID() || e.Steps[2].Count != 1 || e.Now == nil || !e.Now.IsRead {
		t.Errorf("explanation is %+v, %v", e, err)
	}
	if err := b.WithdrawMessage(ctx, r.IDs[0]); err != nil {
		t.Fatal(err)
	}
	for _, user := range []belfry.UserID{"1", ""} {
		if verdict, _ := b.explain(r.IDs[0], user); verdict != "it was withdrawn" {
			t.Errorf("verdict %q", verdict)
		}
	}
	old := b.send(belfry.Push{Message: belfry.Message{Title: "old", CollapseKey: "k"}, Receivers: []belfry.UserID{"1"}})
	b.send(belfry.Push{Message: belfry.Message{Title: "new", CollapseKey: "k"}, Receivers: []belfry.UserID{"1"}})
	if verdict, _ := b.explain(old.IDs[0], "1"); !strings.Contains(verdict, "has replaced it") {
		t.Errorf("verdict %q", verdict)
	}
}

func TestItIsToldWhyNothingWasShown(t *testing.T) {
	ctx := context.Background()
	clock := newClock()
	b := newRecordedBench(t, func(o *belfry.ServiceOptions) { o.Now = clock.time })
	send := func(kind belfry.MessageType, to ...belfry.UserID) belfry.ID {
		t.Helper()
		r := b.send(belfry.Push{Message: belfry.Message{Title: "m", Type: kind}, Receivers: to})
		return r.IDs[0]
	}
	says := func(id belfry.ID, user belfry.UserID, want string) {
		t.Helper()
		if verdict, kinds := b.explain(id, user); !strings.Contains(verdict, want) {
			t.Errorf("the verdict about %s is %q (%v), want %q", user, verdict, kinds, want)
		}
	}
	says(send(1, "77"), "77", "has not logged in")

	p, _ := b.login(ann)
	clock.pass(time.Second)
	p.close()
	b.Logout(ann, p, p.since, "too slow")
	clock.pass(time.Second)
	says(send(1, "1"), "1", "too slow")

	b.NoteRefused(bob, "the token has expired")
	says(send(1, "10"), "10", "the token has expired")
	says(send(1, "10"), "1", "not for this user")

	b.prefer("10", belfry.Preference{Type: 2, Off: true}, belfry.Preference{Type: 3, MuteUntil: clock.time().Add(time.Hour)})
	b.login(bob)
	says(send(3, "10"), "10", "muted")
	n := notice("n", "acme", false)
	n.Message.Type = 2
	says(b.send(n).IDs[0], "10", "turned such messages off")
	says(send(2, "10", "11"), "10", "turned such messages off")
	clock.pass(2 * time.Second)
	members := b.send(notice("members", "acme", false))
	says(members.IDs[0], "99", "not known as a member")
	b.login(belfry.Identity{User: "99", Company: "acme"})
	says(members.IDs[0], "99", "after the notice")
	says(members.IDs[0], "10", "sent to open pages")
	clock.pass(3 * time.Hour) // bob's page is still open
	says(b.send(notice("late", "acme", true)).IDs[0], "10", "sent to open pages")

	later := b.send(belfry.Push{Message: belfry.Message{Title: "m"}, Receivers: []belfry.UserID{"1"}, DeliverAt: clock.time().Add(time.Hour)})
	says(later.Scheduled, "1", "it waits until")
	if err := b.WithdrawMessage(ctx, later.Scheduled); err != nil {
		t.Fatal(err)
	}
	says(later.Scheduled, "1", "cancelled")
	if _, err := b.Explain(ctx, belfry.ID{9}, "1"); belfry.ErrorCode(err) != belfry.ErrNotFound {
		t.Errorf("of nothing: %v", err)
	}
	if _, err := newBench(t).Explain(ctx, belfry.ID{9}, "1"); belfry.ErrorCode(err) != belfry.ErrUnavailable {
		t.Errorf("without a record: %v", err)
	}
}
