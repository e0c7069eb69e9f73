package server

import (
	"container/heap"
	"sync"
	"time"

	"belfry"
	"belfry/auth"
)

// tokenWarning is how long before its token expires a page is asked for a new one;
// half of the token's time where that is shorter.
const tokenWarning = time.Minute

// An expiry is the goroutine that asks pages for new tokens and ends those that show none
// in time. One heap serves all pages: a page costs a place in it, no timer.
type expiry struct {
	warn func(p *page, expires time.Time) // asks the page for a new token
	end  func(p *page)                    // ends it

	mu    sync.Mutex
	queue expiryQueue
	wake  chan struct{}
	once  sync.Once
	stop  chan struct{}
	done  chan struct{}
}

// A pageExpiry is what a page keeps for its expiry, which guards it.
type pageExpiry struct {
	expires time.Time // of the token; zero for one that needs none
	due     time.Time // when to look at the page
	warned  bool
	index   int // in the queue, if queued
	queued  bool
}

// newExpiry starts an expiry, which calls warn and end one at a time; close ends it.
func newExpiry(warn func(p *page, expires time.Time), end func(p *page)) *expiry {
	e := &expiry{warn: warn, end: end, wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{})}
	go e.run()
	return e
}

// askForToken tells a page that its token expires.
func askForToken(p *page, expires time.Time) {
	p.Emit(belfry.EventTokenExpiring, belfry.Cursor{}, tokenExpiring{expires.UTC(), max(0, int(time.Until(expires).Seconds()))})
}

// endExpired ends a page whose token has expired.
func endExpired(p *page) { p.end("the token has expired") }

func (e *expiry) close() {
	e.once.Do(func() { close(e.stop) })
	<-e.done
}

// watch looks after a page whose token expires then, instead of when it did before.
func (e *expiry) watch(p *page, expires time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.remove(p)
	if expires.IsZero() {
		return
	}
	now := time.Now()
	p.expiry = pageExpiry{expires: expires, due: expires.Add(-min(tokenWarning, expires.Sub(now)/2))}
	e.put(p)
}

// forget lets go of a page that is gone.
func (e *expiry) forget(p *page) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.remove(p)
}

// put queues a page; remove takes it out if it is queued. The lock is held.
func (e *expiry) put(p *page) {
	p.expiry.queued = true
	heap.Push(&e.queue, p)
	if e.queue[0] == p {
		select {
		case e.wake <- struct{}{}:
		default:
		}
	}
}

func (e *expiry) remove(p *page) {
	if p.expiry.queued {
		heap.Remove(&e.queue, p.expiry.index)
		p.expiry.queued = false
	}
}

func (e *expiry) run() {
	defer close(e.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(e.work())
		select {
		case <-timer.C:
		case <-e.wake:
		case <-e.stop:
			return
		}
	}
}

// work looks at the pages that are due and returns the time until the next is.
func (e *expiry) work() time.Duration {
	for {
		p, expires, wait := e.next(time.Now())
		switch {
		case p == nil:
			return wait
		case expires.IsZero():
			e.end(p)
		default:
			e.warn(p, expires)
		}
	}
}

// tokenExpiring is what belfry.EventTokenExpiring carries.
type tokenExpiring struct {
	ExpiresAt time.Time `json:"expiresAt"`
	Seconds   int       `json:"seconds"` // until then
}

// next returns a page that is to be asked for a new token than the one that expires then, or one that is to be
// ended, with the zero time. If no page is due it returns the time until one is.
func (e *expiry) next(now time.Time) (p *page, expires time.Time, wait time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.queue) == 0 {
		return nil, time.Time{}, time.Hour
	}
	p = e.queue[0]
	if wait = p.expiry.due.Sub(now); wait > 0 {
		return nil, time.Time{}, wait
	}
	e.remove(p)
	if p.expiry.warned {
		return p, time.Time{}, 0
	}
	p.expiry.warned, p.expiry.due = true, p.expiry.expires.Add(auth.Leeway) // as a login would have it
	e.put(p)
	return p, p.expiry.expires, 0
}

// An expiryQueue is a heap of pages, the one that is due first at its head.
type expiryQueue []*page

func (q expiryQueue) Len() int           { return len(q) }
func (q expiryQueue) Less(i, j int) bool { return q[i].expiry.due.Before(q[j].expiry.due) }
func (q expiryQueue) Swap(i, j int) {
	q[i], q[j] = q[j], q[i]
	q[i].expiry.index, q[j].expiry.index = i, j
}

// Push implements [heap.Interface].
func (q *expiryQueue) Push(x any) {
	p := x.(*page)
	p.expiry.index = len(*q)
	*q = append(*q, p)
}

// Pop implements [heap.Interface].
func (q *expiryQueue) Pop() any {
	old := *q
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*q = old[:len(old)-1]
	return last
}
