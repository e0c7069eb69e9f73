package hop

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	// greetingTimeout is how long a connection may take to prove itself, and then to be told that it has not.
	greetingTimeout = 5 * time.Second
	// maxGreetings is how many connections may be about to prove themselves at a time.
	maxGreetings = 256
)

// A Listener accepts the connections of other nodes, once they have proved themselves. Whatever else comes is told 403 and
// closed, also what was sent to an address of this machine that is not private. It is safe for concurrent use.
type Listener struct {
	net.Listener
	key  Key
	node string
	log  *slog.Logger

	greetings chan struct{} // as many as are under way
	accepted  chan accepted
	once      sync.Once
	closed    chan struct{}
}

type accepted struct {
	conn net.Conn
	err  error
}

// Listen makes a listener for the node of that name. It closes l when it is closed.
func Listen(l net.Listener, key Key, node string, log *slog.Logger) *Listener {
	h := &Listener{
		Listener: l, key: key, node: node, log: log,
		greetings: make(chan struct{}, maxGreetings), accepted: make(chan accepted), closed: make(chan struct{}),
	}
	go h.run()
	return h
}

// Accept implements [net.Listener].
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case a := <-l.accepted:
		return a.conn, a.err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements [net.Listener].
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

func (l *Listener) run() {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			if !l.give(accepted{err: err}) {
				return
			}
			continue
		}
		select {
		case l.greetings <- struct{}{}:
			go l.greet(c)
		default:
			c.Close()
		}
	}
}

// give hands over what Accept is to return, and reports false if the listener is closed.
func (l *Listener) give(a accepted) bool {
	select {
	case l.accepted <- a:
		return true
	case <-l.closed:
		return false
	}
}

func (l *Listener) greet(c net.Conn) {
	err := l.check(c)
	<-l.greetings
	if err == nil && l.give(accepted{conn: c}) {
		return
	}
	if errors.Is(err, errNoHello) || errors.Is(err, errNoProof) {
		l.log.Warn("connection to the hop listener refused", "address", c.RemoteAddr().String(), "err", err)
		refuse(c)
	}
	c.Close()
}

// check has the peer prove itself.
func (l *Listener) check(c net.Conn) error {
	if at, err := netip.ParseAddrPort(c.LocalAddr().String()); err != nil || !Private(at.Addr()) {
		return errNoHello
	}
	if err := c.SetDeadline(time.Now().Add(greetingTimeout)); err != nil {
		return err
	}
	if err := l.key.receive(c, l.node); err != nil {
		return err
	}
	return c.SetDeadline(time.Time{})
}

// refuse answers in the language of whoever is no node and most likely speaks HTTP. What they have sent is read, so that closing
// does not take the answer away from them.
func refuse(c net.Conn) {
	c.SetDeadline(time.Now().Add(greetingTimeout))
	io.WriteString(c, "HTTP/1.1 403 Forbidden\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
	if c, ok := c.(interface{ CloseWrite() error }); ok {
		c.CloseWrite()
	}
	io.CopyN(io.Discard, c, 64<<10)
}
