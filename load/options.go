package load

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"time"
)

// A Scenario is what a run does once its pages are open.
type Scenario string

// The scenarios.
const (
	Fanout  Scenario = "fanout"  // activities, to every page of a company
	Unicast Scenario = "unicast" // messages, each to a random user
	Mixed   Scenario = "mixed"   // both at once: every other caller pushes messages
	Storm   Scenario = "storm"   // nothing but all pages logging in as fast as they can
	Idle    Scenario = "idle"    // nothing: what open pages cost
)

// Options say what to do. URL, Push, Scenario and Pages must be set.
type Options struct {
	// URL is where pages connect, such as http://127.0.0.1:2120; Push where backends push.
	URL, Push string
	// Path is that of Socket.IO; empty means /socket.io/.
	Path string
	// Key is the backends' key; empty where the server needs none.
	Key string
	// Token signs the login of a user; nil where the server takes {uid, companyID}.
	Token func(uid, company string) (string, error)
	// Dialect is spoken instead of Socket.IO; nil for that.
	Dialect Dialect

	Scenario Scenario
	Pages    int
	// Companies share the pages equally; 0 means 1. UsersPerCompany share those of a
	// company; 0 means one page each.
	Companies, UsersPerCompany int

	// Rate is how many publications are pushed per second, all callers together. With 0 each caller
	// pushes its next when the one before is through: an activity when all pages have it, a
	// message when it is answered.
	Rate float64
	// Callers is how many publications can be in flight; 0 means 16.
	Callers int
	// Stored publications are kept by the server, others only shown to the pages that are open.
	Stored bool
	// Size is the length of what each carries as content, in bytes; 0 means 100.
	Size int

	// Duration is how long to measure, after WarmUp; 0 means 10 s. Storm ends when all
	// pages are in.
	Duration, WarmUp time.Duration
	// Drain is how long to wait without progress for what is still to come; 0 means 10 s.
	Drain time.Duration
	// leaving is how long a page that leaves waits for what it is owed: as long as Drain, and less in a test.
	leaving time.Duration

	// Polling and Revision4 are the shares of the pages, 0 to 1, that use long polling
	// rather than WebSocket, and Socket.IO revision 4 rather than 5.
	Polling, Revision4 float64
	// Connecting is how many pages may be logging in at once; 0 means 100.
	Connecting int
	// Churn is how many pages per second leave, to come back within two seconds.
	Churn float64
	// Slow is the share of the pages that read slowly: SlowRate bytes per second; 0 means 4 KiB.
	Slow     float64
	SlowRate int
	// Verify judges what every page gets.
	Verify bool
	// Recover makes pages that come back ask for what they have missed.
	Recover bool

	// ServerPID is the process of a server on this machine, whose memory and CPU time are to
	// be reported; 0 for none.
	ServerPID int
	// Seed makes the choices of two runs the same.
	Seed uint64
	// Progress, where set, is called about once a second, from one goroutine.
	Progress func(Progress)
}

// dialTimeout bounds the beginning of a connection, loginTimeout the way from there to the
// welcome, answerTimeout that of a push to its answer.
const (
	dialTimeout   = 10 * time.Second
	loginTimeout  = 30 * time.Second
	answerTimeout = 30 * time.Second
)

// Limits of what can be asked for.
const (
	MaxPages   = 1_000_000
	MaxCallers = 10_000
	maxContent = 60_000
)

// complete fills in defaults and checks the rest.
func (o *Options) complete() error {
	if o.Path == "" {
		o.Path = "/socket.io/"
	}
	setDefault(&o.Companies, 1)
	setDefault(&o.Callers, 16)
	setDefault(&o.Size, 100)
	setDefault(&o.Connecting, 100)
	setDefault(&o.SlowRate, 4<<10)
	setDefault(&o.Duration, 10*time.Second)
	setDefault(&o.Drain, 10*time.Second)
	setDefault(&o.leaving, o.Drain)
	o.Companies = min(o.Companies, o.Pages)
	if o.UsersPerCompany == 0 && o.Companies > 0 {
		o.UsersPerCompany = (o.Pages + o.Companies - 1) / o.Companies
	}
	for _, check := range []struct {
		wrong bool
		says  string
	}{
		{!slices.Contains([]Scenario{Fanout, Unicast, Mixed, Storm, Idle}, o.Scenario), "the scenario is unknown"},
		{o.Pages < 1 || o.Pages > MaxPages, fmt.Sprintf("pages must be 1 to %d", MaxPages)},
		{o.Companies < 1 || o.UsersPerCompany < 1, "companies and users per company must not be negative"},
		{o.Companies*o.UsersPerCompany > 10*MaxPages, "there are too many users"},
		{o.Callers < 1 || o.Callers > MaxCallers, fmt.Sprintf("callers must be 1 to %d", MaxCallers)},
		{o.Rate < 0 || o.Churn < 0 || o.WarmUp < 0, "rate, churn and warm-up must not be negative"},
		{o.Size < 1 || o.Size > maxContent, fmt.Sprintf("size must be 1 to %d", maxContent)},
		{!isShare(o.Polling) || !isShare(o.Revision4) || !isShare(o.Slow), "shares must be 0 to 1"},
		{o.Connecting < 1 || o.SlowRate < 1 || o.Duration < 0 || o.Drain < 0, "connecting, the slow rate and times must be positive"},
	} {
		if check.wrong {
			return errors.New(check.says)
		}
	}
	if o.Dialect != nil && (o.Polling > 0 || o.Revision4 > 0 || o.Recover) {
		return errDialect
	}
	if o.Scenario == Mixed {
		o.Callers = max(o.Callers, 2)
	}
	return nil
}

func isShare(x float64) bool { return x >= 0 && x <= 1 }

func setDefault[T int | time.Duration](v *T, d T) {
	if *v == 0 {
		*v = d
	}
}

// An endpoint is a server's address.
type endpoint struct {
	secure       bool
	name         string // of the host, for TLS
	address      string // host:port to connect to
	host         string // the Host header
	path         string // as the URL has it
	loopbackOnly bool
}

func parseEndpoint(s string) (endpoint, error) {
	u, err := url.Parse(s)
	if err != nil {
		return endpoint{}, err
	}
	if u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return endpoint{}, fmt.Errorf("%q must look like http://127.0.0.1:2120", s)
	}
	e := endpoint{secure: u.Scheme == "https", name: u.Hostname(), host: u.Host, path: u.EscapedPath()}
	port := u.Port()
	if port == "" {
		port = map[bool]string{false: "80", true: "443"}[e.secure]
	}
	e.address = net.JoinHostPort(e.name, port)
	ip := net.ParseIP(e.name)
	e.loopbackOnly = ip != nil && ip.IsLoopback() && ip.To4() != nil
	return e, nil
}

func (e *endpoint) scheme() string {
	if e.secure {
		return "https"
	}
	return "http"
}
