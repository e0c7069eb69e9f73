package belfry_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"belfry"
)

// A sharedStore is what several processes share: it calls for places when it is a change's turn, and sometimes another is
// first.
type sharedStore struct {
	*shakyStore
	overtaken func() bool

	turn sync.Mutex
	last belfry.ID
}

func newSharedStore(t *testing.T, overtaken func() bool) *sharedStore {
	return &sharedStore{shakyStore: newShakyStore(t), overtaken: overtaken}
}

// take has a change made when it is its turn. Where it changes nothing, its place is free.
func (s *sharedStore) take(place belfry.Placer, change func(place belfry.ID) (changed bool, err error)) error {
	if s.overtaken() {
		last, _ := s.Last(context.Background())
		place(last)
	}
	s.turn.Lock()
	defer s.turn.Unlock()
	at := place(s.last)
	changed, err := change(at)
	if changed && err == nil {
		s.last = at
	}
	return err
}

func (s *sharedStore) Last(context.Context) (belfry.ID, error) {
	s.turn.Lock()
	defer s.turn.Unlock()
	return s.last, nil
}

func (s *sharedStore) Add(ctx context.Context, e belfry.Entries) (replaced []belfry.Replaced, err error) {
	var last belfry.ID
	err = s.take(func(after belfry.ID) belfry.ID {
		e.Place(after, &e)
		for i := range e.Messages {
			last = e.Messages[i].ID
		}
		for i := range e.Activities {
			if id := e.Activities[i].ID; id.Compare(last) > 0 {
				last = id
			}
		}
		return last
	}, func(belfry.ID) (bool, error) {
		e.Place = nil
		replaced, err = s.shakyStore.Add(ctx, e)
		return !last.IsZero(), err
	})
	return replaced, err
}

func (s *sharedStore) Mark(ctx context.Context, who belfry.Identity, mark belfry.Mark) (marked belfry.Marked, err error) {
	err = s.take(mark.Place, func(place belfry.ID) (bool, error) {
		mark.Place = belfry.At(place)
		marked, err = s.shakyStore.Mark(ctx, who, mark)
		return marked.OwnRows+marked.SharedRows > 0, err
	})
	return marked, err
}

func (s *sharedStore) Edit(ctx context.Context, m belfry.Message, place belfry.Placer) error {
	return s.take(place, func(at belfry.ID) (bool, error) { return true, s.Store.Edit(ctx, m, belfry.At(at)) })
}

func (s *sharedStore) Withdraw(ctx context.Context, id belfry.ID, place belfry.Placer) (m belfry.Message, err error) {
	err = s.take(place, func(at belfry.ID) (bool, error) {
		m, err = s.Store.Withdraw(ctx, id, belfry.At(at))
		return true, err
	})
	return m, err
}

// An installation is several nodes on one store.
type installation struct {
	t     *testing.T
	store *sharedStore
	nodes []*bench
	links []*netBroker
}

func newInstallation(t *testing.T, n int, lossy, overtaken func() bool) *installation {
	in := &installation{t: t, store: newSharedStore(t, overtaken)}
	network := &network{lossy: lossy}
	for range n {
		h := newHub()
		link := network.broker(t, h)
		service, err := belfry.NewService(context.Background(), belfry.ServiceOptions{Store: in.store, Broker: link, CatchUpLimit: 100_000})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(service.Close)
		in.nodes = append(in.nodes, &bench{Service: service, store: in.store.shakyStore, hub: h, t: t})
		in.links = append(in.links, link)
	}
	return in
}

// A reader is somebody who goes from node to node, and remembers where it was.
type reader struct {
	who    belfry.Identity
	start  belfry.Cursor
	cursor belfry.Cursor
	places []belfry.ID // of what it was told
}

// visit logs in at a node, stays until leave is closed, and notes what it was told.
func (r *reader) visit(b *bench, leave <-chan struct{}) error {
	var p *page
	var w belfry.Welcome
	for deadline := time.Now().Add(time.Minute); ; {
		began := time.Now()
		p = b.hub.newPage()
		var err error
		w, err = b.Login(context.Background(), r.who, p, belfry.LoginOptions{Cursor: r.cursor, Trusted: true})
		if err == nil {
			break
		}
		// A node that is behind says so after ten seconds: on a slow machine it may be.
		if belfry.ErrorCode(err) != belfry.ErrUnavailable || time.Since(began) < 10*time.Second || time.Now().After(deadline) {
			return err
		}
	}
	<-leave
	p.close()
	b.Logout(r.who, p, w.Cursor, "it goes on")
	r.note(p, w.Cursor)
	return nil
}

