package load

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
)

// A pollLoop feeds the sinks of many connections from one goroutine: a read call for each that
// is ready, and one wait for all of them. It waits in the scheduler, not in the kernel, so
// that it holds no thread while others have work.
type pollLoop struct {
	file   *os.File // the epoll descriptor
	fd     int
	events [256]syscall.EpollEvent
	buf    [64 << 10]byte

	mu     sync.Mutex
	closed bool
	wires  []*pollWire // by slot
	free   []int32
	done   chan struct{}
}

var _ loop = (*pollLoop)(nil)

// lingerMillis is how long a loop waits in the kernel before it waits in the scheduler. Where
// arrivals follow each other closely this saves three calls for each; where something else has work, the
// thread is held no longer than that.
const lingerMillis = 1

// A pollWire is a connection in a loop.
type pollWire struct {
	loop *pollLoop
	slot int32
	sink sink

	mu     sync.Mutex // over every use of fd
	fd     int        // -1 when closed
	unsent []byte     // what the socket did not take
}

var _ wire = (*pollWire)(nil)

func newLoop() (loop, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err == nil {
		err = syscall.SetNonblock(fd, true) // or the runtime would not wait for it
	}
	if err != nil {
		return nil, os.NewSyscallError("epoll", err)
	}
	l := &pollLoop{file: os.NewFile(uintptr(fd), "epoll"), fd: fd, done: make(chan struct{})}
	raw, err := l.file.SyscallConn()
	if err != nil {
		l.file.Close()
		return nil, err
	}
	go l.run(raw)
	return l, nil
}

// run serves the loop until it is closed.
func (l *pollLoop) run(raw syscall.RawConn) {
	defer close(l.done)
	for {
		n := 0
		var callErr error
		err := raw.Read(func(fd uintptr) bool {
			n, callErr = syscall.EpollWait(int(fd), l.events[:], lingerMillis)
			if callErr == syscall.EINTR {
				n, callErr = 0, nil
			}
			return n != 0
		})
		if err != nil || callErr != nil {
			return
		}
		for i := range n {
			if w := l.wire(l.events[i].Fd); w != nil {
				w.ready(l.events[i].Events)
			}
		}
	}
}

func (l *pollLoop) wire(slot int32) *pollWire {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.wires[slot]
}

// add implements [loop]. It takes the socket from the runtime, which would be told of every
// arrival beside the loop.
func (l *pollLoop) add(conn net.Conn, s sink) (wire, bool) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil, false
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil, false
	}
	fd := -1
	raw.Control(func(old uintptr) {
		if dup, _, errno := syscall.Syscall(syscall.SYS_FCNTL, old, syscall.F_DUPFD_CLOEXEC, 0); errno == 0 {
			fd = int(dup)
		}
	})
	if fd < 0 {
		return nil, false
	}
	w := &pollWire{loop: l, sink: s, fd: fd}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		syscall.Close(fd)
		return nil, false
	}
	if n := len(l.free); n > 0 {
		w.slot, l.free = l.free[n-1], l.free[:n-1]
		l.wires[w.slot] = w
	} else {
		w.slot = int32(len(l.wires))
		l.wires = append(l.wires, w)
	}
	l.mu.Unlock()
	tcp.Close()
	w.mu.Lock() // the loop may close it before control returns
	err = l.control(syscall.EPOLL_CTL_ADD, w, syscall.EPOLLIN)
	w.mu.Unlock()
	if err != nil {
		go s.gone(err) // the caller may hold what gone needs
		w.Close()
	}
	return w, true
}

// control changes what the loop waits for; w.mu is held.
func (l *pollLoop) control(op int, w *pollWire, events uint32) error {
	event := syscall.EpollEvent{Events: events, Fd: w.slot}
	return os.NewSyscallError("epoll_ctl", syscall.EpollCtl(l.fd, op, w.fd, &event))
}

// ready reads or writes what can be read or written without waiting.
func (w *pollWire) ready(events uint32) {
	if events&syscall.EPOLLOUT != 0 {
		w.mu.Lock()
		err := w.flush()
		w.mu.Unlock()
		if err != nil {
			w.fail(err)
			return
		}
	}
	if events&^syscall.EPOLLOUT == 0 {
		return
	}
	buf := w.loop.buf[:]
	w.mu.Lock()
	if w.fd < 0 {
		w.mu.Unlock()
		return
	}
	n, err := rawIO(syscall.SYS_READ, w.fd, buf)
	w.mu.Unlock()
	switch {
	case err != nil:
		w.fail(err)
	case n == 0:
		w.fail(io.EOF)
	case n > 0:
		w.sink.feed(buf[:n])
	}
}

func (w *pollWire) fail(err error) {
	w.mu.Lock()
	closed := w.fd < 0
	w.mu.Unlock()
	if !closed {
		w.Close()
		w.sink.gone(err)
	}
}

// Write implements [wire]. What the socket does not take is sent when it does.
func (w *pollWire) Write(p []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.fd < 0 {
		return net.ErrClosed
	}
	if len(w.unsent) > 0 {
		w.unsent = append(w.unsent, p...)
		return nil
	}
	n, err := rawIO(syscall.SYS_WRITE, w.fd, p)
	if err != nil {
		return err
	}
	if n = max(n, 0); n == len(p) {
		return nil
	}
	w.unsent = append(w.unsent, p[n:]...)
	return w.loop.control(syscall.EPOLL_CTL_MOD, w, syscall.EPOLLIN|syscall.EPOLLOUT)
}

// flush sends what waits. w.mu is held.
func (w *pollWire) flush() error {
	if w.fd < 0 || len(w.unsent) == 0 {
		return nil
	}
	n, err := rawIO(syscall.SYS_WRITE, w.fd, w.unsent)
	if err != nil {
		return err
	}
	if w.unsent = w.unsent[max(n, 0):]; len(w.unsent) > 0 {
		return nil
	}
	w.unsent = nil
	return w.loop.control(syscall.EPOLL_CTL_MOD, w, syscall.EPOLLIN)
}

// Close implements [wire].
func (w *pollWire) Close() {
	w.mu.Lock()
	fd := w.fd
	w.fd, w.unsent = -1, nil
	if fd >= 0 {
		syscall.Close(fd) // it is the last of its description, so it leaves the epoll set
	}
	w.mu.Unlock()
	if fd >= 0 {
		w.loop.forget(w)
	}
}

func (l *pollLoop) forget(w *pollWire) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wires[w.slot] = nil
	l.free = append(l.free, w.slot)
}

// close implements [loop]: it ends all connections.
func (l *pollLoop) close() {
	l.mu.Lock()
	l.closed = true
	var all []*pollWire
	for _, w := range l.wires {
		if w != nil {
			all = append(all, w)
		}
	}
	l.mu.Unlock()
	for _, w := range all {
		w.Close()
	}
	l.file.Close()
	<-l.done
}
