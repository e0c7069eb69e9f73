package belfry_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"belfry"
)

// from is the login of a page that comes back.
func from(c belfry.Cursor) belfry.LoginOptions {
	return belfry.LoginOptions{Trusted: true, Cursor: c}
}

func TestAPageThatComesBackIsToldAllThatItMissedInOrder(t *testing.T) {
	ctx := context.Background()
	b := newBench(t)
	p, _ := b.login(ann)
	r := b.push("before", "", "1")
	b.logout(ann, p)
	stays, _ := b.login(ann) // so that nothing waits

	b.push("one", "acme", "1")
	b.push("elsewhere", "other", "1")
	b.push("bob's", "", "10")
	b.record("two", "acme")
	b.record("not mine", "other")
	b.mark(ann, belfry.RevisionRead, r.IDs...)
	b.send(notice("three", "acme", false))
	gone := b.push("gone", "", "1")
	if err := b.WithdrawMessage(ctx, gone.IDs[0]); err != nil {
		t.Fatal(err)
	}

	back, w := b.login(ann, from(p.cursor()))
	want := fmt.Sprintf("one two msg_read:%d three msg_changed:%d ", belfry.RevisionRead, belfry.RevisionWithdrawn)
	wantTold(t, back, want)
	if w.Reset || w.Replayed != 5 || w.Counts.Unread != 2 {
		t.Errorf("it is welcomed with %+v", w)
	}
	for _, m := range back.messages() {
		if m.Counts == nil || m.Counts.Unread != 2 {
			t.Errorf("%s carries counts %+v", m.Message.Title, m.Counts)
		}
	}
	if got := strings.ReplaceAll(stays.story(), "gone ", ""); got != want {
		t.Errorf("who stayed was told %q, want %q", got, want)
	}
	b.push("live", "", "1")
	wantTold(t, back, want+"live ")
	// Nothing is told twice, wherever it comes back from.
	again, w := b.login(ann, from(back.cursor()))
	if again.story() != "" || w.Replayed != 0 || w.Reset {
		t.Errorf("it is told %q, %+v", again.story(), w)
	}
}

// TestWhatWasFoundToBeMissedIsNotReadAgain has a page log in with what was found before: as it is, unless something has come since.
func TestWhatWasFoundToBeMissedIsNotReadAgain(t *testing.T) {
	b := newBench(t)
	p, w := b.login(ann)
	b.logout(ann, p)
	b.push("1", "", "1")
	read := 0
	b.store.set(func(s *shakyStore) {
		s.since = func() (func([]belfry.LogEntry), error) {
			read++
			return func([]belfry.LogEntry) {}, nil
		}
	})
	find := func() belfry.LoginOptions {
		t.Helper()
		o := from(w.Cursor)
		can, missed, err := b.CanCatchUp(t.Context(), ann, w.Cursor)
		if !can || err != nil {
			t.Fatalf("CanCatchUp says %v, %v", can, err)
		}
		o.Resumed, o.Missed = true, missed
		return o
	}
	o := find()
	p, _ = b.login(ann, o)
	if p.story() != "1 " || read != 1 {
		t.Errorf("it is told %q, and the log was read %d times, want once", p.story(), read)
	}
	b.logout(ann, p)
	o = find()
	b.push("2", "", "1")
	if p, _ = b.login(ann, o); p.story() != "1 2 " || read != 3 {
		t.Errorf("it is told %q, and the log was read %d times, want 3", p.story(), read)
	}
}

func TestWhoMissedTooMuchLoadsTheListsAnew(t *testing.T) {
	ctx := context.Background()
	b := newBench(t, func(o *belfry.ServiceOptions) { o.CatchUpLimit = 3 })
	p, w := b.login(ann)
	b.logout(ann, p)
	for _, title := range []string{"1", "2", "3"} {
		b.push(title, "", "1")
	}
	can := func(want bool) {
		t.Helper()
		if got, missed, err := b.CanCatchUp(ctx, ann, w.Cursor); err != nil || got != want || missed.Near() != want {
			t.Errorf("CanCatchUp says %v, near %v, %v; want %v", got, missed.Near(), err, want)
		}
	}
	can(true)
	b.push("4", "", "1")
	can(false)
	// Who was promised everything gets a little more, and no less.
	promised := from(w.Cursor)
	promised.Resumed = true
	if p, w := b.login(ann, promised); w.Reset || p.story() != "1 2 3 4 " {
		t.Errorf("it is told %q, %+v", p.story(), w)
	}
	late, welcome := b.login(ann, from(w.Cursor))
	if !welcome.Reset || late.story() != "" {
		t.Errorf("it is told %q, %+v", late.story(), welcome)
	}
	for _, title := range []string{"5", "6", "7"} {
		b.push(title, "", "1")
	}
	q := b.hub.newPage()
	if _, err := b.Login(ctx, ann, q, promised); belfry.ErrorCode(err) != belfry.ErrConflict {
		t.Errorf("a promise that cannot be kept: %v", err)
	}
	if n, err := b.Online(ctx, "acme"); err != nil || n.Pages != 2 {
		t.Errorf("online are %+v, %v", n, err)
	}
}

