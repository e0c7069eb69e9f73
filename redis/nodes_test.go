package redis_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	"belfry/internal/redistest"
	"belfry/redis"
)

// gone is what a node was told of others.
type gone struct {
	mu    sync.Mutex
	nodes []string
}

func (g *gone) note(node string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.nodes = append(g.nodes, node)
}

func (g *gone) all() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.nodes)
}

// openAt opens a node with an address.
func openAt(t *testing.T, url, prefix, address string, change ...func(*redis.PresenceOptions)) (*node, *gone) {
	t.Helper()
	g := &gone{}
	return open(t, url, prefix, append(change, func(o *redis.PresenceOptions) { o.Address, o.Gone = address, g.note })...), g
}

// wantGone waits until the node was told of these, in this order.
func wantGone(t *testing.T, g *gone, want ...string) {
	t.Helper()
	eventually(t, func() string {
		if got := g.all(); !slices.Equal(got, want) {
			return fmt.Sprintf("told that %q are gone, want %q", got, want)
		}
		return ""
	})
}

// wantNodes waits until all nodes know each other, and nobody else.
func wantNodes(t *testing.T, nodes ...*node) {
	t.Helper()
	var want []string
	for _, n := range nodes {
		want = append(want, n.Node())
	}
	slices.Sort(want)
	for _, n := range nodes {
		eventually(t, func() string {
			got, err := n.Nodes(context.Background())
			slices.Sort(got)
			if err != nil || !slices.Equal(got, want) {
				return fmt.Sprintf("the nodes are %q (%v), want %q", got, err, want)
			}
			return ""
		})
	}
}

func TestNodesFindEachOtherAndHearWhoIsGone(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, url string) {
		prefix := newPrefix()
		a, goneA := openAt(t, url, prefix, "", steady)
		b, _ := openAt(t, url, prefix, "10.0.0.2:1", steady)
		if got, ok := a.Address(b.Node()); !ok || got != "10.0.0.2:1" { // before a's next beat
			t.Errorf("b's address is %q, %t", got, ok)
		}
		if got, ok := b.Address(a.Node()); !ok || got != "" {
			t.Errorf("a has the address %q, %t; want that it is alive and has none", got, ok)
		}
		if got, ok := a.Address("unheard-of"); ok {
			t.Errorf("a node that never was has the address %q", got)
		}
		c, goneC := openAt(t, url, prefix, "10.0.0.3:1", steady)
		wantNodes(t, a, b, c)
		a.join("ann", "acme", "1")
		b.join("bob", "acme", "2")
		b.Vanish()
		wantGone(t, goneA, b.Node())
		wantGone(t, goneC, b.Node())
		wantNodes(t, a, c)
		if got, ok := a.Address(b.Node()); ok {
			t.Errorf("b is gone, and has the address %q", got)
		}
		wantOnline(t, "acme", 1, 1, a, c)
		c.Close()
		wantGone(t, goneA, b.Node(), c.Node())
		wantGone(t, goneC, b.Node())
		wantNodes(t, a)
	})
}

// Pages go on to name a node that is gone, and a new one has to be found nevertheless.
func TestANewNodeIsFoundWhileManyNameOthers(t *testing.T) {
	prefix := newPrefix()
	a, _ := openAt(t, server.URL, prefix, "", patient) // no beat tells it
	done := make(chan struct{})
	var names sync.WaitGroup
	defer names.Wait()
	defer close(done)
	for i := range 8 {
		names.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					a.Address(fmt.Sprint("unheard-of-", i))
				}
			}
		})
	}
	for i := range 5 {
		b, _ := openAt(t, server.URL, prefix, fmt.Sprint("10.0.0.2:", i), patient)
		if got, ok := a.Address(b.Node()); !ok || got != fmt.Sprint("10.0.0.2:", i) {
			t.Fatalf("node %d has the address %q, %t", i, got, ok)
		}
	}
}

func TestANodeThatWasPausedIsGoneOnceEachTime(t *testing.T) {
	t.Parallel()
	prefix := newPrefix()
	a, goneA := openAt(t, server.URL, prefix, "", steady)
	b, _ := openAt(t, server.URL, prefix, "", steady)
	wantNodes(t, a, b)
	for i := range 2 {
		thaw := sync.OnceFunc(b.Freeze())
		t.Cleanup(thaw) // before it is closed, which would wait for that
		wantGone(t, goneA, slices.Repeat([]string{b.Node()}, i+1)...)
		thaw()
		wantNodes(t, a, b)
	}
}

func TestNobodyIsGoneBecauseRedisIs(t *testing.T) {
	t.Parallel()
	own, err := redistest.Launch()
	if err != nil {
		t.Fatal(err)
	}
	defer own.Stop()
	long := func(o *redis.PresenceOptions) { o.Lease = longLease }
	a, goneA := openAt(t, own.URL, "x", "a", long)
	b, goneB := openAt(t, own.URL, "x", "b", long)
	wantNodes(t, a, b)
	a.join("ann", "acme", "1")
	b.join("bob", "acme", "2")
	for _, stop := range []struct{ away, back func() error }{{own.Kill, own.Restart}, {own.Pause, own.Resume}} {
		if err := stop.away(); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() string {
			if _, ok := a.Address(b.Node()); ok {
				return "b's lease has not ended"
			}
			if _, ok := b.Address(a.Node()); ok {
				return "a's lease has not ended"
			}
			return ""
		})
		if err := stop.back(); err != nil {
			t.Fatal(err)
		}
		wantNodes(t, a, b)
		wantOnline(t, "acme", 2, 2, a, b)
	}
	c, _ := openAt(t, own.URL, "x", "c", long)
	wantNodes(t, a, b, c)
	c.Close() // what was wrongly told before would have been told first
	wantGone(t, goneA, c.Node())
	wantGone(t, goneB, c.Node())
}
