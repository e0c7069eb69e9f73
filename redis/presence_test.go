package redis_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"belfry"
	"belfry/internal/porttest"
	"belfry/internal/redistest"
	"belfry/redis"
)

// onBoth runs a test on the server and on the cluster.
func onBoth(t *testing.T, test func(t *testing.T, url string)) {
	t.Run("server", func(t *testing.T) { test(t, server.URL) })
	t.Run("cluster", func(t *testing.T) { test(t, cluster.URL) })
}

func TestPresenceKeepsTheContract(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		porttest.TestPresence(t, func(t *testing.T) belfry.Presence {
			return open(t, url, newPrefix(), patient, func(o *redis.PresenceOptions) { o.Grace = time.Hour })
		})
	})
}

func TestNodesCountTogether(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		prefix := newPrefix()
		a, b, c := open(t, url, prefix, steady), open(t, url, prefix, steady), open(t, url, prefix, steady)
		a.join("ann", "acme", "1")
		b.join("ann", "acme", "2")
		if got, want := b.join("bob", "acme", "3"), (belfry.OnlineCount{Users: 2, Pages: 3}); got != want {
			t.Errorf("bob joined: %+v, want %+v", got, want)
		}
		b.join("ann", "other", "4")
		wantOnline(t, "acme", 2, 3, a, b, c)
		wantOnline(t, "other", 1, 1, a, b, c)
		wantSaid(t, "acme", 2, a, b)
		wantPages(t, "ann", 3, a, b, c)
		for i, n := range []*node{a, b, c} {
			if here := n.Here(""); len(here) != []int{1, 3, 0}[i] {
				t.Errorf("node %d: here are %v", i, here)
			}
		}
		b.leave("ann", "acme", "2")
		wantOnline(t, "acme", 2, 2, a, b, c)
		b.leave("bob", "acme", "3")
		wantOnline(t, "acme", 1, 1, a, b, c)
		wantSaid(t, "acme", 1, a)
		wantPages(t, "ann", 2, a, b, c)
		b.join("bob", "acme", "5")
		wantSaid(t, "acme", 2, a, b)
		b.Close()
		wantOnline(t, "acme", 1, 1, a, c)
		wantOnline(t, "other", 0, 0, a, c)
		wantSaid(t, "acme", 1, a)
		wantPages(t, "ann", 1, a, c)
	})
}

func TestUsersOfANodeThatVanishesGoOffline(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		prefix := newPrefix()
		a, b := open(t, url, prefix), open(t, url, prefix)
		a.join("ann", "acme", "1")
		for i := range 1200 { // three steps of reaping
			b.Presence.Join(context.Background(), who(fmt.Sprint(i), "acme"), fmt.Sprint("p", i))
		}
		b.join("ann", "acme", "2")
		b.join("bob", "alone", "3")
		wantSaid(t, "acme", 1201, a)
		b.Vanish()
		wantSaid(t, "acme", 1, a)
		wantOnline(t, "acme", 1, 1, a)
		wantOnline(t, "alone", 0, 0, a)
		wantPages(t, "ann", 1, a)
		wantPages(t, "7", 0, a)
	})
}

func TestANodeThatWasPausedPastItsLeaseComesBack(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		prefix := newPrefix()
		a, b := open(t, url, prefix), open(t, url, prefix)
		a.join("ann", "acme", "1")
		b.join("bob", "acme", "2")
		wantSaid(t, "acme", 2, a)
		thaw := sync.OnceFunc(b.Freeze())
		t.Cleanup(thaw) // before it is closed, which would wait for that
		wantSaid(t, "acme", 1, a)
		wantPages(t, "bob", 0, a)
		thaw()
		wantSaid(t, "acme", 2, a, b)
		wantOnline(t, "acme", 2, 2, a, b)
		wantPages(t, "bob", 1, a, b)
	})
}

func TestLosingRedisFailsNoLoginAndAllRegisterAgain(t *testing.T) {
	own, err := redistest.Launch()
	if err != nil {
		t.Fatal(err)
	}
	defer own.Stop()
	quick := func(o *redis.PresenceOptions) { o.Patience = redis.Silence }
	// losses is how many are logged that have not ended.
	losses := func(n *node) int { return n.log.count("does not answer") - n.log.count("answers again") }
	a, b := open(t, own.URL, "x", quick), open(t, own.URL, "x", quick)
	for _, stop := range []struct {
		name    string
		away    func() error
		back    func() error
		company belfry.CompanyID
	}{
		{"killed", own.Kill, own.Restart, "acme"},
		{"paused", own.Pause, own.Resume, "other"},
	} {
		t.Run(stop.name, func(t *testing.T) {
			id := string(stop.company)
			a.join("ann", id, "1"+id)
			b.join("bob", id, "2"+id)
			b.join("cleo", id, "3"+id)
			wantSaid(t, stop.company, 3, a, b)
			eventually(t, func() string { // nothing is left of the loss before
				if n := losses(a); n != 0 {
					return fmt.Sprintf("%d losses of Redis were logged that have not ended", n)
				}
				return ""
			})
			if err := stop.away(); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			for i := range 20 {
				a.join("dora", id, fmt.Sprint(i, id))
			}
			a.leave("ann", id, "1"+id)
			// Each alone would wait for a connection, or a word of Redis, for 3 s.
			if took := time.Since(began); took > 40*time.Second {
				t.Errorf("20 logins took %v without Redis", took)
			}
			wantOnline(t, stop.company, 1, 20, a) // dora; what the node itself knows
			eventually(t, func() string {
				if n := losses(a); n != 1 { // a slow machine may have had another, which has ended
					return fmt.Sprintf("the loss of Redis was logged %d times, want once", n)
				}
				return ""
			})
			if err := stop.back(); err != nil {
				t.Fatal(err)
			}
			wantOnline(t, stop.company, 3, 22, a, b)
			wantSaid(t, stop.company, 3, a, b)
			wantPages(t, "bob", map[string]int{"killed": 1, "paused": 2}[stop.name], a, b)
		})
	}
}

