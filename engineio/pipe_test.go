package engineio

import (
	"net"
	"sync"
	"sync/atomic"
)

// A pipe is a Wire in memory that keeps what is written.
type pipe struct {
	writes chan []byte
	// room is how many bytes TryWrite takes; Write takes more when let is
	// readable, and fails when the pipe is closed.
	room   int
	let    chan struct{}
	closed chan struct{}
	once   sync.Once
	finish atomic.Bool
}

var _ Wire = (*pipe)(nil)

func newPipe(room int) *pipe {
	return &pipe{writes: make(chan []byte, 1024), room: room, let: make(chan struct{}), closed: make(chan struct{})}
}

func (p *pipe) TryWrite(b []byte) (int, error) {
	select {
	case <-p.closed:
		return 0, net.ErrClosed
	default:
	}
	n := min(len(b), p.room)
	if n > 0 {
		p.writes <- append([]byte(nil), b[:n]...)
	}
	return n, nil
}

func (p *pipe) Write(b []byte) error {
	select {
	case <-p.let:
		p.writes <- append([]byte(nil), b...)
		return nil
	case <-p.closed:
		return net.ErrClosed
	}
}

func (p *pipe) Finish() error {
	p.finish.Store(true)
	return nil
}

func (p *pipe) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}
