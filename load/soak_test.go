package load

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"belfry"
	"belfry/auth"
	"belfry/server"
	"belfry/sqlite"
)

// soakFor is the environment variable that says how long TestSoak lasts, such as 3m; without it
// there is one short round.
const soakFor = "BELFRY_SOAK"

// soakRound and shortRound are how long the loads of one round last.
const (
	soakRound  = 20 * time.Second
	shortRound = 2 * time.Second
)

// soakPatience bounds every wait of a soak.
const soakPatience = 2 * time.Minute

// soakLoads are loads that go on at once, over both transports and both revisions: what is
// stored and what is not, pages that ask for what they have missed and pages that do not, slow ones
// among them. Together they push more than the server can deliver.
func soakLoads() []Options {
	return []Options{
		{Scenario: Mixed, Pages: 60, Companies: 3, UsersPerCompany: 8, Stored: true, Recover: true, Churn: 15, Slow: 0.1, SlowRate: 20_000, Size: 2000, Callers: 8},
		{Scenario: Mixed, Pages: 60, Companies: 3, Stored: true, Churn: 15, Size: 300, Callers: 4, Rate: 100},
		{Scenario: Fanout, Pages: 80, Companies: 2, Churn: 20, Slow: 0.1, SlowRate: 20_000, Size: 1000, Callers: 4},
		{Scenario: Unicast, Pages: 40, Companies: 2, UsersPerCompany: 5, Recover: true, Churn: 10, Callers: 4},
	}
}

// complaints keeps what a server logs that it should not.
type complaints struct {
	mu    sync.Mutex
	lines []string
}

func (c *complaints) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelWarn }
func (c *complaints) WithAttrs([]slog.Attr) slog.Handler           { return c }
func (c *complaints) WithGroup(string) slog.Handler                { return c }

