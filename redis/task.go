package redis

import "sync"

// A task is the writing of one company or one user to Redis. One runs at a time, so that what is
// written last is what is true last. The presence's lock guards it.
type task struct {
	queued  bool // to run
	soon    bool // before what is not urgent
	running bool
	failed  bool    // what was written last has not arrived; it is retried
	next    *flight // of the run that begins next; nil while none is wanted
}

func (t *task) idle() bool { return !t.queued && !t.running && !t.failed && t.next == nil }

// A flight is one run of a task.
type flight struct {
	done chan struct{} // closed at its end, however it ends
}

// An urgency says before what a task runs: somebody waits for it soon, and for what renews alone later.
type urgency bool

const (
	soon  urgency = true
	later urgency = false
)

// want has the task run, and returns the run that begins after now, or nil if nobody should wait for it.
func (t *task) want(p *Presence, s *shard, u urgency, enqueue func()) *flight {
	if p.closed || t.failed && s.out() {
		return nil
	}
	if t.next == nil {
		t.next = &flight{done: make(chan struct{})}
	}
	if !t.running && (!t.queued || u == soon && !t.soon) {
		t.queued, t.soon = true, u == soon
		enqueue()
	}
	t.soon = t.soon || u == soon // also of the run after the one that runs
	if s.out() {
		return nil
	}
	return t.next
}

// begin takes the task out of the queue. It reports false if it is better not run.
func (t *task) begin(p *Presence, s *shard) (*flight, bool) {
	f := t.next
	t.queued, t.soon, t.next = false, false, nil
	if p.closed || s.out() {
		return f, false
	}
	t.running = true
	return f, true
}

// end ends a run, and reports true if another is wanted, which is then queued.
func (t *task) end(f *flight, err error) bool {
	t.running, t.failed = false, err != nil
	close(f.done)
	if err != nil {
		t.release()
	}
	t.queued = t.next != nil
	return t.queued
}

// release lets go whoever waits for a run that will not be.
func (t *task) release() {
	if t.next != nil {
		close(t.next.done)
		t.next = nil
	}
}

func (p *Presence) wantCompany(c *company, u urgency) *flight {
	s := p.shardOf(p.companyKey(c.id, ""))
	return c.task.want(p, s, u, func() { s.companies.push(c, u) })
}

func (p *Presence) wantUser(u *user, urgent urgency) *flight {
	s := p.shardOf(p.userKey(u.id))
	return u.task.want(p, s, urgent, func() { s.users.push(u, urgent) })
}

// A queue holds what is to be done, in order. What is wanted soon after it was wanted later is in it
// twice. The presence's lock guards it.
type queue[T any] struct {
	soon, later []T
	some        *sync.Cond // there are some, or the presence is closed
}

func (q *queue[T]) push(one T, u urgency) {
	if u == soon {
		q.soon = append(q.soon, one)
	} else {
		q.later = append(q.later, one)
	}
	q.some.Signal()
}

// take waits for some, and takes up to most of them, and a few that can wait, so that their turn comes; none where
// the presence is closed.
func (q *queue[T]) take(p *Presence, most int) []T {
	for len(q.soon)+len(q.later) == 0 && !p.closed {
		q.some.Wait()
	}
	if p.closed {
		return nil
	}
	taken := pop(nil, &q.soon, most)
	return pop(taken, &q.later, max(most-len(taken), most/4))
}

func pop[T any](taken []T, from *[]T, most int) []T {
	n := min(most, len(*from))
	taken = append(taken, (*from)[:n]...)
	clear((*from)[:n])
	*from = (*from)[n:]
	return taken
}
