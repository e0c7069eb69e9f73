package engineio

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A parkedPoll is a GET that waits without net/http: its connection is watched by the poller, and has neither a
// goroutine nor a buffer. When there is an answer, a worker writes it and gives the connection back.
type parkedPoll struct {
	session *Session
	poll    *poll
	form    responseForm
	from    *http.Server
	lines   string // of the header of the answer, as far as it was set before
	early   []byte // what the client has sent behind the request

	poller     *poller
	generation uint32
	state      atomic.Uint32

	mu sync.Mutex // held during system calls on the descriptor
	fd int32      // -1 once it is no longer parked
}

// The bits of parkedPoll.state.
const (
	parkedServing uint32 = 1 << iota // a worker has it
	parkedAgain                      // something has changed since that worker looked
	parkedArrived                    // the peer has sent something, or is gone
)

// park takes the connection of a GET that waits from net/http. If it reports true, the handler is to return at once.
func (s *Session) park(w http.ResponseWriter, r *http.Request, p *poll, form responseForm) bool {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return false
	}
	from, _ := r.Context().Value(http.ServerContextKey).(*http.Server)
	k := &parkedPoll{session: s, poll: p, form: form, from: from, lines: headerLines(w.Header()), poller: &s.server.poller, fd: -1}
	if n := buffered.Reader.Buffered(); n > 0 {
		peeked, _ := buffered.Reader.Peek(n)
		k.early = append(k.early, peeked...)
	}
	if !k.adopt(conn) {
		for !k.tryAnswer(func() (net.Conn, error) { return conn, nil }) {
			<-p.ready
		}
		return true
	}
	conn.Close()
	s.mu.Lock()
	p.parked, p.ready = k, nil
	s.mu.Unlock()
	k.watch()
	k.wake() // what has happened since the handler looked
	return true
}

// adopt makes the poll's own descriptor of the connection.
func (k *parkedPoll) adopt(conn net.Conn) bool {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return false
	}
	fd, ok := duplicate(tcp)
	if !ok {
		return false
	}
	if k.generation, ok = k.poller.enter(); !ok {
		unix.Close(fd)
		return false
	}
	k.fd = int32(fd)
	return true
}

// watch has the poller watch the connection.
func (k *parkedPoll) watch() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fd >= 0 && k.poller.add(k, k.fd, k.generation) != nil {
		k.state.Or(parkedArrived) // as if the peer were gone, which is then looked at
	}
}

// ready implements [watched].
func (k *parkedPoll) ready(events uint32) {
	if events&(unix.EPOLLIN|unix.EPOLLRDHUP|unix.EPOLLHUP|unix.EPOLLERR) != 0 {
		k.state.Or(parkedArrived)
		k.wake()
	}
}

// wake has a worker look at it. It does not wait.
func (k *parkedPoll) wake() {
	if k.state.Or(parkedServing|parkedAgain)&parkedServing == 0 {
		k.poller.workers.serve(k)
	}
}

// serve implements [watched].
func (k *parkedPoll) serve() {
	defer k.session.recoverPanic()
	for {
		if old := k.state.And(^(parkedAgain | parkedArrived)); old&parkedArrived != 0 && k.hasGone() {
			k.session.abort(ReasonTransportError)
			if conn, err := k.unpark(); err == nil {
				conn.Close()
			}
			return // as the one who serves: nobody is to do so any more
		}
		if k.tryAnswer(k.unpark) || k.state.CompareAndSwap(parkedServing, 0) {
			return
		}
	}
}

// hasGone reports whether the peer has closed the connection.
func (k *parkedPoll) hasGone() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fd < 0 {
		return true
	}
	var one [1]byte
	n, _, err := unix.Recvfrom(int(k.fd), one[:], unix.MSG_PEEK|unix.MSG_DONTWAIT)
	if err != nil {
		return !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR)
	}
	return n == 0
}

// unpark makes it a connection of Go's again.
func (k *parkedPoll) unpark() (net.Conn, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.fd < 0 {
		return nil, net.ErrClosed
	}
	fd := int(k.fd)
	k.fd = -1
	file := os.NewFile(uintptr(fd), "poll")
	conn, err := net.FileConn(file) // has a descriptor of its own
	return conn, errors.Join(err, k.poller.remove(k, fd, file.Close))
}

// tryAnswer answers the GET if there is an answer, on the connection that open returns, and gives that
// back. It reports whether it is answered, or lost.
func (k *parkedPoll) tryAnswer(open func() (net.Conn, error)) bool {
	s := k.session
	frames, refusal := s.takeForPoll(k.poll)
	if frames == nil && refusal == nil {
		return false
	}
	conn, err := open()
	if err != nil {
		s.abort(ReasonTransportError)
		return true
	}
	back := false
	defer func() {
		if !back {
			conn.Close()
		}
	}()
	answer := &rawResponse{lines: k.lines, header: make(http.Header), status: http.StatusOK, last: s.server.isClosed(), write: func(p []byte) error {
		if err := conn.SetWriteDeadline(time.Now().Add(handshakeTimeout)); err != nil {
			return err
		}
		_, err := conn.Write(p)
		return err
	}}
	if refusal != nil {
		writeError(answer, refusal)
	} else {
		s.answerPoll(context.Background(), answer, k.form, frames)
	}
	back = answer.err == nil && !answer.last && conn.SetWriteDeadline(time.Time{}) == nil && s.server.options.Resume(k.from, conn, k.early)
	return true
}
