package engineio

import (
	"encoding/binary"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// A breather lets a goroutine that never waits give its processor away until the
// runtime has looked at the network. [runtime.Gosched] does not do that: the scheduler
// asks the network only when nothing else can run, and the caller can. So the caller
// waits for the network itself, for an event that has happened already.
//
// The zero value is ready for use, by one goroutine.
type breather struct {
	file   *os.File // an eventfd that Go's poller watches; nil before the first breath
	raw    syscall.RawConn
	wait   func(fd uintptr) bool
	waited bool
	failed bool // there is none: descriptors have run out
}

var eventOne = binary.NativeEndian.AppendUint64(nil, 1)

func (b *breather) breathe() {
	if b.file == nil && !b.open() {
		return
	}
	b.waited = false
	b.raw.Read(b.wait)
}

func (b *breather) open() bool {
	if b.failed {
		return false
	}
	b.failed = true
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return false
	}
	file := os.NewFile(uintptr(fd), "eventfd")
	raw, err := file.SyscallConn()
	if err != nil {
		file.Close()
		return false
	}
	b.file, b.raw, b.failed = file, raw, false
	b.wait = func(fd uintptr) bool {
		if b.waited {
			return true
		}
		// Every write is an event of its own; nobody needs to read the counter,
		// which would overflow after 2^64-1 of them (eventfd(2)).
		b.waited = true
		n, err := rawIO(syscall.SYS_WRITE, fd, eventOne)
		return n <= 0 || err != nil
	}
	return true
}

func (b *breather) close() {
	if b.file != nil {
		b.file.Close()
	}
}
