package redis_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"belfry"
	"belfry/internal/redistest"
	"belfry/redis"
)

// A page is one that a node has open.
type page struct{ user, company, id string }

// churn joins and leaves on a node until the time is over, and returns the pages that are open then.
func churn(n *node, seed uint64, over <-chan struct{}) map[page]bool {
	random := rand.New(rand.NewPCG(1, seed))
	open := make(map[page]bool)
	for round := 0; ; round++ {
		select {
		case <-over:
			return open
		default:
		}
		p := page{fmt.Sprint(random.IntN(30)), fmt.Sprint("c", random.IntN(5)), fmt.Sprint(seed, "-", round)}
		n.Presence.Join(context.Background(), who(p.user, p.company), p.id)
		open[p] = true
		for old := range open {
			if len(open) > 40 || random.IntN(3) == 0 {
				n.Presence.Leave(context.Background(), who(old.user, old.company), old.id)
				delete(open, old)
			}
			break
		}
	}
}

func TestCountsAreExactAfterRedisWentAndCameBackDuringChurn(t *testing.T) {
	t.Parallel()
	for _, kept := range []struct {
		name  string
		flags []string
	}{
		{"empty", nil},
		{"with what it had written", []string{"--appendonly", "yes", "--appendfsync", "everysec"}},
	} {
		t.Run(kept.name, func(t *testing.T) {
			own, err := redistest.Launch(kept.flags...)
			if err != nil {
				t.Fatal(err)
			}
			defer own.Stop()
			quick := func(o *redis.PresenceOptions) { o.Patience = redis.Silence } // a slow machine is not away
			nodes := []*node{open(t, own.URL, "x", quick), open(t, own.URL, "x", quick), open(t, own.URL, "x", quick)}
			over := make(chan struct{})
			left := make([]map[page]bool, len(nodes))
			var work sync.WaitGroup
			for i, n := range nodes {
				work.Go(func() { left[i] = churn(n, uint64(i), over) })
			}
			for _, stop := range []struct{ away, back func() error }{{own.Kill, own.Restart}, {own.Pause, own.Resume}, {own.Kill, own.Restart}} {
				eventually(t, func() string { return answers(nodes, true) })
				if err := stop.away(); err != nil {
					t.Fatal(err)
				}
				eventually(t, func() string { return answers(nodes, false) })
				if err := stop.back(); err != nil {
					t.Fatal(err)
				}
			}
			eventually(t, func() string { return answers(nodes, true) })
			close(over)
			work.Wait()
			wantExactly(t, nodes, left)
		})
	}
}

// answers says which node knows no others' pages although Redis is there, or does although it is not.
func answers(nodes []*node, want bool) string {
	for i, n := range nodes {
		if _, err := n.PagesOf(context.Background(), "1"); (err == nil) != want {
			return fmt.Sprintf("node %d: PagesOf says %v", i, err)
		}
	}
	return ""
}

// wantExactly recounts, and waits until all nodes have these counts and pages.
func wantExactly(t *testing.T, nodes []*node, left []map[page]bool) {
	t.Helper()
	online, pages := make(map[string]map[string]bool), make(map[string]int)
	ofUser := make(map[string]int)
	for _, some := range left {
		for p := range some {
			if online[p.company] == nil {
				online[p.company] = make(map[string]bool)
			}
			online[p.company][p.user] = true
			pages[p.company]++
			ofUser[p.user]++
		}
	}
	for c := range 5 {
		id := fmt.Sprint("c", c)
		wantOnline(t, belfry.CompanyID(id), len(online[id]), pages[id], nodes...)
	}
	for u := range 30 {
		wantPages(t, belfry.UserID(fmt.Sprint(u)), ofUser[fmt.Sprint(u)], nodes...)
	}
}
