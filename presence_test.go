package belfry_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"belfry"
	"belfry/internal/porttest"
)

// A roll is a presence and what it announced, with the time since the start.
type roll struct {
	*belfry.MemoryPresence
	t     *testing.T
	start time.Time
	mu    sync.Mutex
	said  []string
}

func newRoll(t *testing.T) *roll {
	r := &roll{t: t, start: time.Now()}
	r.MemoryPresence = belfry.NewMemoryPresence(belfry.PresenceOptions{Changed: func(company belfry.CompanyID, users int) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.said = append(r.said, fmt.Sprintf("%s=%d at %v", company, users, time.Since(r.start)))
	}})
	return r
}

func (r *roll) join(who belfry.Identity, page string) {
	r.t.Helper()
	if _, err := r.Join(context.Background(), who, page); err != nil {
		r.t.Fatal(err)
	}
}

func (r *roll) leave(who belfry.Identity, page string) {
	r.t.Helper()
	if err := r.Leave(context.Background(), who, page); err != nil {
		r.t.Fatal(err)
	}
}

// wantOnline checks the count of a company.
func (r *roll) wantOnline(company belfry.CompanyID, users, pages int) {
	r.t.Helper()
	got, err := r.Online(context.Background(), company)
	if want := (belfry.OnlineCount{Users: users, Pages: pages}); err != nil || got != want {
		r.t.Errorf("%s has %+v (%v) online, want %+v", company, got, err, want)
	}
}

// wantSaid checks all announcements so far.
func (r *roll) wantSaid(want ...string) {
	r.t.Helper()
	synctest.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(r.said, want) {
		r.t.Errorf("announced %q, want %q", r.said, want)
	}
}

func TestMemoryPresenceKeepsTheContract(t *testing.T) {
	porttest.TestPresence(t, func(t *testing.T) belfry.Presence {
		p := belfry.NewMemoryPresence(belfry.PresenceOptions{Grace: time.Hour})
		t.Cleanup(p.Close)
		return p
	})
}

func TestWhoHasLeftIsForgottenAfterTheGracePeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoll(t)
		defer r.Close()
		r.join(ann, "a")
		r.leave(ann, "a")
		r.leave(ann, "a")
		r.wantOnline("acme", 1, 0)
		time.Sleep(belfry.DefaultGrace)
		synctest.Wait()
		r.wantOnline("acme", 0, 0)
		r.leave(ann, "a")
		r.wantOnline("acme", 0, 0)
		r.wantSaid("acme=1 at 0s", "acme=0 at 3s")
	})
}

func TestAReloadDoesNotChangeTheCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoll(t)
		defer r.Close()
		r.join(ann, "0")
		for i := range 10 {
			time.Sleep(2 * time.Second)
			r.leave(ann, fmt.Sprint(i))
			time.Sleep(2999 * time.Millisecond)
			r.wantOnline("acme", 1, 0)
			r.join(ann, fmt.Sprint(i+1))
		}
		time.Sleep(time.Minute)
		r.wantOnline("acme", 1, 1)
		r.wantSaid("acme=1 at 0s")
	})
}

func TestAUserWhoStaysAwayIsOfflineAfterTheGracePeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoll(t)
		defer r.Close()
		r.join(ann, "a")
		synctest.Wait()
		r.join(bob, "b")
		time.Sleep(time.Second)
		r.leave(ann, "a")
		time.Sleep(time.Second)
		r.leave(bob, "b")
		r.join(bob, "b")
		r.leave(bob, "b") // his time starts again
		time.Sleep(2 * time.Second)
		r.wantSaid("acme=1 at 0s", "acme=2 at 250ms", "acme=1 at 4s")
		r.wantOnline("acme", 1, 0)
		time.Sleep(time.Second)
		r.wantSaid("acme=1 at 0s", "acme=2 at 250ms", "acme=1 at 4s", "acme=0 at 5s")
	})
}

func TestChangesOfACompanyAreAnnouncedAtMostFourTimesASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoll(t)
		defer r.Close()
		for i := range 100 {
			r.join(belfry.Identity{User: belfry.UserID(fmt.Sprint(i)), Company: "acme"}, fmt.Sprint(i))
			synctest.Wait()
			time.Sleep(6 * time.Millisecond)
		}
		r.join(belfry.Identity{User: "1", Company: "other"}, "x") // does not wait for acme
		time.Sleep(time.Second)
		r.wantSaid("acme=1 at 0s", "acme=42 at 250ms", "acme=84 at 500ms", "other=1 at 600ms", "acme=100 at 750ms")
	})
}

func TestACountThatComesBackInTimeIsNotAnnounced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		said := 0
		p := belfry.NewMemoryPresence(belfry.PresenceOptions{Grace: -1, Changed: func(belfry.CompanyID, int) { said++ }})
		defer p.Close()
		ctx := context.Background()
		p.Join(ctx, ann, "a")
		synctest.Wait()
		p.Join(ctx, bob, "b")
		p.Leave(ctx, bob, "b")
		time.Sleep(time.Second)
		synctest.Wait()
		if said != 1 {
			t.Errorf("announced %d times, want once", said)
		}
	})
}

func TestANumberThatAPageWasToldIsNeverLeftStanding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var said []int
		p := belfry.NewMemoryPresence(belfry.PresenceOptions{
			Grace:   time.Millisecond,
			Changed: func(_ belfry.CompanyID, users int) { said = append(said, users) },
		})
		defer p.Close()
		ctx := context.Background()
		p.Join(ctx, ann, "a")
		synctest.Wait()
		p.Join(ctx, bob, "b")
		p.Join(ctx, ann, "c") // is told 2, and stays
		p.Leave(ctx, bob, "b")
		time.Sleep(time.Second)
		synctest.Wait()
		if !slices.Equal(said, []int{1, 2, 1}) {
			t.Errorf("announced %v, want 1, 2, 1", said)
		}
	})
}

