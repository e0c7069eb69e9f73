package belfry_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"belfry"
)

func TestWhatArrivedWithoutAPageIsSentOnceAtTheNextLogin(t *testing.T) {
	b := newBench(t)
	for _, title := range []string{"1", "2", "3"} {
		if r := b.push(title, "", "1"); r.Pages != 0 || !r.Stored {
			t.Errorf("receipt is %+v", r)
		}
	}
	b.push("elsewhere", "other", "1")
	p, w := b.login(ann)
	if got := p.titles(belfry.EventMessage); got != "1 2 3 " || w.Replayed != 3 {
		t.Errorf("the page got %q, %+v", got, w)
	}
	if w.Online != 1 || w.Counts.Unread != 3 {
		t.Errorf("the page is welcomed with %+v", w)
	}
	if p, w := b.login(ann); w.Replayed != 0 || p.titles(belfry.EventMessage) != "" {
		t.Errorf("a second page got %q, %+v", p.titles(belfry.EventMessage), w)
	}
	if p, _ := b.login(annOther); p.titles(belfry.EventMessage) != "elsewhere " {
		t.Errorf("the page in the other company got %q", p.titles(belfry.EventMessage))
	}
}

func TestAReplayIsLimitedAndTheRestWaits(t *testing.T) {
	b := newBench(t, func(o *belfry.ServiceOptions) { o.ReplayLimit = 2 })
	for _, title := range []string{"1", "2", "3"} {
		b.push(title, "", "1")
	}
	for _, want := range []string{"1 2 ", "3 ", ""} {
		if p, _ := b.login(ann); p.titles(belfry.EventMessage) != want {
			t.Errorf("the page got %q, want %q", p.titles(belfry.EventMessage), want)
		}
	}
}

func TestAPageThatIsGoneDoesNotUseUpWhatWaits(t *testing.T) {
	b := newBench(t)
	b.push("m", "", "1")
	gone := b.hub.newPage()
	gone.close()
	if w, err := b.Login(context.Background(), ann, gone, belfry.LoginOptions{Trusted: true}); err != nil || w.Replayed != 0 {
		t.Errorf("the page that is gone: %+v, %v", w, err)
	}
	b.logout(ann, gone)
	if p, _ := b.login(ann); p.titles(belfry.EventMessage) != "m " {
		t.Errorf("the next page got %q", p.titles(belfry.EventMessage))
	}
}

func TestALoginThatFailsLeavesThePageAlone(t *testing.T) {
	b := newBench(t)
	away := belfry.Errorf(belfry.ErrUnavailable, "away")
	b.store.set(func(s *shakyStore) { s.fail = away })
	p := b.hub.newPage()
	if _, err := b.Login(context.Background(), ann, p, belfry.LoginOptions{Trusted: true}); !errors.Is(err, away) {
		t.Errorf("Login: %v", err)
	}
	b.store.set(func(s *shakyStore) { s.fail = nil })
	if n, err := b.Online(context.Background(), "acme"); err != nil || n != (belfry.OnlineCount{}) {
		t.Errorf("online are %+v, %v", n, err)
	}
	if r := b.push("m", "", "1"); r.Pages != 0 || len(p.all()) != 0 {
		t.Errorf("the page is in a room: %+v, %v", r, p.all())
	}
}

func TestAPageLearnsHowManyAreOnline(t *testing.T) {
	b := newBench(t)
	if p, w := b.login(ann); w.Online != 1 || p.got(belfry.EventOnlineCount)[0] != 1 {
		t.Errorf("the first: %+v, %v", w, p.all())
	}
	b.login(ann)
	b.login(annOther)
	p, w := b.login(bob)
	if w.Online != 2 || p.got(belfry.EventOnlineCount)[0] != 2 {
		t.Errorf("another user: %+v, %v", w, p.all())
	}
	if n, err := b.Online(context.Background(), "acme"); err != nil || n != (belfry.OnlineCount{Users: 2, Pages: 3}) {
		t.Errorf("online are %+v, %v", n, err)
	}
	b.logout(bob, p)
	if n, err := b.Online(context.Background(), "acme"); err != nil || n.Pages != 2 {
		t.Errorf("after one left, online are %+v, %v", n, err)
	}
}

func TestListsAreLimited(t *testing.T) {
	b := newBench(t)
	for range belfry.MaxListLimit + 1 {
		b.push("m", "", "1")
	}
	for limit, want := range map[int]int{-1: belfry.DefaultListLimit, 0: belfry.DefaultListLimit, 7: 7, 1 << 40: belfry.MaxListLimit} {
		if got, err := b.Inbox(context.Background(), ann, belfry.InboxQuery{Limit: limit}); err != nil || len(got) != want {
			t.Errorf("limit %d gives %d (%v), want %d", limit, len(got), err, want)
		}
	}
}

