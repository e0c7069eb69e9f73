package load

import (
	"slices"
	"sync"
	"sync/atomic"
)

// A stream is what one caller pushes to one company or user: publications numbered from 1,
// the next when the last has been answered.
type stream struct {
	stored   bool // a page that recovers is told what it has missed
	replayed bool // what nobody got waits for the next login

	sent     atomic.Uint32 // the last that was begun
	answered atomic.Uint32 // the last that was answered as sent

	mu     sync.Mutex
	unsure []uint32 // in order: those that failed without an answer, and may have been sent
}

// next numbers a publication that is about to be pushed.
func (s *stream) next() uint32 { return s.sent.Add(1) }

// accept says that a push was answered.
func (s *stream) accept(seq uint32) { s.answered.Store(seq) }

// refuse says that the server refused a push: it was not sent, and its number is free
// again.
func (s *stream) refuse(seq uint32) { s.sent.Store(seq - 1) }

// doubt says that a push failed without an answer.
func (s *stream) doubt(seq uint32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unsure = append(s.unsure, seq)
}

// sure returns how many publications after one and up to another have been sent
// for certain.
func (s *stream) sure(after, upTo uint32) uint64 {
	if after >= upTo {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	from, _ := slices.BinarySearch(s.unsure, after+1)
	to, _ := slices.BinarySearch(s.unsure, upTo+1)
	return uint64(upTo-after) - uint64(to-from)
}
