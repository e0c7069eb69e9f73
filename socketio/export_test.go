package socketio

import (
	"maps"
	"slices"
)

// Census counts what the namespace's registry holds.
func (n *Namespace) Census() (rooms, sockets int) { return n.registry.census() }

// Names returns the names of all namespaces.
func (s *Server) Names() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Sorted(maps.Keys(s.namespaces))
}