func TestAPageThatLogsInDuringAPushGetsItOnce(t *testing.T) {
	b := newBench(t)
	there, _ := b.login(ann)

	storing, store := make(chan struct{}), make(chan struct{})
	b.store.set(func(s *shakyStore) { s.add = func(context.Context) error { close(storing); <-store; return nil } })
	pushed := make(chan belfry.Receipt)
	go func() {
		r, err := b.PushMessage(context.Background(), belfry.Push{Message: belfry.Message{Title: "m"}, Receivers: []belfry.UserID{"1"}}, nil)
		if err != nil {
			t.Errorf("PushMessage: %v", err)
		}
		pushed <- r
	}()
	<-storing

	// The login has read what waits, and is held up there.
	reading, read := make(chan struct{}), make(chan struct{})
	b.store.set(func(s *shakyStore) { s.read = func() { close(reading); <-read } })
	late := b.hub.newPage()
	welcomed := make(chan belfry.Welcome)
	go func() {
		w, err := b.Login(context.Background(), ann, late, belfry.LoginOptions{Trusted: true})
		if err != nil {
			t.Errorf("Login: %v", err)
		}
		welcomed <- w
	}()
	<-reading

	close(store)
	waitFor(t, func() bool { return there.titles(belfry.EventMessage) == "m " })
	close(read)
	w, r := <-welcomed, <-pushed
	if w.Replayed != 0 || r.Pages != 2 || there.titles(belfry.EventMessage) != "m " || late.titles(belfry.EventMessage) != "m " {
		t.Errorf("the pages got %q and %q (%+v, %+v)", there.titles(belfry.EventMessage), late.titles(belfry.EventMessage), w, r)
	}
}

// TestNothingIsLostDoubledOrReordered pushes from many goroutines to users whose
// pages come and go, through a store that now and then refuses. For every
// message that was stored:
//
//   - it was either published to at least one page and replayed to none, or
//     published to none and replayed to exactly one;
//   - no page got it twice, and every page got what it got in the order of the ids;
//   - a page that was there all the time got it.
//
// What was refused reached nobody.
func TestNothingIsLostDoubledOrReordered(t *testing.T) {
	const users, pushers, pushes, visitors, visits = 4, 8, 60, 8, 25
	b := newBench(t)
	b.CountInLineWithin(time.Minute) // also where the machine stands still meanwhile, each message has its counts
	b.store.set(func(s *shakyStore) {
		s.add = func(context.Context) error {
			if rand.IntN(20) == 0 {
				return belfry.Errorf(belfry.ErrUnavailable, "refused")
			}
			return nil
		}
		s.read = func() { // let others go on between the reading and the replay
			for range rand.IntN(50) {
				runtime.Gosched()
			}
		}
	})
	who := func(i int) belfry.Identity {
		return belfry.Identity{User: belfry.UserID(fmt.Sprint(i % users)), Company: belfry.CompanyID(fmt.Sprint(i % 2))}
	}
	faithful, _ := b.login(who(0))

	var (
		work   sync.WaitGroup
		mu     sync.Mutex
		stored = make(map[belfry.ID]belfry.UserID)
	)
	for range pushers {
		work.Go(func() {
			for range pushes {
				to := []belfry.UserID{who(rand.IntN(users)).User, who(rand.IntN(users)).User}
				draft := belfry.Message{Title: "m"}
				if to[0] == to[1] {
					to, draft.Company = to[:1], who(rand.IntN(2)).Company
				}
				r, err := b.PushMessage(context.Background(), belfry.Push{Message: draft, Receivers: to}, nil)
				if err != nil {
					continue
				}
				mu.Lock()
				for i, id := range r.IDs {
					stored[id] = to[i]
				}
				mu.Unlock()
			}
		})
	}
	for v := range visitors {
		work.Go(func() {
			who := who(v%(users-1) + 1) // not the faithful one
			for range visits {
				p := b.hub.newPage()
				w, err := b.Login(context.Background(), who, p, belfry.LoginOptions{Trusted: true})
				if err != nil {
					t.Error(err)
					return
				}
				p.since = w.Cursor
				b.logout(who, p)
			}
		})
	}
	work.Wait()

	for i := range users {
		for _, company := range []belfry.CompanyID{"0", "1"} {
			for {
				if _, w := b.login(belfry.Identity{User: who(i).User, Company: company}); w.Replayed == 0 {
					break
				}
			}
		}
	}

	published, replayed := make(map[belfry.ID]int), make(map[belfry.ID]int)
	for _, p := range b.hub.all {
		var last belfry.ID
		for _, e := range p.all() {
			told, ok := e.arg.(belfry.MessageEvent)
			if !ok {
				continue
			}
			m := told.Message
			if told.Counts == nil || told.Counts.Unread == 0 {
				t.Errorf("%s got %s without counts after it: %+v", p.id, m.ID, told.Counts)
			}
			if m.ID.Compare(last) <= 0 {
				t.Errorf("%s got %s after %s", p.id, m.ID, last)
			}
			last = m.ID
			if stored[m.ID] != m.Receiver {
				t.Errorf("%s got %s, which was refused or is not for it", p.id, m.ID)
			}
			if e.replay {
				replayed[m.ID]++
			} else {
				published[m.ID]++
			}
		}
	}
	for id := range stored {
		if published[id] > 0 && replayed[id] != 0 || published[id] == 0 && replayed[id] != 1 {
			t.Errorf("%s was published to %d pages and replayed to %d", id, published[id], replayed[id])
		}
	}
	want := b.counts(who(0)).Unread
	if got := len(faithful.got(belfry.EventMessage)); got != want {
		t.Errorf("the page that was there all the time got %d of %d", got, want)
	}
	if len(replayed) == 0 || len(published) == 0 {
		t.Errorf("%d replayed, %d published: nothing was tried", len(replayed), len(published))
	}
}

