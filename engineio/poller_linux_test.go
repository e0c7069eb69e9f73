package engineio

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The tests of the package run with the poller and, in processes of their own,
// with goroutines in its place, and with polls that are parked at once.
func TestTheSameInOtherWays(t *testing.T) {
	if goroutineReaders || parkedPolls {
		t.Skip("this is such a process")
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	timeout := "0"
	if end, ok := t.Deadline(); ok { // of all tests, that of this process
		timeout = time.Until(end).String()
	}
	for _, way := range []string{"goroutines", "parked"} {
		tests := exec.Command(program, "-test.timeout="+timeout)
		tests.Env = append(os.Environ(), waysVariable+"="+way)
		if out, err := tests.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", way, err, out)
		}
	}
}

func TestWhatIsWatchedByThePoller(t *testing.T) {
	for _, c := range []struct {
		name string
		o    Options
		tls  bool
		want string
	}{
		{"plain TCP", slow, false, "*engineio.polledWire"},
		{"plain TCP without the poller", Options{GoroutineReaders: true}, false, "*engineio.rawWire"},
		{"TLS", slow, true, "*engineio.polledTLSWire"},
		{"TLS without the poller", Options{GoroutineReaders: true}, true, "*engineio.tlsWire"},
	} {
		t.Run(c.name, func(t *testing.T) {
			start := httptest.NewServer
			if c.tls {
				start = httptest.NewTLSServer
			}
			_, r := serveWith(t, c.o, start, nil).open("EIO=4")
			want := c.want
			switch {
			case goroutineReaders && c.tls:
				want = "*engineio.tlsWire"
			case goroutineReaders:
				want = "*engineio.rawWire"
			}
			if got := fmt.Sprintf("%T", r.carrier()); got != want {
				t.Errorf("carried by %s, want %s", got, want)
			}
		})
	}
}

// carrier returns the wire that carries the session.
func (r *recorder) carrier() Wire {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.link.wire
}

func TestAHandlerThatWaitsHoldsUpNobodyAndItsPageIsNotRead(t *testing.T) {
	h := serve(t, slow)
	release := make(chan struct{})
	var waiting atomic.Int32
	const n = 200
	for range n {
		s, r := h.open("EIO=4")
		r.handle(func(Message) { waiting.Add(1); <-release })
		s.send("4a")
	}
	pushy, pr := h.open("EIO=4")
	var handled atomic.Int32
	pr.handle(func(m Message) {
		if handled.Add(1) == 1 {
			waiting.Add(1)
			<-release
		}
		if got := binary.BigEndian.Uint32(m.Data); got != uint32(handled.Load()-1) {
			t.Errorf("message %d came as number %d", got, handled.Load()-1)
		}
	})
	// The page sends until nobody takes it any more, which the kernel's buffers bound.
	var sent uint32
	payload := make([]byte, 32<<10)
	pushy.write(clientFrame(0x82, payload))
	sent++
	eventually(t, "all handlers wait", func() bool { return waiting.Load() == n+1 })
	var partly int
	var frame []byte
	for {
		pushy.conn.SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		binary.BigEndian.PutUint32(payload, sent)
		frame = clientFrame(0x82, payload)
		var err error
		if partly, err = pushy.conn.Write(frame); err != nil {
			break
		}
		if sent++; sent > 10_000 {
			t.Fatal("a page whose handler waits is read without end")
		}
	}
	other, or := h.open("EIO=4")
	other.send("4hello")
	wantMessage(t, or, "hello")
	or.text("back")
	other.want("4back")
	if handled.Load() != 1 {
		t.Errorf("%d messages of a page were handled at once", handled.Load())
	}

	close(release)
	pushy.conn.SetWriteDeadline(time.Now().Add(patience))
	pushy.write(frame[partly:])
	eventually(t, "all messages are handled", func() bool { return handled.Load() == int32(sent)+1 })
}

func TestASlowPeerIsWaitedForWithoutAGoroutine(t *testing.T) {
	if goroutineReaders {
		t.Skip("goroutines wait there")
	}
	h := serve(t, slow)
	s, r := h.open("EIO=4")
	before := runtime.NumGoroutine()
	big := strings.Repeat("x", 20_000_000)
	r.text(big)
	eventually(t, "the kernel takes no more", func() bool {
		return r.carrier().(*polledWire).state.Load()&wireAwaiting != 0
	})
	// One that has just begun to end, or a timer's, may still be there.
	eventually(t, "no goroutine waits for a peer that does not read", func() bool { return runtime.NumGoroutine() <= before })
	r.text("after it")
	s.want("4" + big)
	s.want("4after it")
}

