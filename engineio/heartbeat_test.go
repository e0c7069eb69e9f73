package engineio

import (
	"testing"
	"testing/synctest"
	"time"
)

// The tests of time run on synctest's clock, over a Wire in memory.

func attached(t *testing.T, o Options, p Protocol) (*Server, *pipe, *Link, *recorder) {
	o.Logger = discard
	r := &recorder{messages: make(chan Message, 16), closed: make(chan Reason, 2)}
	engine := NewServer(o, func(s *Session) Receiver { r.Session = s; return r })
	wire := newPipe(1 << 20)
	link, ok := engine.Attach(wire, p, &Handshake{})
	if !ok {
		t.Fatal("refused")
	}
	<-wire.writes // the open packet
	return engine, wire, link, r
}

var beats = Options{PingInterval: 30 * time.Second, PingTimeout: 20 * time.Second}

// within says whether a time is at or at most a tenth of PingTimeout after want.
func within(t *testing.T, what string, got, want time.Duration) {
	t.Helper()
	if got < want || got > want+beats.PingTimeout/10 {
		t.Errorf("%s after %v, want %v or a little more", what, got, want)
	}
}

func TestProtocol4PingsAndGoesOnWhileItIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine, wire, link, r := attached(t, beats, Protocol4)
		start := time.Now()
		for range 5 {
			if got := string(<-wire.writes); got != "\x81\x012" {
				t.Fatalf("wrote %q, want a ping", got)
			}
			within(t, "pinged", time.Since(start), beats.PingInterval-aloneDelay)
			time.Sleep(beats.PingTimeout / 2)
			start = time.Now()
			link.Feed([]byte(textFrame("3")))
		}
		<-wire.writes // a ping that is not answered
		start = time.Now()
		if reason := <-r.closed; reason != ReasonPingTimeout {
			t.Errorf("closed with %q", reason)
		}
		within(t, "closed", time.Since(start), beats.PingTimeout-time.Second)
		<-wire.closed
		shutdown(t, engine)
	})
}

func TestProtocol3DiesAnIntervalAndATimeoutAfterTheLastPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine, wire, link, r := attached(t, beats, Protocol3)
		for range 5 {
			time.Sleep(beats.PingInterval + beats.PingTimeout - time.Second)
			link.Feed([]byte(textFrame("2")))
			if got := string(<-wire.writes); got != "\x81\x013" {
				t.Fatalf("wrote %q, want a pong", got)
			}
		}
		start := time.Now()
		if reason := <-r.closed; reason != ReasonPingTimeout {
			t.Errorf("closed with %q", reason)
		}
		within(t, "closed", time.Since(start), beats.PingInterval+beats.PingTimeout)
		shutdown(t, engine)
	})
}

// What the client sends meanwhile lies unread, its heartbeat too.
func TestASessionWhoseMessageIsBeingHandledIsNotSilent(t *testing.T) {
	for _, p := range []Protocol{Protocol3, Protocol4} {
		synctest.Test(t, func(t *testing.T) {
			engine, wire, link, r := attached(t, beats, p)
			go func() {
				for range wire.writes { // pings
				}
			}()
			defer close(wire.writes)
			const takes = 5 * time.Minute
			r.handle(func(Message) {
				select {
				case <-time.After(takes):
				case <-wire.closed: // too early
				}
			})
			start := time.Now()
			go link.Feed([]byte(textFrame("4takes its time")))
			time.Sleep(takes - time.Second)
			if !r.isOpen() || r.overdue() {
				t.Error("the session has ended, or a request would find none")
			}
			if reason := <-r.closed; reason != ReasonPingTimeout {
				t.Errorf("closed with %q", reason)
			}
			if got := time.Since(start) - takes; got < 0 || got > beats.PingInterval+beats.PingTimeout {
				t.Errorf("the silence was noticed %v after the handler's end", got)
			}
			shutdown(t, engine)
		})
	}
}

