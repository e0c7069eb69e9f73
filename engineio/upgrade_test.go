package engineio

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func (p *page) upgradeQuery() string { return "EIO=" + fmt.Sprint(p.Protocol()) + "&sid=" + p.sid }

func TestUpgrade(t *testing.T) {
	for eio, c := range map[string]struct{ noop, message string }{"EIO=4": {"6", "4up"}, "EIO=3": {"1:6", "4:4up"}} {
		t.Run(eio, func(t *testing.T) {
			h := serve(t, slow)
			p := h.poll(eio)
			waiting := p.getLater()
			s := h.connect(p.upgradeQuery())
			s.send("2probe")
			s.want("3probe")
			receive(t, waiting, "answer of the GET that waited").want(t, 200, c.noop)
			p.get().want(t, 200, c.noop) // and of one that comes after the probe
			p.text("queued")
			s.send("5")
			s.send("4up")
			s.want("4queued")
			wantMessage(t, p.recorder, "up")
			p.get().want(t, 400, `{"code":3,"message":"Bad request"}`)
			p.post(c.message).want(t, 400, `{"code":3,"message":"Bad request"}`)
			p.text("down")
			s.want("4down")
		})
	}
}

func TestAGetThatOvertakesTheUpgradePacketIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine, s, wire, link := probing(t)
		late := &poll{ready: make(chan struct{}, 1)}
		if err := s.startPoll(late); err != nil {
			t.Fatal(err)
		}
		time.Sleep(raceDelay - 1)
		if frames, err := s.takeForPoll(late); frames != nil || err != nil {
			t.Fatalf("answered before the upgrade packet could come: %v, %v", frames, err)
		}
		link.Feed([]byte(textFrame("5")))
		if !s.upgraded() {
			t.Fatal("the connection has not been upgraded")
		}
		if _, err := s.takeForPoll(late); err != errBadRequest {
			t.Errorf("answered with %v, want a refusal", err)
		}
		wire.Close()
		shutdown(t, engine)
	})
}

// probing makes a session over polling that waits for nothing, and a WebSocket connection that has probed. It is for
// synctest's clock: what a client may still do takes a few milliseconds.
func probing(t *testing.T) (*Server, *Session, *pipe, *Link) {
	t.Helper()
	o := slow
	o.Logger, o.UpgradeTimeout = discard, 0
	engine := NewServer(o, func(*Session) Receiver { return deaf{} })
	s, refused := engine.open(Protocol4, &Handshake{}, binaryWhereNeeded, false)
	if refused != nil {
		t.Fatal(refused)
	}
	first := &poll{ready: make(chan struct{}, 1)}
	if err := s.startPoll(first); err != nil {
		t.Fatal(err)
	}
	if frames, err := s.takeForPoll(first); len(frames) != 1 || err != nil {
		t.Fatalf("the handshake is answered with %v, %v", frames, err)
	}
	wire := newPipe(1 << 20)
	close(wire.let)
	link, ok := s.tryUpgrade(wire)
	if !ok {
		t.Fatal("refused")
	}
	link.Feed([]byte(textFrame("2probe")))
	if got := string(<-wire.writes); got != "\x81\x063probe" {
		t.Fatalf("the probe is answered with %q", got)
	}
	return engine, s, wire, link
}

func TestAProbeThatIsNotFollowedByAnUpgradeLeavesPollingAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine, s, wire, _ := probing(t)
		start := time.Now()
		<-wire.closed
		if took := time.Since(start); took != engine.options.UpgradeTimeout {
			t.Errorf("the connection is closed after %v, want %v", took, engine.options.UpgradeTimeout)
		}
		if len(wire.writes) != 0 || wire.finish.Load() {
			t.Error("it gets a close frame")
		}
		s.mu.Lock()
		if s.probe != nil || s.probed {
			t.Error("the probe is not forgotten")
		}
		s.mu.Unlock()
		next := &poll{ready: make(chan struct{}, 1)}
		if err := s.startPoll(next); err != nil {
			t.Fatal(err)
		}
		s.Send(frameOf("still here"))
		if frames, err := s.takeForPoll(next); len(frames) != 1 || err != nil {
			t.Errorf("the next GET gets %v, %v", frames, err)
		}
		s.abort(ReasonForcedClose)
		shutdown(t, engine)
	})
}

