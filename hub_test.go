package belfry_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"belfry"
)

// A hub is the Emitter of these tests: pages in rooms that record what they get.
type hub struct {
	mu    sync.Mutex
	pages int // made so far
	rooms map[string]map[*page]bool
	all   []*page
}

func newHub() *hub { return &hub{rooms: make(map[string]map[*page]bool)} }

// A page records what it gets.
type page struct {
	hub    *hub
	id     string
	gone   bool    // this and all below is guarded by hub
	held   bool    // what is published goes to kept
	kept   []event // until it is released
	events []event
	since  belfry.Cursor
	issued time.Time   // its token; zero of a page without one
	pace   func() bool // nil for a page that takes everything at once; set before it logs in
}

type event struct {
	name   string
	arg    any
	cursor belfry.Cursor
	replay bool // sent to this page alone
}

var (
	_ belfry.Emitter = (*hub)(nil)
	_ belfry.Page    = (*page)(nil)
)

func (h *hub) newPage() *page {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.pages++
	p := &page{hub: h, id: fmt.Sprintf("page%d", h.pages)}
	h.all = append(h.all, p)
	return p
}

func (h *hub) Pace() {}

func (h *hub) Emit(env belfry.Envelope) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	reached := make(map[*page]bool)
	for _, room := range env.Rooms {
		for p := range h.rooms[room] {
			reached[p] = true
		}
	}
	for _, room := range env.Except {
		for p := range h.rooms[room] {
			delete(reached, p)
		}
	}
	for p := range reached {
		if env.Disconnect && !env.Revoked.IsZero() && (p.issued.IsZero() || !belfry.TokenVoid(p.issued, env.Revoked)) {
			delete(reached, p)
			continue
		}
		if env.Disconnect {
			p.leaveAll()
			continue
		}
		e := event{name: env.Event, cursor: env.Cursor}
		if len(env.Args) > 0 {
			e.arg = env.Args[0]
		}
		if p.held {
			p.kept = append(p.kept, e)
			continue
		}
		p.events = append(p.events, e)
	}
	return len(reached)
}

func (p *page) ID() string { return p.id }

func (p *page) Join(rooms ...string) {
	p.hub.mu.Lock()
	defer p.hub.mu.Unlock()
	for _, room := range rooms {
		if p.hub.rooms[room] == nil {
			p.hub.rooms[room] = make(map[*page]bool)
		}
		if !p.gone {
			p.hub.rooms[room][p] = true
		}
	}
}

func (p *page) Leave(rooms ...string) {
	p.hub.mu.Lock()
	defer p.hub.mu.Unlock()
	for _, room := range rooms {
		delete(p.hub.rooms[room], p)
	}
}

func (p *page) Hold() {
	p.hub.mu.Lock()
	defer p.hub.mu.Unlock()
	p.held = true
}

func (p *page) Release() {
	p.hub.mu.Lock()
	defer p.hub.mu.Unlock()
	p.held = false
	p.events, p.kept = append(p.events, p.kept...), nil
}

func (p *page) Drop() {
	p.hub.mu.Lock()
	defer p.hub.mu.Unlock()
	p.held, p.kept = false, nil
}

func (p *page) Pace() bool { return p.pace == nil || p.pace() }

func (p *page) Emit(name string, cursor belfry.Cursor, args ...any) bool {
	p.hub.mu.Lock()
	defer p.hub.mu.Unlock()
	if p.gone {
		return false
	}
	p.events = append(p.events, event{name: name, arg: args[0], cursor: cursor, replay: true})
	return true
}

// close takes the page out of all rooms.
func (p *page) close() {
	p.hub.mu.Lock()
	defer p.hub.mu.Unlock()
	p.leaveAll()
}

// leaveAll is close with the hub locked.
func (p *page) leaveAll() {
	p.gone = true
	for _, room := range p.hub.rooms {
		delete(room, p)
	}
}

func (p *page) isGone() bool {
	p.hub.mu.Lock()
	defer p.hub.mu.Unlock()
	return p.gone
}

// all returns the events so far.
func (p *page) all() []event {
	p.hub.mu.Lock()
	defer p.hub.mu.Unlock()
	return slices.Clone(p.events)
}

// got returns the arguments of the events of a name so far.
func (p *page) got(name string) []any {
	var args []any
	for _, e := range p.all() {
		if e.name == name {
			args = append(args, e.arg)
		}
	}
	return args
}

// messages returns what the events that bring messages carried.
func (p *page) messages() []belfry.MessageEvent {
	var all []belfry.MessageEvent
	for _, arg := range p.got(belfry.EventMessage) {
		all = append(all, arg.(belfry.MessageEvent))
	}
	return all
}

