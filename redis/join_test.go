package redis_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"belfry"
	"belfry/internal/redistest"
	"belfry/redis"

	"github.com/redis/rueidis"
)

// patient is for tests in which Redis is never away, whatever else the machine does.
func patient(o *redis.PresenceOptions) { o.Patience, o.Lease = time.Minute, 10*time.Minute }

// wantSeen fails unless the node sees the page of the user now.
func wantSeen(t *testing.T, n *node, user, page string) {
	t.Helper()
	pages, err := n.PagesOf(context.Background(), belfry.UserID(user))
	if err != nil || !slices.ContainsFunc(pages, func(p belfry.OpenPage) bool { return p.ID == page }) {
		t.Errorf("%s has pages %v (%v), and %s is not among them", user, pages, err, page)
	}
}

func TestAPageThatHasJoinedIsSeenByEveryNode(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		prefix := newPrefix()
		a, b, c := open(t, url, prefix, patient), open(t, url, prefix, patient), open(t, url, prefix, patient)
		var callers sync.WaitGroup
		for i := range 64 {
			callers.Go(func() {
				for round := range 20 {
					user, page := fmt.Sprint(i%40), fmt.Sprint(i, "-", round)
					a.join(user, fmt.Sprint("c", i%7), page)
					wantSeen(t, b, user, page)
					wantSeen(t, c, user, page)
					if round%2 == 0 {
						a.leave(user, fmt.Sprint("c", i%7), page)
					}
				}
			})
		}
		callers.Wait()
	})
}

func TestAPageThatJoinsAnEmptiedRedisIsSeenByEveryNode(t *testing.T) {
	own, err := redistest.Launch()
	if err != nil {
		t.Fatal(err)
	}
	defer own.Stop()
	a, b := open(t, own.URL, "x", patient), open(t, own.URL, "x", patient)
	wantNodes(t, a, b) // both know until when the other is alive
	reader, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{own.Addr()}, DisableCache: true})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	a.join("0", "acme", "before")
	for i := 1; i <= 10; i++ { // no beat comes, and no connection ends
		if err := reader.Do(context.Background(), reader.B().Flushall().Build()).Error(); err != nil {
			t.Fatal(err)
		}
		newcomer := open(t, own.URL, "x", patient) // knows nobody
		user, page := fmt.Sprint(i), fmt.Sprint("p", i)
		a.join(user, "acme", page)
		wantSeen(t, b, user, page)
		wantSeen(t, newcomer, user, page)
	}
	wantPages(t, "0", 1, a, b)
	wantPages(t, "7", 1, a, b)
	wantOnline(t, "acme", 11, 11, a, b)
}

func TestPagesOfSaysWhichAreHere(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		prefix := newPrefix()
		a, b := open(t, url, prefix, patient), open(t, url, prefix, patient)
		a.join("ann", "acme", "1")
		b.join("ann", "other", "2")
		b.join("bob", "acme", "3")
		for i, want := range [][]belfry.OpenPage{
			{{ID: "1", Company: "acme", Here: true}, {ID: "2", Company: "other"}},
			{{ID: "2", Company: "other", Here: true}, {ID: "1", Company: "acme"}},
		} {
			if got, err := []*node{a, b}[i].PagesOf(context.Background(), "ann"); err != nil || !slices.Equal(got, want) {
				t.Errorf("node %d: ann has pages %v (%v), want %v", i, got, err, want)
			}
		}
		for company, want := range map[belfry.CompanyID]int{"acme": 1, "other": 0, "": 1} {
			if got := a.Here(company); len(got) != want {
				t.Errorf("of %q there are here %v, want %d", company, got, want)
			}
		}
	})
}

func TestWithoutRedisANodeKnowsItsOwnPagesAndThatItDoesNotKnowOthers(t *testing.T) {
	own, err := redistest.Launch()
	if err != nil {
		t.Fatal(err)
	}
	defer own.Stop()
	quick := func(o *redis.PresenceOptions) { o.Patience = redis.Silence }
	a, b := open(t, own.URL, "x", quick), open(t, own.URL, "x", quick)
	a.join("ann", "acme", "1")
	b.join("ann", "acme", "2")
	wantPages(t, "ann", 2, a, b)
	if err := own.Pause(); err != nil { // it accepts connections, and every question would wait for Patience
		t.Fatal(err)
	}
	eventually(t, func() string {
		if _, err := a.PagesOf(context.Background(), "ann"); belfry.ErrorCode(err) != belfry.ErrUnavailable {
			return fmt.Sprintf("PagesOf says %v, want that it is unavailable", err)
		}
		return ""
	})
	for range 100 {
		pages, err := a.PagesOf(context.Background(), "ann")
		if want := []belfry.OpenPage{{ID: "1", Company: "acme", Here: true}}; !errors.Is(err, redis.ErrOut) || !slices.Equal(pages, want) {
			t.Fatalf("PagesOf = %v, %v; want %v, and that nobody was asked", pages, err, want)
		}
	}
	a.join("bob", "acme", "3")
	if here := a.Here("acme"); len(here) != 2 {
		t.Errorf("here are %v, want ann and bob", here)
	}
	if _, err := a.Nodes(context.Background()); belfry.ErrorCode(err) != belfry.ErrUnavailable {
		t.Errorf("Nodes says %v, want that it is unavailable", err)
	}
	if err := own.Resume(); err != nil {
		t.Fatal(err)
	}
	wantPages(t, "bob", 1, a, b)
	wantPages(t, "ann", 2, a, b)
	a.Close()
	if _, err := a.PagesOf(context.Background(), "bob"); belfry.ErrorCode(err) != belfry.ErrUnavailable {
		t.Errorf("after Close PagesOf says %v, want that it is unavailable", err)
	}
}

func TestPagesOfIsOneCommandAndHereNone(t *testing.T) {
	own, err := redistest.Launch()
	if err != nil {
		t.Fatal(err)
	}
	defer own.Stop()
	slow := func(o *redis.PresenceOptions) { o.Patience, o.Lease = time.Minute, 24*time.Hour } // no beat comes
	a, b := open(t, own.URL, "x", slow), open(t, own.URL, "x", slow)
	b.join("ann", "acme", "1")
	wantPages(t, "ann", 1, a) // and a knows that b is alive
	reader, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{own.Addr()}, DisableCache: true})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	eventually(t, func() string { // what a new connection causes is over
		if err := reader.Do(context.Background(), reader.B().ConfigResetstat().Build()).Error(); err != nil {
			return err.Error()
		}
		var callers sync.WaitGroup
		for range 50 {
			callers.Go(func() { wantSeen(t, a, "ann", "1") })
			callers.Go(func() { a.Here("") })
		}
		callers.Wait()
		said, err := reader.Do(context.Background(), reader.B().Info().Section("commandstats").Build()).ToString()
		if err != nil {
			return err.Error()
		}
		asked := make(map[string]string)
		for line := range strings.Lines(said) {
			name, stat, _ := strings.Cut(line, ":")
			if name, ok := strings.CutPrefix(name, "cmdstat_"); ok && !strings.HasPrefix(name, "config") && name != "info" {
				asked[name], _, _ = strings.Cut(stat, ",")
			}
		}
		if want := map[string]string{"hgetall": "calls=50"}; !maps.Equal(asked, want) {
			return fmt.Sprintf("Redis was asked %v, want %v", asked, want)
		}
		return ""
	})
}