func TestACursorOutlivesTheProcess(t *testing.T) {
	b := newBench(t)
	p, _ := b.login(ann)
	b.push("1", "", "1")
	cursor := p.cursor()
	b.Close()
	// The next one's clock is an hour behind.
	b = newBenchOn(t, b.store, func(o *belfry.ServiceOptions) {
		o.Now = func() time.Time { return time.Now().Add(-time.Hour) }
	})
	b.push("2", "", "1")
	b.record("3", "acme")
	back, w := b.login(ann, from(cursor))
	if wantTold(t, back, "2 3 "); w.Reset {
		t.Errorf("it is welcomed with %+v", w)
	}
}

// TestPagesThatComeAndGoAreToldEverythingOnceAndInOrder changes inboxes and feeds
// from many goroutines while pages leave at any moment and come back from the
// cursor of the last event that they got. Over all its lives, each is told
// what a page is told that was there all the time.
func TestPagesThatComeAndGoAreToldEverythingOnceAndInOrder(t *testing.T) {
	const users, pushers, pushes, lives = 3, 6, 40, 12
	b := newBench(t, func(o *belfry.ServiceOptions) { o.CatchUpLimit = 1 << 20 })
	b.store.set(func(s *shakyStore) {
		s.add = func(context.Context) error {
			if rand.IntN(20) == 0 {
				return belfry.Errorf(belfry.ErrUnavailable, "refused")
			}
			return nil
		}
	})
	who := func(i int) belfry.Identity {
		return belfry.Identity{User: belfry.UserID(fmt.Sprint(i % users)), Company: "acme"}
	}
	faithful := make([]*page, users)
	start := make([]belfry.Cursor, users)
	for i := range faithful {
		p, w := b.login(who(i))
		faithful[i], start[i] = p, w.Cursor
	}
	var work sync.WaitGroup
	for range pushers {
		work.Go(func() { changeAtRandom(b, pushes, who) })
	}
	told := make([][]event, users)
	var visiting sync.WaitGroup
	for i := range users {
		visiting.Go(func() {
			cursor := start[i]
			for range lives {
				p := b.hub.newPage()
				w, err := b.Login(context.Background(), who(i), p, from(cursor))
				if err != nil || w.Reset {
					t.Errorf("Login: %+v, %v", w, err)
					return
				}
				p.since = w.Cursor
				for range rand.IntN(1000) {
					runtime.Gosched() // any moment will do
				}
				b.logout(who(i), p)
				// It is lost after some event; what came later it has not got.
				events := withPlaces(p.all())
				events = events[:rand.IntN(len(events)+1)]
				told[i] = append(told[i], events...)
				if n := len(events); n > 0 {
					cursor = events[n-1].cursor
				}
			}
			work.Wait()
			p, _ := b.login(who(i), from(cursor))
			told[i] = append(told[i], withPlaces(p.all())...)
		})
	}
	visiting.Wait()
	for i := range users {
		gone := withdrawn(faithful[i].all())
		want, got := storyOf(withPlaces(faithful[i].all()), gone), storyOf(told[i], gone)
		if got != want {
			t.Errorf("user %d was told\n%s\nwant\n%s", i, got, want)
		}
		if len(want) == 0 {
			t.Error("nothing was tried")
		}
	}
}