func (r *reader) note(p *page, welcome belfry.Cursor) {
	if belfry.ID(welcome).Compare(belfry.ID(r.cursor)) > 0 {
		r.cursor = welcome
	}
	if r.start == (belfry.Cursor{}) {
		r.start = r.cursor
	}
	for _, e := range p.all() {
		switch v := e.arg.(type) {
		case belfry.MessageEvent:
			r.places = append(r.places, v.Message.ID)
		case *belfry.Activity:
			r.places = append(r.places, v.ID)
		case belfry.RevisionEvent:
			r.places = append(r.places, v.Place)
		}
		if belfry.ID(e.cursor).Compare(belfry.ID(r.cursor)) > 0 {
			r.cursor = e.cursor
		}
	}
}

// check compares what a reader was told with the log.
func (r *reader) check(t *testing.T, store belfry.Store) {
	t.Helper()
	entries, complete, err := store.Since(context.Background(), r.who, belfry.ID(r.start), belfry.ID{0: 0xff}, 1_000_000)
	if err != nil || !complete {
		t.Fatalf("the log of %v: complete %v, %v", r.who, complete, err)
	}
	var want []belfry.ID
	for _, e := range entries {
		want = append(want, e.Place)
	}
	if !slices.Equal(r.places, want) {
		for i := range max(len(want), len(r.places)) {
			if i >= len(want) || i >= len(r.places) || want[i] != r.places[i] {
				t.Errorf("%v was told of %d places, want %d; the first difference is at %d of %v, %v", r.who, len(r.places), len(want), i, r.places[max(0, min(i-1, len(r.places))):min(i+3, len(r.places))], want[max(0, min(i-1, len(want))):min(i+3, len(want))])
				return
			}
		}
	}
}

// TestNodesTellEveryPageTheLogInItsOrder has readers go from node to node while others push, mark and are cut off, and
// units are lost: each reader is told of everything, once and in order.
func TestNodesTellEveryPageTheLogInItsOrder(t *testing.T) {
	for name, loss := range map[string]float64{"all that is sent arrives": 0, "a twentieth is lost": 0.05, "all is lost": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testNodes(t, loss)
		})
	}
}

