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
	// with the number of all nodes, when it has changed on any of them: who is to be told has a page on one of these
	// nodes. Coalesce is per company and node.
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
	// Node is this process's name in Redis, another at each start; "" means one of 16 random digits.
	Node string
	// Address is where other nodes reach this one. They find it with [Presence.Address].
	Address string
	// Gone is called when a node's lease has ended, or the node was closed: once on every other node that has known it, at
	// most 4/3 of Lease after its last renewal. Calls come one after the other from a goroutine of the presence. A node
	// that was only slow comes back, under its name, and can be gone again. Where Redis was away,
	// all nodes have a lease's time to come back. It may be nil.
	Gone func(node string)
}

// The defaults of [PresenceOptions].
const (
	DefaultLease    = 15 * time.Second
	DefaultPatience = time.Second
)

// A Presence counts the pages of all nodes. It is safe for concurrent use.
//
// Where Redis does not answer within Patience, a call answers what this node knows, and what has changed is made up for
// when Redis answers again; only PagesOf, Nodes and Address say so. A call does not wait at all while others have
// just waited in vain. Each master of a cluster is away by itself.
type Presence struct {
	c        *Client
	log      *slog.Logger
	node     string // with a nonce: a node that starts again is another
	article  bool
	grace    time.Duration
	coalesce time.Duration
	lease    time.Duration
	patience time.Duration
	address  string
	changed  func(belfry.CompanyID, int)
	gone     func(string)
	seed     maphash.Seed

	mu        sync.Mutex
	companies [beatSlices]map[belfry.CompanyID]*company
	users     [turns * beatSlices]map[belfry.UserID]*user
	written   uint64          // users' pages, so far
	away      list.List       // of *awayUser, in the order of time
	nodes     map[string]peer // that are alive, this one included
	asked     time.Time       // when Address asked last for one that is not among them
	inquiry   *inquiry        // that Address will make next, nil if nobody waits for one
	missed    bool            // the lease was not renewed when it was time
	there     time.Time       // since when Redis is, all of it: nodes have a lease's time to come back
	shards    shards
	stale     queue[*company] // to be announced
	ended     queue[string]   // nodes, to be told
	trouble   trouble
	reaping   map[string]bool // nodes that this one takes out
	closed    bool
	roused    chan struct{} // away has its first

	stop    context.CancelFunc
	running sync.WaitGroup
}

var _ belfry.Presence = (*Presence)(nil)

// A beat is a third of a lease. In each, the leases of all companies are renewed, in slices, so that it is never much
// at a time. In turns of so many beats the pages of all users are written again.
const (
	beatSlices = 20
	turns      = 20
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
		c: c, log: c.log, node: o.Node, article: o.ArticleHash,
		grace: o.Grace, coalesce: o.Coalesce, lease: o.Lease, patience: o.Patience, changed: o.Changed,
		address: o.Address, gone: o.Gone,
		seed: maphash.MakeSeed(), nodes: make(map[string]peer),
		reaping: make(map[string]bool),
		roused:  make(chan struct{}, 1),
	}
	p.stale.some, p.ended.some = sync.NewCond(&p.mu), sync.NewCond(&p.mu)
	p.trouble.companies, p.trouble.users = make(map[*company]struct{}), make(map[*user]struct{})
	for i := range p.users {
		p.users[i] = make(map[belfry.UserID]*user)
	}
	for i := range p.companies {
		p.companies[i] = make(map[belfry.CompanyID]*company)
	}
	if p.node == "" {
		p.node = hex.EncodeToString(nonce[:])
	}
	p.setDefaults()
	p.start()
	return p, nil
}

func (p *Presence) start() {
	p.shards.byName = make(map[string]*shard)
	p.readShards()
	p.mu.Lock()
	if len(p.shards.ranges) == 0 {
		p.shards.ranges = []slotRange{{slots - 1, p.addShard("")}}
	}
	p.mu.Unlock()
	p.renewLease() // before any page: others forget the pages of a node that is not listed
	var background context.Context
	background, p.stop = context.WithCancel(context.Background())
	p.running.Go(p.announceAll)
	p.running.Go(p.tellGone)
	p.running.Go(func() { p.endGraces(background) })
	p.running.Go(func() { p.keepLease(background) })
	p.running.Go(func() { p.beat(background) })
	p.running.Go(func() { p.retry(background) })
	p.running.Go(func() { p.listen(background) })
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
	if p.gone == nil {
		p.gone = func(string) {}
	}
}