func TestASecondWebSocketIsRefusedAndTheFirstGoesOn(t *testing.T) {
	h := serve(t, slow)
	p := h.poll("EIO=4")
	first := h.connect(p.upgradeQuery())
	first.send("2probe")
	first.want("3probe")
	h.connect(p.upgradeQuery()).wantClose(closeNormal) // while the first probes
	first.send("5")
	eventually(t, "the upgrade", p.upgraded)
	second := h.connect(p.upgradeQuery())
	second.write([]byte(textFrame("2probe") + textFrame("5") + textFrame("4intruder")))
	second.wantClose(closeNormal)
	first.send("4hello")
	wantMessage(t, p.recorder, "hello")
	p.text("back")
	first.want("4back")
}

func TestAProbeThatFailsLeavesPollingAlive(t *testing.T) {
	for name, fail := range map[string]func(*socket){
		"it hangs up":                      func(s *socket) { s.conn.Close() },
		"it sends what is no probe":        func(s *socket) { s.send("4hello"); s.wantClose(closeProtocolError) },
		"it upgrades without a probe":      func(s *socket) { s.send("5"); s.wantClose(closeProtocolError) },
		"it breaks the rules of WebSocket": func(s *socket) { s.write([]byte{0x81, 0x00}); s.wantClose(closeProtocolError) },
		"it closes":                        func(s *socket) { s.write(clientFrame(0x88, nil)); s.wantClose(closeNoStatus) },
		"it hangs up after the probe":      func(s *socket) { s.send("2probe"); s.want("3probe"); s.conn.Close() },
		"it is silent":                     func(s *socket) { s.wantCut() },
	} {
		t.Run(name, func(t *testing.T) {
			o := slow
			if strings.Contains(name, "silent") {
				o.UpgradeTimeout = 20 * time.Millisecond
			}
			h := serve(t, o)
			p := h.poll("EIO=4")
			fail(h.connect(p.upgradeQuery()))
			eventually(t, "the probe is forgotten", func() bool {
				p.mu.Lock()
				defer p.mu.Unlock()
				return p.probe == nil && !p.probed
			})
			got := p.getLater()
			p.text("still here")
			receive(t, got, "answer").want(t, 200, "4still here")
			if strings.Contains(name, "silent") {
				return
			}
			s := h.connect(p.upgradeQuery()) // and another may follow
			s.send("2probe")
			s.want("3probe")
			s.send("5")
			s.send("4hello")
			wantMessage(t, p.recorder, "hello")
		})
	}
}

func TestASessionThatEndsTakesItsProbeWithIt(t *testing.T) {
	h := serve(t, slow)
	p := h.poll("EIO=4")
	s := h.connect(p.upgradeQuery())
	s.send("2probe")
	s.want("3probe")
	p.post("1").want(t, 200, "ok")
	s.wantCut()
	wantClosed(t, p.recorder, ReasonTransportClose)
}

func TestNothingIsLostOrOvertakenWhileUpgrading(t *testing.T) {
	const n = 500
	for round := range 5 {
		h := serve(t, slow)
		p := h.poll("EIO=4")
		var sending sync.WaitGroup
		sending.Go(func() {
			for i := range n {
				p.text(fmt.Sprint(i))
			}
		})
		down := 0
		take := func(packet string) {
			if packet == "6" {
				return
			}
			if want := fmt.Sprintf("4%d", down); packet != want {
				t.Fatalf("round %d: got %q, want %q", round, packet, want)
			}
			down++
		}
		up := 0
		post := func() {
			p.post(fmt.Sprintf("4%d\x1e4%d", up, up+1)).want(t, 200, "ok")
			up += 2
		}
		get := func() {
			for packet := range strings.SplitSeq(p.get().body, "\x1e") {
				take(packet)
			}
		}
		get()
		post()
		s := h.connect(p.upgradeQuery())
		s.send("2probe")
		s.want("3probe")
		post()
		get() // the one that was under way
		s.send("5")
		for ; up < n; up++ {
			s.send(fmt.Sprintf("4%d", up))
		}
		for down < n {
			_, data := s.read()
			take(string(data))
		}
		for i := range n {
			wantMessage(t, p.recorder, fmt.Sprint(i))
		}
		sending.Wait()
	}
}
