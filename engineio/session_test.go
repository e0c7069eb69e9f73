package engineio

import (
	"bytes"
	"context"
	"log/slog"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func TestAPageThatDoesNotReadIsClosedAndNobodyWaits(t *testing.T) {
	o := slow
	o.MaxQueue = 10_000
	h := serve(t, o)
	s, stuck := h.open("EIO=4")
	other, r := h.open("EIO=4")
	f := NewFrame(Protocol4, Message{Data: make([]byte, 1000)})
	sent := 0
	for stuck.Send(f) { // the kernel's buffers fill before the queue does
		if sent++; sent > 1<<20 {
			t.Fatal("the queue has no bound")
		}
		if sent%8 == 0 {
			eventually(t, "the writer has had its turn", func() bool {
				stuck.mu.Lock()
				defer stuck.mu.Unlock()
				return stuck.queue.size < 9000 || stuck.queue.sent > 0 || sent > 10_000
			})
		}
	}
	wantClosed(t, stuck, ReasonTooSlow)
	s.wantCut()
	r.text("hi")
	other.want("4hi")
}

func TestOneMessageLargerThanTheQueuePasses(t *testing.T) {
	o := slow
	o.MaxQueue = 1000
	h := serve(t, o)
	s, r := h.open("EIO=4")
	big := strings.Repeat("x", 3_000_000)
	for _, text := range []string{"small", big, "small"} {
		if !r.text(text) {
			t.Fatalf("a message of %d bytes was refused", len(text))
		}
		s.want("4" + text)
	}
	// Also behind a small one that is still being written, but then no more.
	wire := newPipe(0)
	h.engine.Attach(wire, Protocol4, &Handshake{})
	r = h.session()
	if !r.text(big) || r.text("too much") {
		t.Error("the queue took too little or too much")
	}
	wantClosed(t, r, ReasonTooSlow)
}

func TestWhatTheConnectionDoesNotTakeAtOnceFollowsInOrder(t *testing.T) {
	h := serve(t, slow)
	wire := newPipe(7)
	h.engine.Attach(wire, Protocol4, &Handshake{})
	r := h.session()
	var want, got []byte
	for i := range 50 {
		text := strings.Repeat(string(rune('a'+i%26)), i*20)
		r.text(text)
		want = append(appendFrameHeader(want, opText, 1+len(text)), "4"+text...)
	}
	for !bytes.HasSuffix(got, want) {
		select {
		case b := <-wire.writes:
			got = append(got, b...)
		case wire.let <- struct{}{}:
		case <-time.After(patience):
			t.Fatalf("%d bytes were written, want %d and the open packet", len(got), len(want))
		}
	}
}

func TestACloseFrameFollowsTheWholeFrameThatIsBeingWritten(t *testing.T) {
	h := serve(t, slow)
	wire := newPipe(7)
	link, _ := h.engine.Attach(wire, Protocol4, &Handshake{})
	r := h.session()
	receive(t, wire.writes, "start of the open packet")
	link.Feed([]byte(textFrame("abc"))) // while its rest is being written
	wire.let <- struct{}{}
	receive(t, wire.writes, "rest of the open packet")
	if got, want := receive(t, wire.writes, "close frame"), appendCloseFrame(nil, closeProtocolError); !bytes.Equal(got, want) {
		t.Errorf("wrote %x, want %x", got, want)
	}
	wantClosed(t, r, ReasonParseError)
	if !wire.finish.Load() {
		t.Error("the wire was not finished")
	}
}

func TestAClosingSessionThatCannotWriteIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := NewServer(Options{Logger: discard}, func(s *Session) Receiver {
			return &recorder{Session: s, closed: make(chan Reason, 2)}
		})
		wire := newPipe(0)
		link, _ := engine.Attach(wire, Protocol4, &Handshake{})
		start := time.Now()
		link.Session().Close(ReasonForcedClose)
		if got := <-link.Session().receiver.(*recorder).closed; got != ReasonForcedClose {
			t.Errorf("closed with %q", got)
		}
		<-wire.closed
		if took := time.Since(start); took < closeTimeout || took > closeTimeout+3*time.Second {
			t.Errorf("cut off after %v", took)
		}
		shutdown(t, engine)
	})
}

func TestMessagesAreHandedOverOneAtATime(t *testing.T) {
	h := serve(t, slow)
	s, r := h.open("EIO=4")
	release, entered := make(chan struct{}), make(chan struct{})
	var inside, count atomic.Int32
	r.handle(func(Message) {
		if inside.Add(1) != 1 {
			t.Error("two messages at once")
		}
		if count.Add(1) == 1 {
			close(entered)
			<-release
		}
		inside.Add(-1)
	})
	s.send("4a")
	receive(t, entered, "message")
	s.send("4b")
	r.abort(ReasonForcedClose)
	select {
	case <-r.closed:
		t.Error("Closed was called while Message ran")
	case <-time.After(10 * time.Millisecond):
	}
	close(release)
	wantClosed(t, r, ReasonForcedClose)
	r.abort(ReasonTransportError)
	r.Close(ReasonForcedClose)
	eventually(t, "the session is forgotten", func() bool { return h.engine.Len() == 0 })
	if count.Load() != 1 || len(r.closed) != 0 {
		t.Errorf("%d messages, %d more calls of Closed", count.Load(), len(r.closed))
	}
}

