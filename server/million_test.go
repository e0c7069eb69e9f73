//go:build unix

package server

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"belfry/internal/pagetest"
)

// figures are what a crowd cost.
type figures struct {
	memory                pagetest.Memory // of all pages
	working               int64           // resident bytes before the collector was made to give back
	firstLogin, login     cost            // of one page whose user has never been seen, and of one who comes back
	heartbeat             cost            // of one
	all, company          cost            // of one event to all, and to the big company
	alone, during         []time.Duration // messages to single users, by themselves and while all are being told
	announcements, online int
	leaving               cost // of one page
	goroutines            int  // at most, while all leave
}

// A cost is time on the clock and on processors.
type cost struct{ wall, cpu time.Duration }

func measure(do func()) cost {
	cpu, begin := processorTime(), time.Now()
	do()
	return cost{time.Since(begin), processorTime() - cpu}
}

func (c cost) each(n int) cost { return cost{c.wall / time.Duration(n), c.cpu / time.Duration(n)} }

// median has the runs ordered by what they took of processors.
func median(n int, do func()) cost {
	costs := make([]cost, n)
	for i := range costs {
		costs[i] = measure(do)
	}
	slices.SortFunc(costs, func(a, b cost) int { return int(a.cpu - b.cpu) })
	return costs[n/2]
}

// processorTime is what the process has used, user and system.
func processorTime() time.Duration {
	var r unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &r) != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// runCrowd has n pages log in, of which never were seen before, stay a while and
// leave.
func runCrowd(tb testing.TB, n, never int, interval time.Duration) figures {
	c := newCrowd(tb, n, interval)
	var f figures
	c.enrol(never, n)
	before := pagetest.InUse()
	f.firstLogin = measure(func() { c.login(0, never) }).each(never)
	f.login = measure(func() { c.login(never, n) }).each(n - never)
	f.working = pagetest.Resident()
	eventually(tb, "all users are online", func() bool { return c.usersOnline() == n })
	f.online, f.announcements = c.usersOnline(), int(c.online.Load())
	f.memory = pagetest.InUse().Since(before)
	profileHeap(tb)

	f.heartbeat = measure(func() { <-c.beats.expect(n) }).each(n)
	f.all = median(3, c.toAll)
	f.company = median(3, c.toBigCompany)
	for i := range 200 {
		f.alone = append(f.alone, c.toOne(i*n/200))
	}
	for range 3 {
		var told atomic.Bool
		go func() {
			c.toAll()
			told.Store(true)
		}()
		for i := 0; !told.Load(); i++ {
			f.during = append(f.during, c.toOne((i*7919)%n))
		}
	}
	slices.Sort(f.alone)
	slices.Sort(f.during)
	f.leaving = measure(func() {
		c.hangup()
		for c.sockets.Len() > 0 || c.usersOnline() > 0 {
			f.goroutines = max(f.goroutines, runtime.NumGoroutine())
			time.Sleep(10 * time.Millisecond)
		}
	}).each(n)
	return f
}

// profileHeap writes a profile where BELFRY_HEAP_PROFILE names a file.
func profileHeap(tb testing.TB) {
	if name := os.Getenv("BELFRY_HEAP_PROFILE"); name != "" {
		if err := pagetest.WriteHeapProfile(name); err != nil {
			tb.Fatal(err)
		}
	}
}

// What BenchmarkCrowd measures works; its figures are not looked at.
func TestCrowd(t *testing.T) {
	const n = 2000
	f := runCrowd(t, n, n/4, time.Second)
	if f.online != n || len(f.during) == 0 {
		t.Errorf("%d of %d users were online, %d messages went to single users during a broadcast", f.online, n, len(f.during))
	}
}

// BenchmarkCrowd measures what pages cost, from 10,000 to 1,000,000. Those beyond
// 10,000 are measured where BELFRY_CROWD is set: the million takes minutes and 6 GB.
func BenchmarkCrowd(b *testing.B) {
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(7 << 30))
	for _, n := range []int{10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			if n > 10_000 && os.Getenv("BELFRY_CROWD") == "" {
				b.Skip("BELFRY_CROWD is not set")
			}
			for range b.N {
				f := runCrowd(b, n, min(n/2, 10_000), 25*time.Second)
				f.report(b, n)
			}
		})
	}
}

func (f *figures) report(b *testing.B, n int) {
	per := func(v int64) float64 { return float64(v) / float64(n) }
	us := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
	ms := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }
	at := func(sorted []time.Duration, q float64) time.Duration { return sorted[int(q*float64(len(sorted)-1))] }
	for _, m := range []struct {
		name  string
		value float64
	}{
		{"B/page", per(f.memory.Heap + f.memory.Stacks)},
		{"rss-B/page", per(f.memory.RSS)},
		{"working-rss-B/page", per(f.working)},
		{"first-logins/s", float64(time.Second) / float64(f.firstLogin.wall)},
		{"cpu-us/first-login", us(f.firstLogin.cpu)},
		{"logins/s", float64(time.Second) / float64(f.login.wall)},
		{"cpu-us/login", us(f.login.cpu)},
		{"announcements/login", per(int64(f.announcements))},
		{"cpu-us/heartbeat", us(f.heartbeat.cpu)},
		{"ms/all", ms(f.all.wall)},
		{"cpu-ns/all-page", float64(f.all.cpu.Nanoseconds()) / float64(n)},
		{"ms/company", ms(f.company.wall)},
		{"cpu-ns/company-page", float64(f.company.cpu.Nanoseconds()) / float64(n/10)},
		{"ms/one-p50", ms(at(f.alone, 0.5))},
		{"ms/one-p99", ms(at(f.alone, 0.99))},
		{"ms/one-during-p50", ms(at(f.during, 0.5))},
		{"ms/one-during-max", ms(at(f.during, 1))},
		{"cpu-us/leaving", us(f.leaving.cpu)},
		{"goroutines-leaving", float64(f.goroutines)},
	} {
		b.ReportMetric(m.value, m.name)
	}
}

// BenchmarkPresent is what it takes to count the users of a company, and to list those of all
// companies.
func BenchmarkPresent(b *testing.B) {
	const n = 100_000
	c := newCrowd(b, n, time.Hour)
	for i := range n {
		if _, err := c.presence.Join(context.Background(), c.who(i), fmt.Sprint(i)); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("count", func(b *testing.B) {
		for b.Loop() {
			c.fixture.online("big")
		}
	})
	b.Run("list", func(b *testing.B) {
		for b.Loop() {
			if all := c.presence.Here(""); len(all) != n {
				b.Fatal(len(all))
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/user")
	})
}