// cursor returns the last that the page was given.
func (p *page) cursor() belfry.Cursor {
	var last belfry.Cursor
	for _, e := range p.all() {
		if e.cursor != (belfry.Cursor{}) {
			last = e.cursor
		}
	}
	return last
}

// titles returns the titles of the messages or activities that the page got.
func (p *page) titles(name string) string {
	s := ""
	for _, arg := range p.got(name) {
		s += titleOf(arg)
	}
	return s
}

func titleOf(arg any) string {
	switch v := arg.(type) {
	case belfry.MessageEvent:
		return v.Message.Title + v.Message.Content + " "
	case *belfry.Activity:
		return v.Title + v.Content + " "
	}
	return ""
}

// story returns all that the page was told and that has a place in the log.
func (p *page) story() string {
	s := ""
	for _, e := range p.all() {
		if r, ok := e.arg.(belfry.RevisionEvent); ok {
			s += fmt.Sprintf("%s:%d ", e.name, r.Kind)
			continue
		}
		s += titleOf(e.arg)
	}
	return s
}

// A bench is a Service with a store and a hub.
type bench struct {
	*belfry.Service
	store *shakyStore
	hub   *hub
	t     *testing.T
}

func newBench(t *testing.T, change ...func(*belfry.ServiceOptions)) *bench {
	t.Helper()
	return newBenchOn(t, newShakyStore(t), change...)
}

// newBenchOn makes a bench on a store that is there.
func newBenchOn(t *testing.T, store *shakyStore, change ...func(*belfry.ServiceOptions)) *bench {
	t.Helper()
	b := &bench{store: store, hub: newHub(), t: t}
	o := belfry.ServiceOptions{Store: b.store, Broker: belfry.NewMemoryBroker(b.hub)}
	for _, f := range change {
		f(&o)
	}
	var err error
	if b.Service, err = belfry.NewService(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// login opens a page.
func (b *bench) login(who belfry.Identity, options ...belfry.LoginOptions) (*page, belfry.Welcome) {
	b.t.Helper()
	p := b.hub.newPage()
	o := belfry.LoginOptions{Trusted: true}
	if len(options) > 0 {
		o = options[0]
	}
	p.issued = o.Issued
	w, err := b.Login(context.Background(), who, p, o)
	if err != nil {
		b.t.Fatalf("Login: %v", err)
	}
	p.since = w.Cursor
	return p, w
}

// logout closes a page.
func (b *bench) logout(who belfry.Identity, p *page) {
	p.close()
	b.Logout(who, p, p.since, "test")
}

// push sends a message with a title.
func (b *bench) push(title string, company belfry.CompanyID, to ...belfry.UserID) belfry.Receipt {
	b.t.Helper()
	return b.send(belfry.Push{Message: belfry.Message{Title: title, Company: company}, Receivers: to})
}

func (b *bench) send(push belfry.Push) belfry.Receipt {
	b.t.Helper()
	r, err := b.PushMessage(context.Background(), push, nil)
	if err != nil {
		b.t.Fatalf("PushMessage: %v", err)
	}
	return r
}

// record pushes an activity with a title.
func (b *bench) record(title string, company belfry.CompanyID) belfry.Receipt {
	b.t.Helper()
	r, err := b.PushActivity(context.Background(), belfry.ActivityPush{Activity: belfry.Activity{Company: company, Title: title}}, nil)
	if err != nil {
		b.t.Fatalf("PushActivity: %v", err)
	}
	return r
}

// counts returns an identity's counts.
func (b *bench) counts(who belfry.Identity) belfry.Counts {
	b.t.Helper()
	c, err := b.Counts(context.Background(), who)
	if err != nil {
		b.t.Fatalf("Counts: %v", err)
	}
	return c
}

// inbox returns the titles of an identity's messages, newest first.
func (b *bench) inbox(who belfry.Identity, q belfry.InboxQuery) string {
	b.t.Helper()
	messages, err := b.Inbox(context.Background(), who, q)
	if err != nil {
		b.t.Fatalf("Inbox: %v", err)
	}
	s := ""
	for i := range messages {
		s += messages[i].Title + " "
	}
	return s
}

// mark marks messages.
func (b *bench) mark(who belfry.Identity, kind belfry.RevisionKind, ids ...belfry.ID) belfry.Counts {
	b.t.Helper()
	c, err := b.Mark(context.Background(), who, belfry.Mark{Kind: kind, IDs: ids})
	if err != nil {
		b.t.Fatalf("Mark: %v", err)
	}
	return c
}

// A clock is a time that tests set.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func newClock() *clock { return &clock{now: time.Now().Truncate(time.Second)} }

func (c *clock) time() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func wantTold(t *testing.T, p *page, want string) {
	t.Helper()
	if got := p.story(); got != want {
		t.Errorf("%s was told %q, want %q", p.id, got, want)
	}
}
