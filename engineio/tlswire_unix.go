//go:build unix

package engineio

import (
	"crypto/tls"
	"errors"
	"os"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A tlsWire is a Wire on a TLS connection. Whoever reads it waits for the
// connection below to become readable, and borrows a buffer only then.
type tlsWire struct {
	connWire
	raw syscall.RawConn // of the connection below
}

var _ Wire = (*tlsWire)(nil)

func newTLSWire(conn *tls.Conn) (*tlsWire, bool) {
	below, ok := conn.NetConn().(syscall.Conn)
	if !ok {
		return nil, false
	}
	raw, err := below.SyscallConn()
	return &tlsWire{connWire{conn}, raw}, err == nil
}

// tlsBuffers are small: a peer that stops halfway through a record keeps one.
var tlsBuffers = sync.Pool{New: func() any { return new([2 << 10]byte) }}

// read feeds link from the connection until either ends. It is the goroutine
// of a session where nothing better is to be had.
func (w *tlsWire) read(link *Link) {
	var err error
	elsewhere(func() { err = w.feedBuffered(link) })
	for err == nil {
		if err = w.raw.Read(readable); err == nil {
			elsewhere(func() { err = w.feedRecords(link) })
		}
	}
	link.Hangup(hangupReason(err))
}

// readable reports whether a read of the socket would return at once. Unlike a look
// into what is there, the question leaves an error of the socket to the read.
func readable(fd uintptr) bool {
	for {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 0)
		if err != unix.EINTR {
			return n != 0
		}
	}
}

// feedRecords feeds link with one record, for the rest of which it waits, and
// with those that tls has read along with it.
func (w *tlsWire) feedRecords(link *Link) error {
	buf := tlsBuffers.Get().(*[2 << 10]byte)
	n, err := w.Conn.Read(buf[:])
	link.Feed(buf[:n])
	tlsBuffers.Put(buf)
	if err != nil {
		return err
	}
	return w.feedBuffered(link)
}

// longAgo is a deadline that is over.
var longAgo = time.Unix(1, 0)

// feedBuffered feeds link with what tls has read already, which the socket does not
// know of any more: a deadline that is over lets Read return what is there, but take
// nothing from the socket. Half a record stays where it is; tls goes on after a
// timeout.
func (w *tlsWire) feedBuffered(link *Link) error {
	if err := w.SetReadDeadline(longAgo); err != nil {
		return err
	}
	buf := tlsBuffers.Get().(*[2 << 10]byte)
	defer tlsBuffers.Put(buf)
	for {
		n, err := w.Conn.Read(buf[:])
		link.Feed(buf[:n])
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return w.SetReadDeadline(time.Time{})
		case err != nil:
			return err
		}
	}
}

// Finish implements [Wire]. The read deadline is the reader's: a timer ends the
// lingering.
func (w *tlsWire) Finish() error { return w.finish(w) }

func (w *tlsWire) finish(whole Wire) error {
	if err := w.Conn.(*tls.Conn).CloseWrite(); err != nil {
		return err
	}
	time.AfterFunc(lingerTimeout, func() { whole.Close() })
	return nil
}

// Close implements [Wire]. That of tls might wait until the peer takes an alert.
func (w *tlsWire) Close() error { return w.Conn.(*tls.Conn).NetConn().Close() }
