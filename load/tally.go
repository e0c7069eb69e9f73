package load

import (
	"sync"
	"sync/atomic"
)

// A tally counts what some of the pages get. Each loop has its own, so that they do not
// wait for each other's memory.
type tally struct {
	deliveries atomic.Uint64 // all
	measured   atomic.Uint64 // those that came while the run was measuring
	caughtUp   atomic.Uint64 // those that came while their page logged in
	recent     histogram     // of what was in time
	latency    histogram     // likewise, and pushed while the run was measuring
	heartbeats atomic.Uint64
}

// take counts what a page has got that was to be pushed at a time. How late it is says something of
// the server only where the page was there and read as fast as it could.
func (t *tally) take(p *page, at int64) {
	now := p.run.now()
	t.deliveries.Add(1)
	if p.run.measures(now) {
		t.measured.Add(1)
	}
	if p.state == pageLoggingIn {
		t.caughtUp.Add(1)
		return
	}
	if p.slow {
		return
	}
	t.recent.add(now - at)
	if p.run.measures(at) {
		t.latency.add(now - at)
	}
}

// A counter holds the events in the life of pages and callers.
type counter struct {
	opened, loginFailures                atomic.Uint64
	disconnected, slowDisconnected       atomic.Uint64 // by the server
	left, returned, resumed, notResumed  atomic.Uint64
	pushes, ok, offline, refused, failed atomic.Uint64
	measuredPushes, stalled              atomic.Uint64
	login, push, lag                     histogram
}

// troubles keeps the first errors, each once, and counts all.
type troubles struct {
	mu    sync.Mutex
	total uint64
	first []Trouble
}

// A Trouble is an error and how often it occurred.
type Trouble struct {
	What  string `json:"what"`
	Count uint64 `json:"count"`
}

func (t *troubles) note(what string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.total++
	for i := range t.first {
		if t.first[i].What == what {
			t.first[i].Count++
			return
		}
	}
	if len(t.first) < maxFirst {
		t.first = append(t.first, Trouble{what, 1})
	}
}

// list returns the errors, those that were not kept as the last.
func (t *troubles) list() []Trouble {
	t.mu.Lock()
	defer t.mu.Unlock()
	all := append([]Trouble{}, t.first...)
	rest := t.total
	for _, known := range all {
		rest -= known.Count
	}
	if rest > 0 {
		all = append(all, Trouble{"others", rest})
	}
	return all
}

func (t *troubles) count() uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.total
}
