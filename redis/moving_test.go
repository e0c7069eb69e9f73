package redis_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"belfry"
	"belfry/internal/redistest"
	"belfry/redis"
)

// TestASlotThatMovesTroublesItsOwnCompanyAlone holds a slot on its way, where Redis answers no script of which a key is missing,
// and has two masters say of another that the other has it.
func TestASlotThatMovesTroublesItsOwnCompanyAlone(t *testing.T) {
	t.Parallel()
	own, err := redistest.LaunchCluster()
	if err != nil {
		t.Fatal(err)
	}
	defer own.Stop()
	a, b := open(t, own.URL, "x", patient), open(t, own.URL, "x", patient)
	wantNodes(t, a, b)
	from := 1
	moving, user := namesOn(a, from)
	var others []string // of the same master, in other slots
	for i := 0; len(others) < 2; i++ {
		if id := fmt.Sprint("s", i); masterOf(a.CompanySlot(belfry.CompanyID(id))) == from {
			others = append(others, id)
		}
	}
	still, disputed := others[0], others[1]
	a.join(user, moving, "a")
	wantOnline(t, belfry.CompanyID(moving), 1, 1, b)
	move, err := own.Begin(a.CompanySlot(belfry.CompanyID(moving)), from, 2)
	if err != nil {
		t.Fatal(err)
	}
	check := func(stage string) {
		t.Helper()
		b.join("bob", moving, "b"+stage)
		for i := range 50 {
			page := fmt.Sprint(stage, i)
			if got, want := a.join(user, still, page), i+1; got.Pages != want || got.Users != 1 {
				t.Fatalf("%s: %s has %+v, want %d pages", stage, still, got, want)
			}
			if pages, err := b.PagesOf(context.Background(), belfry.UserID(user)); err != nil {
				t.Fatalf("%s: %s has pages %v (%v)", stage, user, pages, err)
			}
		}
		for i := range 50 {
			a.leave(user, still, fmt.Sprint(stage, i))
		}
		wantOnline(t, belfry.CompanyID(still), 0, 0, a, b)
	}
	check("before")
	if n, err := move.Keys(1); n != 1 || err != nil {
		t.Fatalf("%d keys have moved (%v), want 1", n, err)
	}
	check("half")
	wantLogged(t, b, "is moving")
	if err := move.End(); err != nil {
		t.Fatal(err)
	}
	check("after")
	wantOnline(t, belfry.CompanyID(moving), 2, 4, a, b)
	target, err := own.Masters[2].Command("CLUSTER MYID") // of which it says that it is not its own
	if err == nil {
		_, err = own.Masters[from].Command(fmt.Sprintf("CLUSTER SETSLOT %d NODE %s", a.CompanySlot(belfry.CompanyID(disputed)), target))
	}
	if err != nil {
		t.Fatal(err)
	}
	if got := a.join("cleo", disputed, "d"); got.Users != 1 {
		t.Errorf("%s has %+v, want 1 user", disputed, got)
	}
	check("disputed")
	wantLogged(t, a, "is moving")
	wantOnline(t, belfry.CompanyID(moving), 2, 5, a, b)
	wantSaid(t, belfry.CompanyID(moving), 2, a, b)
	for i, n := range []*node{a, b} {
		if n.log.count("does not answer") > 0 {
			t.Errorf("node %d says that Redis does not answer: %s", i, n.log.all)
		}
	}
}

func wantLogged(t *testing.T, n *node, text string) {
	t.Helper()
	eventually(t, func() string {
		if n.log.count(text) == 0 {
			return fmt.Sprintf("%q is not in the log", text)
		}
		return ""
	})
}

func TestCountsAreExactAfterSlotsHaveMovedDuringChurn(t *testing.T) {
	t.Parallel()
	own, err := redistest.LaunchCluster()
	if err != nil {
		t.Fatal(err)
	}
	defer own.Stop()
	nodes := []*node{open(t, own.URL, "x"), open(t, own.URL, "x"), open(t, own.URL, "x")}
	var slots []int
	seen := make(map[int]bool)
	add := func(slot int) {
		if !seen[slot] {
			seen[slot] = true
			slots = append(slots, slot)
		}
	}
	add(nodes[0].NodesSlot())
	for c := range 5 {
		add(nodes[0].CompanySlot(belfry.CompanyID(fmt.Sprint("c", c))))
	}
	for u := range 30 {
		add(nodes[0].UserSlot(belfry.UserID(fmt.Sprint(u))))
	}
	over := make(chan struct{})
	left := make([]map[page]bool, len(nodes))
	var work sync.WaitGroup
	for i, n := range nodes {
		work.Go(func() { left[i] = churn(n, uint64(i), over) })
	}
	for _, slot := range slots {
		from := masterOf(slot)
		move, err := own.Begin(slot, from, (from+1)%3)
		if err == nil {
			_, err = move.Keys(1)
		}
		if err == nil {
			err = move.End()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	close(over)
	work.Wait()
	wantExactly(t, nodes, left)
}

// TestABrokerThatIsNotAnsweredAtFirstTakesTheChannelsOfTheOthers has the master of its channels stand still when it begins.
func TestABrokerThatIsNotAnsweredAtFirstTakesTheChannelsOfTheOthers(t *testing.T) {
	if !openPost(t, cluster.URL, newPrefix(), lasting, 1).Sharded() {
		t.Skip("servers before Redis 7 have no sharded channels")
	}
	prefix := newPrefix()
	c := connect(t, redis.Options{URL: cluster.URL, Prefix: prefix}, 0)
	defer c.Close()
	probe := open(t, cluster.URL, prefix)
	master := cluster.Masters[masterOf(probe.NodesSlot())]
	probe.Close()
	if err := master.Pause(); err != nil {
		t.Fatal(err)
	}
	defer master.Resume()
	before := c.Dials()
	made := make(chan *redis.Broker, 1)
	go func() { made <- redis.NewBroker(context.Background(), c, redis.BrokerOptions{}) }()
	eventually(t, func() string {
		if c.Dials() == before && len(made) == 0 {
			return "it waits for the first answer"
		}
		return ""
	})
	if err := master.Resume(); err != nil {
		t.Fatal(err)
	}
	if b := <-made; !b.Sharded() {
		t.Error("it takes other channels than those of the others")
	}
}

func TestNodesHearEachOtherWhereTheirSlotHasMoved(t *testing.T) {
	t.Parallel()
	own, err := redistest.LaunchCluster()
	if err != nil {
		t.Fatal(err)
	}
	defer own.Stop()
	n := open(t, own.URL, "x")
	a, b := openPost(t, own.URL, "x", passing, 1), openPost(t, own.URL, "x", passing, 2)
	wantFound(t, a, b)
	b.watch(t, "page", belfry.UserRoom("ann"))
	wantReached(t, a, "ann", 2)
	forgetLosses(a, b)
	from := masterOf(n.NodesSlot())
	move, err := own.Begin(n.NodesSlot(), from, (from+1)%3)
	if err != nil {
		t.Fatal(err)
	}
	wantReached(t, a, "ann", 2)
	if err := move.End(); err != nil {
		t.Fatal(err)
	}
	wantLost(t, a, b)
	wantFound(t, a, b)
	b.watch(t, "another", belfry.UserRoom("bob"))
	wantReached(t, a, "ann", 2)
	wantReached(t, a, "bob", 2)
}
