// Package chaos is a test of an installation of several nodes while what it consists of is killed, stopped and cut off:
// real processes, and pages of several generations. What a backend was told is stored must come to every
// receiver once and in order, and what is counted must be so.
//
// What is done is drawn from a seed. In short it takes less than a minute; CHAOS names a longer time.
package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"belfry"
	"belfry/auth"
	"belfry/internal/mongotest"
	"belfry/internal/redistest"
)

// What the environment may say.
const (
	variableTime  = "CHAOS"       // how long things are disrupted, such as 30m; without it each kind of disruption happens once
	variableSeed  = "CHAOS_SEED"  // of an earlier run, to do the same
	variablePages = "CHAOS_PAGES" // how many
	variableRate  = "CHAOS_RATE"  // pushes a second
	variableKeep  = "CHAOS_KEEP"  // if it is set, what is kept when something is wrong is kept in any case
	variableOnly  = "CHAOS_ONLY"  // a regular expression of the disruptions that are done
)

// A plan is what a run does.
type plan struct {
	seed  uint64
	time  time.Duration // 0 for once
	crowd int           // pages
	rate  float64
	only  *regexp.Regexp
}

func planned(t *testing.T) plan {
	p := plan{seed: rand.Uint64(), crowd: 36, rate: 3, only: regexp.MustCompile("")}
	if os.Getenv(variableTime) != "" {
		p.crowd = 250
	}
	var err error
	read := func(name string, parse func(string) error) {
		if s := os.Getenv(name); s != "" && err == nil {
			if err = parse(s); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
	}
	read(variableTime, func(s string) (err error) {
		p.time, err = time.ParseDuration(s)
		return err
	})
	read(variableSeed, func(s string) (err error) { p.seed, err = strconv.ParseUint(s, 10, 64); return err })
	read(variablePages, func(s string) (err error) { p.crowd, err = strconv.Atoi(s); return err })
	read(variableRate, func(s string) (err error) { p.rate, err = strconv.ParseFloat(s, 64); return err })
	read(variableOnly, func(s string) (err error) { p.only, err = regexp.Compile(s); return err })
	return p
}

const (
	companies = 3
	lanes     = 4
)

func TestNothingIsLostOrDoubled(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes the better part of a minute")
	}
	r := &run{t: t, plan: planned(t), began: time.Now()}
	dir, err := os.MkdirTemp("", "belfry-chaos-")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("the seed is %d: %s=%d does the same again; logs are in %s", r.seed, variableSeed, r.seed, dir)
	keep := func() bool { return t.Failed() || os.Getenv(variableKeep) != "" }
	defer func() {
		if keep() {
			t.Logf("logs, and all that was pushed and told, stay in %s", dir)
			return
		}
		os.RemoveAll(dir)
	}()
	r.installation, err = install(t.Context(), dir, strconv.FormatUint(r.seed, 36))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.installation.stop(); err != nil {
			t.Error(err)
		}
	}()
	if !r.installation.redisOurs {
		t.Logf("Redis is not killed or paused: it is the one of %s", redistest.Variable)
	}
	if !r.installation.storeOurs {
		t.Logf("the store is not killed or paused: it is the one of %s", mongotest.Variable)
	}
	if missing := missingClients(); missing != nil {
		t.Logf("there are no pages by the official clients; make chaos installs them: %v", missing)
	} else {
		r.official = true
	}
	if err := r.run(t.Context()); err != nil {
		t.Error(err)
	}
	if r.anew > len(r.pages)/4 {
		r.faults.note("loaded anew", "%d of %d pages had to load their lists anew, which should be rare", r.anew, len(r.pages))
	}
	if len(r.faults.counts) > 0 {
		t.Errorf("faults: %s\n%s", &r.faults, strings.Join(r.faults.first, "\n"))
	}
	if keep() {
		if err := r.dump(dir); err != nil {
			t.Error(err)
		}
	}
	t.Log("\n" + r.report())
}

// A run is one test of an installation.
type run struct {
	plan
	t            *testing.T
	began        time.Time
	installation *installation
	pages        []*page
	marks        map[identity]*marks
	ledger       ledger
	chronicle    chronicle
	faults       faults
	official     bool // clients have pages, too

	pushed, settled      time.Duration // how long it took
	messages, activities int           // that are stored, by receiver and by company
	anew                 int           // pages that had to load their lists anew, as docs/pages.md allows
}

func (r *run) say(format string, args ...any) {
	r.t.Logf("%6.1fs "+format, append([]any{time.Since(r.began).Seconds()}, args...)...)
}

func (r *run) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	stay := make(chan struct{})
	var clients sync.WaitGroup
	defer clients.Wait()
	defer cancel()
	users, err := r.open(ctx, &clients, stay)
	if err != nil {
		return err
	}
	if err := r.all(ctx, (*page).hasBeenIn); err != nil {
		return err
	}
	r.say("%d pages of %d users are there", len(r.pages), len(users))

	began := time.Now()
	pushing, stopPushing := context.WithCancel(ctx)
	defer stopPushing()
	pushed := make(chan struct{})
	go func() {
		defer close(pushed)
		c := &callers{balancer: r.installation.push, ledger: &r.ledger, users: users, lanes: lanes, rate: r.rate, seed: r.seed}
		c.run(pushing)
	}()
	err = r.disrupt(ctx)
	stopPushing()
	<-pushed
	r.pushed = time.Since(began)
	close(stay)
	if err != nil {
		return err
	}
	r.say("all is left alone")
	began = time.Now()
	err = r.settle(ctx)
	r.settled = time.Since(began)
	return err
}

