package belfry

import (
	"container/list"
	"context"
	"hash/maphash"
	"slices"
	"sync"
	"time"
)

// PresenceOptions says how a [MemoryPresence] works. The zero value is useful.
type PresenceOptions struct {
	// Grace is how long a user stays online after the last page left, so that
	// reloading a page does not change the count; 0 means 3 s, negative none.
	// It is at least twice Coalesce: a number that a page was told when it joined
	// is then announced before it is outdated.
	Grace time.Duration
	// Coalesce is the least time between two calls of Changed for one company;
	// 0 means 250 ms, negative none. Where many users are online it is more: 0.2 ms for
	// each, at most 10 s.
	Coalesce time.Duration
	// Changed is called when a company's number of online users differs from
	// the one in its last call: at once if that was long enough ago, else
	// when that time is over. Calls come one after the other from a goroutine of
	// the presence, with the number that is true at that moment. It may be nil.
	Changed func(company CompanyID, users int)
}

// The defaults of [PresenceOptions].
const (
	DefaultGrace    = 3 * time.Second
	DefaultCoalesce = 250 * time.Millisecond
)

// A MemoryPresence counts the pages of one process. There is one goroutine and
// one timer for all users and companies: whatever waits is in a queue in the order
// of time, and the delays are the same for nearly all.
type MemoryPresence struct {
	grace    time.Duration
	coalesce time.Duration
	changed  func(CompanyID, int)

	seed   maphash.Seed
	shards [presenceShards]presenceShard
	users  [presenceShards]userShard // by user; taken after a shard of companies

	mu      sync.Mutex // taken after a shard's
	stale   list.List  // of *waitingCompany, whose number has to be announced now
	resting list.List  // of *waitingCompany, announced not long ago
	away    list.List  // of *waitingUser, within the grace period
	closed  bool

	wake chan struct{} // the queues have changed
	stop chan struct{}
	done chan struct{}
}

var _ Presence = (*MemoryPresence)(nil)

// presenceShards is a power of two.
const presenceShards = 64

type presenceShard struct {
	mu        sync.Mutex
	companies map[CompanyID]*companyPresence
}

// A userShard lists the open pages of users.
type userShard struct {
	mu    sync.Mutex
	pages map[UserID][]OpenPage
}

// A companyPresence is guarded by its shard. It exists while it has users, or
// while a number different from none stands announced.
type companyPresence struct {
	users     map[UserID]*userPresence
	pages     int
	announced int
	told      bool // pages were told another number, and for longer than the grace period
	queued    bool // in stale or resting
}

// A userPresence is a user in one company. Which pages they are is known by user.
type userPresence struct {
	pages int
	away  *list.Element // in MemoryPresence.away while there are no pages
}

type waitingCompany struct {
	id  CompanyID
	due time.Time
}

type waitingUser struct {
	who Identity
	due time.Time
}

// NewMemoryPresence starts counting. Close ends it.
func NewMemoryPresence(o PresenceOptions) *MemoryPresence {
	p := &MemoryPresence{
		grace: o.Grace, coalesce: o.Coalesce, changed: o.Changed,
		seed: maphash.MakeSeed(),
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	if p.grace == 0 {
		p.grace = DefaultGrace
	}
	if p.coalesce == 0 {
		p.coalesce = DefaultCoalesce
	}
	if p.grace > 0 {
		p.grace = max(p.grace, 2*p.coalesce)
	}
	if p.changed == nil {
		p.changed = func(CompanyID, int) {}
	}
	for i := range p.shards {
		p.shards[i].companies = make(map[CompanyID]*companyPresence)
		p.users[i].pages = make(map[UserID][]OpenPage)
	}
	go p.run()
	return p
}

// Close ends all grace periods, announces what is outstanding and stops the
// goroutine. Counting goes on working after it, without grace and announcements.
func (p *MemoryPresence) Close() {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		close(p.stop)
	}
	p.mu.Unlock()
	<-p.done
}

func (p *MemoryPresence) shard(company CompanyID) *presenceShard {
	return &p.shards[maphash.String(p.seed, string(company))&(presenceShards-1)]
}

