package belfry_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"belfry"
)

// A network joins the brokers of several nodes.
type network struct {
	lossy func() bool // drops a unit on its way to a node

	mu    sync.Mutex
	nodes []*netBroker
}

// A netBroker is a node's.
type netBroker struct {
	network  *network
	hub      *hub
	receiver belfry.Receiver
	in       chan func()

	mu      sync.Mutex
	cut     bool
	watch   func()                    // where set, it is called before a page's rooms are watched
	watched map[string]map[string]int // by room, the pages
}

func (n *network) broker(t *testing.T, h *hub) *netBroker {
	b := &netBroker{network: n, hub: h, in: make(chan func(), 10_000), watched: make(map[string]map[string]int)}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.nodes = append(n.nodes, b)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for f := range b.in {
			f()
		}
	}()
	t.Cleanup(func() { close(b.in); <-done })
	return b
}

func (b *netBroker) Serve(r belfry.Receiver) bool {
	b.receiver = r
	return true
}

func (b *netBroker) Emit(env belfry.Envelope) int { return b.hub.Emit(env) }

func (b *netBroker) Pace() {}

func (b *netBroker) Watch(_ context.Context, page string, rooms []string) error {
	b.mu.Lock()
	watch := b.watch
	b.mu.Unlock()
	if watch != nil {
		watch()
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, room := range rooms {
		if b.watched[room] == nil {
			b.watched[room] = make(map[string]int)
		}
		b.watched[room][page]++
	}
	return nil
}

func (b *netBroker) Unwatch(page string, rooms []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for room, pages := range b.watched {
		if rooms == nil || slices.Contains(rooms, room) {
			delete(pages, page)
		}
	}
}

func (b *netBroker) watches(room string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return room == belfry.EverybodyRoom || len(b.watched[room]) > 0
}

func (b *netBroker) isCut() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.cut
}

// setCut cuts the node off from the others, or ends that.
func (b *netBroker) setCut(cut bool) {
	b.mu.Lock()
	b.cut = cut
	b.mu.Unlock()
	if cut {
		b.receiver.Lost()
	} else {
		b.receiver.Found()
	}
}

// others calls f for the nodes that can be reached.
func (b *netBroker) others(f func(*netBroker)) {
	b.network.mu.Lock()
	defer b.network.mu.Unlock()
	for _, other := range b.network.nodes {
		if other != b && !b.isCut() && !other.isCut() {
			f(other)
		}
	}
}

func (b *netBroker) Publish(_ context.Context, env belfry.Envelope) (belfry.Reach, error) {
	reach := belfry.Reach{}
	if len(env.Rooms) > 0 {
		reach.Here = b.hub.Emit(env)
	}
	answers := newAnswers(1)
	b.others(func(other *netBroker) {
		if len(env.Rooms) > 0 && !slices.ContainsFunc(env.Rooms, other.watches) {
			return
		}
		answers.wanted++
		other.in <- func() { answers.add([]int{other.receiver.Deliver(env)}, []int{0}) }
	})
	reach.Elsewhere = answers.wait
	return reach, nil
}

func (b *netBroker) Share(u belfry.Unit) belfry.Reach {
	answers := newAnswers(len(u.News))
	b.others(func(other *netBroker) {
		if b.network.lossy() {
			return
		}
		part := belfry.Unit{After: u.After, Last: u.Last}
		var at []int
		for i := range u.News {
			if other.watches(u.News[i].Room()) {
				part.News, at = append(part.News, u.News[i]), append(at, i)
			}
		}
		if len(at) > 0 {
			answers.wanted++
		}
		other.in <- func() { other.receiver.Receive(part, func(pages []int) { answers.add(pages, at) }) }
	})
	return belfry.Reach{Elsewhere: answers.wait}
}

// answers gather how many pages other nodes have reached.
type answers struct {
	wanted int // set before anybody waits
	each   chan struct{}

	mu    sync.Mutex
	pages []int
}

func newAnswers(n int) *answers {
	return &answers{pages: make([]int, n), each: make(chan struct{}, 16)}
}

func (a *answers) add(pages, at []int) {
	if len(at) == 0 {
		return
	}
	a.mu.Lock()
	for i, n := range pages {
		a.pages[at[i]] += n
	}
	a.mu.Unlock()
	a.each <- struct{}{}
}

func (a *answers) wait(context.Context) ([]int, error) {
	patience := time.NewTimer(time.Second)
	defer patience.Stop()
	var err error
	for range a.wanted {
		select {
		case <-a.each:
		case <-patience.C:
			err = context.DeadlineExceeded
		}
		if err != nil {
			break
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.pages), err
}
