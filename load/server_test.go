package load

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"belfry"
	"belfry/auth"
	"belfry/server"
	"belfry/sqlite"
)

// deadline bounds every wait of the tests.
const deadline = time.Minute

const testKey = "the-key-of-the-backends"

// serve starts a server on a new database, and returns options for a short run against it. Pages need a
// token, backends the key.
func serve(t *testing.T, alter ...func(*server.Options)) Options {
	t.Helper()
	tokens, err := auth.NewTokens(auth.TokenOptions{Secret: auth.Secret(strings.Repeat("s", auth.MinSecretBytes))})
	if err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.DiscardHandler)
	store, err := sqlite.Open(context.Background(), t.TempDir(), sqlite.Options{Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	options := server.Options{
		Listen: "127.0.0.1:0", PushListen: "127.0.0.1:0", Store: store, Tokens: tokens, PushKey: auth.NewKey(testKey), Logger: logger,
	}
	for _, f := range alter {
		f(&options)
	}
	s, err := server.New(context.Background(), options)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Errorf("Stop: %v", err)
		}
		if err := store.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return Options{
		URL: "http://" + s.Addr(), Push: "http://" + s.PushAddr(), Key: testKey,
		Token: func(uid, company string) (string, error) {
			return tokens.Sign(belfry.Identity{User: belfry.UserID(uid), Company: belfry.CompanyID(company)}, time.Hour)
		},
		Pages: 24, Companies: 2, Callers: 4, Duration: 300 * time.Millisecond, WarmUp: 20 * time.Millisecond, Drain: deadline, // the run ends when all has come
		Verify: true, Seed: 1, ServerPID: os.Getpid(),
	}
}

// mustRun runs until the report says enough, and fails the test where it says that anything went wrong.
func mustRun(t *testing.T, start func() Options, enough func(*Report) bool) *Report {
	t.Helper()
	var pages int
	r := runUntil(t, func() Options {
		o := start()
		pages = o.Pages
		return o
	}, enough)
	wantWell(t, r, pages)
	return r
}

// delivered says that something was pushed and came within the time that is measured.
func delivered(r *Report) bool {
	return r.Pushes.OK > 0 && r.Deliveries.Count > 0 && r.Deliveries.Latency.Count > 0
}

// always says that any run will do.
func always(*Report) bool { return true }

// wantWell fails the test where the report of a run with so many pages says that anything went wrong.
func wantWell(t *testing.T, r *Report, pages int) {
	t.Helper()
	if r.Interrupted || r.Connect.Opened != pages || r.Life.Away > 0 || len(r.Errors) > 0 || r.Verify.Faults > 0 {
		var text strings.Builder
		r.Print(&text)
		t.Errorf("the run did not go well:\n%s", &text)
	}
}

// runToEnd runs and fails the test where there is no report.
func runToEnd(t *testing.T, o Options) *Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	r, err := Run(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// runUntil runs against a new server each time, and for longer and longer, until the report says enough: a machine may have no time for a
// short run.
func runUntil(t *testing.T, start func() Options, enough func(*Report) bool) *Report {
	t.Helper()
	o := start()
	for d := o.Duration; ; d *= 4 {
		o.Duration = d
		r := runToEnd(t, o)
		switch {
		case enough(r):
			return r
		case d > deadline/8:
			t.Fatalf("in %v there were %d pushes; errors %v; life %+v", d, r.Pushes.OK, r.Errors, r.Life)
		}
		o = start()
	}
}

func TestEveryScenarioRunsAgainstTheServerWithoutFaults(t *testing.T) {
	for _, scenario := range []Scenario{Fanout, Unicast, Mixed, Storm, Idle} {
		t.Run(string(scenario), func(t *testing.T) {
			pushes, enough := scenario != Storm && scenario != Idle, delivered
			if !pushes {
				enough = always
			}
			r := mustRun(t, func() Options {
				o := serve(t)
				o.Scenario, o.Polling, o.Revision4 = scenario, 0.5, 0.5
				return o
			}, enough)
			if delivered(r) != pushes {
				t.Errorf("the report is %+v", r)
			}
			if want := map[Scenario]uint64{Fanout: 12, Unicast: 1}[scenario]; want > 0 && r.Deliveries.Count != want*r.Pushes.OK {
				t.Errorf("%d pushes were delivered %d times", r.Pushes.OK, r.Deliveries.Count)
			}
		})
	}
}

func TestAUserWithSeveralPagesGetsAMessageOnEach(t *testing.T) {
	r := mustRun(t, func() Options {
		o := serve(t)
		o.Scenario, o.UsersPerCompany, o.Stored = Unicast, 3, true
		return o
	}, delivered)
	if r.Users != 6 || r.Deliveries.Count != 4*r.Pushes.OK {
		t.Errorf("%d pushes to %d users with 24 pages were delivered %d times", r.Pushes.OK, r.Users, r.Deliveries.Count)
	}
}

func TestPagesThatComeAndGoLoseNothing(t *testing.T) {
	for name, alter := range map[string]func(*Options){
		"transient":              func(*Options) {},
		"stored":                 func(o *Options) { o.Stored = true },
		"stored, with recovery":  func(o *Options) { o.Stored, o.Recover = true, true },
		"transient and recovery": func(o *Options) { o.Recover = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // stopping the server takes seconds where pages left without a word
			var o Options
			r := mustRun(t, func() Options {
				o = serve(t)
				o.Scenario, o.Churn, o.Rate, o.Polling, o.Revision4, o.Duration = Mixed, 50, 400, 0.4, 0.4, time.Second
				alter(&o)
				return o
			}, func(r *Report) bool {
				return r.Life.Left > 0 && (!o.Recover || r.Life.Resumed > 0) && (!o.Recover || !o.Stored || r.Deliveries.CaughtUp > 0)
			})
			if o.Recover && r.Life.NotResumed > 0 {
				t.Errorf("%+v", r.Life)
			}
		})
	}
}

