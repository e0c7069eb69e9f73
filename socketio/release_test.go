package socketio

import (
	"slices"
	"strings"
	"testing"
	"time"

	"belfry/engineio"
)

// A dam is a tape that takes nothing until it is opened.
type dam struct {
	tape
	opened chan struct{}
}

func (d *dam) TryWrite(p []byte) (int, error) {
	select {
	case <-d.opened:
		return d.tape.TryWrite(p)
	default:
		return 0, nil
	}
}

func (d *dam) Write(p []byte) error {
	<-d.opened
	return d.tape.Write(p)
}

// dammed connects a socket whose client reads nothing until the dam is opened. At most a
// thousand bytes may wait for it.
func dammed(t *testing.T) (*Namespace, *Socket, *dam) {
	server := NewServer(Options{Engine: engineio.Options{MaxQueue: 1000, PingInterval: time.Hour, PingTimeout: time.Hour}})
	d := &dam{opened: make(chan struct{})}
	t.Cleanup(func() {
		select {
		case <-d.opened:
		default:
			close(d.opened)
		}
		server.Shutdown(t.Context())
	})
	space := server.Of("/")
	sockets := make(chan *Socket, 1)
	space.OnConnect(func(s *Socket) { sockets <- s })
	if _, ok := server.Engine().Attach(d, engineio.Protocol3, &engineio.Handshake{}); !ok {
		t.Fatal("refused")
	}
	return space, <-sockets, d
}

// holdMuch emits 600 bytes to a held socket, and has 800 more kept: together they
// are more than may wait.
func holdMuch(t *testing.T, space *Namespace, s *Socket) (sent []int) {
	t.Helper()
	filling := strings.Repeat("x", 190)
	s.Hold()
	for k := range 3 {
		if err := s.Emit("n", k, filling); err != nil {
			t.Fatal(err)
		}
		sent = append(sent, k)
	}
	for k := 3; k < 7; k++ {
		if n, err := space.Emit("n", k, filling); n != 1 || err != nil {
			t.Fatalf("kept for %d sockets, %v", n, err)
		}
		sent = append(sent, k)
	}
	return sent
}

func TestWhatWasKeptIsReleasedAsFastAsTheClientTakesIt(t *testing.T) {
	space, s, d := dammed(t)
	want := holdMuch(t, space, s)
	released := make(chan bool, 1)
	go func() { released <- s.ReleasePaced(time.Hour) }()
	if n, err := space.Emit("n", 7); n != 1 || err != nil { // at any moment of it
		t.Fatalf("sent to %d sockets, %v", n, err)
	}
	close(d.opened)
	select {
	case ok := <-released:
		if !ok || !s.Connected() {
			t.Error("the socket is closed")
		}
	case <-time.After(time.Minute):
		t.Fatal("it is not released")
	}
	if n, err := space.Emit("n", 8); n != 1 || err != nil {
		t.Errorf("sent to %d sockets, %v", n, err)
	}
	want = append(want, 7, 8)
	for end := time.Now().Add(time.Minute); len(d.numbers()) < len(want) && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if got := d.numbers(); !slices.Equal(got, want) {
		t.Errorf("the client got %v, want %v", got, want)
	}
	if !s.ReleasePaced(0) {
		t.Error("a socket that is not held is not released")
	}
}

func TestAClientThatTakesNothingOfWhatWasKeptIsClosed(t *testing.T) {
	space, s, _ := dammed(t)
	reasons := make(chan Reason, 1)
	space.OnDisconnect(func(_ *Socket, r Reason) { reasons <- r })
	holdMuch(t, space, s)
	if s.ReleasePaced(0) {
		t.Error("it is released")
	}
	select {
	case r := <-reasons:
		if r != engineio.ReasonTooSlow {
			t.Errorf("closed for %q", r)
		}
	case <-time.After(time.Minute):
		t.Fatal("it is open")
	}
}

func TestWhatIsDroppedDoesNotReachTheClient(t *testing.T) {
	space, s, d := dammed(t)
	s.Drop() // nothing is held
	s.Hold()
	space.Emit("n", 1)
	s.Drop()
	space.Emit("n", 2)
	s.Hold() // again, as if it had never been
	space.Emit("n", 3)
	s.Release()
	close(d.opened)
	for end := time.Now().Add(time.Minute); len(d.numbers()) < 2 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if got, want := d.numbers(), []int{2, 3}; !slices.Equal(got, want) {
		t.Errorf("the client got %v, want %v", got, want)
	}
}
