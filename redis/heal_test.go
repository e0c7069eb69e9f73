package redis_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"belfry"
	"belfry/internal/redistest"
	"belfry/redis"

	"github.com/redis/rueidis"
)

func TestNothingStaysInRedisWhenAllHaveLeft(t *testing.T) {
	own, err := redistest.Launch()
	if err != nil {
		t.Fatal(err)
	}
	defer own.Stop()
	a, b := open(t, own.URL, "x", patient), open(t, own.URL, "x", patient) // what is not done in time when they close stays
	for i := range 600 {
		a.join(fmt.Sprint(i), "acme", fmt.Sprint("a", i))
	}
	b.join("1", "acme", "b")
	b.join("ann", "other", "c")
	b.leave("ann", "other", "c")
	wantOnline(t, "acme", 600, 601, a, b)
	a.Close()
	wantOnline(t, "acme", 1, 1, b)
	b.Close()
	reader, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{own.Addr()}, DisableCache: true})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	if keys, err := reader.Do(context.Background(), reader.B().Keys().Pattern("*").Build()).AsStrSlice(); err != nil || len(keys) > 0 {
		t.Errorf("there are still keys %q (%v)", keys, err)
	}
}

func TestAMasterThatComesBackEmptyIsFilledAgain(t *testing.T) {
	t.Parallel()
	own, err := redistest.LaunchCluster()
	if err != nil {
		t.Fatal(err)
	}
	defer own.Stop()
	a, b := open(t, own.URL, "x"), open(t, own.URL, "x")
	companies := 12 // in slots of all masters
	for i := range companies {
		id := fmt.Sprint("c", i)
		a.join("ann", id, "a"+id)
		b.join("bob", id, "b"+id)
		b.join(fmt.Sprint("u", i), id, "u"+id)
	}
	for _, s := range own.Masters {
		if err := s.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := s.Restart(); err != nil {
			t.Fatal(err)
		}
	}
	for i := range companies {
		wantOnline(t, belfry.CompanyID(fmt.Sprint("c", i)), 3, 3, a, b)
		wantSaid(t, belfry.CompanyID(fmt.Sprint("c", i)), 3, a, b)
		wantPages(t, belfry.UserID(fmt.Sprint("u", i)), 1, a, b)
	}
}

func TestAUserWhoMovesToAnotherNodeWithinTheGracePeriodStays(t *testing.T) {
	onBoth(t, func(t *testing.T, url string) {
		prefix := newPrefix()
		a := open(t, url, prefix, steady, func(o *redis.PresenceOptions) { o.Grace = time.Hour })
		b := open(t, url, prefix, steady, func(o *redis.PresenceOptions) { o.Grace = 300 * time.Millisecond })
		a.join("bob", "acme", "0")
		a.join("ann", "acme", "1")
		a.leave("ann", "acme", "1")
		wantOnline(t, "acme", 2, 1, b) // within the grace period
		b.join("ann", "acme", "2")
		wantSaid(t, "acme", 2, a, b)
		a.EndGraces()
		wantOnline(t, "acme", 2, 2, a, b)
		b.leave("ann", "acme", "2")
		wantOnline(t, "acme", 1, 1, a, b)
		wantSaid(t, "acme", 1, a)
	})
}

func TestKeysThatAreLostComeBack(t *testing.T) {
	own, err := redistest.Launch()
	if err != nil {
		t.Fatal(err)
	}
	defer own.Stop()
	a, b := open(t, own.URL, "x"), open(t, own.URL, "x")
	a.join("ann", "acme", "1")
	b.join("bob", "acme", "2")
	b.join("cleo", "acme", "3")
	wantOnline(t, "acme", 3, 3, a, b)
	reader, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{own.Addr()}, DisableCache: true})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	for _, pattern := range []string{"{x:acme}*", "{x@*"} { // a company's slot, and those of users
		keys, err := reader.Do(context.Background(), reader.B().Keys().Pattern(pattern).Build()).AsStrSlice()
		if err != nil || len(keys) == 0 {
			t.Fatalf("%s: keys %q (%v)", pattern, keys, err)
		}
		if err := reader.Do(context.Background(), reader.B().Del().Key(keys...).Build()).Error(); err != nil {
			t.Fatal(err)
		}
		wantOnline(t, "acme", 3, 3, a, b)
		wantPages(t, "bob", 1, a, b)
		wantPages(t, "ann", 1, a, b)
	}
}
