package chaos

import "sync"

// marks are the messages of a user that were to be marked read, and whether that was answered.
type marks struct {
	mu  sync.Mutex
	ids map[string]bool
}

func newMarks() *marks { return &marks{ids: make(map[string]bool)} }

func (m *marks) intend(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.ids[id] {
		m.ids[id] = false
	}
}

func (m *marks) done(id string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ids[id] = true
}

// open returns those that nothing has answered.
func (m *marks) open() (ids []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for id, done := range m.ids {
		if !done {
			ids = append(ids, id)
		}
	}
	return ids
}

// all returns all of them.
func (m *marks) all() map[string]bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make(map[string]bool, len(m.ids))
	for id := range m.ids {
		all[id] = true
	}
	return all
}
