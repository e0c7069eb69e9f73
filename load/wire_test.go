package load

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

// A recorder is a sink that keeps what it is fed.
type recorder struct {
	mu    sync.Mutex
	got   []byte
	ended chan error // of capacity 1
	fed   chan struct{}
}

func newRecorder() *recorder {
	return &recorder{ended: make(chan error, 1), fed: make(chan struct{}, 1)}
}

func (r *recorder) feed(p []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.got = append(r.got, p...)
	select {
	case r.fed <- struct{}{}:
	default:
	}
}

func (r *recorder) gone(err error) { r.ended <- err }

// until waits until n bytes have come.
func (r *recorder) until(t *testing.T, n int) []byte {
	t.Helper()
	timeout := time.After(deadline)
	for {
		r.mu.Lock()
		got := r.got
		r.mu.Unlock()
		if len(got) >= n {
			return got
		}
		select {
		case <-r.fed:
		case <-timeout:
			t.Fatalf("%d bytes came, want %d", len(got), n)
		}
	}
}

// pair returns two ends of a TCP connection.
func pair(t *testing.T) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		client.Close()
		server.Close()
	})
	return client, server
}

// ways are how a connection can be read.
func ways(t *testing.T) map[string]loop {
	l, err := newLoop()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]loop{"by a goroutine": nil}
	if l != nil {
		t.Cleanup(l.close)
		all["in a loop"] = l
	}
	return all
}

func TestAWireCarriesBytesBothWaysAndTellsItsEnd(t *testing.T) {
	for name, l := range ways(t) {
		t.Run(name, func(t *testing.T) {
			conn, server := pair(t)
			r := newRecorder()
			w := startReading(l, conn, r)
			// More than the socket takes at once.
			big := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
			written := make(chan error, 1)
			go func() { written <- w.Write(big) }()
			got := make([]byte, len(big))
			if _, err := io.ReadFull(server, got); err != nil || !bytes.Equal(got, big) {
				t.Fatalf("what was written came differently: %v", err)
			}
			if err := <-written; err != nil {
				t.Fatal(err)
			}
			go server.Write(big)
			if !bytes.Equal(r.until(t, len(big)), big) {
				t.Error("what was sent came differently")
			}
			server.Close()
			select {
			case err := <-r.ended:
				if !cutOff(err) {
					t.Errorf("it ended with %v", err)
				}
			case <-time.After(deadline):
				t.Error("the end was not told")
			}
			if w.Write([]byte("x")) == nil {
				t.Error("a wire that has ended takes bytes")
			}
		})
	}
}

func TestAWireThatIsClosedTellsNothing(t *testing.T) {
	for name, l := range ways(t) {
		t.Run(name, func(t *testing.T) {
			conn, server := pair(t)
			r := newRecorder()
			w := startReading(l, conn, r)
			w.Close()
			w.Close()
			if n, err := server.Read(make([]byte, 1)); err != io.EOF {
				t.Errorf("the other end read %d bytes, %v", n, err)
			}
			// Another in the same place is told of its own end alone.
			conn, server = pair(t)
			next := newRecorder()
			startReading(l, conn, next)
			server.Write([]byte("hello"))
			next.until(t, 5)
			select {
			case err := <-r.ended:
				t.Errorf("it was told %v", err)
			default:
			}
		})
	}
}
