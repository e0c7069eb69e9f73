package load

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"time"
)

// A wire is a connection that somebody reads.
type wire interface {
	// Write sends p, or queues it. It may be called while the sink is fed.
	Write(p []byte) error
	// Close ends the connection. The sink may be fed once more, and is not told.
	Close()
}

// A sink gets what comes on a wire. The calls for one wire do not overlap.
type sink interface {
	// feed takes bytes, which are valid during the call.
	feed(p []byte)
	// gone says that the connection has ended, unless Close ended it.
	gone(err error)
}

// A loop reads many connections. What add takes it keeps up to its Close; it may decline one that it
// cannot read.
type loop interface {
	add(conn net.Conn, s sink) (w wire, ok bool)
	close()
}

// A connWire is a wire with a goroutine that reads it.
type connWire struct {
	net.Conn
	closed atomic.Bool
}

// writeTimeout bounds a write to a server that does not read.
const writeTimeout = 10 * time.Second

// Write implements [wire].
func (w *connWire) Write(p []byte) error {
	w.SetWriteDeadline(time.Now().Add(writeTimeout))
	_, err := w.Conn.Write(p)
	return err
}

// Close implements [wire].
func (w *connWire) Close() {
	if !w.closed.Swap(true) {
		w.Conn.Close()
	}
}

// readWire feeds s from w, with at most a buffer at once, until it ends.
func readWire(w *connWire, s sink, size int) {
	buf := make([]byte, size)
	for {
		n, err := w.Read(buf)
		if n > 0 {
			s.feed(buf[:n])
		}
		if err != nil {
			hangUp(w, s, err)
			return
		}
	}
}

func hangUp(w *connWire, s sink, err error) {
	if w.closed.Swap(true) {
		return
	}
	w.Conn.Close()
	s.gone(err)
}

// A pace is how fast a slow page reads: so many bytes each time, until fast is
// closed.
type pace struct {
	bytes int
	every time.Duration
	fast  <-chan struct{}
}

// readSlowly is readWire at a pace.
func readSlowly(w *connWire, s sink, p pace) {
	ticker := time.NewTicker(p.every)
	defer ticker.Stop()
	buf := make([]byte, p.bytes)
	for {
		select {
		case <-p.fast:
			readWire(w, s, readSize)
			return
		case <-ticker.C:
		}
		n, err := w.Read(buf)
		if n > 0 {
			s.feed(buf[:n])
		}
		if err != nil {
			hangUp(w, s, err)
			return
		}
	}
}

// readSize is the buffer of a connection with a goroutine of its own.
const readSize = 4 << 10

// startReading puts a connection into the loop, or gives it a goroutine.
func startReading(l loop, conn net.Conn, s sink) wire {
	if l != nil {
		if w, ok := l.add(conn, s); ok {
			return w
		}
	}
	w := &connWire{Conn: conn}
	go readWire(w, s, readSize)
	return w
}

// cutOff reports whether an error is the end of a connection rather than a fault of
// it.
func cutOff(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed)
}

// secure begins TLS on a connection to a host.
func secure(conn net.Conn, config *tls.Config) (net.Conn, error) {
	c := tls.Client(conn, config)
	c.SetDeadline(time.Now().Add(dialTimeout))
	if err := c.Handshake(); err != nil {
		conn.Close()
		return nil, err
	}
	return c, c.SetDeadline(time.Time{})
}
