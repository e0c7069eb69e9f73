package storage

import "sync"

// Answers are those that AnswerRequest was given and that are not stored yet. The
// zero value is empty. They are safe for concurrent use.
type Answers struct {
	mu      sync.Mutex
	pending map[string]*[]byte
}

// Put keeps the answer of a request in the place of an earlier one.
func (a *Answers) Put(key string, answer *[]byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.pending == nil {
		a.pending = make(map[string]*[]byte)
	}
	a.pending[key] = answer
}

// Settle forgets an answer unless a newer one has taken its place.
func (a *Answers) Settle(key string, answer *[]byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.pending[key] == answer {
		delete(a.pending, key)
	}
}

// Of returns the answer of a request, or nil.
func (a *Answers) Of(key string) *[]byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.pending[key]
}
