package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"
)

// A disruption does something to the installation, for a time, and makes it good again.
type disruption struct {
	kind string
	// shortest is how long it lasts at least, and longest at most.
	shortest, longest time.Duration
	begin, end        func(ctx context.Context) error
}

// A deed is a disruption that was done.
type deed struct {
	kind   string
	at, to time.Time
}

// disruptions are those of the processes and those of the links. Each list has one thing at a time; the two
// go on beside each other.
func (in *installation) disruptions() (processes, links []disruption) {
	ctxless := func(f func() error) func(context.Context) error { return func(context.Context) error { return f() } }
	for _, n := range in.nodes {
		name := fmt.Sprintf("node %d ", n.number)
		processes = append(processes,
			disruption{name + "killed", 100 * time.Millisecond, lease + time.Second, ctxless(func() error { return n.process.Kill() }), n.start},
			disruption{name + "stopped past its lease", lease + 500*time.Millisecond, lease + 2*time.Second,
				ctxless(func() error { return n.process.Pause() }), ctxless(func() error { return n.process.Resume() })},
		)
		for _, l := range []struct {
			name string
			link *link
		}{{name + "to Redis", n.toRedis}, {name + "to the store", n.toStore}} {
			if l.link == nil {
				continue
			}
			set := func(state linkState) func(context.Context) error {
				return ctxless(func() error { l.link.set(state); return nil })
			}
			links = append(links,
				disruption{l.name + " cut", 200 * time.Millisecond, 3 * time.Second, set(linkCut), set(linkWhole)},
				disruption{l.name + " stalled", 200 * time.Millisecond, 3 * time.Second, set(linkStalled), set(linkWhole)},
			)
		}
	}
	if in.redisOurs {
		processes = append(processes,
			disruption{"Redis killed, and back empty", 100 * time.Millisecond, lease, ctxless(in.redis.Kill), ctxless(in.redis.Restart)},
			disruption{"Redis paused", 500 * time.Millisecond, lease + time.Second, ctxless(in.redis.Pause), ctxless(in.redis.Resume)},
		)
	}
	if in.storeOurs {
		processes = append(processes,
			disruption{"store killed", 100 * time.Millisecond, 2 * time.Second, ctxless(in.store.Kill), ctxless(in.store.Restart)},
			disruption{"store paused", 500 * time.Millisecond, 3 * time.Second, ctxless(in.store.Pause), ctxless(in.store.Resume)},
		)
	}
	return processes, links
}

// oneNodeOnly keeps of what is done to nodes' processes what is done to one drawn node each.
func oneNodeOnly(all []disruption, rng *rand.Rand) (some []disruption) {
	killed, stopped := rng.IntN(nodeCount), rng.IntN(nodeCount)
	for _, d := range all {
		var node int
		switch n, _ := fmt.Sscanf(d.kind, "node %d", &node); {
		case n == 0, d.kind == fmt.Sprintf("node %d killed", killed), d.kind == fmt.Sprintf("node %d stopped past its lease", stopped):
			some = append(some, d)
		}
	}
	return some
}

// A chronicle has the deeds.
type chronicle struct {
	mu    sync.Mutex
	deeds []deed
	tell  func(format string, args ...any)
}

func (c *chronicle) add(d deed) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deeds = append(c.deeds, d)
}

func (c *chronicle) all() []deed {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.deeds
}

// maxRest is how long it is quiet between two disruptions of a list at most.
const maxRest = time.Second

// disrupt goes through a list in an order that is drawn, each at least once, and again until the time is over.
func (c *chronicle) disrupt(ctx context.Context, list []disruption, until time.Time, rng *rand.Rand) error {
	if len(list) == 0 {
		pause(ctx, time.Until(until))
		return nil
	}
	for first := true; first || time.Now().Before(until); first = false {
		for _, i := range rng.Perm(len(list)) {
			d := list[i]
			lasts := d.shortest + time.Duration(rng.Int64N(int64(d.longest-d.shortest)))
			rest := time.Duration(rng.Int64N(int64(maxRest)))
			if !first && time.Now().After(until) {
				break
			}
			at := time.Now()
			c.tell("%s for %v", d.kind, lasts.Round(time.Millisecond))
			if err := d.begin(ctx); err != nil {
				return fmt.Errorf("%s: %w", d.kind, err)
			}
			pause(ctx, lasts)
			if err := d.end(ctx); err != nil {
				return fmt.Errorf("the end of %s: %w", d.kind, err)
			}
			c.add(deed{d.kind, at, time.Now()})
			if pause(ctx, rest); ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
	return nil
}

// pause lets time go by.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}
