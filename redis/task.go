package redis

import (
	"errors"
	"slices"
	"sync"
	"time"
)

// A task is the writing of one company or one user to Redis. One runs at a time, so that what is
// written last is what is true last. The presence's lock guards it.
type task struct {
	queued  bool
	running bool
	failed  bool    // what was written last has not arrived; it is retried
	trying  bool    // it is being retried: it runs although Redis does not answer
	next    *flight // of the run that begins next; nil while none is wanted
}

func (t *task) idle() bool { return !t.queued && !t.running && !t.failed && t.next == nil }

// A flight is one run of a task.
type flight struct {
	done chan struct{} // closed at its end, however it ends
}

// want has the task run, and returns the run that begins after now, or nil if nobody should wait for it.
func (t *task) want(p *Presence, enqueue func()) *flight {
	if p.closed || t.failed && !t.trying {
		return nil
	}
	if t.next == nil {
		t.next = &flight{done: make(chan struct{})}
	}
	if !t.queued && !t.running {
		t.queued = true
		enqueue()
	}
	if p.trouble.out {
		return nil
	}
	return t.next
}

// begin takes the task out of the queue. It reports false if it is better not run.
func (t *task) begin(p *Presence) (*flight, bool) {
	f := t.next
	t.queued, t.next = false, nil
	if p.closed || p.trouble.out && !t.trying {
		return f, false
	}
	t.running = true
	return f, true
}

// end ends a run, and reports true if another is wanted.
func (t *task) end(f *flight, err error) bool {
	t.running, t.trying, t.failed = false, false, err != nil
	close(f.done)
	if err != nil && t.next != nil {
		close(t.next.done)
		t.next = nil
	}
	return t.next != nil
}

func (p *Presence) wantCompany(c *company) *flight {
	return c.task.want(p, func() { p.due.companies.push(c) })
}

func (p *Presence) wantUser(u *user) *flight {
	return u.task.want(p, func() { p.due.users.push(u) })
}

// A queue holds what is to be done, in order. The presence's lock guards it.
type queue[T any] struct {
	all  []T
	some *sync.Cond // there are some, or the presence is closed
}

func (q *queue[T]) push(one T) {
	q.all = append(q.all, one)
	q.some.Signal()
}

// take waits for some, and takes up to most of them; none where the presence is closed.
func (q *queue[T]) take(p *Presence, most int) []T {
	for len(q.all) == 0 && !p.closed {
		q.some.Wait()
	}
	if p.closed {
		return nil
	}
	n := min(most, len(q.all))
	taken := slices.Clone(q.all[:n])
	clear(q.all[:n])
	q.all = q.all[n:]
	return taken
}

// queues are what there is to do.
type queues struct {
	companies queue[*company]
	users     queue[*user]
	stale     queue[*company] // to be announced
}

var errOut = errors.New("others have just asked Redis in vain")

// trouble is what has not arrived in Redis.
type trouble struct {
	out       bool // the last answer was none
	warned    bool
	failures  int // that were no refusals to try
	companies map[*company]struct{}
	users     map[*user]struct{}
}

// noteAnswer notes whether Redis answers.
func (p *Presence) noteAnswer(err error) {
	t := &p.trouble
	if err == nil {
		t.out = false
		if t.warned && len(t.companies) == 0 && len(t.users) == 0 {
			t.warned = false
			p.log.Info("Redis answers again; who is online is known of all nodes")
		}
		return
	}
	if errors.Is(err, errOut) || p.closed {
		return
	}
	t.out = true
	t.failures++
	if !t.warned {
		t.warned = true
		p.log.Warn("Redis does not answer; who is online is known of this node alone until it does", "err", err)
	}
}

// failWaiting lets go whoever waits for a run that will not be. The lock is held.
func (p *Presence) failWaiting() {
	for _, c := range p.companies {
		if c.task.next != nil {
			close(c.task.next.done)
			c.task.next = nil
		}
	}
	for _, users := range p.users {
		for _, u := range users {
			if u.task.next != nil {
				close(u.task.next.done)
				u.task.next = nil
			}
		}
	}
}

// retryEvery is how often something that has failed is tried again, while retryFewest are until
// they succeed, and then twice as many each time.
const (
	retryEvery  = 300 * time.Millisecond
	retryFewest = 64
)

// retryFailed tries some again, and returns how many to try the next time.
func (p *Presence) retryFailed(most int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.trouble.failures > 0 {
		p.trouble.failures, most = 0, retryFewest
	}
	n := 0
	for c := range p.trouble.companies {
		if n++; n > most {
			break
		}
		c.task.trying = true
		p.wantCompany(c)
	}
	for u := range p.trouble.users {
		if n++; n > 2*most {
			break
		}
		u.task.trying = true
		p.wantUser(u)
	}
	if n == 0 {
		return retryFewest
	}
	return 2 * most
}
