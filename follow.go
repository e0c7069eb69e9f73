package belfry

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// Where several nodes share a log, each tells its pages all of it, in the order of the store. Other nodes say what they
// have stored as they tell their own pages ([Unit]); what does not come that way is read from the store. So the
// Broker may lose anything: it is the faster way, and the store is the sure one.

const (
	// followLook is how often the store is asked whether there is more than other nodes have told of, and
	// followLost while it is known that nothing comes from them.
	followLook = time.Second
	followLost = 200 * time.Millisecond
	// followPatience is how long something that is stored may be on its way through the broker.
	followPatience = 150 * time.Millisecond
	// fillReaders bounds the questions to the store at the same time while a gap is filled.
	fillReaders = 16
	// maxReceiving bounds the units of other nodes for whose pages counts are read at the same time. Beyond it what
	// others send waits.
	maxReceiving = 256
)

// A follower keeps up with what other nodes store.
type follower struct {
	wake      chan struct{}
	heard     chan struct{} // what is set for users is to be read
	last      lastReader
	receiving chan struct{} // slots
	tries     int           // to fill a gap, in vain; the goroutine's

	mu    sync.Mutex
	lost  bool // what other nodes say has gaps that they do not know of
	found bool // that is over as soon as what is stored by now has been read
	said  int  // how often the broker has said something
}

// isLost reports whether what other nodes say is to be left out.
func (f *follower) isLost() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lost
}

// set notes what the broker says.
func (f *follower) set(lost, found bool) {
	f.mu.Lock()
	f.lost, f.found = lost, found
	f.said++
	f.mu.Unlock()
	f.look()
}

// isFound reports whether all that will be stored from now on is told by other nodes, and of which loss that is true.
func (f *follower) isFound() (loss int, found bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.said, f.lost && f.found
}

// end ends a loss, unless there is a new one, which may be over, too: what was stored meanwhile has not been read.
func (f *follower) end(loss int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.found && f.said == loss {
		f.lost, f.found = false, false
		f.look() // what came meanwhile was left out
	}
}

func newFollower() follower {
	return follower{wake: make(chan struct{}, 1), heard: make(chan struct{}, 1), receiving: make(chan struct{}, maxReceiving)}
}

// look has the follower look at the store now.
func (f *follower) look() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// refresh has what other nodes have set while this one did not hear of it read from the store.
func (f *follower) refresh() {
	select {
	case f.heard <- struct{}{}:
	default:
	}
}

const (
	// refreshStep bounds the users whose settings are asked for at once.
	refreshStep = 500
	// refreshRetry is the rest after a failure.
	refreshRetry = time.Second
)

// keepRefreshing is the goroutine that reads it.
func (s *Service) keepRefreshing() {
	for {
		select {
		case <-s.follower.heard:
		case <-s.background.Done():
			return
		}
		for s.refreshAll(s.background) != nil {
			if !rest(s.background, refreshRetry) {
				return
			}
		}
	}
}

// refreshAll learns what is set for users with pages here, tells those their counts for whom it is something else than was known,
// and ends the pages whose tokens are void.
func (s *Service) refreshAll(ctx context.Context) error {
	users := make(map[UserID]struct{})
	for _, who := range s.presence.Here("") {
		users[who.User] = struct{}{}
	}
	for step := range slices.Chunk(slices.Collect(maps.Keys(users)), refreshStep) {
		if err := s.endVoid(ctx, step); err != nil {
			return err
		}
		set, err := s.store.Preferences(ctx, step)
		if err != nil {
			return err
		}
		for _, user := range step {
			if !s.choosers.has(user, set[user]) {
				s.recountHere([]Identity{{User: user}}, true)
			}
		}
	}
	return nil
}

// follow is the goroutine of the follower.
func (s *Service) follow() {
	timer := time.NewTimer(followLook)
	defer timer.Stop()
	failing := false
	for {
		select {
		case <-timer.C:
		case <-s.follower.wake:
		case <-s.background.Done():
			return
		}
		pause := followLook
		loss, found := s.follower.isFound()
		all, err := s.catchUp(s.background)
		if err != nil && !failing && s.background.Err() == nil {
			s.log.Warn("this node does not know what others have stored, and tries again until it does", "err", err)
		}
		if failing = err != nil; all && found {
			s.follower.end(loss)
			s.follower.refresh()
		}
		if err != nil || s.follower.isLost() {
			pause = followLost
		}
		timer.Reset(pause)
	}
}

// catchUp tells this node's pages what is stored and was not told by others in time. All reports whether they have been told all
// that was stored when it began; otherwise it is the turn of what this node itself is storing.
func (s *Service) catchUp(ctx context.Context) (all bool, err error) {
	for {
		last, err := s.store.Last(ctx)
		if err != nil {
			return false, err
		}
		if !s.follower.isLost() {
			waiting, cancel := context.WithTimeout(ctx, followPatience)
			err = s.line.reach(waiting, last)
			cancel()
			if err == nil {
				s.follower.tries = 0
				return true, nil
			}
		}
		from, to, is := s.line.gap(last)
		if !is {
			return from.Compare(last) >= 0, ctx.Err()
		}
		if err := s.fill(ctx, from, to); err != nil {
			return false, err
		}
	}
}

// settle waits until this node has told its pages all that is stored at the time of the call.
func (s *Service) settle(ctx context.Context) error {
	if !s.shared {
		return nil
	}
	last, err := s.follower.last.read(ctx, s.store)
	if err != nil {
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	for patience := followPatience / 4; ; patience = followPatience {
		short, cancel := context.WithTimeout(bounded, patience)
		err := s.line.reach(short, last)
		cancel()
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case bounded.Err() != nil:
			return Errorf(ErrUnavailable, "this node is behind what is stored; try again")
		}
		s.follower.look()
	}
}

