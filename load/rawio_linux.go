package load

import (
	"os"
	"syscall"
	"unsafe"
)

// rawIO makes one read or write call on a descriptor that never waits, so that the scheduler
// need not be told. An n of -1 says that the call would have to wait.
func rawIO(trap uintptr, fd int, p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	for {
		r, _, errno := syscall.RawSyscall(trap, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p)))
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