func TestAPeerThatHasSaidItsLastWordIsHeardAndThenGone(t *testing.T) {
	h := serve(t, slow)
	for round := range 50 {
		s, r := h.open("EIO=4")
		s.write([]byte(textFrame("4a") + textFrame("4b")))
		if round%2 == 0 {
			s.conn.(*net.TCPConn).CloseWrite()
		} else {
			s.conn.Close()
		}
		wantMessage(t, r, "a")
		wantMessage(t, r, "b")
		wantClosed(t, r, ReasonTransportClose)
	}
}

func TestAReset(t *testing.T) {
	h := serve(t, slow)
	s, r := h.open("EIO=4")
	s.conn.(*net.TCPConn).SetLinger(0)
	s.conn.Close()
	wantClosed(t, r, ReasonTransportError)
}

func TestAPeerThatGoesWhileItIsWrittenTo(t *testing.T) {
	h := serve(t, slow)
	for round := range 20 {
		s, r := h.open("EIO=4")
		r.text(strings.Repeat("x", 8_000_000))
		eventually(t, "the write has begun", func() bool {
			r.mu.Lock()
			defer r.mu.Unlock()
			return r.queue.sent > 0
		})
		switch round % 3 {
		case 0:
			s.conn.Close()
		case 1:
			r.abort(ReasonForcedClose)
		default:
			r.Close(ReasonForcedClose)
			s.wantClose(closeNormal)
		}
		receive(t, r.closed, "end of the session")
	}
	eventually(t, "no session is left", func() bool { return h.engine.Len() == 0 })
}

// An event that epoll has given out is dropped when its descriptor has been
// closed since, whoever has the number now.
func TestAnEventNeverReachesTheNextOwnerOfADescriptor(t *testing.T) {
	var p poller
	defer p.stop()
	pair := func() *polledWire {
		c, peer := polledPair(t, &p)
		t.Cleanup(func() { c.Close(); peer.Close() })
		if err := p.add(c, c.fd, c.generation); err != nil {
			t.Fatal(err)
		}
		return c
	}
	first := pair()
	fd := first.fd
	event := unix.EpollEvent{Events: unix.EPOLLIN, Fd: fd, Pad: int32(first.generation)}
	found := make([]watched, 1)
	if p.find(found, []unix.EpollEvent{event}); found[0] != first {
		t.Fatal("an event did not find its connection")
	}
	first.Close()
	if p.find(found, []unix.EpollEvent{event}); found[0] != nil {
		t.Error("an event found a connection that is closed")
	}
	second := pair()
	for tries := 0; second.fd != fd; tries++ { // others of this process may have it for a while
		if tries == 1000 {
			t.Fatalf("descriptor %d was never used again", fd)
		}
		second = pair()
	}
	if p.find(found, []unix.EpollEvent{event}); found[0] != nil {
		t.Error("an event found the next connection with its descriptor")
	}
	first.Close() // again: the number is not its own any more
	if _, err := second.TryWrite([]byte("x")); err != nil {
		t.Errorf("closing a connection twice closed another: %v", err)
	}
}

func TestWithoutThePollerGoroutinesRead(t *testing.T) {
	h := serve(t, slow)
	h.engine.poller.stop() // as where epoll cannot be had
	s, r := h.open("EIO=4")
	s.send("4a")
	wantMessage(t, r, "a")
	if w := r.carrier(); fmt.Sprintf("%T", w) != "*engineio.rawWire" {
		t.Errorf("carried by %T", w)
	}
}

// TestThePollerUnderStress opens and ends connections in every way at once, so that
// descriptors are reused all the time, with bytes in random pieces both ways. Each
// page must get its own messages back, whole and in order, and nobody else's.
func TestThePollerUnderStress(t *testing.T) {
	o := slow
	o.MaxQueue = 64 << 20
	h := serveWith(t, o, httptest.NewServer, func(r *recorder) {
		r.handle(func(m Message) {
			runtime.Gosched()
			r.Send(NewFrame(Protocol4, m)) // an echo
		})
	})
	go func() {
		for range h.opened { // nobody looks at them
		}
	}()
	defer close(h.opened)
	const pages, rounds = 24, 20
	var done sync.WaitGroup
	for page := range pages {
		done.Go(func() {
			random := rand.New(rand.NewPCG(uint64(page), 1))
			for round := range rounds {
				if err := stressPage(h, random, fmt.Sprintf("%d.%d", page, round)); err != nil {
					t.Errorf("page %d, round %d: %v", page, round, err)
				}
			}
		})
	}
	done.Wait()
	h.engine.each(func(s *Session) { s.abort(ReasonForcedClose) })
	eventually(t, "no session is left", func() bool { return h.engine.Len() == 0 })
}

