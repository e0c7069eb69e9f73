package redis

import (
	"container/list"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"hash/maphash"
	"log/slog"
	"slices"
	"sync"
	"time"

	"belfry"
)

// PresenceOptions says how a [Presence] works. The zero value is useful.
type PresenceOptions struct {
	// PresenceOptions are Grace, Coalesce and Changed, which work as those of a
	// [belfry.MemoryPresence] do. Changed is called on every node that has users of the company,
	// with the number of all nodes, when it has changed on any of them.
	belfry.PresenceOptions
	// Lease is how long the users of a node that is gone without a word are counted; 0 means
	// [DefaultLease]. It is renewed three times in that time, and who is due is noticed by
	// another's renewal: the count is right after at most 4/3 of it. All nodes have the same.
	Lease time.Duration
	// Patience is how long a call waits for Redis; 0 means [DefaultPatience].
	Patience time.Duration
	// ArticleHash keeps up the hash socketio:company:<id> too, with a field uid:<uid> for each user who
	// has pages and how many they are, for code that reads it. It has no prefix, and is
	// not to be had on a cluster. All nodes have the same.
	ArticleHash bool
}

// The defaults of [PresenceOptions].
const (
	DefaultLease    = 15 * time.Second
	DefaultPatience = time.Second
)

// A Presence counts the pages of all nodes. It is safe for concurrent use.
//
// No call fails because Redis does. Where it does not answer within Patience, the answer is what
// this node knows, and what has changed is made up for when Redis answers again. A call does not
// wait at all while others have just waited in vain.
type Presence struct {
	c        *Client
	log      *slog.Logger
	node     string // with a nonce: a node that starts again is another
	article  bool
	grace    time.Duration
	coalesce time.Duration
	lease    time.Duration
	patience time.Duration
	changed  func(belfry.CompanyID, int)
	seed     maphash.Seed

	mu        sync.Mutex
	companies map[belfry.CompanyID]*company
	users     [turns]map[belfry.UserID]*user
	away      list.List            // of *awayUser, in the order of time
	nodes     map[string]time.Time // until when the other nodes are certainly alive
	due       queues
	trouble   trouble
	reaping   map[string]bool // nodes that this one takes out
	closed    bool
	roused    chan struct{} // away has its first

	stop    context.CancelFunc
	running sync.WaitGroup
}

var _ belfry.Presence = (*Presence)(nil)

// turns is in how many beats the pages of all users are written again.
const turns = 20

// The numbers of goroutines that talk to Redis for companies and users. The driver joins what they
// send into few writes.
const (
	companyWorkers = 16
	userWorkers    = 4
)

// NewPresence starts counting. It does not close the client; Close ends the rest. It fails if an option
// is not to be had.
func NewPresence(c *Client, o PresenceOptions) (*Presence, error) {
	if o.ArticleHash && c.clustered() {
		return nil, errors.New("redis: the article's hash is not to be had on a cluster: it is in another slot than the rest")
	}
	var nonce [8]byte
	rand.Read(nonce[:]) // never fails
	p := &Presence{
		c: c, log: c.log, node: hex.EncodeToString(nonce[:]), article: o.ArticleHash,
		grace: o.Grace, coalesce: o.Coalesce, lease: o.Lease, patience: o.Patience, changed: o.Changed,
		seed: maphash.MakeSeed(), companies: make(map[belfry.CompanyID]*company), nodes: make(map[string]time.Time),
		reaping: make(map[string]bool),
		roused:  make(chan struct{}, 1),
	}
	p.due.companies.some, p.due.users.some, p.due.stale.some = sync.NewCond(&p.mu), sync.NewCond(&p.mu), sync.NewCond(&p.mu)
	p.trouble.companies, p.trouble.users = make(map[*company]struct{}), make(map[*user]struct{})
	for i := range p.users {
		p.users[i] = make(map[belfry.UserID]*user)
	}
	p.setDefaults()
	p.renewLease() // before any page: others forget the pages of a node that is not listed
	var background context.Context
	background, p.stop = context.WithCancel(context.Background())
	for range companyWorkers {
		p.running.Go(p.syncCompanies)
	}
	for range userWorkers {
		p.running.Go(p.syncUsers)
	}
	p.running.Go(p.announceAll)
	p.running.Go(func() { p.endGraces(background) })
	p.running.Go(func() { p.beat(background) })
	p.running.Go(func() { p.retry(background) })
	p.running.Go(func() { p.listen(background) })
	return p, nil
}

func (p *Presence) setDefaults() {
	if p.grace == 0 {
		p.grace = belfry.DefaultGrace
	}
	if p.coalesce == 0 {
		p.coalesce = belfry.DefaultCoalesce
	}
	if p.grace > 0 {
		p.grace = max(p.grace, 2*p.coalesce)
	}
	if p.lease <= 0 {
		p.lease = DefaultLease
	}
	if p.patience <= 0 {
		p.patience = DefaultPatience
	}
	if p.changed == nil {
		p.changed = func(belfry.CompanyID, int) {}
	}
}

