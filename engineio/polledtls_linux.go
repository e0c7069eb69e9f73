package engineio

import (
	"crypto/tls"
	"net"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// A polledTLSWire is a tlsWire that a poller watches: it has no goroutine while it
// is idle. A worker reads it, and stays with a record that has arrived in part.
type polledTLSWire struct {
	tlsWire
	poller     *poller
	link       *Link // set before the poller knows the wire
	generation uint32
	state      atomic.Uint32 // wireReading and wireArrived

	mu sync.Mutex
	fd int32 // the descriptor of the connection below, which owns it; -1 once closed
}

var _ Wire = (*polledTLSWire)(nil)

// adoptTLS makes a wire of a TLS connection.
func (p *poller) adoptTLS(conn *tls.Conn) (*polledTLSWire, bool) {
	below, ok := newTLSWire(conn)
	if !ok {
		return nil, false
	}
	w := &polledTLSWire{tlsWire: *below, poller: p}
	if below.raw.Control(func(fd uintptr) { w.fd = int32(fd) }) != nil {
		return nil, false
	}
	w.generation, ok = p.enter()
	return w, ok
}

// watch has the poller watch the wire for link, whose peer has sent early already.
// tls may have more of that.
func (w *polledTLSWire) watch(link *Link, early []byte) {
	w.link = link
	w.state.Store(wireReading | wireArrived)
	w.mu.Lock()
	err := error(net.ErrClosed)
	if w.fd >= 0 {
		err = w.poller.add(w, w.fd, w.generation)
	}
	w.mu.Unlock()
	if err != nil {
		link.Hangup(hangupReason(err))
		return
	}
	go func() {
		link.Feed(early)
		if err := w.feedBuffered(link); err != nil {
			link.Hangup(hangupReason(err))
			return
		}
		w.serve()
	}()
}

// ready implements [watched].
func (w *polledTLSWire) ready(events uint32) {
	const readable = unix.EPOLLIN | unix.EPOLLRDHUP | unix.EPOLLHUP | unix.EPOLLERR
	if events&readable != 0 && w.state.Or(wireReading|wireArrived)&wireReading == 0 {
		w.poller.workers.serve(w)
	}
}

// serve implements [watched]. The caller has set wireReading.
func (w *polledTLSWire) serve() {
	for {
		w.state.And(^wireArrived)
		if err := w.drain(); err != nil {
			w.link.Hangup(hangupReason(err))
			return // as the one who reads: nobody is to read it any more
		}
		if old := w.state.Load(); old&wireArrived == 0 && w.state.CompareAndSwap(old, old&^wireReading) {
			return
		}
	}
}

// drain reads until the socket has nothing left.
func (w *polledTLSWire) drain() error {
	for {
		more := false
		err := w.raw.Read(func(fd uintptr) bool {
			more = readable(fd)
			return true
		})
		if err != nil || !more {
			return err
		}
		if err := w.feedRecords(w.link); err != nil {
			return err
		}
	}
}

// Finish implements [Wire].
func (w *polledTLSWire) Finish() error { return w.finish(w) }

// Close implements [Wire].
func (w *polledTLSWire) Close() error {
	w.mu.Lock()
	fd := int(w.fd)
	w.fd = -1
	w.mu.Unlock()
	if fd < 0 {
		return nil
	}
	return w.poller.remove(w, fd, w.tlsWire.Close)
}