func TestCountsAreExactAfterChurnAndAKill(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		prefix := newPrefix()
		nodes := []*node{open(t, url, prefix), open(t, url, prefix), open(t, url, prefix)}
		const companies, users, rounds = 5, 30, 600
		type page struct{ user, company, id string }
		left := make([]map[page]bool, len(nodes))
		var work sync.WaitGroup
		for i, n := range nodes {
			left[i] = make(map[page]bool)
			work.Go(func() {
				random := rand.New(rand.NewPCG(1, uint64(i)))
				for round := range rounds {
					if i == 2 && round == rounds/2 {
						n.Vanish()
						clear(left[i])
						return
					}
					p := page{fmt.Sprint(random.IntN(users)), fmt.Sprint("c", random.IntN(companies)), fmt.Sprint(i, "-", round)}
					n.Presence.Join(context.Background(), who(p.user, p.company), p.id)
					left[i][p] = true
					for old := range left[i] {
						if len(left[i]) > 20 || random.IntN(3) == 0 {
							n.Presence.Leave(context.Background(), who(old.user, old.company), old.id)
							delete(left[i], old)
						}
						break
					}
				}
			})
		}
		work.Wait()
		for c := range companies {
			id := fmt.Sprint("c", c)
			online, pages := make(map[string]bool), 0
			for i := range left {
				for p := range left[i] {
					if p.company == id {
						online[p.user] = true
						pages++
					}
				}
			}
			wantOnline(t, belfry.CompanyID(id), len(online), pages, nodes[0], nodes[1])
		}
	})
}

func TestCountingGoesOnAfterClose(t *testing.T) {
	prefix := newPrefix()
	a := open(t, server.URL, prefix, func(o *redis.PresenceOptions) { o.Grace = time.Hour })
	b := open(t, server.URL, prefix)
	b.join("bob", "acme", "1")
	a.join("ann", "acme", "2")
	a.join("cleo", "acme", "3")
	a.leave("cleo", "acme", "3")
	wantOnline(t, "acme", 3, 2, a, b)
	a.Close()
	a.Close()
	wantOnline(t, "acme", 1, 1, a, b)
	if got, want := a.join("dora", "acme", "4"), (belfry.OnlineCount{Users: 2, Pages: 2}); got != want {
		t.Errorf("dora joined: %+v, want %+v", got, want)
	}
	a.leave("ann", "acme", "2")
	wantOnline(t, "acme", 1, 1, a, b)
}

func TestOtherNodesHearOfAChangeBeforeTheirBeat(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		prefix := newPrefix()
		a, b := open(t, url, prefix, patient), open(t, url, prefix, patient)
		a.join("ann", "acme", "1")
		for i := range 5 { // the first may come before they listen
			b.join(fmt.Sprint(i), "acme", fmt.Sprint("p", i))
			wantSaid(t, "acme", i+2, b)
		}
		eventually(t, func() string {
			b.join("last", "acme", "q")
			b.leave("last", "acme", "q")
			if a.log.count("does not answer") > 0 {
				return "Redis does not answer"
			}
			a.mu.Lock()
			defer a.mu.Unlock()
			if a.said["acme"] < 6 {
				return fmt.Sprintf("a has announced %d, want 6 or more", a.said["acme"])
			}
			return ""
		})
	})
}

func TestACompanyRestsOnEveryNodeAfterItsNumberWasTold(t *testing.T) {
	prefix := newPrefix()
	var mu sync.Mutex
	var told []string
	a := open(t, server.URL, prefix, func(o *redis.PresenceOptions) {
		o.Coalesce = time.Hour
		o.Changed = func(id belfry.CompanyID, users int) {
			mu.Lock()
			defer mu.Unlock()
			told = append(told, fmt.Sprint(id, users))
		}
	})
	b := open(t, server.URL, prefix)
	wantTold := func(want ...string) {
		t.Helper()
		eventually(t, func() string {
			mu.Lock()
			defer mu.Unlock()
			if !slices.Equal(told, want) {
				return fmt.Sprintf("told %q, want %q", told, want)
			}
			return ""
		})
	}
	a.join("ann", "acme", "1")
	wantTold("acme1")
	for i := range 30 {
		a.join(fmt.Sprint("a", i), "acme", fmt.Sprint("a", i))
		b.join(fmt.Sprint("b", i), "acme", fmt.Sprint("b", i))
	}
	wantOnline(t, "acme", 61, 61, a, b)
	a.join("ann", "other", "2")
	wantTold("acme1", "other1") // calls come in order
}
