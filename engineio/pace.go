package engineio

import (
	"sync"
	"time"
)

// Pace is for who has much to send to one session at once: it waits, where half
// of Options.MaxQueue or more is queued, until all of that has been written or handed to a GET, or
// the session is closing. A session that
// takes longer than limit is closed with [ReasonTooSlow]. It reports whether the
// session is open.
func (s *Session) Pace(limit time.Duration) bool {
	s.mu.Lock()
	if s.state != stateOpen {
		s.mu.Unlock()
		return false
	}
	if !s.crowded() {
		s.mu.Unlock()
		return true
	}
	s.paced = true
	empty := s.server.paced.of(s)
	s.mu.Unlock()
	late := time.NewTimer(limit)
	defer late.Stop()
	select {
	case <-empty:
	case <-late.C:
		s.abort(ReasonTooSlow)
	}
	return s.isOpen()
}

// Crowded reports whether so much is queued that Pace would wait.
func (s *Session) Crowded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state == stateOpen && s.crowded()
}

// crowded is Crowded of an open session. s.mu is held.
func (s *Session) crowded() bool { return s.queue.size >= s.server.options.MaxQueue/2 }

// emptied lets Pace go on. s.mu is held, and nothing is queued or nothing more will be.
func (s *Session) emptied() {
	if s.paced {
		s.paced = false
		s.server.paced.release(s)
	}
}

// pacedSessions has a channel for each session for which somebody waits in Pace. They are few: it is no
// field of the session.
type pacedSessions struct {
	mu    sync.Mutex
	empty map[*Session]chan struct{}
}

// of returns a channel that is closed by release.
func (p *pacedSessions) of(s *Session) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.empty == nil {
		p.empty = make(map[*Session]chan struct{})
	}
	if p.empty[s] == nil {
		p.empty[s] = make(chan struct{})
	}
	return p.empty[s]
}

func (p *pacedSessions) release(s *Session) {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.empty[s])
	delete(p.empty, s)
}
