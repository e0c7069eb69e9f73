package load

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// A run is one run of a scenario.
type run struct {
	o               Options
	public, backend endpoint
	marker, content []byte
	pushHead        []byte // of every push, up to the length of its body
	began           time.Time

	companies []*company
	users     []*user
	pages     []*page
	callers   []*caller
	loops     []loop
	tallies   []*tally
	errand    *errand
	pace      pace
	calm      func() // lets slow pages read fast

	queue   chan *page    // pages that are to connect; each is in it at most once
	slots   chan struct{} // one for each that is logging in
	out     atomic.Int64  // pages that are neither open nor given up
	allIn   chan struct{} // signalled when there are none
	stopped atomic.Bool
	opening sync.WaitGroup

	// from and to bound the time that is measured, sendTo that in which callers push.
	from, to, sendTo atomic.Int64

	count    counter
	faults   faults
	troubles troubles
}

// now is the time since the run began, in nanoseconds.
func (r *run) now() int64 { return int64(time.Since(r.began)) }

// measures reports whether a time is measured.
func (r *run) measures(at int64) bool { return at >= r.from.Load() && at < r.to.Load() }

// pushing reports whether callers push.
func (r *run) pushing(now int64) bool { return now < r.sendTo.Load() }

// Run runs a scenario and reports what it has measured. When ctx ends it stops early; the report then says
// so. It fails only if it could not begin.
func Run(ctx context.Context, o Options) (*Report, error) {
	r, err := newRun(o)
	if err != nil {
		return nil, err
	}
	defer r.close()
	server := newProcess(r.o.ServerPID)
	m := measurement{before: server.sample(), ownBefore: ownCPU()}
	stopProgress := r.reportProgress()
	defer stopProgress()
	stopLooking := r.every(lookEvery, r.lookAtPages)
	defer stopLooking()

	m.connect = r.connectAll(ctx)
	m.idle, m.ownIdle, m.opened = server.sample(), ownCPU(), r.openPages()
	if r.o.Scenario != Storm && ctx.Err() == nil {
		r.drive(ctx, server, &m)
	}
	m.interrupted = ctx.Err() != nil
	r.drain(&m)
	r.stopped.Store(true)
	for _, p := range r.pages {
		p.finish()
	}
	stopProgress()
	return r.report(&m), nil
}

// A measurement is what a run takes down of its phases.
type measurement struct {
	before, idle, start, end sample  // of the server
	ownBefore, ownIdle       float64 // CPU seconds of this process
	ownStart, ownEnd         float64
	connect                  time.Duration
	measured                 time.Duration
	behind                   int64
	opened                   int // pages, when all had been let in or given up
	away                     int // pages that were not open at the end
	interrupted              bool
}

