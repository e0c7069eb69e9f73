package engineio

import (
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// A poller waits for all TCP connections of a server at once, plain ones and those
// under TLS, so that an idle one has neither a goroutine nor a buffer. It starts with the first
// connection.
//
// The descriptors are registered once, edge-triggered, for everything that can
// happen: after that an idle connection costs no system call, and one that is
// written to or read from no other than those. What epoll says is taken as a hint
// that something can be tried, never as a fact about the connection.
//
// The poller's own descriptor is watched by Go's poller: its goroutine is parked
// as any that waits for the network, and no thread blocks.
type poller struct {
	workers *workers

	mu       sync.Mutex
	epoll    *os.File // nil before the first connection and after the last
	epollFD  int
	stopping bool
	count    int // descriptors that are open
	// places has the connections by descriptor. Descriptors are small numbers.
	places     []place
	generation uint32 // of the last connection
}

// A place says to whom a descriptor belongs at the moment. The kernel gives the
// number of a closed descriptor to the next one: its generation tells an event that
// was meant for the earlier from one for the later.
type place struct {
	conn       watched
	generation uint32
}

// watched is a connection that a poller watches.
type watched interface {
	// ready is told what the poller has seen. It does not wait.
	ready(events uint32)
	// serve reads what has arrived. A worker calls it after ready has asked for one.
	serve()
}

// pollEvents is everything that can happen to a connection.
const pollEvents = unix.EPOLLIN | unix.EPOLLOUT | unix.EPOLLRDHUP | unix.EPOLLET

// adopt takes a connection over from Go's poller: its descriptor is duplicated
// and conn closed, which frees all that net keeps for it. Where it reports false, conn
// is as it was.
func (p *poller) adopt(conn *net.TCPConn) (*polledWire, bool) {
	fd, ok := duplicate(conn)
	if !ok {
		return nil, false
	}
	c, ok := p.adoptFD(fd)
	if !ok {
		unix.Close(fd)
		return nil, false
	}
	conn.Close()
	return c, true
}

// duplicate returns another descriptor of a connection.
func duplicate(conn *net.TCPConn) (fd int, ok bool) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return -1, false
	}
	var dupErr error
	err = raw.Control(func(original uintptr) {
		fd, dupErr = unix.FcntlInt(original, unix.F_DUPFD_CLOEXEC, 0)
	})
	return fd, err == nil && dupErr == nil
}

// adoptFD makes a wire of a descriptor in non-blocking mode.
func (p *poller) adoptFD(fd int) (*polledWire, bool) {
	generation, ok := p.enter()
	return &polledWire{poller: p, fd: int32(fd), generation: generation}, ok
}

// enter counts one more connection, which remove takes off. It reports false when
// the poller takes none.
func (p *poller) enter() (generation uint32, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopping || p.epoll == nil && p.start() != nil {
		return 0, false
	}
	p.count++
	p.generation++
	return p.generation, true
}

// start makes the epoll instance. p.mu is held.
func (p *poller) start() error {
	fd, err := unix.EpollCreate1(unix.EPOLL_CLOEXEC)
	if err != nil {
		return os.NewSyscallError("epoll_create1", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // so that os has it polled
		unix.Close(fd)
		return os.NewSyscallError("fcntl", err)
	}
	epoll := os.NewFile(uintptr(fd), "epoll")
	raw, err := epoll.SyscallConn()
	if err != nil {
		epoll.Close()
		return fmt.Errorf("engineio: epoll: %w", err)
	}
	p.epoll, p.epollFD = epoll, fd
	p.workers = newWorkers()
	go p.run(raw)
	return nil
}

// run hands events out until the epoll instance is closed.
func (p *poller) run(raw syscall.RawConn) {
	var events [128]unix.EpollEvent
	var conns [len(events)]watched
	n := 0
	wait := func(fd uintptr) bool {
		n, _ = unix.EpollWait(int(fd), events[:], 0) // has no way to fail
		return n > 0
	}
	for raw.Read(wait) == nil {
		p.find(conns[:n], events[:n])
		for i, c := range conns[:n] {
			if c != nil {
				c.ready(events[i].Events)
			}
			conns[i] = nil
		}
	}
}

// find fills in the connections that events are for; nil for those that have been
// closed since.
func (p *poller) find(conns []watched, events []unix.EpollEvent) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, e := range events {
		at := p.places[e.Fd]
		if at.generation != uint32(e.Pad) {
			at.conn = nil
		}
		conns[i] = at.conn
	}
}

// add has the events of c handed out from now on. The descriptor is open.
func (p *poller) add(c watched, fd int32, generation uint32) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if int(fd) >= len(p.places) {
		p.places = append(p.places, make([]place, int(fd)+1-len(p.places))...)
	}
	p.places[fd] = place{c, generation}
	// The 64 bits that come back with an event.
	event := unix.EpollEvent{Events: pollEvents, Fd: fd, Pad: int32(generation)}
	if err := unix.EpollCtl(p.epollFD, unix.EPOLL_CTL_ADD, int(fd), &event); err != nil {
		p.places[fd] = place{}
		return os.NewSyscallError("epoll_ctl", err)
	}
	return nil
}

// remove closes the descriptor of c: its events end before its number can be
// another connection's.
func (p *poller) remove(c watched, fd int, close func() error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var err error
	if fd < len(p.places) && p.places[fd].conn == c {
		p.places[fd] = place{}
		err = os.NewSyscallError("epoll_ctl", unix.EpollCtl(p.epollFD, unix.EPOLL_CTL_DEL, fd, nil))
	}
	err = errors.Join(err, close())
	p.count--
	p.endIfDone()
	return err
}

// stop takes no further connections and ends the poller when the last one is
// closed. Those of sessions that have just ended still linger.
func (p *poller) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopping = true
	p.endIfDone()
}

// endIfDone ends the goroutines once nothing can happen. p.mu is held.
func (p *poller) endIfDone() {
	if p.stopping && p.count == 0 && p.epoll != nil {
		p.epoll.Close()
		p.epoll = nil
		p.workers.stop()
	}
}
