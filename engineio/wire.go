package engineio

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// A Wire is the sending side of the byte stream under one WebSocket session.
// The receiving side is whoever calls [Link.Feed]. TryWrite and Write are never
// called at the same time; Close may be called at any time, more than once.
type Wire interface {
	// TryWrite writes as much of p as can be taken without waiting and returns
	// how much that was. It may always return 0: the session then calls Write
	// on a goroutine of its own.
	TryWrite(p []byte) (int, error)
	// Write writes all of p, however long that takes.
	Write(p []byte) error
	// Finish tells the peer that nothing follows. The stream is still read, and
	// what is read discarded, until the peer closes or two seconds have passed.
	Finish() error
	Close() error
}

// A spaceWire is a Wire that says when it takes bytes again, so that nobody has
// to wait in Write.
type spaceWire interface {
	Wire
	// whenWritable has do called once, soon: when the peer has taken bytes since
	// the last TryWrite began, or the wire is closed. Do must not wait.
	whenWritable(do func())
}

// connWire is a Wire on any net.Conn.
type connWire struct{ net.Conn }

var _ Wire = connWire{}

func (connWire) TryWrite([]byte) (int, error) { return 0, nil }

func (w connWire) Write(p []byte) error {
	_, err := w.Conn.Write(p)
	return err
}

func (w connWire) Finish() error { return finish(w.Conn) }

// lingerTimeout is how long a connection is still read after its last frame was
// written: closing it at once with bytes unread would send a reset, which may
// overtake that frame.
const lingerTimeout = 2 * time.Second

func finish(conn net.Conn) error {
	if err := conn.SetReadDeadline(time.Now().Add(lingerTimeout)); err != nil {
		return err
	}
	if c, ok := conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return conn.Close()
}

// readBufferSize is what is read at once. Buffers are lent only while bytes are
// there to be read.
const readBufferSize = 16 << 10

var readBuffers = sync.Pool{New: func() any { return new([readBufferSize]byte) }}

// A wireReader has the link fed with what arrives on its wire, after what has
// arrived early, until either ends. It does not wait for that.
type wireReader func(link *Link, early []byte)

// inGoroutine makes a wireReader of a loop.
func inGoroutine(loop func(*Link)) wireReader {
	return func(link *Link, early []byte) {
		go func() {
			if len(early) > 0 {
				elsewhere(func() { link.Feed(early) })
			}
			loop(link)
		}()
	}
}

// newConnWire returns the wire for a connection that a goroutine reads.
func newConnWire(conn net.Conn) (Wire, wireReader) {
	if conn, ok := conn.(*tls.Conn); ok {
		if w, ok := newTLSWire(conn); ok {
			return w, inGoroutine(w.read)
		}
	}
	w := connWire{conn}
	return w, inGoroutine(w.read)
}

// elsewhere runs do in a goroutine of its own and waits for it. A goroutine that
// waits for a connection all its life keeps the stack that it has once needed: so it
// lets others do what needs one.
func elsewhere(do func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	<-done
}

// read feeds link from the connection until either ends. It is the goroutine
// of a session whose connection offers nothing better.
func (w connWire) read(link *Link) {
	// One buffer for the connection, small because it stays while idle.
	buf := make([]byte, 2<<10)
	for {
		n, err := w.Conn.Read(buf)
		if n > 0 {
			elsewhere(func() { link.Feed(buf[:n]) })
		}
		if err != nil {
			link.Hangup(hangupReason(err))
			return
		}
	}
}

func hangupReason(err error) Reason {
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) {
		return ReasonTransportClose
	}
	return ReasonTransportError
}