// Join implements [belfry.Presence]. It never fails.
func (p *Presence) Join(ctx context.Context, who belfry.Identity, pageID string) (belfry.OnlineCount, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.companyOf(who.Company)
	m := c.members[who.User]
	if m == nil {
		m = &member{}
		c.members[who.User] = m
		c.dirty[who.User] = struct{}{}
		p.noteChange(c)
	}
	if m.away != nil {
		p.away.Remove(m.away)
		m.away = nil
	}
	u := p.userOf(who.User)
	if page := (belfry.OpenPage{ID: pageID, Company: who.Company}); !slices.Contains(u.pages, page) {
		u.pages = append(slices.Clip(u.pages), page)
		m.pages++
		c.pages++
		c.dirty[who.User] = struct{}{}
	}
	p.wait(ctx, p.wantCompany(c), p.wantUser(u))
	n := c.number()
	if n.Users != c.announced {
		c.told = true
		p.noteChange(c)
	}
	return n, nil
}

// Leave implements [belfry.Presence]. It never fails, and does not wait for Redis.
func (p *Presence) Leave(_ context.Context, who belfry.Identity, pageID string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	u, c := p.users[p.turn(who.User)][who.User], p.companies[who.Company]
	if u == nil || c == nil {
		return nil
	}
	i := slices.Index(u.pages, belfry.OpenPage{ID: pageID, Company: who.Company})
	if i < 0 {
		return nil
	}
	u.pages = append(u.pages[:i:i], u.pages[i+1:]...) // a reader may have the old ones
	m := c.members[who.User]
	m.pages--
	c.pages--
	c.dirty[who.User] = struct{}{}
	if m.pages == 0 {
		p.startGrace(who, c, m)
	}
	p.wantCompany(c)
	p.wantUser(u)
	return nil
}

// Online implements [belfry.Presence]. It never fails.
func (p *Presence) Online(ctx context.Context, id belfry.CompanyID) (belfry.OnlineCount, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.companies[id]; c != nil {
		p.wait(ctx, p.wantCompany(c))
		return c.number(), nil
	}
	if p.trouble.out || p.closed {
		return belfry.OnlineCount{}, nil
	}
	p.mu.Unlock()
	n, err := p.count(id)
	p.mu.Lock()
	p.noteAnswer(err)
	return n, nil
}

// PagesOf implements [belfry.Presence]. It never fails.
func (p *Presence) PagesOf(_ context.Context, id belfry.UserID) ([]belfry.OpenPage, error) {
	p.mu.Lock()
	var pages []belfry.OpenPage
	if u := p.users[p.turn(id)][id]; u != nil {
		pages = slices.Clone(u.pages)
	}
	out := p.trouble.out || p.closed
	p.mu.Unlock()
	if out {
		return pages, nil
	}
	others, err := p.pagesElsewhere(id)
	p.mu.Lock()
	p.noteAnswer(err)
	p.mu.Unlock()
	return append(pages, others...), nil
}

// Present implements [belfry.Presence]. It never fails.
func (p *Presence) Present(_ context.Context, id belfry.CompanyID) ([]belfry.Identity, error) {
	p.mu.Lock()
	found := make(map[belfry.Identity]struct{})
	ids := []belfry.CompanyID{id}
	if id == "" {
		ids = ids[:0]
		for id := range p.companies {
			ids = append(ids, id)
		}
	}
	for _, id := range ids {
		if c := p.companies[id]; c != nil {
			for user, m := range c.members {
				if m.pages > 0 {
					found[belfry.Identity{User: user, Company: id}] = struct{}{}
				}
			}
		}
	}
	out := p.trouble.out || p.closed
	p.mu.Unlock()
	if !out {
		err := p.presentElsewhere(id, found)
		p.mu.Lock()
		p.noteAnswer(err)
		p.mu.Unlock()
	}
	var all []belfry.Identity
	for who := range found {
		all = append(all, who)
	}
	return all, nil
}

// Close takes the node's pages out of Redis, and returns when nothing of the presence is running. What it was about
// to announce is not announced: its pages are about to end. Counting goes on working after it, for this node alone,
// without grace and announcements.
func (p *Presence) Close() {
	p.mu.Lock()
	first := !p.closed
	p.closed = true
	for _, some := range []*sync.Cond{p.due.companies.some, p.due.users.some, p.due.stale.some} {
		some.Broadcast()
	}
	p.mu.Unlock()
	p.stop()
	p.running.Wait()
	if first {
		p.mu.Lock()
		out := p.trouble.out
		p.failWaiting()
		p.mu.Unlock()
		if !out {
			p.signOff()
		}
		p.forgetOthers()
	}
}

// wait returns when Redis has been told, or cannot be. The lock is held, and given back meanwhile.
func (p *Presence) wait(ctx context.Context, flights ...*flight) {
	p.mu.Unlock()
	defer p.mu.Lock()
	var timer *time.Timer
	for _, f := range flights {
		if f == nil {
			continue
		}
		select { // most are there already when the other is
		case <-f.done:
			continue
		default:
		}
		if timer == nil {
			timer = time.NewTimer(p.patience)
			defer timer.Stop()
		}
		select {
		case <-f.done:
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}
