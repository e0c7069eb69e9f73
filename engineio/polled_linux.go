package engineio

import (
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A polledWire is a Wire on a TCP connection that a poller watches. It is read
// by one worker at a time, and only while there is something to read and the
// handler of the packet before has returned: a peer that sends faster than it is
// handled fills the kernel's buffer and no other.
type polledWire struct {
	poller     *poller
	link       *Link // set before the poller knows the wire
	generation uint32
	state      atomic.Uint32

	// mu is held during system calls on the descriptor, none of which waits, so
	// that nobody uses its number after Close.
	mu      sync.Mutex
	fd      int32  // -1 once closed
	onSpace func() // see whenWritable
}

var _ spaceWire = (*polledWire)(nil)

// The bits of polledWire.state.
const (
	wireReading  uint32 = 1 << iota // a worker has the wire
	wireArrived                     // something has arrived since that worker began to read
	wireEnding                      // the peer sends nothing more, or is gone
	wireSpace                       // the kernel has taken bytes since the last TryWrite began
	wireAwaiting                    // onSpace is set
)

// watch has the poller watch the wire for link, whose peer has sent early already.
func (c *polledWire) watch(link *Link, early []byte) {
	c.link = link
	if len(early) > 0 {
		c.state.Store(wireReading | wireArrived)
	}
	c.mu.Lock()
	err := error(net.ErrClosed)
	if c.fd >= 0 {
		err = c.poller.add(c, c.fd, c.generation)
	}
	c.mu.Unlock()
	if err != nil {
		link.Hangup(hangupReason(err))
		return
	}
	if len(early) > 0 {
		go func() {
			link.Feed(early)
			c.serve()
		}()
	}
}

// ready implements [watched].
func (c *polledWire) ready(events uint32) {
	const broken = unix.EPOLLHUP | unix.EPOLLERR
	if events&(unix.EPOLLIN|unix.EPOLLRDHUP|broken) != 0 {
		bits := wireReading | wireArrived
		if events&(unix.EPOLLRDHUP|broken) != 0 {
			bits |= wireEnding
		}
		if c.state.Or(bits)&wireReading == 0 {
			c.poller.workers.serve(c)
		}
	}
	if events&(unix.EPOLLOUT|broken) != 0 && c.state.Or(wireSpace)&wireAwaiting != 0 {
		c.tellSpace()
	}
}

// serve implements [watched]. The caller has set wireReading.
func (c *polledWire) serve() {
	for {
		c.state.And(^wireArrived)
		if !c.drain() {
			return // as the one who reads: nobody is to read it any more
		}
		if old := c.state.Load(); old&wireArrived == 0 && c.state.CompareAndSwap(old, old&^wireReading) {
			return
		}
	}
}

// drain reads until nothing is left. It reports false at the end of the stream.
func (c *polledWire) drain() bool {
	buf := readBuffers.Get().(*[readBufferSize]byte)
	defer readBuffers.Put(buf)
	for {
		n, err := c.read(buf[:])
		switch {
		case n < 0:
			return true
		case n == 0 && err == nil:
			err = io.EOF
		}
		if err != nil {
			c.link.Hangup(hangupReason(err))
			return false
		}
		c.link.Feed(buf[:n])
		// What follows a short read is announced by an event of its own, the end
		// of the stream excepted that was there before the read.
		if n < len(buf) && c.state.Load()&wireEnding == 0 {
			return true
		}
	}
}

func (c *polledWire) read(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 {
		return 0, net.ErrClosed
	}
	return rawIO(syscall.SYS_READ, uintptr(c.fd), p)
}

// TryWrite implements [Wire].
func (c *polledWire) TryWrite(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 {
		return 0, net.ErrClosed
	}
	c.state.And(^wireSpace) // before the call: an event during it counts
	n, err := rawIO(syscall.SYS_WRITE, uintptr(c.fd), p)
	return max(n, 0), err
}

// whenWritable implements [spaceWire].
func (c *polledWire) whenWritable(do func()) {
	c.mu.Lock()
	if c.fd < 0 {
		c.mu.Unlock()
		do()
		return
	}
	c.onSpace = do
	c.mu.Unlock()
	if c.state.Or(wireAwaiting)&wireSpace != 0 {
		c.tellSpace()
	}
}

// tellSpace calls what whenWritable was given, if nobody else has.
func (c *polledWire) tellSpace() {
	c.mu.Lock()
	do := c.onSpace
	c.onSpace = nil
	c.state.And(^wireAwaiting)
	c.mu.Unlock()
	if do != nil {
		do()
	}
}

// Write implements [Wire].
func (c *polledWire) Write(p []byte) error {
	space := make(chan struct{}, 1)
	for {
		n, err := c.TryWrite(p)
		if err != nil || n == len(p) {
			return err
		}
		p = p[n:]
		c.whenWritable(func() { space <- struct{}{} })
		<-space
	}
}

// Finish implements [Wire].
func (c *polledWire) Finish() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fd < 0 {
		return net.ErrClosed
	}
	if err := unix.Shutdown(int(c.fd), unix.SHUT_WR); err != nil {
		return os.NewSyscallError("shutdown", err)
	}
	time.AfterFunc(lingerTimeout, func() { c.Close() })
	return nil
}

// Close implements [Wire]. It is the only place where the descriptor is closed.
func (c *polledWire) Close() error {
	c.mu.Lock()
	fd := int(c.fd)
	c.fd = -1
	c.mu.Unlock()
	if fd < 0 {
		return nil
	}
	err := c.poller.remove(c, fd, func() error { return os.NewSyscallError("close", unix.Close(fd)) })
	c.tellSpace()
	return err
}