func (c *complaints) Handle(_ context.Context, r slog.Record) error {
	line, late := r.Message, false
	r.Attrs(func(a slog.Attr) bool {
		line += fmt.Sprintf(" %s=%v", a.Key, a.Value)
		err, is := a.Value.Any().(error)
		late = late || is && errors.Is(err, context.DeadlineExceeded)
		return true
	})
	if late && r.Message == "not counted yet" { // within the tenth of a second that it may take: a machine may stand still for longer
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lines = append(c.lines, line)
	return nil
}

// A soak is a server and what it must come back to.
type soak struct {
	*testing.T
	server     *server.Server
	store      *sqlite.Store
	tokens     *auth.Tokens
	complaints complaints
	goroutines int // before any page came
}

// startSoak starts a server whose pages may have little waiting for them, so that those who come back have
// missed more than that. Those that left without a word are online until pingTimeout has gone by.
func startSoak(t *testing.T, pingTimeout time.Duration) *soak {
	t.Helper()
	s := &soak{T: t}
	logger := slog.New(&s.complaints)
	var err error
	if s.tokens, err = auth.NewTokens(auth.TokenOptions{Secret: auth.Secret(strings.Repeat("s", auth.MinSecretBytes))}); err != nil {
		t.Fatal(err)
	}
	if s.store, err = sqlite.Open(context.Background(), t.TempDir(), sqlite.Options{Logger: logger}); err != nil {
		t.Fatal(err)
	}
	s.server, err = server.New(context.Background(), server.Options{
		Listen: "127.0.0.1:0", PushListen: "127.0.0.1:0", Store: s.store, Tokens: s.tokens, PushKey: auth.NewKey(testKey), Logger: logger,
		MaxQueue: 32 << 10, CatchUpLimit: 20_000, Grace: 500 * time.Millisecond,
		PingInterval: 2 * time.Second, PingTimeout: pingTimeout,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		defer cancel()
		if err := s.server.Stop(ctx); err != nil {
			t.Errorf("Stop: %v", err)
		}
		if err := s.store.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	s.goroutines = runtime.NumGoroutine()
	return s
}

// round runs all loads at once. Of what they have pushed nothing may be lost, doubled or out of order. It reports whether each has
// done all that it is to: a machine may have no time for a short round.
func (s *soak) round(d time.Duration) (proved bool) {
	ctx, cancel := context.WithTimeout(context.Background(), d+soakPatience)
	defer cancel()
	var running sync.WaitGroup
	var idle atomic.Bool
	for i, o := range soakLoads() {
		o.URL, o.Push, o.Key = "http://"+s.server.Addr(), "http://"+s.server.PushAddr(), testKey
		o.Token = func(uid, company string) (string, error) {
			return s.tokens.Sign(belfry.Identity{User: belfry.UserID(uid), Company: belfry.CompanyID(company)}, time.Hour)
		}
		o.Polling, o.Revision4, o.Verify = 0.5, 0.5, true
		o.Duration, o.WarmUp, o.Drain = d, 100*time.Millisecond, 30*time.Second
		running.Go(func() {
			r, err := Run(ctx, o)
			if err != nil {
				s.Errorf("load %d: %v", i, err)
				return
			}
			if !s.judge(i, o, r) {
				idle.Store(true)
			}
		})
	}
	running.Wait()
	return !idle.Load()
}

// judge fails the test where a load did not go well, and reports whether it has done all that it is to.
func (s *soak) judge(i int, o Options, r *Report) (proved bool) {
	var text strings.Builder
	r.Print(&text)
	if r.Interrupted || r.Connect.Opened != o.Pages || r.Life.Away > 0 || r.Verify.Faults > 0 {
		s.Errorf("load %d did not go well:\n%s", i, &text)
	}
	s.Logf("load %d: %d pushes, %d deliveries, %d caught up; logins p50 %.0f ms, p99 %.0f ms; life %+v; troubles %v",
		i, r.Pushes.OK, r.Deliveries.Count, r.Deliveries.CaughtUp, r.Connect.Login.P50, r.Connect.Login.P99, r.Life, r.Errors)
	return r.Life.Left > 0 && r.Deliveries.Count > 0 && (!o.Recover || !o.Stored || r.Deliveries.CaughtUp > 0)
}

// settle waits until the server is as it was before any page came, and returns what it has in memory,
// in bytes.
func (s *soak) settle() (heap uint64) {
	s.Helper()
	ctx := context.Background()
	s.eventually("nobody is online", func() bool {
		for company := range 3 {
			n, err := s.server.Service().Online(ctx, belfry.CompanyID(fmt.Sprint("bench-", company)))
			if err != nil || n.Users > 0 || n.Pages > 0 {
				return false
			}
		}
		return true
	})
	// Workers are kept for the next connections; see idleWorkersPerProcessor in engineio.
	allowed := s.goroutines + 16*runtime.GOMAXPROCS(0) + 10
	s.eventually("the goroutines of the pages have ended", func() bool { return runtime.NumGoroutine() <= allowed })
	runtime.GC()
	runtime.GC() // what lay in pools
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func (s *soak) eventually(what string, holds func() bool) {
	s.Helper()
	for end := time.Now().Add(soakPatience); !holds(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			stacks := make([]byte, 1<<20)
			s.Fatalf("never: %s\n%s", what, stacks[:runtime.Stack(stacks, true)])
		}
	}
}

// recount compares the unread count of every user who has messages with what is in the inbox.
func (s *soak) recount() {
	s.Helper()
	ctx := context.Background()
	counted := 0
	for company := range 3 {
		for user := range 20 {
			who := belfry.Identity{
				User:    belfry.UserID(fmt.Sprintf("bench-%d-%d", company, user)),
				Company: belfry.CompanyID(fmt.Sprint("bench-", company)),
			}
			counts, err := s.server.Service().Counts(ctx, who)
			if err != nil {
				s.Fatal(err)
			}
			unread := s.unread(ctx, who)
			if counts.Unread != unread {
				s.Errorf("%v has %d unread messages and is told %d", who, unread, counts.Unread)
			}
			counted += unread
		}
	}
	if counted == 0 {
		s.Error("there was nothing to count")
	}
}

// unread walks an inbox.
func (s *soak) unread(ctx context.Context, who belfry.Identity) (n int) {
	s.Helper()
	query := belfry.InboxQuery{Unread: true, Limit: 100}
	for {
		messages, err := s.server.Service().Inbox(ctx, who, query)
		if err != nil {
			s.Fatal(err)
		}
		if len(messages) == 0 {
			return n
		}
		n += len(messages)
		query.Before = messages[len(messages)-1].ID
	}
}

// Under more than it can deliver, with slow pages among the fast and pages that come and go, the
// server loses, doubles and disorders nothing, and when all have left it is as it was before. make
// soak runs it for minutes.
func TestSoak(t *testing.T) {
	lasts, round, pingTimeout := time.Duration(0), shortRound, 5*time.Second
	if text := os.Getenv(soakFor); text != "" {
		var err error
		if lasts, err = time.ParseDuration(text); err != nil {
			t.Fatalf("%s: %v", soakFor, err)
		}
		round, pingTimeout = min(soakRound, max(lasts, shortRound)), 20*time.Second // a saturated machine is late with everything
	}
	s := startSoak(t, pingTimeout)
	var first, last uint64
	proved := false
	for began, n := time.Now(), 0; !proved || time.Since(began) < lasts; n++ {
		if proved = s.round(round); !proved {
			if round *= 2; round > 2*soakRound {
				t.Error("a load has proved nothing")
			}
		}
		if last = s.settle(); n == 0 {
			first = last
		}
		s.Logf("round %d: %d KiB in memory afterwards", n, last>>10)
		if t.Failed() {
			break
		}
	}
	s.recount()
	// The first round has filled caches and pools: later ones add nothing of their own.
	if last > first+first/2+16<<20 {
		t.Errorf("%d bytes are in memory, %d were after the first round", last, first)
	}
	s.complaints.mu.Lock()
	defer s.complaints.mu.Unlock()
	if lines := s.complaints.lines; len(lines) > 0 {
		t.Errorf("the server complained %d times: %s", len(lines), strings.Join(lines[:min(len(lines), 10)], "\n"))
	}
}