// TestLoginsWaitForTheirTurnToAskTheStore has as many logins as may ask the store hang there: others wait, and go on when these have been
// answered.
func TestLoginsWaitForTheirTurnToAskTheStore(t *testing.T) {
	b := newBench(t)
	hang := make(chan struct{})
	var asking atomic.Int64
	b.store.set(func(s *shakyStore) {
		s.read = func() {
			asking.Add(1)
			<-hang
		}
	})
	const more = 10
	var logins sync.WaitGroup
	for i := range belfry.MaxArriving + more {
		logins.Go(func() {
			b.login(belfry.Identity{User: belfry.UserID(fmt.Sprint("user", i)), Company: "acme"})
		})
	}
	waitFor(t, func() bool { return asking.Load() == belfry.MaxArriving })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Login(ctx, bob, b.hub.newPage(), belfry.LoginOptions{Trusted: true}); !errors.Is(err, context.Canceled) {
		t.Errorf("a login whose time is over while it waits: %v", err)
	}
	if n := asking.Load(); n != belfry.MaxArriving {
		t.Errorf("%d logins ask at once", n)
	}
	close(hang)
	logins.Wait()
	if n := asking.Load(); n != belfry.MaxArriving+more {
		t.Errorf("%d logins have asked", n)
	}
}

// TestAMessageThatIsKeptForAPageThatIsNotLetInWaits has a message come while a page logs in, which then fails.
func TestAMessageThatIsKeptForAPageThatIsNotLetInWaits(t *testing.T) {
	b := newBench(t)
	away := belfry.Errorf(belfry.ErrUnavailable, "away")
	b.store.set(func(s *shakyStore) {
		s.read = func() {
			if r := b.push("m", "", ann.User); r.Pages != 1 {
				t.Errorf("the message was queued for %d pages", r.Pages)
			}
			b.store.set(func(s *shakyStore) { s.counts = away })
		}
	})
	if _, err := b.Login(t.Context(), ann, b.hub.newPage(), belfry.LoginOptions{Trusted: true}); belfry.ErrorCode(err) != belfry.ErrUnavailable {
		t.Fatalf("Login: %v", err)
	}
	b.store.set(func(s *shakyStore) { s.read, s.counts = nil, nil })
	for _, want := range []string{"m ", ""} {
		p, _ := b.login(ann)
		if got := p.titles(belfry.EventMessage); got != want {
			t.Errorf("%s got %q, want %q", p.id, got, want)
		}
		b.logout(ann, p)
	}
}

// TestAMessageToAnotherCompanysPageDoesNotWait has one come to a page that the user has in another company than the one that is not
// let in.
func TestAMessageToAnotherCompanysPageDoesNotWait(t *testing.T) {
	b := newBench(t)
	elsewhere := belfry.Identity{User: ann.User, Company: "elsewhere"}
	there, _ := b.login(elsewhere)
	b.store.set(func(s *shakyStore) {
		s.read = func() {
			b.push("m", elsewhere.Company, ann.User)
			b.store.set(func(s *shakyStore) { s.counts = belfry.Errorf(belfry.ErrUnavailable, "away") })
		}
	})
	if _, err := b.Login(t.Context(), ann, b.hub.newPage(), belfry.LoginOptions{Trusted: true}); belfry.ErrorCode(err) != belfry.ErrUnavailable {
		t.Fatalf("Login: %v", err)
	}
	b.store.set(func(s *shakyStore) { s.read, s.counts = nil, nil })
	wantTold(t, there, "m ")
	b.logout(elsewhere, there)
	if p, _ := b.login(elsewhere); p.titles(belfry.EventMessage) != "" {
		t.Errorf("it was told again")
	}
}

// TestAMessageThatIsKeptForAPageThatIsLetInWaitsNoMore has one come likewise, and the login succeed.
func TestAMessageThatIsKeptForAPageThatIsLetInWaitsNoMore(t *testing.T) {
	b := newBench(t)
	var once sync.Once
	b.store.set(func(s *shakyStore) { s.read = func() { once.Do(func() { b.push("m", "", ann.User) }) } })
	for _, want := range []string{"m ", ""} {
		p, _ := b.login(ann)
		if got := p.titles(belfry.EventMessage); got != want {
			t.Errorf("%s got %q, want %q", p.id, got, want)
		}
		b.logout(ann, p)
	}
}