// open opens the pages.
func (r *run) open(ctx context.Context, clients *sync.WaitGroup, stay <-chan struct{}) (users []identity, err error) {
	tokens, err := auth.NewTokens(auth.TokenOptions{Secret: tokenSecret})
	if err != nil {
		return nil, err
	}
	r.marks = make(map[identity]*marks)
	for i := range max(r.crowd*2/3, 1) {
		who := identity{strconv.Itoa(i + 1), strconv.Itoa(i%companies + 1)}
		users = append(users, who)
		r.marks[who] = newMarks()
	}
	for i := range r.crowd {
		who := users[i%len(users)]
		token, err := tokens.Sign(belfry.Identity{User: belfry.UserID(who.User), Company: belfry.CompanyID(who.Company)}, 24*time.Hour)
		if err != nil {
			return nil, err
		}
		g := generations[i%len(generations)]
		p := newPage(fmt.Sprintf("%d (%s, user %s)", i, g, who.User), who)
		r.pages = append(r.pages, p)
		c := &client{
			page: p, generation: g, balancer: r.installation.pages, token: token, stay: stay, visits: time.Duration(r.crowd) * visitPerPage,
			rng: rand.New(rand.NewPCG(r.seed, uint64(1000+i))),
		}
		if i < len(users) {
			c.marks = r.marks[who]
		}
		clients.Go(func() { c.live(ctx) })
	}
	if r.official {
		return r.openOfficial(ctx, clients, users, tokens)
	}
	return users, nil
}

// openOfficial opens a page of a user of its own by each of the official clients.
func (r *run) openOfficial(ctx context.Context, clients *sync.WaitGroup, users []identity, tokens *auth.Tokens) ([]identity, error) {
	var pages []*page
	var shown []string
	for i, client := range officialClients {
		who := identity{strconv.Itoa(len(users) + 1), strconv.Itoa(i%companies + 1)}
		users = append(users, who)
		r.marks[who] = newMarks()
		token, err := tokens.Sign(belfry.Identity{User: belfry.UserID(who.User), Company: belfry.CompanyID(who.Company)}, 24*time.Hour)
		if err != nil {
			return nil, err
		}
		pages = append(pages, newPage(fmt.Sprintf("%d (%s, user %s)", len(r.pages)+i, client, who.User), who))
		shown = append(shown, token)
	}
	r.pages = append(r.pages, pages...)
	o, err := driveOfficial(r.installation.pages.addr, pages, shown)
	if err != nil {
		return nil, err
	}
	clients.Go(func() {
		<-ctx.Done()
		if err := o.close(); err != nil {
			r.t.Errorf("the official clients: %v", err)
		}
	})
	return users, nil
}

// patience is how long it may take until every page has what it should have, once all is well. It decides nothing in a run that is,
// and grows with it: the stand-in for MongoDB reads whole collections, and all commits are kept for ten minutes. After five of them a login
// costs it a second of a processor.
func (r *run) patience() time.Duration { return 3*time.Minute + r.time }

// all waits until something is so of all pages.
func (r *run) all(ctx context.Context, so func(*page) bool) error {
	return poll(ctx, time.Now().Add(r.patience()), func() error {
		if out := slices.DeleteFunc(slices.Clone(r.pages), so); len(out) > 0 {
			return fmt.Errorf("%d of %d pages are not logged in, such as %s", len(out), len(r.pages), out[0].Name)
		}
		return nil
	})
}

// disrupt does what is drawn.
func (r *run) disrupt(ctx context.Context) error {
	r.chronicle.tell = r.say
	rng := rand.New(rand.NewPCG(r.seed, 1))
	processes, links := r.installation.disruptions()
	if r.time == 0 {
		processes = oneNodeOnly(processes, rng)
	}
	until := time.Now().Add(r.time)
	failed := make(chan error, 2)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for i, list := range [][]disruption{processes, links} {
		list = slices.DeleteFunc(list, func(d disruption) bool { return !r.only.MatchString(d.kind) })
		rng := rand.New(rand.NewPCG(r.seed, uint64(2+i)))
		go func() {
			err := r.chronicle.disrupt(ctx, list, until, rng)
			if err != nil {
				cancel()
			}
			failed <- err
		}()
	}
	return errors.Join(<-failed, <-failed)
}

