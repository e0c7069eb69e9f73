package server

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"belfry"
	"belfry/engineio"
)

// A crowd is pages on connections in memory: everything above the bytes of a
// connection is what real pages have. Every page is of another user. One in ten is of
// one big company, the others are of companies of a thousand.
type crowd struct {
	*fixture
	pages   []crowdPage
	arrived chan struct{} // a login is complete
	pings   chan *crowdPage
	over    chan struct{}  // nobody answers pings any more
	single  chan time.Time // when a message to one user arrived
	online  atomic.Int64   // announcements of the online count

	beats counter // answered pings
	heard counter // events to many
}

// A counter says when something has happened a number of times.
type counter struct {
	left atomic.Int64
	done chan struct{}
}

// expect must be called before what is expected can happen.
func (c *counter) expect(n int) <-chan struct{} {
	c.done = make(chan struct{})
	c.left.Store(int64(n))
	return c.done
}

func (c *counter) count() {
	if c.left.Add(-1) == 0 {
		close(c.done)
	}
}

// A crowdPage is a page and the wire under it. What it is sent it looks at as far
// as it must.
type crowdPage struct {
	crowd  *crowd
	link   atomic.Pointer[engineio.Link]
	number int32
	in     atomic.Bool // its login is complete
}

var _ engineio.Wire = (*crowdPage)(nil)

// Finish is called where a login took too long: the page comes back, as clients do.
func (p *crowdPage) Finish() error {
	if !p.in.Load() {
		go p.connect()
	}
	return nil
}

func (*crowdPage) Close() error { return nil }

// connect has the page log in with a token.
func (p *crowdPage) connect() {
	c := p.crowd
	token, err := c.tokens.Sign(c.who(int(p.number)), time.Hour)
	if err != nil {
		c.t.Error(err)
		return
	}
	handshake := &engineio.Handshake{Address: fmt.Sprintf("127.0.0.1:%d", 1024+p.number%64000), Path: "/socket.io/"}
	link, ok := c.sockets.Engine().Attach(p, engineio.Protocol4, handshake)
	if !ok {
		c.t.Error("a page was refused")
		return
	}
	p.link.Store(link)
	link.Feed(pagesFrame(`40{"token":"` + token + `"}`))
}

func (p *crowdPage) Write(b []byte) error {
	_, err := p.TryWrite(b)
	return err
}

// TryWrite takes everything.
func (p *crowdPage) TryWrite(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		from, n := 2, int(rest[1])
		if n == 126 { // RFC 6455 section 5.2; longer ones do not occur here
			from, n = 4, int(binary.BigEndian.Uint16(rest[2:]))
		}
		p.take(rest[from : from+n])
		rest = rest[from+n:]
	}
	return len(b), nil
}

var (
	countsEvent  = []byte(`42["counts",`)
	onlineEvent  = []byte(`42["update_online_count",`)
	singleEvent  = []byte(`42["new_msg",{`)
	textEvent    = []byte(`42["new_msg","`)
	companyEvent = []byte(`42["to_company"`)
)

func (p *crowdPage) take(packet []byte) {
	c := p.crowd
	switch {
	case len(packet) == 1 && packet[0] == '2':
		select {
		case c.pings <- p:
		case <-c.over:
		}
	case bytes.HasPrefix(packet, onlineEvent):
		c.online.Add(1)
	case bytes.HasPrefix(packet, countsEvent):
		if p.in.CompareAndSwap(false, true) {
			c.arrived <- struct{}{}
		}
	case bytes.HasPrefix(packet, singleEvent):
		c.single <- time.Now()
	case bytes.HasPrefix(packet, textEvent), bytes.HasPrefix(packet, companyEvent):
		c.heard.count()
	}
}

// stormWidth is how many pages are logging in at a time.
const stormWidth = 1024

// crowdCompany is the size of all companies but the big one.
const crowdCompany = 1000

// newCrowd starts a server for n pages with a heartbeat of an interval.
func newCrowd(tb testing.TB, n int, interval time.Duration) *crowd {
	tb.Helper()
	c := &crowd{
		pages:   make([]crowdPage, n),
		arrived: make(chan struct{}, stormWidth),
		pings:   make(chan *crowdPage, 1<<16),
		over:    make(chan struct{}),
		single:  make(chan time.Time, 1),
	}
	c.fixture = start(tb, func(o *Options) {
		o.Logger = slog.New(slog.DiscardHandler)
		o.PingInterval, o.Grace = interval, belfry.DefaultGrace
	})
	var pongs sync.WaitGroup
	for range 2 {
		pongs.Go(c.answerPings)
	}
	tb.Cleanup(func() {
		close(c.over)
		pongs.Wait()
	})
	return c
}

