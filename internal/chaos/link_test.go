package chaos

import (
	"io"
	"net"
	"sync"
)

// A link forwards connections to one address, and may be cut or stalled.
type link struct {
	addr string
	to   string
	in   net.Listener

	mu    sync.Mutex
	state linkState
	moved chan struct{} // closed when the state changes
	conns map[net.Conn]struct{}
}

type linkState int

const (
	linkWhole   linkState = iota
	linkCut               // connections are reset, and new ones as soon as they come
	linkStalled           // connections stay, and nothing comes through
)

// newLink makes a link to an address, until close.
func newLink(to string) (*link, error) {
	in, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l := &link{addr: in.Addr().String(), to: to, in: in, moved: make(chan struct{}), conns: make(map[net.Conn]struct{})}
	go l.serve()
	return l, nil
}

func (l *link) close() {
	l.in.Close()
	l.set(linkCut)
}

// set changes the state. What a stalled link has held back goes on as soon as it is whole.
func (l *link) set(state linkState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state = state
	close(l.moved)
	l.moved = make(chan struct{})
	if state == linkCut {
		for c := range l.conns {
			reset(c)
		}
		clear(l.conns)
	}
}

// reset closes a connection so that its peer has an error at once.
func reset(c net.Conn) {
	if tcp, is := c.(*net.TCPConn); is {
		tcp.SetLinger(0) // fails where it is closed
	}
	c.Close()
}

func (l *link) serve() {
	for {
		c, err := l.in.Accept()
		if err != nil {
			return
		}
		go l.forward(c)
	}
}

// forward carries one connection until either end closes it, or the link is cut.
func (l *link) forward(near net.Conn) {
	defer near.Close()
	if !l.pass() {
		reset(near)
		return
	}
	far, err := net.Dial("tcp", l.to)
	if err != nil {
		reset(near)
		return
	}
	defer far.Close()
	if !l.keep(near, far) {
		reset(near)
		return
	}
	defer l.forget(near, far)
	done := make(chan struct{}, 2)
	go func() { l.copy(far, near); done <- struct{}{} }()
	go func() { l.copy(near, far); done <- struct{}{} }()
	<-done
}

// keep notes the two ends of a connection, unless the link has been cut meanwhile.
func (l *link) keep(conns ...net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range conns {
		l.conns[c] = struct{}{}
	}
	return l.state != linkCut
}

func (l *link) forget(conns ...net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range conns {
		delete(l.conns, c)
	}
}

func (l *link) copy(to io.Writer, from io.Reader) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if !l.pass() {
			return
		}
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// pass waits while the link is stalled, and reports whether it is whole then.
func (l *link) pass() bool {
	for {
		l.mu.Lock()
		state, moved := l.state, l.moved
		l.mu.Unlock()
		if state != linkStalled {
			return state == linkWhole
		}
		<-moved
	}
}