// changeAtRandom pushes, records and withdraws.
func changeAtRandom(b *bench, n int, who func(int) belfry.Identity) {
	ctx := context.Background()
	for i := range n {
		switch rand.IntN(6) {
		case 5:
			if in, err := b.Inbox(ctx, who(i), belfry.InboxQuery{Limit: 3}); err == nil && len(in) > 0 {
				b.WithdrawMessage(ctx, in[len(in)-1].ID)
			}
		case 4:
			if in, err := b.Inbox(ctx, who(i), belfry.InboxQuery{Limit: 3}); err == nil && len(in) > 0 {
				b.Mark(ctx, who(i), belfry.Mark{Kind: belfry.RevisionRead, IDs: []belfry.ID{in[0].ID}})
			}
		case 0:
			b.PushActivity(ctx, belfry.ActivityPush{Activity: belfry.Activity{Company: "acme", Title: "a"}}, nil)
		case 1:
			b.PushMessage(ctx, notice("n", []belfry.CompanyID{"", "acme"}[i%2], false), nil)
		default:
			b.PushMessage(ctx, belfry.Push{
				Message:   belfry.Message{Title: "m", Company: []belfry.CompanyID{"", "acme"}[i%2]},
				Receivers: []belfry.UserID{who(rand.IntN(10)).User},
			}, nil)
		}
	}
}

// withPlaces returns the events that have a place in the log.
func withPlaces(events []event) []event {
	return slices.DeleteFunc(events, func(e event) bool { return e.cursor == (belfry.Cursor{}) })
}

// withdrawn returns the messages that a page was told are withdrawn. Who was away
// meanwhile need not be told of them first.
func withdrawn(events []event) map[belfry.ID]bool {
	gone := make(map[belfry.ID]bool)
	for _, e := range events {
		if r, ok := e.arg.(belfry.RevisionEvent); ok && r.Kind == belfry.RevisionWithdrawn {
			gone[r.IDs[0]] = true
		}
	}
	return gone
}

// storyOf lists events by their places, as they were told.
func storyOf(events []event, gone map[belfry.ID]bool) string {
	var s strings.Builder
	for _, e := range events {
		if m, ok := e.arg.(belfry.MessageEvent); ok && gone[m.Message.ID] {
			continue
		}
		fmt.Fprintf(&s, "%s %s\n", belfry.ID(e.cursor), e.name)
	}
	return s.String()
}

func TestAPageIsGreetedBeforeItHearsWhatIsPublished(t *testing.T) {
	b := newBench(t)
	b.push("waits", "", "1")
	p := b.hub.newPage()
	greeted := 0
	_, err := b.Login(context.Background(), ann, p, belfry.LoginOptions{Trusted: true, Greet: func(w belfry.Welcome) {
		greeted++
		b.record("live", "acme")
		p.Emit("hello", w.Cursor, w.Counts.Unread)
	}})
	if err != nil || greeted != 1 {
		t.Fatalf("greeted %d times, %v", greeted, err)
	}
	var names []string
	var last belfry.ID
	for _, e := range p.all() {
		if e.cursor == (belfry.Cursor{}) {
			continue
		}
		names = append(names, e.name)
		if belfry.ID(e.cursor).Compare(last) < 0 {
			t.Errorf("the cursor of %s goes back", e.name)
		}
		last = belfry.ID(e.cursor)
	}
	if want := []string{belfry.EventMessage, "hello", belfry.EventActivity}; !slices.Equal(names, want) {
		t.Errorf("the page got %v, want %v", names, want)
	}
}

// A page that is told something later than what it has missed would come back
// from there.
func TestALoginThatFailsTellsNothingOfWhatCameMeanwhile(t *testing.T) {
	b := newBench(t, func(o *belfry.ServiceOptions) { o.CatchUpLimit = 1 })
	p, w := b.login(ann)
	b.logout(ann, p)
	for range 3 {
		b.record("missed", "acme")
	}
	b.store.set(func(s *shakyStore) {
		s.since = func() (func([]belfry.LogEntry), error) {
			b.record("live", "acme")
			return func([]belfry.LogEntry) {}, nil
		}
	})
	promised := from(w.Cursor)
	promised.Resumed = true
	q := b.hub.newPage()
	if _, err := b.Login(context.Background(), ann, q, promised); belfry.ErrorCode(err) != belfry.ErrConflict {
		t.Fatalf("Login: %v", err)
	}
	if got := q.story(); got != "" {
		t.Errorf("the page is told %q", got)
	}
	if q.held {
		t.Error("the page is held")
	}
}