func TestAPageThatIsTooSlowIsDisconnectedAndThatIsNoLoss(t *testing.T) {
	start := func() Options {
		o := serve(t, func(o *server.Options) { o.MaxQueue = 100 << 10 })
		o.Scenario, o.Companies, o.Callers, o.Size, o.Slow, o.SlowRate, o.Duration = Fanout, 1, 1, 50_000, 0.1, 50_000, 2*time.Second
		return o
	}
	// It takes what the kernel's buffers hold and more.
	mustRun(t, start, func(r *Report) bool { return r.Life.SlowDisconnected > 0 })
}

func TestASlowPageThatLeavesHasLostNothingOfWhatItHasNotRead(t *testing.T) {
	start := func() Options {
		o := serve(t)
		o.Scenario, o.Companies, o.Slow, o.SlowRate, o.Churn, o.Rate, o.Size = Fanout, 1, 1, 20_000, 40, 50, 20_000
		o.Duration, o.leaving = 2*time.Second, time.Second // what a slow page has before it takes longer than that
		return o
	}
	mustRun(t, start, func(r *Report) bool { return r.Life.Left >= 20 })
}

func TestARateIsKeptAndHonest(t *testing.T) {
	of := func(r *Report) (share float64) { return float64(r.Pushes.Count) / r.Seconds / 200 }
	r := runUntil(t, func() Options {
		o := serve(t)
		o.Scenario, o.Rate, o.Duration = Unicast, 200, time.Second
		return o
	}, func(r *Report) bool { return of(r) > 0.75 })
	if of(r) > 1.25 || r.Verify.Faults > 0 {
		t.Errorf("%d pushes in %.2f s, want 200 a second; %+v", r.Pushes.Count, r.Seconds, r.Verify)
	}
	if r.Deliveries.Latency.Count == 0 || r.Deliveries.Latency.P50 < r.Pushes.Lag.P50 {
		t.Errorf("latency %+v does not count from when a push was meant to be sent (%+v late)", r.Deliveries.Latency, r.Pushes.Lag)
	}
}

func TestARunThatIsInterruptedSaysWhatItHasMeasured(t *testing.T) {
	o := serve(t)
	o.Scenario, o.Duration, o.WarmUp = Fanout, time.Hour, 0
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	o.Progress = func(p Progress) {
		if p.Deliveries > 0 && !p.Done {
			cancel()
		}
	}
	r, err := Run(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Interrupted || r.Deliveries.PerSecond == 0 || r.Seconds == 0 || r.Seconds > deadline.Seconds() || r.Verify.Faults > 0 {
		t.Errorf("the report is %+v", r)
	}
}

func TestWhatTheServerRefusesIsReported(t *testing.T) {
	var o Options
	r := runUntil(t, func() Options {
		o = serve(t)
		o.Scenario, o.Key = Unicast, "another key"
		return o
	}, func(r *Report) bool { return r.Pushes.Refused > 0 })
	if r.Pushes.Refused == 0 || r.Pushes.OK > 0 || len(r.Errors) != 1 || !strings.Contains(r.Errors[0].What, "key") || r.Verify.Faults > 0 {
		t.Errorf("pushes %+v, errors %v", r.Pushes, r.Errors)
	}
	o.Token = func(string, string) (string, error) { return "no token", nil }
	if r = runToEnd(t, o); r.Connect.Opened > 0 || r.Connect.Failures < uint64(o.Pages) || !strings.Contains(r.Errors[0].What, "login refused") {
		t.Errorf("connect %+v, errors %v", r.Connect, r.Errors)
	}
}

func TestWithoutAServerARunEndsAndSaysWhy(t *testing.T) {
	o := Options{URL: "http://127.0.0.1:1", Push: "http://127.0.0.1:1", Scenario: Idle, Pages: 3, Duration: time.Millisecond}
	r, err := Run(context.Background(), o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Connect.Opened > 0 || r.Life.Away != 3 || len(r.Errors) == 0 || !strings.Contains(r.Errors[0].What, "refused") {
		t.Errorf("the report is %+v", r)
	}
}

func TestOptionsThatMakeNoSenseAreRefused(t *testing.T) {
	good := Options{URL: "http://localhost", Push: "http://localhost", Scenario: Idle, Pages: 1}
	for name, alter := range map[string]func(*Options){
		"scenario": func(o *Options) { o.Scenario = "" },
		"pages":    func(o *Options) { o.Pages = 0 },
		"rate":     func(o *Options) { o.Rate = -1 },
		"share":    func(o *Options) { o.Slow = 1.5 },
		"size":     func(o *Options) { o.Size = 1 << 20 },
		"url":      func(o *Options) { o.URL = "localhost:2120" },
		"push":     func(o *Options) { o.Push = "ftp://localhost" },
		"callers":  func(o *Options) { o.Callers = -1 },
	} {
		o := good
		alter(&o)
		if _, err := Run(context.Background(), o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestAReportIsPrintedAndEncoded(t *testing.T) {
	r := mustRun(t, func() Options {
		o := serve(t)
		o.Scenario = Fanout
		return o
	}, func(r *Report) bool { return delivered(r) && r.Capacity != nil }) // a server that had no time to be busy says nothing of it
	var text strings.Builder
	if err := r.Print(&text); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"24 of 24 pages", "0 faults", "capacity", "deliver"} {
		if !strings.Contains(text.String(), want) {
			t.Errorf("%q is not in the report:\n%s", want, &text)
		}
	}
	if _, err := json.Marshal(r); err != nil {
		t.Error(err)
	}
}