// Node is this process's name in Redis.
func (p *Presence) Node() string { return p.node }

// Join implements [belfry.Presence]. It never fails. It waits until Redis has confirmed the page, at most for Patience,
// whether or not ctx ends.
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
	if page := (belfry.OpenPage{ID: pageID, Company: who.Company, Here: true}); !slices.Contains(u.pages, page) {
		u.pages = append(slices.Clip(u.pages), page)
		m.pages++
		c.pages++
		c.dirty[who.User] = struct{}{}
	}
	p.wait(context.WithoutCancel(ctx), p.wantCompany(c, soon), p.wantUser(u, soon))
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
	u, c := p.users[p.turn(who.User)][who.User], p.company(who.Company)
	if u == nil || c == nil {
		return nil
	}
	i := slices.Index(u.pages, belfry.OpenPage{ID: pageID, Company: who.Company, Here: true})
	if i < 0 {
		return nil
	}
	u.pages = append(u.pages[:i:i], u.pages[i+1:]...) // a reader may have the old ones
	m := c.members[who.User]
	m.pages--
	c.pages--
	c.dirty[who.User] = struct{}{}
	u.left = time.Now()
	if m.pages == 0 {
		p.startGrace(who, c, m)
	}
	p.wantCompany(c, soon)
	p.wantUser(u, soon)
	return nil
}

// Online implements [belfry.Presence]. It never fails.
func (p *Presence) Online(ctx context.Context, id belfry.CompanyID) (belfry.OnlineCount, error) {
	p.mu.Lock()
	if c := p.company(id); c != nil {
		defer p.mu.Unlock()
		p.wait(ctx, p.wantCompany(c, soon))
		return c.number(), nil
	}
	closed := p.closed
	p.mu.Unlock()
	if closed {
		return belfry.OnlineCount{}, nil
	}
	n, err := p.count(id)
	if err != nil {
		return belfry.OnlineCount{}, nil
	}
	return n, nil
}

// PagesOf implements [belfry.Presence]. It is one command to Redis, and waits for at most Patience. It fails
// with [belfry.ErrUnavailable] after Close, too.
func (p *Presence) PagesOf(_ context.Context, id belfry.UserID) ([]belfry.OpenPage, error) {
	pages := p.PagesHere(id)
	p.mu.Lock()
	closed := p.closed
	p.mu.Unlock()
	err := errClosed
	if !closed {
		var others []belfry.OpenPage
		others, err = p.pagesElsewhere(id)
		pages = append(pages, others...)
	}
	if err != nil {
		return pages, &belfry.Error{Code: belfry.ErrUnavailable, Message: "which pages are open on other nodes is not known now", Err: err}
	}
	return pages, nil
}

var errClosed = errors.New("redis: the presence is closed")

// Here implements [belfry.Presence].
func (p *Presence) Here(id belfry.CompanyID) []belfry.Identity {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.here(id)
}

// PagesHere implements [belfry.Presence].
func (p *Presence) PagesHere(id belfry.UserID) []belfry.OpenPage {
	p.mu.Lock()
	defer p.mu.Unlock()
	if u := p.users[p.turn(id)][id]; u != nil {
		return slices.Clone(u.pages)
	}
	return nil
}

// Close takes the node's pages out of Redis, and returns when nothing of the presence is running. What it was about
// to announce is not announced: its pages are about to end. Counting goes on working after it, for this node alone,
// without grace and announcements.
func (p *Presence) Close() {
	p.mu.Lock()
	first := !p.closed
	p.closed = true
	p.stale.some.Broadcast()
	p.ended.some.Broadcast()
	for _, s := range p.shards.byName {
		s.companies.some.Broadcast()
		s.users.some.Broadcast()
	}
	p.mu.Unlock()
	p.stop()
	p.running.Wait()
	if first {
		p.mu.Lock()
		p.failWaiting()
		p.mu.Unlock()
		p.signOff()
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
