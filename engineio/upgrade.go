package engineio

import "time"

// The upgrade from polling to WebSocket (EIO4, "Upgrade"): the client opens a
// WebSocket connection with its session id and sends a ping with "probe"; the
// server answers and releases the GET that waits; the client, when its polling is
// at rest, sends an upgrade packet. Until then packets go over polling; from
// then on over WebSocket. What was queued stays queued, so nothing is lost or
// overtakes.

// tryUpgrade makes wire a candidate to carry s. It fails where there is a
// candidate or a WebSocket connection already, and the connection is then closed
// while the session goes on.
func (s *Session) tryUpgrade(wire Wire) (*Link, bool) {
	l := &Link{session: s, wire: wire}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state != stateOpen || s.link != nil || s.probe != nil {
		return l, false
	}
	s.probe = l
	// Without a close frame: the answer to a probe may be being written.
	l.timer = time.AfterFunc(s.server.options.UpgradeTimeout, func() { l.abandon(0) })
	return l, true
}

var frameProbe = newPacket(packetPong, "probe")

// probe handles a packet on a link that does not carry the session yet.
func (l *Link) probe(pkt packet) error {
	s := l.session
	switch {
	case pkt.kind == packetPing && string(pkt.data) == "probe":
		// Nobody else writes to a link that only probes.
		if err := l.wire.Write(frameProbe.wire); err != nil {
			l.abandon(0)
			return errLinkDone
		}
		s.mu.Lock()
		s.probed = s.probe == l
		if s.probed && s.poll != nil {
			s.poll.signal()
		}
		s.mu.Unlock()
		return nil
	case pkt.kind == packetUpgrade && s.switchTo(l):
		return nil
	}
	l.abandon(closeProtocolError)
	return errLinkDone
}

// switchTo makes a probed link the carrier of the session.
func (s *Session) switchTo(l *Link) bool {
	s.mu.Lock()
	if s.state == stateClosed || s.probe != l || !s.probed {
		s.mu.Unlock()
		return false
	}
	l.stopTimer()
	s.link, s.probe, s.probed = l, nil, false
	if s.poll != nil {
		s.poll.signal()
	}
	s.unlockAndWake()
	return true
}

// abandon ends a link that does not carry its session; the session goes on.
func (l *Link) abandon(code int) {
	if l.carries() {
		return
	}
	l.session.forgetProbe(l)
	l.close(code)
}

func (s *Session) forgetProbe(l *Link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.probe == l {
		s.probe, s.probed = nil, false
	}
}