// A large company rests for longer than the grace period. The first change is announced at once all
// the same, and no page keeps a number that is no longer true.
func TestALargeCompanyIsToldLessOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type told struct {
			users int
			at    time.Duration
		}
		var said []told
		start := time.Now()
		p := belfry.NewMemoryPresence(belfry.PresenceOptions{
			Changed: func(c belfry.CompanyID, users int) {
				if c == "acme" {
					said = append(said, told{users, time.Since(start)})
				}
			},
		})
		defer p.Close()
		ctx := context.Background()
		x, y, z := belfry.Identity{User: "x", Company: "acme"}, belfry.Identity{User: "y", Company: "acme"}, belfry.Identity{User: "z", Company: "acme"}
		const users = 20_000 // who are told every 4 s
		for i := range users {
			p.Join(ctx, belfry.Identity{User: belfry.UserID(fmt.Sprint(i)), Company: "acme"}, fmt.Sprint("p", i))
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		said, start = nil, time.Now()
		p.Join(ctx, x, "x") // announced at once
		synctest.Wait()
		time.Sleep(100 * time.Millisecond)
		p.Join(ctx, y, "y")
		p.Join(ctx, z, "z") // is told two more, and stays
		p.Leave(ctx, y, "y")
		p.Leave(ctx, x, "x") // their grace periods end before the company has rested
		p.Join(ctx, belfry.Identity{User: "1", Company: "small"}, "s")
		time.Sleep(time.Minute)
		synctest.Wait()
		want := []told{{users + 1, 0}, {users + 1, 4*time.Second + 200*time.Microsecond}}
		if !slices.Equal(said, want) {
			t.Errorf("announced %v, want %v", said, want)
		}
	})
}

func TestCloseAnnouncesWhatIsOutstanding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRoll(t)
		r.join(ann, "a")
		synctest.Wait()
		r.join(bob, "b")
		r.leave(bob, "b")
		r.join(annOther, "c")
		r.leave(annOther, "c")
		r.join(belfry.Identity{User: "3", Company: "acme"}, "d")
		synctest.Wait()
		r.Close()
		r.Close()
		slices.Sort(r.said[2:]) // companies are in no order
		r.wantSaid("acme=1 at 0s", "other=1 at 0s", "acme=2 at 0s", "other=0 at 0s")
		r.wantOnline("acme", 2, 2)
		r.leave(ann, "a") // goes on counting, without grace
		r.join(bob, "e")
		r.wantOnline("acme", 2, 2)
	})
}

func TestTheServiceAnnouncesTheCountToTheCompany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		p, _ := b.login(ann)
		other, _ := b.login(annOther)
		synctest.Wait()
		b.login(bob)
		time.Sleep(time.Second)
		synctest.Wait()
		// Perhaps twice: at login, and announced.
		if got := fmt.Sprint(slices.Compact(p.got(belfry.EventOnlineCount))); got != "[1 2]" {
			t.Errorf("the page got %v", got)
		}
		if got := fmt.Sprint(slices.Compact(other.got(belfry.EventOnlineCount))); got != "[1]" {
			t.Errorf("the page in the other company got %v", got)
		}
		b.Close()
	})
}

// TestCountsAreExactAfterManyChanges lets many pages come and go at once.
func TestCountsAreExactAfterManyChanges(t *testing.T) {
	var last atomic.Int64
	p := belfry.NewMemoryPresence(belfry.PresenceOptions{
		Grace: time.Millisecond, Coalesce: time.Millisecond,
		Changed: func(_ belfry.CompanyID, users int) { last.Store(int64(users)) },
	})
	defer p.Close()
	ctx := context.Background()
	var work sync.WaitGroup
	for g := range 8 {
		work.Go(func() {
			for i := range 500 {
				who := belfry.Identity{User: belfry.UserID(fmt.Sprint(i % 5)), Company: "acme"}
				page := fmt.Sprint(g, "-", i)
				p.Join(ctx, who, page)
				if i >= 495 && g == 0 {
					continue // stay: one page of each user
				}
				p.Leave(ctx, who, page)
			}
		})
	}
	work.Wait()
	waitFor(t, func() bool { return last.Load() == 5 })
	if got, err := p.Online(ctx, "acme"); err != nil || got != (belfry.OnlineCount{Users: 5, Pages: 5}) {
		t.Errorf("online are %+v, %v", got, err)
	}
}

func BenchmarkPresenceJoinLeave(b *testing.B) {
	p := belfry.NewMemoryPresence(belfry.PresenceOptions{})
	defer p.Close()
	ctx := context.Background()
	var next atomic.Int64
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		n := next.Add(1)
		for i := 0; pb.Next(); i++ {
			who := belfry.Identity{
				User:    belfry.UserID(userNames[i%len(userNames)]),
				Company: belfry.CompanyID(userNames[(i/7)%100]),
			}
			page := pageNames[n%int64(len(pageNames))]
			p.Join(ctx, who, page)
			p.Leave(ctx, who, page)
		}
	})
}

// Names are made beforehand so that the benchmark measures the presence.
var userNames, pageNames = func() (users, pages []string) {
	for i := range 10_000 {
		users = append(users, fmt.Sprint("user", i))
	}
	for i := range 64 {
		pages = append(pages, fmt.Sprint("page", i))
	}
	return users, pages
}()
