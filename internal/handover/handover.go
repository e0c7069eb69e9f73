// Package handover gives connections to a server of net/http that somebody else has accepted, and
// perhaps read from.
package handover

import (
	"net"
	"sync"
)

// A Listener accepts what is handed to it. It is safe for concurrent use.
type Listener struct {
	address net.Addr
	conns   chan net.Conn
	once    sync.Once
	closed  chan struct{}
}

var _ net.Listener = (*Listener)(nil)

// Listen makes a listener that says that it listens at address.
func Listen(address net.Addr) *Listener {
	return &Listener{address: address, conns: make(chan net.Conn), closed: make(chan struct{})}
}

// Hand gives away a connection, with what has been read of it. It waits for whoever accepts, and reports
// false if the listener is closed: then the connection is still the caller's.
func (l *Listener) Hand(c net.Conn, early []byte) bool {
	if len(early) > 0 {
		c = &resumed{c, early}
	}
	select {
	case l.conns <- c:
		return true
	case <-l.closed:
		return false
	}
}

// Accept implements [net.Listener].
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener].
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr implements [net.Listener].
func (l *Listener) Addr() net.Addr { return l.address }

// A resumed connection begins with what has been read of it already.
type resumed struct {
	net.Conn
	early []byte
}

func (c *resumed) Read(p []byte) (int, error) {
	if len(c.early) > 0 {
		n := copy(p, c.early)
		if c.early = c.early[n:]; len(c.early) == 0 {
			c.early = nil
		}
		return n, nil
	}
	return c.Conn.Read(p)
}
