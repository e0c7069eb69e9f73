package engineio

import (
	"fmt"
	"strings"
	"sync"
	"testing"
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
	h := serve(t, slow)
	p := h.poll("EIO=4")
	s := h.connect(p.upgradeQuery())
	s.send("2probe")
	s.want("3probe")
	eventually(t, "the probe", func() bool { // its answer is written before it counts
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.probed
	})
	late := &poll{ready: make(chan struct{}, 1)}
	if err := p.startPoll(late); err != nil {
		t.Fatal(err)
	}
	if frames, err := p.takeForPoll(late); frames != nil || err != nil {
		t.Fatalf("answered at once: %v, %v", frames, err)
	}
	s.send("5")
	eventually(t, "the upgrade", p.upgraded)
	if _, err := p.takeForPoll(late); err != errBadRequest {
		t.Errorf("answered with %v, want a refusal", err)
	}
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
		"it is silent after the probe":     func(s *socket) { s.send("2probe"); s.want("3probe"); s.wantCut() },
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