func newRun(o Options) (*run, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	r := &run{o: o, began: time.Now(), allIn: make(chan struct{}, 1)}
	r.from.Store(never)
	var err error
	if r.public, err = parseEndpoint(o.URL); err != nil {
		return nil, fmt.Errorf("url: %w", err)
	}
	r.public.path = strings.TrimSuffix(r.public.path, "/") + "/" + strings.TrimPrefix(o.Path, "/")
	if r.backend, err = parseEndpoint(o.Push); err != nil {
		return nil, fmt.Errorf("push: %w", err)
	}
	seed := o.Seed
	if seed == 0 {
		seed = rand.Uint64()
	}
	r.marker = marker(fmt.Sprintf("%08x", uint32(rand.Uint64())))
	r.content = bytes.Repeat([]byte("x"), o.Size)
	r.pushHead = r.head()
	for range max(1, runtime.GOMAXPROCS(0)) {
		l, err := newLoop()
		if err != nil {
			r.closeLoops()
			return nil, err
		}
		r.loops = append(r.loops, l)
		r.tallies = append(r.tallies, &tally{})
	}
	fast := make(chan struct{})
	r.calm = sync.OnceFunc(func() { close(fast) })
	r.pace = pace{bytes: max(1, o.SlowRate/10), every: 100 * time.Millisecond, fast: fast}
	r.errand = newErrand()
	if err := r.people(rand.New(rand.NewPCG(seed, 1))); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// head is what every push begins with.
func (r *run) head() []byte {
	path := r.backend.path
	if path == "" {
		path = "/"
	}
	head := "POST " + path + " HTTP/1.1\r\nHost: " + r.backend.host + "\r\n"
	if r.o.Key != "" {
		head += "Authorization: Bearer " + r.o.Key + "\r\n"
	}
	return []byte(head + "Content-Type: application/x-www-form-urlencoded\r\nContent-Length: ")
}

// people makes companies, users, callers and pages.
func (r *run) people(random *rand.Rand) error {
	o := &r.o
	for c := range o.Companies {
		r.companies = append(r.companies, &company{name: fmt.Sprintf("bench-%d", c)})
	}
	for u := range o.Companies * o.UsersPerCompany {
		r.users = append(r.users, &user{name: fmt.Sprintf("bench-%d-%d", u%o.Companies, u/o.Companies)})
	}
	r.makeCallers(random)
	slow := int(o.Slow*float64(o.Pages) + 0.5)
	r.queue = make(chan *page, o.Pages)
	r.slots = make(chan struct{}, o.Connecting)
	r.out.Store(int64(o.Pages))
	for n := range o.Pages {
		p := &page{
			run: r, number: n, revision: 5, slow: n*slow/o.Pages != (n+1)*slow/o.Pages,
			company: r.companies[n%o.Companies], user: r.users[n%len(r.users)], tally: r.tallies[n%len(r.tallies)],
			polling: random.Float64() < o.Polling,
		}
		if random.Float64() < o.Revision4 {
			p.revision = 4
		}
		if o.Token != nil {
			var err error
			if p.token, err = o.Token(p.user.name, p.company.name); err != nil {
				return err
			}
		}
		if o.Verify {
			streams := p.company.streams[:len(p.company.streams):len(p.company.streams)]
			if p.user.stream != nil {
				streams = append(streams, p.user.stream)
			}
			p.witness = newWitness(n, streams, &r.faults)
		}
		r.pages = append(r.pages, p)
	}
	return nil
}

// makeCallers makes the callers of the scenario and deals companies and users out to them, so
// that a stream has one caller.
func (r *run) makeCallers(random *rand.Rand) {
	o := &r.o
	var toCompanies, toUsers []*caller
	add := func(list *[]*caller) {
		c := &caller{run: r, number: len(r.callers), rand: rand.New(rand.NewPCG(random.Uint64(), 2))}
		*list = append(*list, c)
		r.callers = append(r.callers, c)
	}
	for i := range o.Callers {
		switch {
		case o.Scenario == Fanout, o.Scenario == Mixed && i%2 == 0:
			add(&toCompanies)
		case (o.Scenario == Unicast || o.Scenario == Mixed) && len(toUsers) < len(r.users):
			add(&toUsers)
		}
	}
	for i := range max(len(toCompanies), len(r.companies)) {
		if len(toCompanies) == 0 {
			break
		}
		at, caller := r.companies[i%len(r.companies)], toCompanies[i%len(toCompanies)]
		t := target{stream: &stream{stored: o.Stored}, company: at, index: i % len(r.companies), lane: len(at.streams)}
		at.streams, at.callers = append(at.streams, t.stream), append(at.callers, caller)
		caller.companies = append(caller.companies, t)
	}
	for i, u := range r.users {
		if len(toUsers) == 0 {
			break
		}
		u.stream = &stream{stored: o.Stored, replayed: o.Stored}
		caller := toUsers[i%len(toUsers)]
		caller.users = append(caller.users, target{stream: u.stream, company: r.companies[i%o.Companies], user: u, index: i})
	}
}

// connectAll opens all pages and returns how long that took.
func (r *run) connectAll(ctx context.Context) time.Duration {
	began := time.Now()
	for range min(r.o.Connecting, len(r.pages), 64) {
		r.opening.Go(r.open)
	}
	for _, p := range r.pages {
		r.enqueue(p)
	}
	select {
	case <-r.allIn:
	case <-ctx.Done():
	}
	return time.Since(began)
}

// open connects pages until the run is closed.
func (r *run) open() {
	for p := range r.queue {
		r.slots <- struct{}{}
		if r.stopped.Load() {
			r.release()
			continue
		}
		p.connect()
	}
}

// enqueue has a page connect. It is in no queue.
func (r *run) enqueue(p *page) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !r.stopped.Load() && p.state == pageAway {
		r.queue <- p
	}
}

// release lets another page log in.
func (r *run) release() { <-r.slots }

// settled says that a page is open, or given up; returns says that one that was is not.
func (r *run) settled() {
	if r.out.Add(-1) == 0 {
		select {
		case r.allIn <- struct{}{}:
		default:
		}
	}
}