// stressPage is one page: it sends messages with its name in pieces, reads the
// echoes at its own pace, and leaves in one of several ways.
func stressPage(h *harness, random *rand.Rand, name string) error {
	conn, err := net.Dial("tcp", h.http.Listener.Addr().String())
	if err != nil {
		return err
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(patience))
	messages := random.IntN(40)
	var script []byte
	var want [][]byte
	for i := range messages {
		text := []byte(name + "/" + strconv.Itoa(i) + strings.Repeat("汉", random.IntN(30)<<random.IntN(8)))
		payload := append([]byte("4"), text...)
		want = append(want, payload)
		if cut := random.IntN(len(payload)); random.IntN(3) == 0 {
			script = append(script, clientFrame(byte(opText), payload[:cut])...)
			script = append(script, clientFrame(bitFin|byte(opPing), nil)...)
			script = append(script, clientFrame(bitFin|byte(opContinuation), payload[cut:])...)
		} else {
			script = append(script, clientFrame(bitFin|byte(opText), payload)...)
		}
	}
	leave := random.IntN(5)
	pace := random.IntN(2) == 0

	// The reader, for as long as the page is to stay.
	in := &socket{t: h.t, conn: conn}
	read := make(chan error, 1)
	expect := messages
	if leave >= 3 && messages > 0 {
		expect = random.IntN(messages) // it leaves in the middle
	}
	go func() { read <- in.readEchoes(want[:expect], pace) }()

	request := []byte(fmt.Sprintf(webSocketRequest, "EIO=4&transport=websocket", "localhost", ""))
	script = append(request, script...)
	for len(script) > 0 {
		n := min(len(script), 1+random.IntN(1<<random.IntN(17)))
		if _, err := conn.Write(script[:n]); err != nil {
			if leave >= 3 {
				break // it has left
			}
			return fmt.Errorf("writing: %w", err)
		}
		script = script[n:]
		if leave >= 3 && len(read) > 0 {
			break
		}
	}
	switch leave {
	case 0:
		err = <-read
		conn.(*net.TCPConn).CloseWrite()
		return cmp.Or(err, in.readToEnd())
	case 1:
		err = <-read
		conn.Write(clientFrame(bitFin|byte(opClose), nil))
		return cmp.Or(err, in.readToEnd())
	case 2, 3:
		err = <-read
	case 4:
		err = <-read
		conn.(*net.TCPConn).SetLinger(0)
	}
	return err
}

// readEchoes reads the answer of the handshake, the open packet and the echoes.
func (s *socket) readEchoes(want [][]byte, pace bool) error {
	s.in = bufio.NewReader(slowReader{s.conn, pace})
	for {
		line, err := s.in.ReadString('\n')
		if err != nil {
			return fmt.Errorf("handshake: %w", err)
		}
		if line == "\r\n" {
			break
		}
	}
	if _, _, err := s.next(); err != nil {
		return fmt.Errorf("open packet: %w", err)
	}
	for i := 0; i < len(want); {
		op, got, err := s.next()
		switch {
		case err != nil:
			return fmt.Errorf("echo %d of %d: %w", i, len(want), err)
		case op == opPong:
			continue
		case op != opText || !bytes.Equal(got, want[i]):
			return fmt.Errorf("echo %d is %x %.60q, want %.60q", i, op, got, want[i])
		}
		i++
	}
	return nil
}

// A slowReader reads in small pieces, if slow.
type slowReader struct {
	io.Reader
	slow bool
}

func (r slowReader) Read(p []byte) (int, error) {
	if r.slow && len(p) > 100 {
		p = p[:100]
		runtime.Gosched()
	}
	return r.Reader.Read(p)
}

// readToEnd reads on to the end of the connection.
func (s *socket) readToEnd() error {
	if _, err := io.Copy(io.Discard, s.in); err != nil && !errors.Is(err, unix.ECONNRESET) {
		return fmt.Errorf("the end: %w", err)
	}
	return nil
}