// settle waits until all is as it should be, and notes what is not.
func (r *run) settle(ctx context.Context) error {
	for _, n := range r.installation.nodes {
		if err := n.awaitHealth(ctx); err != nil {
			return err
		}
	}
	deadline := time.Now().Add(r.patience())
	if err := r.all(ctx, (*page).isIn); err != nil {
		return err
	}
	pushes := r.ledger.all()
	late := poll(ctx, deadline, func() error {
		for _, p := range r.pages {
			if missing := p.misses(pushes); len(missing) > 0 {
				return fmt.Errorf("page %s has not got %d, such as %v", p.Name, len(missing), missing[0])
			}
		}
		return nil
	})
	if late != nil {
		r.say("after %v: %v", r.patience(), late)
	}
	a := &auditor{pages: r.pages, marks: r.marks}
	for _, n := range r.installation.nodes {
		a.nodes = append(a.nodes, n.push)
	}
	if err := a.mark(ctx, deadline); err != nil {
		return err
	}
	if now := time.Now().Add(r.patience() / 4); now.After(deadline) {
		deadline = now
	}
	r.messages = a.inboxes(ctx, &r.faults, pushes, deadline)
	r.activities = a.feeds(ctx, &r.faults, deadline)
	a.presence(ctx, &r.faults, deadline)
	for _, p := range r.pages {
		v := p.view()
		if len(v.fresh) == 0 {
			judge(&r.faults, p.Name, p.Who, v.told, pushes)
			continue
		}
		// What it shows is then what the lists have, which have been looked at.
		r.anew++
		r.say("page %s had to load its lists anew: %s", p.Name, strings.Join(v.fresh, ", "))
	}
	return nil
}

// dump writes all pushes and all that pages were told to files.
func (r *run) dump(dir string) error {
	var pushes, seen bytes.Buffer
	for _, p := range r.ledger.all() {
		if err := json.NewEncoder(&pushes).Encode(p); err != nil {
			return err
		}
	}
	for _, p := range r.pages {
		for _, t := range p.view().told {
			fmt.Fprintf(&seen, "%s page %s of node %d: %s %s\n", clock(t.At), p.Name, t.Node, t.ID, t.Title)
		}
		p.mu.Lock()
		for _, what := range p.history {
			fmt.Fprintf(&seen, "%s page %s: %s\n", what[:12], p.Name, what[13:])
		}
		p.mu.Unlock()
	}
	return errors.Join(os.WriteFile(filepath.Join(dir, "pushes.json"), pushes.Bytes(), 0o600),
		os.WriteFile(filepath.Join(dir, "told.txt"), seen.Bytes(), 0o600))
}

// report is the table.
func (r *run) report() string {
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "seed\t%d\n", r.seed)
	type sum struct {
		times int
		took  time.Duration
	}
	sums := make(map[string]*sum)
	var kinds []string
	for _, d := range r.chronicle.all() {
		if sums[d.kind] == nil {
			sums[d.kind] = &sum{}
			kinds = append(kinds, d.kind)
		}
		sums[d.kind].times++
		sums[d.kind].took += d.to.Sub(d.at)
	}
	slices.Sort(kinds)
	for _, kind := range kinds {
		fmt.Fprintf(w, "%s\t%d times, %.1f s in all\n", kind, sums[kind].times, sums[kind].took.Seconds())
	}
	answers := make(map[answer]int)
	attempts, sent := 0, 0
	pushes := r.ledger.all()
	answered := make(map[string]time.Time, len(pushes))
	for _, p := range pushes {
		answered[p.Title] = p.Answered
	}
	at := make(map[string]bool)
	caughtUp := 0
	for _, p := range r.pages {
		for _, t := range p.view().told {
			at[t.Title] = true
			sent++
			if when := answered[t.Title]; when.Before(t.Since) {
				caughtUp++
			}
		}
	}
	perhaps := 0
	for _, p := range pushes {
		answers[p.Answer]++
		attempts += p.Attempts
		if p.Answer == answerUnknown && at[p.Title] {
			perhaps++
		}
	}
	fmt.Fprintf(w, "pushes\t%d in %.1f s (%d calls): ok %d, offline %d, stored %d, fail %d, without an answer %d, of which %d were seen\n", len(pushes),
		r.pushed.Seconds(), attempts, answers[answerOK], answers[answerOffline], answers[answerStored], answers[answerRefused], answers[answerUnknown], perhaps)
	logins, refusals := 0, 0
	for _, p := range r.pages {
		p.mu.Lock()
		logins, refusals = logins+p.logins, refusals+p.refusals
		p.mu.Unlock()
	}
	starts := 0
	for _, n := range r.installation.nodes {
		starts += n.starts
	}
	marked := 0
	for _, m := range r.marks {
		marked += len(m.all())
	}
	fmt.Fprintf(w, "pages\t%d, logins %d, refused %d; %d had to load their lists anew\n", len(r.pages), logins, refusals, r.anew)
	fmt.Fprintf(w, "starts of nodes\t%d\n", starts)
	fmt.Fprintf(w, "events seen\t%d, of which %d from before the page's connection\n", sent, caughtUp)
	fmt.Fprintf(w, "in inboxes\t%d, marked read %d; in feeds %d\n", r.messages, marked, r.activities)
	fmt.Fprintf(w, "settled after\t%.1f s\n", r.settled.Seconds())
	fmt.Fprintf(w, "faults\t%s\n", &r.faults)
	w.Flush()
	return b.String()
}
