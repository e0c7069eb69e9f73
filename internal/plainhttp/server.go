package plainhttp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"belfry/internal/handover"
)

// A Server serves plain requests by a function, and all others by net/http.
type Server struct {
	// Serve answers a plain request. It is called from one goroutine for each
	// connection.
	Serve func(*Response, *Request)
	// Other serves all other requests, and the plain ones that follow them. Its
	// timeouts are those of plain requests too: ReadTimeout for a request that has begun, IdleTimeout
	// between two.
	Other  *http.Server
	Logger *slog.Logger

	mu       sync.Mutex
	conns    map[*conn]struct{}
	closing  bool
	listener net.Listener
	handed   *handover.Listener
	serving  sync.WaitGroup // the goroutines of connections
}

// Run accepts connections until Shutdown, and returns [http.ErrServerClosed]
// then, or why it could not go on. It is called once.
func (s *Server) Run(l net.Listener) error {
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		l.Close()
		return http.ErrServerClosed
	}
	s.listener, s.conns = l, make(map[*conn]struct{})
	s.handed = handover.Listen(l.Addr())
	s.mu.Unlock()
	other := make(chan error, 1)
	go func() { other <- s.Other.Serve(s.handed) }()
	err := s.accept(l)
	s.handed.Close()
	if s.isClosing() {
		return http.ErrServerClosed
	}
	return errors.Join(err, <-other)
}

// accept accepts connections until that fails for good. As in net/http, running
// out of descriptors is no reason to stop.
func (s *Server) accept(l net.Listener) error {
	wait := time.Duration(0)
	for {
		c, err := l.Accept()
		if passes(err) && !s.isClosing() {
			wait = min(max(2*wait, 5*time.Millisecond), time.Second)
			s.Logger.Warn("accepting a connection failed; trying again", "err", err, "after", wait)
			time.Sleep(wait)
			continue
		}
		if err != nil {
			return fmt.Errorf("accept: %w", err)
		}
		wait = 0
		s.start(c)
	}
}

// passes reports whether accept fails for want of descriptors, or because a peer was
// gone already.
func passes(err error) bool {
	return errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) || errors.Is(err, syscall.ECONNABORTED)
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

func (s *Server) start(nc net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		nc.Close()
		return
	}
	c := &conn{Conn: nc, server: s, remote: nc.RemoteAddr().String()}
	s.conns[c] = struct{}{}
	s.serving.Go(c.serve)
}

// Shutdown stops accepting and ends idle connections; requests that have begun are answered.
// When ctx ends first, what is left is cut off and its error returned.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closing = true
	if s.listener != nil {
		s.listener.Close()
	}
	for c := range s.conns {
		c.endIfIdle()
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		s.serving.Wait()
		close(done)
	}()
	select {
	case <-done:
		err := s.Other.Shutdown(ctx)
		if err != nil {
			s.Other.Close()
		}
		return err
	case <-ctx.Done():
	}
	s.mu.Lock()
	for c := range s.conns {
		c.Conn.Close()
	}
	s.mu.Unlock()
	return errors.Join(ctx.Err(), s.Other.Close())
}

// A conn is a connection that has had no other than plain requests.
type conn struct {
	net.Conn
	server *Server
	remote string

	mu   sync.Mutex
	idle bool // waits for the first byte of a request
	over bool // Shutdown does not want another request
}

// endIfIdle ends the connection after the request that it is at.
func (c *conn) endIfIdle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over = true; c.idle {
		c.Conn.Close()
	}
}

// rest notes that the connection waits for a request, or has begun to read one, and
// reports whether it is to go on.
func (c *conn) rest(idle bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.idle = idle
	return !c.over || !idle
}

// rearmAfter is how far the deadline of an idle connection may be from the right
// one, so that not every request has to set one.
const rearmAfter = 10 * time.Second

func (c *conn) serve() {
	handed := false
	defer func() {
		if v := recover(); v != nil {
			c.server.Logger.Error("panic in a handler", "panic", v, "stack", string(debug.Stack()))
		}
		c.server.mu.Lock()
		delete(c.server.conns, c)
		c.server.mu.Unlock()
		if !handed {
			c.Conn.Close()
		}
	}()
	var (
		in      = make([]byte, 0, 4<<10)
		request = Request{RemoteAddr: c.remote}
		answer  Response
		armed   time.Time
	)
	for {
		if !c.rest(len(in) == 0) {
			return
		}
		v, size := partial, 0
		if len(in) > 0 {
			v, size = parse(in, &request)
		}
		switch v {
		case foreign:
			handed = c.server.handOver(c.Conn, in)
			return
		case plain:
			answer.reset()
			c.server.Serve(&answer, &request)
			if _, err := c.Write(answer.encode(c.isOver())); err != nil {
				return
			}
			in = in[:copy(in, in[size:])]
			continue
		}
		now := time.Now()
		if len(in) > 0 { // the whole request has ReadTimeout
			if err := c.SetReadDeadline(now.Add(c.server.Other.ReadTimeout)); err != nil {
				return
			}
			if v, err := c.readRest(&in, &request); err != nil {
				return
			} else if v == foreign {
				handed = c.server.handOver(c.Conn, in)
				return
			}
			armed = time.Time{}
			continue
		}
		if now.Sub(armed) > rearmAfter {
			if err := c.SetDeadline(now.Add(c.server.Other.IdleTimeout)); err != nil {
				return
			}
			armed = now
		}
		n, err := c.Read(in[:cap(in)])
		if err != nil {
			return
		}
		in = in[:n]
	}
}

// maxPieces is in how many pieces a plain request may come.
const maxPieces = 8

// readRest reads until in is no longer a partial request, or has come in too many
// pieces: each makes it be looked at again from the beginning.
func (c *conn) readRest(in *[]byte, r *Request) (v verdict, err error) {
	for range maxPieces {
		if len(*in) == cap(*in) {
			*in = append(*in, make([]byte, cap(*in))...)[:len(*in)]
		}
		n, err := c.Read((*in)[len(*in):cap(*in)])
		if err != nil {
			return partial, err
		}
		*in = (*in)[:len(*in)+n]
		if v, _ := parse(*in, r); v != partial {
			return v, nil
		}
	}
	return foreign, nil
}

func (c *conn) isOver() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.over
}

// handOver gives a connection to net/http, with what has been read of it.
func (s *Server) handOver(c net.Conn, early []byte) bool {
	return c.SetDeadline(time.Time{}) == nil && s.handed.Hand(c, early)
}