// Join implements [Presence]. It never fails.
func (p *MemoryPresence) Join(_ context.Context, who Identity, pageID string) (OnlineCount, error) {
	shard := p.shard(who.Company)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	c := shard.companies[who.Company]
	if c == nil {
		c = &companyPresence{users: make(map[UserID]*userPresence)}
		shard.companies[who.Company] = c
	}
	u := c.users[who.User]
	if u == nil {
		u = &userPresence{}
		c.users[who.User] = u
		p.noteChange(who.Company, c)
	}
	if u.away != nil {
		p.mu.Lock()
		p.away.Remove(u.away) // no-op if it was just taken out as due
		p.mu.Unlock()
		u.away = nil
	}
	if p.open(who.User, OpenPage{pageID, who.Company, true}) {
		u.pages++
		c.pages++
	}
	// Where the company rests for long, the number may be that of before again when it has rested.
	c.told = c.told || len(c.users) != c.announced && 2*p.restOf(len(c.users)) > max(p.grace, 2*p.coalesce)
	return c.count(), nil
}

// Leave implements [Presence]. It never fails.
func (p *MemoryPresence) Leave(_ context.Context, who Identity, pageID string) error {
	shard := p.shard(who.Company)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	c := shard.companies[who.Company]
	if c == nil {
		return nil
	}
	u := c.users[who.User]
	if u == nil {
		return nil
	}
	if !p.close(who.User, OpenPage{pageID, who.Company, true}) {
		return nil
	}
	u.pages--
	c.pages--
	if u.pages > 0 {
		return nil
	}
	if u.away = p.startGrace(who); u.away == nil {
		p.remove(shard, who, c)
	}
	return nil
}

// Online implements [Presence]. It never fails.
func (p *MemoryPresence) Online(_ context.Context, company CompanyID) (OnlineCount, error) {
	shard := p.shard(company)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if c := shard.companies[company]; c != nil {
		return c.count(), nil
	}
	return OnlineCount{}, nil
}

func (p *MemoryPresence) userShard(user UserID) *userShard {
	return &p.users[maphash.String(p.seed, string(user))&(presenceShards-1)]
}

// open notes a page of a user, and reports false if it is known already.
func (p *MemoryPresence) open(user UserID, page OpenPage) bool {
	shard := p.userShard(user)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	pages := shard.pages[user]
	if slices.Contains(pages, page) {
		return false
	}
	shard.pages[user] = append(slices.Clip(pages), page) // most users have one page, and few have many
	return true
}

// close forgets a page of a user, and reports false if it is not known.
func (p *MemoryPresence) close(user UserID, page OpenPage) bool {
	shard := p.userShard(user)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	pages := shard.pages[user]
	i := slices.Index(pages, page)
	switch {
	case i < 0:
		return false
	case len(pages) == 1:
		delete(shard.pages, user)
	default:
		shard.pages[user] = slices.Delete(pages, i, i+1)
	}
	return true
}

// PagesOf implements [Presence]. It never fails.
func (p *MemoryPresence) PagesOf(_ context.Context, user UserID) ([]OpenPage, error) {
	return p.PagesHere(user), nil
}

// PagesHere implements [Presence].
func (p *MemoryPresence) PagesHere(user UserID) []OpenPage {
	shard := p.userShard(user)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	return slices.Clone(shard.pages[user])
}

// Here implements [Presence].
func (p *MemoryPresence) Here(company CompanyID) []Identity {
	var all []Identity
	if company != "" {
		shard := p.shard(company)
		shard.mu.Lock()
		defer shard.mu.Unlock()
		return shard.companies[company].present(all, company)
	}
	for i := range p.shards {
		shard := &p.shards[i]
		shard.mu.Lock()
		for id, c := range shard.companies {
			all = c.present(all, id)
		}
		shard.mu.Unlock()
	}
	return all
}

// present appends who has a page in the company, which may be nil. Its shard is locked.
func (c *companyPresence) present(list []Identity, id CompanyID) []Identity {
	if c == nil {
		return list
	}
	for user, u := range c.users {
		if u.pages > 0 {
			list = append(list, Identity{user, id})
		}
	}
	return list
}

func (c *companyPresence) count() OnlineCount {
	return OnlineCount{Users: len(c.users), Pages: c.pages}
}

// startGrace queues a user whose last page has left. It returns nil where there
// is no grace period.
func (p *MemoryPresence) startGrace(who Identity) *list.Element {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.grace < 0 || p.closed {
		return nil
	}
	e := p.away.PushBack(&waitingUser{who, time.Now().Add(p.grace)})
	if p.away.Len() == 1 {
		p.rouse()
	}
	return e
}

// remove ends a user's presence. The shard is locked.
func (p *MemoryPresence) remove(shard *presenceShard, who Identity, c *companyPresence) {
	delete(c.users, who.User)
	p.noteChange(who.Company, c)
	shard.forget(who.Company, c)
}

