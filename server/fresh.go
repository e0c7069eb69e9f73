package server

import (
	"net"
	"net/http"
	"sync"
)

// A freshList has the connections on which no request has begun: browsers and balancers make some ahead of need, and one
// on which a poll has waited is new to net/http. A stop ends them, for [http.Server.Shutdown] would wait 5 seconds for the request of each.
type freshList struct {
	mu     sync.Mutex
	conns  map[net.Conn]struct{}
	closed bool
}

// watch has the list see the connections of a server, and end those on it when the server is shut down.
func (f *freshList) watch(s *http.Server) {
	f.conns = map[net.Conn]struct{}{}
	s.ConnState = f.note
	s.RegisterOnShutdown(f.close)
}

func (f *freshList) note(c net.Conn, state http.ConnState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case state != http.StateNew:
		delete(f.conns, c)
	case f.closed:
		c.Close()
	default:
		f.conns[c] = struct{}{}
	}
}

func (f *freshList) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for c := range f.conns {
		c.Close()
	}
}