func TestAPongRepeatsTheDataOfItsPing(t *testing.T) {
	s, _ := serve(t, slow).open("EIO=3")
	s.send("2probe")
	s.want("3probe")
	s.send("2")
	s.want("3")
}

func TestHeartbeatsOverPolling(t *testing.T) {
	h := serve(t, Options{PingInterval: 50 * time.Millisecond, PingTimeout: time.Minute})
	p := h.poll("EIO=4")
	for range 3 {
		p.get().want(t, 200, "2")
		p.post("3").want(t, 200, "ok")
	}
	q := serve(t, slow).poll("EIO=3")
	q.post("1:2").want(t, 200, "ok")
	q.get().want(t, 200, "1:3")
}

func TestASilentClientIsClosed(t *testing.T) {
	o := Options{PingInterval: 20 * time.Millisecond, PingTimeout: 20 * time.Millisecond}
	for _, eio := range []string{"EIO=3", "EIO=4"} {
		h := serve(t, o)
		// The session may have ended before the handshake is answered, or the connection upgraded: the id is the server's.
		h.request("GET", eio+"&transport=polling", "")
		r := h.session()
		wantClosed(t, r, ReasonPingTimeout)
		h.request("GET", eio+"&transport=polling&sid="+r.ID(), "").
			want(t, 400, `{"code":1,"message":"Session ID unknown"}`)
		s := h.connect(eio)
		wantClosed(t, h.session(), ReasonPingTimeout)
		s.wantCut()
		eventually(t, "no session is left", func() bool { return h.engine.Len() == 0 })
	}
}

func TestARequestAfterTheDeadlineFindsNoSession(t *testing.T) {
	for _, eio := range []string{"EIO=3", "EIO=4"} {
		h := serve(t, slow)
		p := h.poll(eio)
		p.mu.Lock()
		p.heartbeat.due = -slow.PingTimeout // the wheel has not come to it
		p.mu.Unlock()
		p.post("3").want(t, 400, `{"code":1,"message":"Session ID unknown"}`)
		wantClosed(t, p.recorder, ReasonPingTimeout)
	}
}

func TestTheWheelForgetsSessionsThatEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine, wire, _, r := attached(t, beats, Protocol4)
		<-wire.writes // pinged: the session is put back at this moment
		r.abort(ReasonForcedClose)
		<-r.closed
		synctest.Wait()
		engine.wheel.mu.Lock()
		for i := range engine.wheel.slots {
			if engine.wheel.slots[i].head != nil {
				t.Error("the wheel keeps a session that has ended")
			}
		}
		engine.wheel.mu.Unlock()
		shutdown(t, engine)
	})
}

func TestTheWheelCallsEverySessionOnceAndNeverEarly(t *testing.T) {
	engine := NewServer(Options{Logger: discard}, func(*Session) Receiver { return nil })
	defer shutdown(t, engine)
	w := newWheel(Options{PingInterval: 100 * time.Millisecond, PingTimeout: 100 * time.Millisecond})
	engine.options.PingInterval, engine.options.PingTimeout = time.Hour, time.Hour
	engine.wheel, w = w, engine.wheel
	defer func() { engine.wheel = w }()
	var sessions []*Session
	for i := range 2000 {
		s := &Session{server: engine, flusher: engine.flushers[0], protocol: Protocol4}
		s.mu.Lock()
		engine.wheel.schedule(s, time.Duration(i)*time.Millisecond)
		s.mu.Unlock()
		sessions = append(sessions, s)
	}
	var scratch []*Session
	for now := time.Duration(0); now < 2200*time.Millisecond; now += 7 * time.Millisecond {
		scratch = engine.wheel.advance(now, scratch, engine.NewBatch())
		for i, s := range sessions {
			due := time.Duration(i) * time.Millisecond
			if s.heartbeat.pinged && now < due || !s.heartbeat.pinged && now > due+3*engine.wheel.tick {
				t.Fatalf("at %v the session of %v: pinged %t", now, due, s.heartbeat.pinged)
			}
		}
	}
}