func testNodes(t *testing.T, loss float64) {
	chance := func(p float64) func() bool { return func() bool { return rand.Float64() < p } }
	in := newInstallation(t, 3, chance(loss), chance(0.3))
	companies := []belfry.CompanyID{"acme", "other"}
	var identities []belfry.Identity
	for i := range 4 {
		for _, company := range companies {
			identities = append(identities, belfry.Identity{User: belfry.UserID(fmt.Sprint(i)), Company: company})
		}
	}
	ctx := context.Background()
	node := func() *bench { return in.nodes[rand.IntN(len(in.nodes))] }

	var writers, readers, cutter sync.WaitGroup
	finished := make(chan struct{})
	var all []*reader
	started := make(chan struct{}, 2*len(identities))
	for range 2 {
		for _, who := range identities {
			r := &reader{who: who}
			all = append(all, r)
			readers.Go(func() {
				for visits := 0; ; visits++ {
					leave := make(chan struct{})
					timer := time.AfterFunc(time.Duration(rand.IntN(30))*time.Millisecond, func() { close(leave) })
					err := r.visit(node(), leave)
					timer.Stop()
					if err != nil {
						t.Errorf("%v: %v", who, err)
						return
					}
					if visits == 0 {
						started <- struct{}{}
					}
					select {
					case <-finished:
						gone := make(chan struct{})
						close(gone)
						if err := r.visit(node(), gone); err != nil {
							t.Errorf("%v: %v", who, err)
						}
						return
					default:
					}
				}
			})
		}
	}
	for range all {
		<-started
	}
	for range 4 {
		writers.Go(func() {
			for i := range 30 {
				b, who := node(), identities[rand.IntN(len(identities))]
				var err error
				switch i % 5 {
				case 0:
					_, err = b.PushActivity(ctx, belfry.ActivityPush{Activity: belfry.Activity{
						Company: who.Company, Content: fmt.Sprint(i), ObjectType: 1, ObjectID: "1"}, Notify: []belfry.UserID{who.User}}, nil)
				case 1:
					_, err = b.PushMessage(ctx, belfry.Push{Message: belfry.Message{Company: who.Company, Content: fmt.Sprint(i)}, Notice: true}, nil)
				case 2:
					_, err = b.Mark(ctx, who, belfry.Mark{Kind: belfry.RevisionRead})
				case 3:
					_, err = b.PushMessage(ctx, belfry.Push{Message: belfry.Message{Content: fmt.Sprint(i)}, Receivers: []belfry.UserID{"0", "1", "2", "3"}}, nil)
				default:
					_, err = b.PushMessage(ctx, belfry.Push{Message: belfry.Message{Company: who.Company, Content: fmt.Sprint(i)}, Receivers: []belfry.UserID{who.User}}, nil)
				}
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	stop := make(chan struct{})
	cutter.Go(func() {
		for {
			link := in.links[rand.IntN(len(in.links))]
			link.setCut(true)
			timer := time.NewTimer(time.Duration(rand.IntN(300)) * time.Millisecond)
			select {
			case <-timer.C:
			case <-stop:
				link.setCut(false)
				return
			}
			link.setCut(false)
		}
	})
	writers.Wait()
	close(stop)
	cutter.Wait()
	close(finished)
	readers.Wait()
	for _, r := range all {
		r.check(t, in.store)
	}
}

// TestANodeThatMayHaveMissedSomethingBelievesNoUnit has a unit come without its news while a node knows that there are gaps.
func TestANodeThatMayHaveMissedSomethingBelievesNoUnit(t *testing.T) {
	in := newInstallation(t, 2, always, never)
	p, _ := in.nodes[1].login(ann)
	in.links[1].receiver.Lost()
	before, _ := in.store.Last(context.Background())
	r := in.nodes[0].push("m", "", ann.User)
	in.links[1].receiver.Receive(belfry.Unit{After: before, Last: r.IDs[0]}, func([]int) {})
	waitFor(t, func() bool { return p.titles(belfry.EventMessage) == "m " }) // from the store
}

// TestALogThatCannotBeReadHoldsUpNobodyElse has a node read from the store what two users have missed, of which one cannot be told.
func TestALogThatCannotBeReadHoldsUpNobodyElse(t *testing.T) {
	in := newInstallation(t, 2, always, never)
	anns, _ := in.nodes[1].login(ann)
	bobs, _ := in.nodes[1].login(bob)
	in.store.set(func(s *shakyStore) { s.unreadable = ann.User })
	in.nodes[0].push("m", "", ann.User, bob.User)
	waitFor(t, func() bool { return bobs.titles(belfry.EventMessage) == "m " && len(anns.got(belfry.EventReset)) == 1 })
	if c, want := anns.cursor(), bobs.cursor(); c != want {
		t.Errorf("who has to load his lists anew has been told up to %v, want %v", c, want)
	}
	in.store.set(func(s *shakyStore) { s.unreadable = "" })
	in.nodes[0].push("n", "", ann.User, bob.User)
	waitFor(t, func() bool {
		return bobs.titles(belfry.EventMessage) == "m n " && anns.titles(belfry.EventMessage) == "n "
	})
}

// TestWhoHasMissedTooMuchTogetherLoadsHisListsAnew has a node without room for anything that its pages have missed.
func TestWhoHasMissedTooMuchTogetherLoadsHisListsAnew(t *testing.T) {
	in := newInstallation(t, 2, always, never)
	in.nodes[1].FillAtMost(-1)
	p, _ := in.nodes[1].login(ann)
	r := in.nodes[0].push("m", "", ann.User)
	waitFor(t, func() bool { return len(p.got(belfry.EventReset)) == 1 })
	if p.cursor() != belfry.Cursor(r.IDs[0]) || len(p.got(belfry.EventMessage)) > 0 {
		t.Errorf("the page was told %q, up to %v", p.titles(belfry.EventMessage), p.cursor())
	}
}

// TestWhatIsReadFromTheStoreDoesNotWaitForItsCounts has a node read what its page has missed, of which the counts are not to be had yet.
func TestWhatIsReadFromTheStoreDoesNotWaitForItsCounts(t *testing.T) {
	in := newInstallation(t, 2, always, never)
	p, _ := in.nodes[1].login(ann)
	in.store.set(func(s *shakyStore) { s.counts = belfry.Errorf(belfry.ErrUnavailable, "too many to be counted") })
	in.nodes[0].push("m", "", ann.User)
	waitFor(t, func() bool { return len(p.got(belfry.EventMessage))+len(p.got(belfry.EventReset)) > 0 })
	if got := p.titles(belfry.EventMessage); got != "m " {
		t.Errorf("the page was told %q", got)
	}
	in.store.set(func(s *shakyStore) { s.counts = nil })
	waitFor(t, func() bool {
		counts := p.got(belfry.EventCounts)
		return len(counts) > 0 && counts[len(counts)-1].(belfry.Counts).Unread == 1
	})
}

// TestWhatComesWhileAGapIsFilledIsToldOnce has a unit come after all, while it is read from the store.
func TestWhatComesWhileAGapIsFilledIsToldOnce(t *testing.T) {
	in := newInstallation(t, 2, always, never)
	p, _ := in.nodes[1].login(ann)
	var m belfry.Message
	var before belfry.ID
	pushed := make(chan struct{})
	in.store.set(func(s *shakyStore) {
		s.since = func() (func([]belfry.LogEntry), error) {
			return func([]belfry.LogEntry) {
				<-pushed
				news := []belfry.News{{LogEntry: belfry.LogEntry{Place: m.ID, Message: &m}}}
				told := make(chan struct{})
				in.links[1].receiver.Receive(belfry.Unit{After: before, Last: m.ID, News: news}, func([]int) { close(told) })
				<-told
			}, nil
		}
	})
	before, _ = in.store.Last(context.Background())
	r := in.nodes[0].push("m", "", ann.User)
	m = belfry.Message{ID: r.IDs[0], Receiver: ann.User, Title: "m"}
	close(pushed)
	in.nodes[0].push("n", "", ann.User)
	waitFor(t, func() bool { return strings.HasSuffix(p.titles(belfry.EventMessage), "n ") })
	if got := p.titles(belfry.EventMessage); got != "m n " {
		t.Errorf("the page was told %q", got)
	}
}

func always() bool { return true }
func never() bool  { return false }

func TestAPageThatWasThereBeforeAnythingElseIsToldAllThatItMissed(t *testing.T) {
	b := newInstallation(t, 2, never, never).nodes[0]
	p, w := b.login(ann)
	b.login(ann) // another page of the same user, so that nothing waits
	b.logout(ann, p)
	b.push("one", "acme", "1")
	b.record("two", "acme")
	if can, _, err := b.CanCatchUp(t.Context(), ann, w.Cursor); !can || err != nil {
		t.Errorf("CanCatchUp says %v, %v", can, err)
	}
	back, w := b.login(ann, from(w.Cursor))
	wantTold(t, back, "one two ")
	if w.Reset || w.Replayed != 2 {
		t.Errorf("it is welcomed with %+v", w)
	}
}

// watching has a function called while a page logs in at a node, before the node listens for its user.
func (b *netBroker) watching(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.watch = f
}

func TestATokenThatAnotherNodeMakesVoidWhileItsPageComesIsRefused(t *testing.T) {
	in := newInstallation(t, 2, never, never)
	issued := time.Now().Add(-time.Minute)
	checked, err := in.nodes[1].CheckToken(t.Context(), ann, issued)
	if err != nil {
		t.Fatal(err)
	}
	in.links[1].watching(func() {
		if _, err := in.nodes[0].Revoke(t.Context(), ann.User); err != nil {
			t.Error(err)
		}
	})
	p := in.nodes[1].hub.newPage()
	if _, err := in.nodes[1].Login(t.Context(), ann, p, belfry.LoginOptions{Issued: issued, Checked: checked}); belfry.ErrorCode(err) != belfry.ErrUnauthorized {
		t.Errorf("the page is let in: %v", err)
	}
	if pages, err := in.nodes[1].PagesOf(t.Context(), ann.User); len(pages) > 0 || err != nil {
		t.Errorf("it is counted: %v, %v", pages, err)
	}
}

func TestWhatIsSetAtAnotherNodeWhileAPageComesIsKnown(t *testing.T) {
	in := newInstallation(t, 2, never, never)
	in.links[1].watching(func() {
		in.links[1].setCut(true) // it does not hear of it
		off := []belfry.Preference{{Type: 2, Off: true}}
		if err := in.nodes[0].SetPreferences(t.Context(), ann.User, off); err != nil {
			t.Error(err)
		}
		in.links[1].setCut(false)
	})
	p, _ := in.nodes[1].login(ann)
	in.links[1].watching(nil)
	for _, kind := range []belfry.MessageType{2, belfry.SystemNotice} {
		in.nodes[1].send(belfry.Push{Message: belfry.Message{Title: fmt.Sprint(kind), Company: ann.Company, Type: kind}, Notice: true})
	}
	if got, want := p.titles(belfry.EventMessage), fmt.Sprint(belfry.SystemNotice, " "); got != want {
		t.Errorf("the page was told %q, want %q", got, want)
	}
}

// TestWhatIsSetElsewhereWhileANodeIsCutOffIsKnownAfterwards has one user turn notices off and another turn them on again, at a node that
// theirs does not hear of.
func TestWhatIsSetElsewhereWhileANodeIsCutOffIsKnownAfterwards(t *testing.T) {
	in := newInstallation(t, 2, never, never)
	set := func(user belfry.UserID, preferences ...belfry.Preference) {
		if err := in.nodes[0].SetPreferences(t.Context(), user, preferences); err != nil {
			t.Fatal(err)
		}
	}
	off := belfry.Preference{Type: 2, Off: true}
	set(bob.User, off)
	anns, _ := in.nodes[1].login(ann)
	bobs, _ := in.nodes[1].login(bob)
	in.links[1].setCut(true)
	set(ann.User, off)
	set(bob.User)
	in.links[1].setCut(false)
	told := func(p *page) int { return len(p.messages()) }
	waitFor(t, func() bool {
		before, bobBefore := told(anns), told(bobs)
		in.nodes[1].send(belfry.Push{Message: belfry.Message{Title: "n", Company: ann.Company, Type: 2}, Notice: true})
		return told(anns) == before && told(bobs) == bobBefore+1
	})
}

// TestATokenThatIsMadeVoidElsewhereWhileANodeIsCutOffEndsItsPages has the node learn it when it hears the others again, too late for
// them and too early for a page that has shown a new token meanwhile.
func TestATokenThatIsMadeVoidElsewhereWhileANodeIsCutOffEndsItsPages(t *testing.T) {
	in := newInstallation(t, 2, never, never)
	now := time.Now()
	old := belfry.LoginOptions{Issued: now.Add(-time.Minute)}
	p, _ := in.nodes[1].login(ann, old)
	elsewhere, _ := in.nodes[1].login(annOther, old)
	stay := make(map[string]*page)
	stay["of another user"], _ = in.nodes[1].login(bob, old)
	stay["without a token"], _ = in.nodes[1].login(ann)
	in.links[1].setCut(true)
	if _, err := in.nodes[0].Revoke(t.Context(), ann.User); err != nil {
		t.Fatal(err)
	}
	stay["with a new token"], _ = in.nodes[1].login(ann, belfry.LoginOptions{Issued: now.Add(time.Minute)})
	if p.isGone() || elsewhere.isGone() {
		t.Fatal("the node has heard of it: this test shows nothing")
	}
	in.links[1].setCut(false)
	waitFor(t, func() bool { return p.isGone() && elsewhere.isGone() })
	for which, p := range stay {
		if p.isGone() {
			t.Errorf("the page %s is gone", which)
		}
	}
}

// TestATokenThatIsFoundVoidWhileItsPageComesIsRefused has a node find out after the last question about a token and before its page is in a
// room.
func TestATokenThatIsFoundVoidWhileItsPageComesIsRefused(t *testing.T) {
	in := newInstallation(t, 2, never, never)
	old := belfry.LoginOptions{Issued: time.Now().Add(-time.Minute)}
	elsewhere, _ := in.nodes[1].login(annOther, old)
	checked, err := in.nodes[1].CheckToken(t.Context(), ann, old.Issued)
	if err != nil {
		t.Fatal(err)
	}
	in.links[1].setCut(true)
	in.store.set(func(s *shakyStore) {
		s.profile = sync.OnceFunc(func() {
			if _, err := in.nodes[0].Revoke(t.Context(), ann.User); err != nil {
				t.Error(err)
			}
			in.links[1].setCut(false)
			waitFor(t, elsewhere.isGone)
		})
	})
	old.Checked = checked
	if _, err := in.nodes[1].Login(t.Context(), ann, in.nodes[1].hub.newPage(), old); belfry.ErrorCode(err) != belfry.ErrUnauthorized {
		t.Errorf("the page is let in: %v", err)
	}
}
