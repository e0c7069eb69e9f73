package engineio

import (
	"bytes"
	"errors"
	"io"
	"net"
	"runtime"
	"testing"
)

func TestWhatArrivesWhileAHandlerRunsIsReadAfterIt(t *testing.T) {
	h := serve(t, slow)
	s, r := h.open("EIO=4")
	entered, release := make(chan struct{}), make(chan struct{})
	heard := make(chan string, 2)
	r.handle(func(m Message) {
		if string(m.Data) == "a" {
			close(entered)
			<-release
		}
		heard <- string(m.Data)
	})
	s.send("4a")
	receive(t, entered, "message")
	s.send("4b")
	if w, ok := r.carrier().(*polledWire); ok {
		eventually(t, "the poller has seen it", func() bool { return w.state.Load()&wireArrived != 0 })
	}
	close(release)
	for _, want := range []string{"a", "b"} {
		if got := receive(t, heard, "message"); got != want {
			t.Errorf("heard %q, want %q", got, want)
		}
	}
}

// full returns a watched wire that takes no more bytes, its peer, and how many bytes fill it.
func full(t *testing.T) (w *polledWire, peer net.Conn, written int64) {
	engine := NewServer(Options{Logger: discard}, func(*Session) Receiver { return deaf{} })
	w, peer = polledPair(t, &engine.poller)
	link, ok := engine.Attach(w, Protocol4, &Handshake{})
	if !ok {
		t.Fatal("refused")
	}
	t.Cleanup(func() {
		peer.Close()
		link.Session().abort(ReasonForcedClose)
		shutdown(t, engine)
	})
	eventually(t, "the open packet is written", func() bool {
		link.session.mu.Lock()
		defer link.session.mu.Unlock()
		return link.session.turn == 0
	})
	w.watch(link, nil)
	// The poller says once that there is room, and may say it late.
	eventually(t, "the poller has seen that there is room", func() bool { return w.state.Load()&wireSpace != 0 })
	return w, peer, fill(t, w)
}

// fill writes until the wire takes no more, and returns how many bytes that were.
func fill(t *testing.T, w *polledWire) (written int64) {
	for chunk := make([]byte, 64<<10); ; {
		n, err := w.TryWrite(chunk)
		if err != nil {
			t.Fatal(err)
		}
		written += int64(n)
		if n < len(chunk) && w.state.Load()&wireSpace == 0 {
			return written
		}
	}
}

func TestAWireSaysOnceWhenItTakesBytesAgain(t *testing.T) {
	w, peer, written := full(t)
	told := make(chan struct{}, 9)
	w.whenWritable(func() { told <- struct{}{} })
	if len(told) > 0 {
		t.Error("told at once, though nothing was taken")
	}
	read := func(n int64) {
		if _, err := io.CopyN(io.Discard, peer, n); err != nil {
			t.Fatal(err)
		}
	}
	read(written)
	receive(t, told, "word that the peer has taken bytes")

	// Where that happens between the write and the question, the answer is at once. All may have been taken before the poller
	// looked: the wire is filled again.
	read(fill(t, w))
	eventually(t, "the poller has seen it", func() bool { return w.state.Load()&wireSpace != 0 })
	w.whenWritable(func() { told <- struct{}{} })
	if len(told) != 1 {
		t.Fatalf("told %d times, want once", len(told))
	}
	w.Close()
	w.whenWritable(func() { told <- struct{}{} })
	if len(told) != 2 {
		t.Errorf("told %d times of a wire that is closed, want once", len(told)-1)
	}
}

func TestCloseEndsAWriteThatWaits(t *testing.T) {
	w, _, _ := full(t)
	ended := make(chan error, 1)
	go func() { ended <- w.Write(make([]byte, 1<<20)) }()
	eventually(t, "the write waits", func() bool { return w.state.Load()&wireAwaiting != 0 })
	w.Close()
	if err := receive(t, ended, "end of the write"); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the write ended with %v", err)
	}
}

func TestThePollerEndsWithItsServer(t *testing.T) {
	if goroutineReaders {
		t.Skip("there is none")
	}
	h := serve(t, slow)
	s, r := h.open("EIO=4")
	s.send("4a") // a worker has run
	wantMessage(t, r, "a")
	s.conn.Close()
	wantClosed(t, r, ReasonTransportClose)
	eventually(t, "the connection is closed", func() bool {
		h.engine.poller.mu.Lock()
		defer h.engine.poller.mu.Unlock()
		return h.engine.poller.count == 0
	})
	shutdown(t, h.engine)
	eventually(t, "its goroutines have ended", func() bool {
		stacks := make([]byte, 1<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		return !bytes.Contains(stacks, []byte("(*poller).run")) && !bytes.Contains(stacks, []byte("(*workers).run"))
	})
}
