package belfry_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

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
	gone   bool    // guarded by hub
	events []event // guarded by hub
}

type event struct {
	name   string
	arg    any
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

func (h *hub) Emit(env belfry.Envelope) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	reached := make(map[*page]bool)
	for _, room := range env.Rooms {
		for p := range h.rooms[room] {
			reached[p] = true
		}
	}
	for p := range reached {
		p.events = append(p.events, event{name: env.Event, arg: env.Args[0]})
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
		p.hub.rooms[room][p] = true
	}
}

func (p *page) Emit(name string, args ...any) bool {
	p.hub.mu.Lock()
	defer p.hub.mu.Unlock()
	if p.gone {
		return false
	}
	p.events = append(p.events, event{name: name, arg: args[0], replay: true})
	return true
}

// close takes the page out of all rooms.
func (p *page) close() {
	p.hub.mu.Lock()
	defer p.hub.mu.Unlock()
	p.gone = true
	for _, room := range p.hub.rooms {
		delete(room, p)
	}
}

// got returns the arguments of the events of a name so far.
func (p *page) got(name string) []any {
	p.hub.mu.Lock()
	defer p.hub.mu.Unlock()
	var args []any
	for _, e := range p.events {
		if e.name == name {
			args = append(args, e.arg)
		}
	}
	return args
}

// titles returns the titles of the messages or activities that the page got.
func (p *page) titles(name string) string {
	s := ""
	for _, arg := range p.got(name) {
		switch v := arg.(type) {
		case *belfry.Message:
			s += v.Title + v.Content + " "
		case *belfry.Activity:
			s += v.Title + v.Content + " "
		}
	}
	return s
}

// A bench is a Service with a store and a hub.
type bench struct {
	*belfry.Service
	store *memStore
	hub   *hub
	t     *testing.T
}

func newBench(t *testing.T, change ...func(*belfry.ServiceOptions)) *bench {
	t.Helper()
	b := &bench{store: newMemStore(), hub: newHub(), t: t}
	o := belfry.ServiceOptions{Store: b.store, Broker: belfry.NewMemoryBroker(b.hub)}
	for _, f := range change {
		f(&o)
	}
	b.Service = belfry.NewService(o)
	t.Cleanup(b.Close)
	return b
}

// login opens a page.
func (b *bench) login(who belfry.Identity) (*page, belfry.Welcome) {
	b.t.Helper()
	p := b.hub.newPage()
	w, err := b.Login(context.Background(), who, p)
	if err != nil {
		b.t.Fatalf("Login: %v", err)
	}
	return p, w
}

// push sends a message with a title.
func (b *bench) push(title string, company belfry.CompanyID, to ...belfry.UserID) belfry.Receipt {
	b.t.Helper()
	r, err := b.PushMessage(context.Background(), belfry.Message{Title: title, Company: company}, to, belfry.PushOptions{})
	if err != nil {
		b.t.Fatalf("PushMessage: %v", err)
	}
	return r
}