func (r *run) returns() {
	r.out.Add(1)
	r.count.returned.Add(1)
}

// shortly is how long a page stays away.
func (r *run) shortly(number int) time.Duration {
	return 100*time.Millisecond + time.Duration(rand.Int64N(int64(1900*time.Millisecond)))
}

// drive has callers push and pages come and go, and takes the measurements.
func (r *run) drive(ctx context.Context, server *process, m *measurement) {
	now := r.now()
	r.from.Store(now + int64(r.o.WarmUp))
	r.to.Store(now + int64(r.o.WarmUp+r.o.Duration))
	r.sendTo.Store(r.to.Load())
	for i, c := range r.callers {
		if r.o.Rate > 0 {
			c.every = int64(float64(len(r.callers)) / r.o.Rate * float64(time.Second))
			c.due = now + c.every*int64(i)/int64(len(r.callers))
		}
		go c.connect()
	}
	tick := 100 * time.Millisecond
	if r.o.Rate > 0 {
		tick = time.Millisecond
	}
	defer r.every(tick, r.lookAtCallers)()
	if r.o.Churn > 0 {
		defer r.every(time.Duration(float64(time.Second)/r.o.Churn), r.churn())()
	}
	wait(ctx, r.o.WarmUp)
	m.start, m.ownStart = server.sample(), ownCPU()
	from := time.Now()
	wait(ctx, r.o.Duration)
	m.end, m.ownEnd = server.sample(), ownCPU()
	m.measured = time.Since(from)
	stop := r.now()
	r.sendTo.Store(min(stop, r.sendTo.Load()))
	r.to.Store(min(stop, r.to.Load()))
	for _, c := range r.callers {
		m.behind += c.behind(stop)
	}
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// lookEvery is how often pages are looked at.
const lookEvery = time.Second

// every calls f from time to time, until the function that it returns is called.
func (r *run) every(d time.Duration, f func()) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		ticker := time.NewTicker(max(d, time.Microsecond))
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				f()
			case <-quit:
				return
			}
		}
	}()
	return sync.OnceFunc(func() {
		close(quit)
		<-done
	})
}

func (r *run) lookAtPages() {
	now := r.now()
	for _, p := range r.pages {
		p.look(now)
	}
}

func (r *run) lookAtCallers() {
	now := r.now()
	for _, c := range r.callers {
		c.look(now)
	}
}

// churn returns what makes the next open page leave.
func (r *run) churn() func() {
	next := 0
	return func() {
		for range r.pages {
			p := r.pages[next%len(r.pages)]
			next++
			if p.leave() {
				return
			}
		}
	}
}

// drain waits until all that has been pushed is answered and has come, or nothing comes any
// more.
func (r *run) drain(m *measurement) {
	r.calm()
	const tick = 20 * time.Millisecond
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	began, came := time.Now(), r.arrivals()
	// Ticks are counted, not time: while this process stands still, what has come is not read.
	for waited := time.Duration(0); r.waits(!m.interrupted) && waited < r.o.Drain && time.Since(began) < maxDrain; waited += tick {
		<-ticker.C
		if now := r.arrivals(); now != came {
			waited, came = 0, now
		}
	}
	m.away = len(r.pages) - r.openPages()
}

func (r *run) openPages() (n int) {
	for _, p := range r.pages {
		if p.isOpen() {
			n++
		}
	}
	return n
}

// maxDrain bounds the waiting at the end in all.
const maxDrain = 2 * time.Minute

func (r *run) arrivals() (n uint64) {
	for _, t := range r.tallies {
		n += t.deliveries.Load()
	}
	return n + r.count.opened.Load() + r.count.loginFailures.Load()
}

// waits reports whether something is still to come, pages that are away included or not.
func (r *run) waits(pages bool) bool {
	for _, c := range r.callers {
		if c.busy() {
			return true
		}
	}
	for _, p := range r.pages {
		if p.owes(pages) {
			return true
		}
	}
	return false
}

// close ends everything. The pages have finished.
func (r *run) close() {
	r.stopped.Store(true)
	for _, c := range r.callers {
		c.finish()
	}
	if r.queue != nil {
		// No page can enter the queue any more once its lock has been held here.
		for _, p := range r.pages {
			p.finish()
		}
		close(r.queue)
		r.opening.Wait()
	}
	r.calm()
	r.errand.close()
	r.closeLoops()
}

func (r *run) closeLoops() {
	for _, l := range r.loops {
		if l != nil {
			l.close()
		}
	}
}