// A lastReader asks a store for the last place, once for all who ask at the same time. Each gets an answer to a question
// that was put after theirs.
type lastReader struct {
	mu      sync.Mutex
	reading bool
	next    *lastReading
}

type lastReading struct {
	done chan struct{}
	last ID
	err  error
}

func (r *lastReader) read(ctx context.Context, store LogStore) (ID, error) {
	r.mu.Lock()
	if r.next == nil {
		r.next = &lastReading{done: make(chan struct{})}
	}
	mine := r.next
	if !r.reading {
		r.reading = true
		go r.run(store)
	}
	r.mu.Unlock()
	select {
	case <-mine.done:
		return mine.last, mine.err
	case <-ctx.Done():
		return ID{}, ctx.Err()
	}
}

func (r *lastReader) run(store LogStore) {
	for {
		r.mu.Lock()
		now := r.next
		r.next = nil
		r.reading = now != nil
		r.mu.Unlock()
		if now == nil {
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), stepTimeout)
		now.last, now.err = store.Last(ctx)
		cancel()
		close(now.done)
	}
}

// Lost implements [Receiver].
func (s *Service) Lost() { s.follower.set(true, false) }

// Found implements [Receiver].
func (s *Service) Found() { s.follower.set(true, true) }

// Receive implements [Receiver].
func (s *Service) Receive(u Unit, reached func(pages []int)) {
	if s.follower.isLost() { // it may be that not all of its news have come
		reached(make([]int, len(u.News)))
		return
	}
	if len(u.News) == 0 {
		s.line.arrive(u.After, []ID{u.Last}, func(int) {})
		return
	}
	s.follower.receiving <- struct{}{}
	go s.receive(u, reached)
}

// receive tells the pages of this node of a unit.
func (s *Service) receive(u Unit, reached func(pages []int)) {
	counts := s.newCounting(s.background)
	var at [][]int // indexes of the news at each place
	var places []ID
	for i := range u.News {
		n := &u.News[i]
		if len(places) == 0 || places[len(places)-1] != n.Place {
			places, at = append(places, n.Place), append(at, nil)
		}
		at[len(at)-1] = append(at[len(at)-1], i)
		if n.Message != nil {
			counts.prepare(n.Message.Receiver, n.Message.Company)
		} else if n.Revision != nil {
			counts.prepare(n.Receiver, "")
		}
	}
	<-s.follower.receiving
	if places[len(places)-1] != u.Last { // what comes there is for pages of other nodes
		places, at = append(places, u.Last), append(at, nil)
	}
	pages := make([]int, len(u.News))
	f := s.line.arrive(u.After, places, func(i int) { s.tellNews(u.News, at[i], pages, counts) })
	select {
	case <-f.gone:
		reached(pages)
	case <-s.background.Done():
	}
}

// tellNews tells the news at one place, whose indexes are given. The line is locked.
func (s *Service) tellNews(news []News, at []int, pages []int, counts *counting) {
	var revisions []News
	for _, i := range at {
		if news[i].Revision != nil {
			revisions = append(revisions, news[i])
		}
	}
	for _, i := range at {
		switch n := &news[i]; {
		case n.Activity != nil:
			pages[i] = s.tellActivity(n.Activity)
		case n.Message != nil:
			var replaced []ID
			for _, r := range revisions {
				replaced = append(replaced, r.Revision.IDs...)
			}
			revisions = nil
			pages[i], _ = s.tellMessage(counts.ctx, n.Message, n.Muted, replaced, counts)
		}
	}
	if len(revisions) > 0 {
		s.tellRevisions(revisions, counts)
	}
}

// Deliver implements [Receiver].
func (s *Service) Deliver(env Envelope) (pages int) {
	switch {
	case env.Record != "":
		if err := s.store.RecordDelivered(s.background, env.Record); err != nil {
			s.log.Warn("deliveries not recorded in time; another node may repeat them", "user", env.Record, "err", err)
		}
		return 0
	case len(env.Recount) > 0:
		go s.recountHere(env.Recount, env.Resettle)
		return 0
	case env.Disconnect:
		s.revocations.Add(1) // perhaps
	}
	s.line.at(func(place ID) {
		if env.Cursor != (Cursor{}) {
			env.Cursor = Cursor(place)
		}
		if m, ok := messageOf(env); ok {
			env.Except = slices.Concat(env.Except, s.exceptOf(m))
		}
		pages = s.emit(env)
	})
	return pages
}

// messageOf returns the message that an envelope tells of.
func messageOf(env Envelope) (*Message, bool) {
	if len(env.Args) == 0 {
		return nil, false
	}
	e, ok := env.Args[0].(MessageEvent)
	return e.Message, ok
}

// recountHere tells the pages of this node their counts, after another node has changed them, or settings.
func (s *Service) recountHere(owners []Identity, settings bool) {
	if settings {
		for _, owner := range owners {
			s.resettle(owner.User)
		}
	}
	s.recount(s.background, owners)
}

// resettle learns what a user has set on another node.
func (s *Service) resettle(user UserID) {
	s.preferences.forget(user)
	if len(s.presence.PagesHere(user)) == 0 {
		return
	}
	if err := s.logins.enter(s.background, string(user)); err != nil {
		return
	}
	defer s.logins.leave(string(user))
	preferences, err := s.preferencesOf(s.background, user)
	if err != nil {
		s.log.Warn("what a user has set elsewhere is not known here; the next login learns it", "user", user, "err", err)
		return
	}
	s.choosers.set(user, preferences)
	s.forgetChooser(user)
}