func TestAPanicEndsItsSessionOnly(t *testing.T) {
	var log bytes.Buffer
	o := slow
	o.Logger = slog.New(slog.NewTextHandler(&log, nil))
	h := serve(t, o)
	s, r := h.open("EIO=4")
	r.handle(func(Message) { panic("boom") })
	p := h.poll("EIO=4")
	p.handle(func(Message) { panic("boom") })
	other, r3 := h.open("EIO=4")
	s.send("4a")
	s.wantClose(closeInternalError)
	wantClosed(t, r, ReasonPanic)
	p.post("4a")
	wantClosed(t, p.recorder, ReasonPanic)
	other.send("4b")
	wantMessage(t, r3, "b")
	if got := log.String(); strings.Count(got, "boom") != 2 || !strings.Contains(got, r.ID()) || !strings.Contains(got, "stack=") {
		t.Errorf("log: %s", got)
	}
}

func TestCloseFromWithinMessage(t *testing.T) {
	h := serve(t, slow)
	s, r := h.open("EIO=4")
	r.handle(func(Message) { r.text("bye"); r.Close(ReasonForcedClose) })
	s.send("4a")
	s.want("4bye")
	s.wantClose(closeNormal)
	wantClosed(t, r, ReasonForcedClose)

	p := h.poll("EIO=4")
	p.handle(func(Message) { p.text("bye"); p.Close(ReasonForcedClose) })
	p.post("4a").want(t, 200, "ok")
	p.get().want(t, 200, "4bye\x1e1")
	wantClosed(t, p.recorder, ReasonForcedClose)
}

func TestShutdown(t *testing.T) {
	before := runtime.NumGoroutine()
	engine := NewServer(Options{Logger: discard}, nil)
	h := &harness{t: t, engine: engine, opened: make(chan *recorder, 8)}
	engine.onOpen = func(s *Session) Receiver {
		r := &recorder{Session: s, messages: make(chan Message, 1), closed: make(chan Reason, 2)}
		h.opened <- r
		return r
	}
	h.http = httptest.NewServer(engine)
	s, r := h.open("EIO=4")
	p := h.poll("EIO=3")
	waiting := p.getLater()
	r.text("last words")
	shutdown(t, engine)
	s.want("4last words")
	s.wantClose(closeGoingAway)
	s.conn.Close()
	receive(t, waiting, "answer").want(t, 200, "1:1")
	for _, r := range []*recorder{r, p.recorder} {
		if len(r.closed) != 1 || <-r.closed != ReasonShutdown {
			t.Error("a receiver was not told when Shutdown returned")
		}
	}
	h.request("GET", "EIO=4&transport=polling", "").want(t, 503, `{"code":3,"message":"Server is shutting down"}`)
	if _, resp := h.dial("EIO=4", "", ""); resp.StatusCode != 503 {
		t.Errorf("a WebSocket handshake answered %d, want 503", resp.StatusCode)
	}
	wire := newPipe(0)
	if _, ok := engine.Attach(wire, Protocol4, &Handshake{}); ok {
		t.Error("Attach was accepted")
	}
	receive(t, wire.closed, "end of the stream that was to be attached")
	shutdown(t, engine) // again
	h.http.Close()
	eventually(t, "no goroutine is left", func() bool { return runtime.NumGoroutine() <= before })
}

func TestShutdownCutsOffWhatIsLeftWhenItsTimeIsOver(t *testing.T) {
	h := serve(t, slow)
	p := h.poll("EIO=4") // has no GET waiting
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := h.engine.Shutdown(ctx); err != context.Canceled {
		t.Errorf("Shutdown returned %v", err)
	}
	wantClosed(t, p.recorder, ReasonShutdown)
}

func TestSendToOneFrameIsSharedByAllSessions(t *testing.T) {
	h := serve(t, slow)
	f := NewFrame(Protocol3, Message{Data: []byte("a")}, Message{Data: []byte{1}, Binary: true})
	s, r := h.open("EIO=3")
	p, q := h.poll("EIO=3"), h.poll("EIO=3&b64=1")
	for _, r := range []*recorder{r, p.recorder, q.recorder} {
		if !r.Send(f) {
			t.Fatal("refused")
		}
	}
	s.want("4a")
	s.wantBinary(4, 1)
	p.get().want(t, 200, "\x00\x02\xff4a\x01\x02\xff\x04\x01")
	q.get().want(t, 200, "2:4a6:b4"+base64Of(1))
}

// A session that breaks the protocol while a write to it is under way ends
// after that write. What the peer sends meanwhile is not looked at.
func TestAfterABreachOfTheProtocolNothingIsRead(t *testing.T) {
	h := serve(t, slow)
	wire := newPipe(0) // every write waits
	link, ok := h.engine.Attach(wire, Protocol4, &Handshake{})
	if !ok {
		t.Fatal("refused")
	}
	r := h.session()
	huge := append([]byte{bitFin | byte(opText), bitMask | 127}, 0, 0, 1, 0, 0, 0, 0, 0, 'm', 'a', 's', 'k')
	for range 3 {
		link.Feed(bytes.Clone(huge))
		link.Feed(clientFrame(bitFin|byte(opText), []byte("4heard")))
	}
	close(wire.let)
	wantClosed(t, r, ReasonTooBig)
	if n := len(r.messages); n > 0 {
		t.Errorf("%d messages were received after the breach", n)
	}
}