// forget drops a company of which nothing is left to know.
func (s *presenceShard) forget(id CompanyID, c *companyPresence) {
	if len(c.users) == 0 && !c.queued {
		delete(s.companies, id)
	}
}

// noteChange has the company's number announced: now, or after its rest. The
// shard is locked.
func (p *MemoryPresence) noteChange(id CompanyID, c *companyPresence) {
	if c.queued {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	c.queued = true
	p.stale.PushBack(&waitingCompany{id: id})
	p.rouse()
}

// rouse makes the goroutine look at the queues again.
func (p *MemoryPresence) rouse() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// run is the goroutine that announces and ends grace periods.
func (p *MemoryPresence) run() {
	defer close(p.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		next := p.work(time.Now(), false)
		timer.Reset(next)
		select {
		case <-timer.C:
		case <-p.wake:
		case <-p.stop:
			p.work(time.Now(), true)
			return
		}
	}
}

// work handles all that is due, or everything if flush, and returns the time
// until there is more to do.
func (p *MemoryPresence) work(now time.Time, flush bool) time.Duration {
	for {
		p.mu.Lock()
		user := takeDue(&p.away, now, flush, func(w *waitingUser) time.Time { return w.due })
		stale := takeDue(&p.stale, now, flush, func(w *waitingCompany) time.Time { return w.due })
		rested := takeDue(&p.resting, now, flush, func(w *waitingCompany) time.Time { return w.due })
		next := time.Hour
		if e := p.away.Front(); e != nil {
			next = min(next, e.Value.(*waitingUser).due.Sub(now))
		}
		if e := p.resting.Front(); e != nil {
			next = min(next, e.Value.(*waitingCompany).due.Sub(now))
		}
		p.mu.Unlock()

		if user == nil && stale == nil && rested == nil {
			return next
		}
		if user != nil {
			p.endGrace(user)
		}
		if stale != nil {
			p.announce(stale.Value.(*waitingCompany), flush)
		}
		if rested != nil {
			p.announce(rested.Value.(*waitingCompany), flush)
		}
	}
}

// takeDue takes the first element out of a queue if its time has come.
func takeDue[T any](queue *list.List, now time.Time, flush bool, due func(T) time.Time) *list.Element {
	e := queue.Front()
	if e == nil || !flush && due(e.Value.(T)).After(now) {
		return nil
	}
	queue.Remove(e)
	return e
}

// endGrace removes a user who has not come back.
func (p *MemoryPresence) endGrace(e *list.Element) {
	who := e.Value.(*waitingUser).who
	shard := p.shard(who.Company)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	c := shard.companies[who.Company]
	if c == nil {
		return
	}
	// Who came back, and perhaps left again, since e was taken out, has another
	// element or none.
	if u := c.users[who.User]; u != nil && u.away == e {
		p.remove(shard, who, c)
	}
}

// announce calls Changed if the company's number is another than the one last
// announced, and lets it rest after that. A company that has rested without a
// change leaves the queue.
func (p *MemoryPresence) announce(w *waitingCompany, flush bool) {
	shard := p.shard(w.id)
	shard.mu.Lock()
	c := shard.companies[w.id]
	users := len(c.users)
	if users == c.announced && !c.told {
		c.queued = false
		shard.forget(w.id, c)
		shard.mu.Unlock()
		return
	}
	c.announced, c.told = users, false
	if flush || p.coalesce < 0 {
		c.queued = false
		shard.forget(w.id, c)
	}
	rest := c.queued
	shard.mu.Unlock()

	p.changed(w.id, users)
	if rest {
		w.due = time.Now().Add(p.restOf(users))
		p.mu.Lock()
		after := p.resting.Back() // which is the place of all but the few that are large
		for after != nil && after.Value.(*waitingCompany).due.After(w.due) {
			after = after.Prev()
		}
		if after == nil {
			p.resting.PushFront(w)
		} else {
			p.resting.InsertAfter(w, after)
		}
		p.mu.Unlock()
	}
}

// To announce a number takes some ten microseconds a page, so a large company rests
// longer: what all its logins in a storm cause then takes a twentieth of a processor.
const (
	restPerUser = 200 * time.Microsecond
	longestRest = 10 * time.Second
)

// restOf returns for how long a company of that many users who are online is not
// told of changes.
func (p *MemoryPresence) restOf(users int) time.Duration {
	return max(p.coalesce, min(time.Duration(users)*restPerUser, longestRest))
}