// answerPings is the pages' side of heartbeats.
func (c *crowd) answerPings() {
	frame := make([]byte, 7)
	for {
		select {
		case p := <-c.pings:
			p.link.Load().Feed(append(frame[:0], pagesFrame("3")...))
			c.beats.count()
		case <-c.over:
			return
		}
	}
}

// pagesFrame encodes a masked text frame; a key of zeros leaves the payload as it is.
func pagesFrame(text string) []byte {
	head := []byte{0x81, 0x80 | byte(len(text))}
	if len(text) > 125 {
		head = []byte{0x81, 0x80 | 126, byte(len(text) >> 8), byte(len(text))}
	}
	return append(append(head, 0, 0, 0, 0), text...)
}

// who is the identity of the i-th page.
func (c *crowd) who(i int) belfry.Identity {
	company := "big"
	if i%10 != 0 {
		company = fmt.Sprint(1 + i/crowdCompany)
	}
	return belfry.Identity{User: belfry.UserID(fmt.Sprint(1_000_000 + i)), Company: belfry.CompanyID(company)}
}

// enrolAtOnce is how many members are made in one call.
const enrolAtOnce = 10_000

// enrol makes the users of pages from one number to another known as members of their companies.
func (c *crowd) enrol(from, to int) {
	c.t.Helper()
	members := make(map[belfry.CompanyID][]belfry.UserID)
	add := func(company belfry.CompanyID) {
		if err := c.Service().AddMembers(context.Background(), company, members[company]); err != nil {
			c.t.Fatal(err)
		}
		delete(members, company)
	}
	for i := from; i < to; i++ {
		who := c.who(i)
		members[who.Company] = append(members[who.Company], who.User)
		if len(members[who.Company]) == enrolAtOnce {
			add(who.Company)
		}
	}
	for company := range members {
		add(company)
	}
}

// login logs pages from one number to another in, stormWidth at a time, with a token
// each.
func (c *crowd) login(from, to int) {
	c.t.Helper()
	tooLong := time.NewTimer(30 * time.Minute)
	defer tooLong.Stop()
	wait := func() {
		select {
		case <-c.arrived:
		case <-tooLong.C:
			c.t.Fatal("not all pages have logged in")
		}
	}
	for i := from; i < to; i++ {
		if i >= from+stormWidth {
			wait()
		}
		p := &c.pages[i]
		p.crowd, p.number = c, int32(i)
		p.connect()
	}
	for range min(stormWidth, to-from) {
		wait()
	}
}

// hangup ends the connections of all pages.
func (c *crowd) hangup() {
	for i := range c.pages {
		c.pages[i].link.Load().Hangup(engineio.ReasonTransportClose)
	}
}

// usersOnline returns the sum of the companies' numbers.
func (c *crowd) usersOnline() int {
	sum := c.fixture.online("big")
	for company := 1; company <= (len(c.pages)+crowdCompany-1)/crowdCompany; company++ {
		sum += c.fixture.online(fmt.Sprint(company))
	}
	return sum
}

// toAll sends a text to every page and returns when all have it.
func (c *crowd) toAll() {
	c.t.Helper()
	done := c.heard.expect(len(c.pages))
	r, err := c.Service().PublishText(context.Background(), "", "hello, everybody: this is about as long as a short notice is", false)
	if err != nil || r.Pages != len(c.pages) {
		c.t.Errorf("a text to all was queued for %d pages: %v", r.Pages, err)
		return
	}
	<-done
}

// toBigCompany sends an event to the big company and returns when all have it.
func (c *crowd) toBigCompany() {
	c.t.Helper()
	n := (len(c.pages) + 9) / 10
	done := c.heard.expect(n)
	pages, err := c.Service().PublishEvent(context.Background(), belfry.GenericEvent{
		Event: "to_company", Rooms: []string{belfry.CompanyRoom("big")}, Data: []byte(`{"text":"about as long as a short notice is"}`),
	}, nil)
	if err != nil || pages != n {
		c.t.Fatalf("an event to the company was queued for %d pages: %v", pages, err)
	}
	<-done
}

// toOne sends a message to one user and returns how long it took to the page.
func (c *crowd) toOne(i int) time.Duration {
	c.t.Helper()
	begin := time.Now()
	who := c.who(i)
	r, err := c.Service().PushMessage(context.Background(), belfry.Push{
		Message: belfry.Message{Title: "to you", Content: "alone"}, Receivers: []belfry.UserID{who.User}, Transient: true,
	}, nil)
	if err != nil || r.Pages != 1 {
		c.t.Fatalf("a message to one user was queued for %d pages: %v", r.Pages, err)
	}
	return (<-c.single).Sub(begin)
}
