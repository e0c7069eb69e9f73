package engineio

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// heard is what a session has made of a stream of bytes.
type heard struct {
	messages []string
	reason   Reason
}

// A listener is a Receiver that writes down what it gets.
type listener struct {
	heard
	closed chan struct{}
}

func (l *listener) Message(data []byte, binary bool) {
	l.messages = append(l.messages, fmt.Sprintf("%t %x", binary, data))
}

func (l *listener) Closed(reason Reason) {
	l.reason = reason
	close(l.closed)
}

// hear has a session read the pieces from the wire that of makes, and returns
// what it has heard. Peer is the other end.
func hear(t *testing.T, engine *Server, pieces [][]byte, peer net.Conn, wire Wire, read wireReader) heard {
	session, refused := engine.open(Protocol4, &Handshake{}, binaryWhereNeeded, true)
	if refused != nil {
		t.Fatal(refused)
	}
	l := session.receiver.(*listener)
	session.mu.Lock()
	session.queue.clear() // the open packet, which would be written after a delay
	link := &Link{session: session, wire: wire}
	session.link = link
	session.mu.Unlock()
	read(link, nil)

	answered := make(chan struct{})
	go func() {
		io.Copy(io.Discard, peer)
		close(answered)
	}()
	for _, piece := range pieces {
		if _, err := peer.Write(bytes.Clone(piece)); err != nil {
			break // the session has ended
		}
		runtime.Gosched()
	}
	peer.(*net.UnixConn).CloseWrite()
	<-l.closed
	<-answered
	peer.Close()
	return l.heard
}

// FuzzPolledWire holds what comes through the poller in pieces against what a
// goroutine reads in one piece.
func FuzzPolledWire(f *testing.F) {
	o := slow
	o.Logger, o.MaxPayload = discard, 1000
	engine := NewServer(o, func(*Session) Receiver { return &listener{closed: make(chan struct{})} })
	f.Cleanup(func() { shutdown(f, engine) })
	join := func(frames ...[]byte) []byte { return bytes.Join(frames, nil) }
	for _, data := range [][]byte{
		[]byte(textFrame("4hello")),
		join(clientFrame(0x01, []byte("4he")), clientFrame(0x89, []byte("ping")), clientFrame(0x00, nil), clientFrame(0x80, []byte("llo"))),
		join(clientFrame(0x82, bytes.Repeat([]byte{7}, 500)), clientFrame(0x8A, nil), clientFrame(0x88, []byte{3, 232})),
		join(clientFrame(0x82, []byte{1}), clientFrame(0x82, make([]byte, 1001))),
		join([]byte(textFrame("4a")), clientFrame(0x81, []byte("4\xff")), []byte(textFrame("4b"))),
		join([]byte(textFrame("4a")), []byte(textFrame("1")), []byte(textFrame("4b"))),
		{0x81, 0x02, '4', 'a'},
	} {
		f.Add(data, []byte{0})
		f.Add(data, []byte{2, 0, 5})
	}
	f.Fuzz(func(t *testing.T, data, splits []byte) {
		fds := socketPair(t)
		w := connWire{connOf(t, fds[0])}
		whole := hear(t, engine, [][]byte{data}, connOf(t, fds[1]), w, inGoroutine(w.read))

		var pieces [][]byte
		for rest, i := data, 0; len(rest) > 0; i++ {
			n := len(rest)
			if len(splits) > 0 {
				n = min(n, 1+int(splits[i%len(splits)]))
			}
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		polled, peer := polledPair(t, &engine.poller)
		split := hear(t, engine, pieces, peer, polled, polled.watch)
		if fmt.Sprint(whole) != fmt.Sprint(split) {
			t.Fatalf("in one piece, by a goroutine: %v\nin %d pieces, by the poller: %v", whole, len(pieces), split)
		}
	})
}

// polledPair returns a wire of the poller and its peer.
func polledPair(t *testing.T, p *poller) (*polledWire, net.Conn) {
	fds := socketPair(t)
	wire, ok := p.adoptFD(fds[0])
	if !ok {
		t.Fatal("not adopted")
	}
	return wire, connOf(t, fds[1])
}

func socketPair(t *testing.T) [2]int {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return fds
}

// connOf makes a net.Conn of a descriptor.
func connOf(t *testing.T, fd int) net.Conn {
	file := os.NewFile(uintptr(fd), "socket")
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}
