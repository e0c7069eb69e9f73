package socketio

import (
	"maps"
	"slices"
	"time"
)

// DelayConnects sets for how long the answer to a CONNECT is held back. Nobody may have connected yet.
func (s *Server) DelayConnects(d time.Duration) { s.connectDelay = d }

// Census counts what the namespace's registry holds.
func (n *Namespace) Census() (rooms, sockets int) { return n.registry.census() }

// Names returns the names of all namespaces.
func (s *Server) Names() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Sorted(maps.Keys(s.namespaces))
}
