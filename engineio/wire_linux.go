package engineio

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"unsafe"
)

// rawWire is a Wire on a TCP connection that a goroutine reads. It writes without
// waiting and without telling the scheduler of the call, which a socket in
// non-blocking mode never needs.
type rawWire struct {
	conn *net.TCPConn
	raw  syscall.RawConn
}

var _ Wire = (*rawWire)(nil)

// newWire returns the wire for conn, which it may replace, and what reads it.
func (s *Server) newWire(conn net.Conn) (Wire, wireReader) {
	switch conn := conn.(type) {
	case *net.TCPConn:
		if !s.options.GoroutineReaders {
			if w, ok := s.poller.adopt(conn); ok {
				return w, w.watch
			}
		}
		if raw, err := conn.SyscallConn(); err == nil {
			w := &rawWire{conn, raw}
			return w, inGoroutine(w.read)
		}
	case *tls.Conn:
		if !s.options.GoroutineReaders {
			if w, ok := s.poller.adoptTLS(conn); ok {
				return w, w.watch
			}
		}
	}
	return newConnWire(conn)
}

// A rawCall carries the arguments of one system call into the callback of
// syscall.RawConn, so that no closure is made for it.
type rawCall struct {
	p     []byte
	n     int
	err   error
	write func(fd uintptr) bool
}

var rawCalls = sync.Pool{New: func() any {
	c := &rawCall{}
	c.write = func(fd uintptr) bool {
		c.n, c.err = rawIO(syscall.SYS_WRITE, fd, c.p)
		return true
	}
	return c
}}

// rawIO makes one read or write call on a non-blocking descriptor. An n of -1
// says that the call would have to wait.
func rawIO(trap, fd uintptr, p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		r, _, errno := syscall.RawSyscall(trap, fd, uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
		switch errno {
		case 0:
			return int(r), nil
		case syscall.EINTR:
		case syscall.EAGAIN:
			return -1, nil
		default:
			return 0, os.NewSyscallError("read or write", errno)
		}
	}
}

func (w *rawWire) TryWrite(p []byte) (int, error) {
	c := rawCalls.Get().(*rawCall)
	c.p = p
	err := w.raw.Write(c.write)
	n := max(c.n, 0)
	if err == nil {
		err = c.err
	}
	c.p, c.n, c.err = nil, 0, nil
	rawCalls.Put(c)
	return n, err
}

func (w *rawWire) Write(p []byte) error {
	_, err := w.conn.Write(p)
	return err
}

func (w *rawWire) Finish() error { return finish(w.conn) }

func (w *rawWire) Close() error { return w.conn.Close() }

// read feeds link from the connection. It waits for readiness without a buffer.
func (w *rawWire) read(link *Link) {
	var buf *[readBufferSize]byte
	var n int
	var callErr error
	ready := func(fd uintptr) bool {
		buf = readBuffers.Get().(*[readBufferSize]byte)
		if n, callErr = rawIO(syscall.SYS_READ, fd, buf[:]); n >= 0 {
			return true
		}
		readBuffers.Put(buf)
		buf = nil
		return false
	}
	for {
		err := w.raw.Read(ready)
		if err == nil {
			err = callErr
		}
		if err == nil && n == 0 {
			err = io.EOF
		}
		if err != nil {
			if buf != nil {
				readBuffers.Put(buf)
			}
			link.Hangup(hangupReason(err))
			return
		}
		elsewhere(func() { link.Feed(buf[:n]) })
		readBuffers.Put(buf)
		buf = nil
	}
}
