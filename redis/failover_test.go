package redis_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"belfry"
	"belfry/internal/redistest"
)

// TestWhoHasLeftDoesNotComeBackWithRedis has Redis come back as it was before users have left, as does a replica that
// has not heard of that when it takes over.
func TestWhoHasLeftDoesNotComeBackWithRedis(t *testing.T) {
	t.Parallel()
	own, err := redistest.Launch()
	if err != nil {
		t.Fatal(err)
	}
	defer own.Stop()
	a, b := open(t, own.URL, "x"), open(t, own.URL, "x")
	a.join("ann", "acme", "1")
	a.join("cleo", "acme", "2")
	a.join("dan", "other", "3") // the only one of this node
	b.join("bob", "acme", "4")
	b.join("bob", "other", "5")
	wantOnline(t, "other", 2, 2, a, b)
	if _, err := own.Command("SAVE"); err != nil {
		t.Fatal(err)
	}
	a.leave("cleo", "acme", "2")
	a.leave("dan", "other", "3")
	wantOnline(t, "acme", 2, 2, a, b)
	wantOnline(t, "other", 1, 1, a, b)
	wantPages(t, "dan", 0, b)
	if err := own.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := own.Restart(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string { return answers([]*node{a, b}, true) })
	wantPages(t, "dan", 0, b)
	wantPages(t, "cleo", 0, b)
	wantOnline(t, "acme", 2, 2, a, b)
	wantOnline(t, "other", 1, 1, a, b)
	wantSaid(t, "other", 1, b)
}

// TestWhatAReplicaHasNotGotItIsTold has a replica take over a part of a cluster that has not heard of the last logins and
// logouts.
func TestWhatAReplicaHasNotGotItIsTold(t *testing.T) {
	t.Parallel()
	own, err := redistest.LaunchCluster()
	if err != nil {
		t.Fatal(err)
	}
	defer own.Stop()
	down := 1
	replica, err := own.AddReplica(down)
	if err != nil {
		t.Fatal(err)
	}
	a, b := open(t, own.URL, "x", still(2*time.Second)), open(t, own.URL, "x", still(2*time.Second))
	wantNodes(t, a, b)
	company, user := namesOn(a, down)
	a.join(user, company, "1")
	a.join("ann", company, "2")
	wantOnline(t, belfry.CompanyID(company), 2, 2, b)
	for range 300 { // until all connections have been made, as they are in a process that has run for long
		a.ReadShards()
		b.ReadShards()
	}
	if err := replica.CutOff(own.Masters[down]); err != nil {
		t.Fatal(err)
	}
	a.join(user, company, "3")
	a.join("dan", company, "4")
	a.leave("ann", company, "2")
	wantOnline(t, belfry.CompanyID(company), 2, 3, a, b)
	wantPages(t, belfry.UserID(user), 2, b)
	if err := own.Masters[down].Kill(); err != nil {
		t.Fatal(err)
	}
	if err := replica.TakeOver(); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string {
		a.ReadShards() // as every lease is renewed
		if _, err := b.PagesOf(context.Background(), belfry.UserID(user)); err != nil {
			return fmt.Sprint("where the replica is, it is not asked: ", err)
		}
		return ""
	})
	wantPages(t, belfry.UserID(user), 2, a, b)
	wantOnline(t, belfry.CompanyID(company), 2, 3, a, b)
	b.join("bob", company, "5")
	wantOnline(t, belfry.CompanyID(company), 3, 4, a, b)
	wantSaid(t, belfry.CompanyID(company), 3, a, b)
}

// TestNodesGoOnWhereAReplicaOfAClusterTakesOver kills the master that has the nodes and their channels.
func TestNodesGoOnWhereAReplicaOfAClusterTakesOver(t *testing.T) {
	t.Parallel()
	own, err := redistest.LaunchCluster()
	if err != nil {
		t.Fatal(err)
	}
	defer own.Stop()
	slot := open(t, own.URL, "x").NodesSlot()
	down := masterOf(slot)
	replica, err := own.AddReplica(down)
	if err != nil {
		t.Fatal(err)
	}
	a, b := open(t, own.URL, "x"), open(t, own.URL, "x")
	first, second := openPost(t, own.URL, "x", passing, 1), openPost(t, own.URL, "x", passing, 2)
	wantFound(t, first, second)
	second.watch(t, "page", belfry.UserRoom("ann"))
	wantReached(t, first, "ann", 2)
	company, user := namesOn(a, down)
	a.join(user, company, "1")
	b.join("bob", company, "2")
	wantOnline(t, belfry.CompanyID(company), 2, 2, a, b)
	forgetLosses(first, second)
	if err := own.Masters[down].Kill(); err != nil {
		t.Fatal(err)
	}
	wantLost(t, first, second)
	b.leave("bob", company, "2")
	a.join(user, company, "3")
	if err := own.Elect(down, replica); err != nil {
		t.Fatal(err)
	}
	eventually(t, func() string { return answers([]*node{a, b}, true) })
	wantFound(t, first, second)
	wantReached(t, first, "ann", 2)
	wantOnline(t, belfry.CompanyID(company), 1, 2, a, b)
	wantSaid(t, belfry.CompanyID(company), 1, a)
	wantPages(t, belfry.UserID(user), 2, a, b)
	if err := own.Masters[down].Restart(); err != nil {
		t.Fatal(err)
	}
	if err := own.Masters[down].Follows(); err != nil {
		t.Fatal(err)
	}
	b.join("cleo", company, "4")
	wantOnline(t, belfry.CompanyID(company), 2, 3, a, b)
	wantReached(t, first, "ann", 2)
}
