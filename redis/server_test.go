package redis_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"belfry"
	"belfry/internal/redistest"
	"belfry/redis"
)

// server is what most tests use, and cluster the others; tests that kill have their own.
var (
	server  *redistest.Server
	cluster *redistest.Cluster
)

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) (code int) {
	var err error
	if server, err = redistest.Start(os.Stderr); err == nil {
		defer stop(server, &code)
		if cluster, err = redistest.LaunchCluster(); err == nil {
			defer stop(cluster, &code)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "there is no server to test with:", err)
		return 1
	}
	return m.Run()
}

func stop(s interface{ Stop() error }, code *int) {
	if err := s.Stop(); err != nil {
		fmt.Fprintln(os.Stderr, "the server has not ended well:", err)
		*code = 1
	}
}

var prefixes atomic.Int64

// newPrefix is of one test alone.
func newPrefix() string {
	return fmt.Sprintf("test-%d-%d-%d", os.Getpid(), time.Now().UnixNano(), prefixes.Add(1))
}

// A node is a presence with a client of its own, and what it announced last.
type node struct {
	*redis.Presence
	t  *testing.T
	mu sync.Mutex
	// said is by company.
	said map[belfry.CompanyID]int
	log  *logged
}

// logged is what a node has logged.
type logged struct {
	mu  sync.Mutex
	all []string
}

func (l *logged) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, string(line))
	return len(line), nil
}

// count returns how many lines hold the text.
func (l *logged) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, line := range l.all {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

const (
	// lease is short. Where a machine has much else to do a node may lose it, and comes back.
	lease = 900 * time.Millisecond
	// longLease is for tests in which none may: a renewal may be 6 s late.
	longLease = 10 * time.Second
	// bound is how long what should happen may take. It decides nothing where it does.
	bound = time.Minute
)

// connect opens a client. A server that is asked while its machine stands still is asked again. Patience is how long a test waits
// for each answer: no connection is given up before, and where the test does not care, after as long as in a process.
func connect(t testing.TB, o redis.Options, patience time.Duration) *redis.Client {
	t.Helper()
	var c *redis.Client
	eventually(t, func() string {
		var err error
		if c, err = redis.OpenSilent(context.Background(), o, max(patience, redis.Silence)); err != nil {
			return err.Error()
		}
		return ""
	})
	return c
}

// steady is for tests that want an answer at once: Redis and all nodes are there, however late they are.
func steady(o *redis.PresenceOptions) { o.Patience, o.Lease = time.Minute, longLease }

// still is for tests in which a part of Redis goes away, for which calls wait that long, and no beat comes that would make up for it.
func still(patience time.Duration) func(*redis.PresenceOptions) {
	return func(o *redis.PresenceOptions) { o.Lease, o.Patience = time.Hour, patience }
}

func open(t *testing.T, url, prefix string, change ...func(*redis.PresenceOptions)) *node {
	t.Helper()
	log := &logged{}
	n := &node{t: t, log: log, said: make(map[belfry.CompanyID]int)}
	o := redis.PresenceOptions{Lease: lease, PresenceOptions: belfry.PresenceOptions{Grace: -1, Coalesce: 20 * time.Millisecond,
		Changed: func(id belfry.CompanyID, users int) {
			n.mu.Lock()
			defer n.mu.Unlock()
			n.said[id] = users
		}}}
	for _, f := range change {
		f(&o)
	}
	c := connect(t, redis.Options{URL: url, Prefix: prefix, Logger: slog.New(slog.NewTextHandler(log, nil))}, o.Patience)
	var err error
	if n.Presence, err = redis.NewPresence(c, o); err != nil {
		c.Close()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		n.Close()
		c.Close()
	})
	return n
}

func who(user, company string) belfry.Identity {
	return belfry.Identity{User: belfry.UserID(user), Company: belfry.CompanyID(company)}
}

func (n *node) join(user, company, page string) belfry.OnlineCount {
	n.t.Helper()
	got, err := n.Join(context.Background(), who(user, company), page)
	if err != nil {
		n.t.Fatal(err)
	}
	return got
}

func (n *node) leave(user, company, page string) {
	n.t.Helper()
	if err := n.Leave(context.Background(), who(user, company), page); err != nil {
		n.t.Fatal(err)
	}
}

// eventually waits for a condition, which says what is still wrong, or "".
func eventually(t testing.TB, condition func() string) {
	t.Helper()
	wrong := ""
	for deadline := time.Now().Add(bound); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if wrong = condition(); wrong == "" {
			return
		}
	}
	t.Fatal(wrong)
}

// wantOnline waits until all nodes have the company's count.
func wantOnline(t *testing.T, company belfry.CompanyID, users, pages int, nodes ...*node) {
	t.Helper()
	want := belfry.OnlineCount{Users: users, Pages: pages}
	for i, n := range nodes {
		eventually(t, func() string {
			if got, err := n.Online(context.Background(), company); err != nil || got != want {
				return fmt.Sprintf("node %d: %s has %+v (%v) online, want %+v", i, company, got, err, want)
			}
			return ""
		})
	}
}

// wantSaid waits until all nodes have announced the number.
func wantSaid(t *testing.T, company belfry.CompanyID, users int, nodes ...*node) {
	t.Helper()
	for i, n := range nodes {
		eventually(t, func() string {
			n.mu.Lock()
			defer n.mu.Unlock()
			if n.said[company] != users {
				return fmt.Sprintf("node %d has announced %d of %s, want %d", i, n.said[company], company, users)
			}
			return ""
		})
	}
}

// wantPages waits until all nodes know as many pages of the user.
func wantPages(t *testing.T, user belfry.UserID, pages int, nodes ...*node) {
	t.Helper()
	for i, n := range nodes {
		eventually(t, func() string {
			if got, err := n.PagesOf(context.Background(), user); err != nil || len(got) != pages {
				return fmt.Sprintf("node %d: %s has pages %v (%v), want %d", i, user, got, err, pages)
			}
			return ""
		})
	}
}
