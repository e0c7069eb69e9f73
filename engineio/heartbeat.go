package engineio

import "time"

// A heartbeat is a session's place in the timing wheel and what it waits for.
// In protocol 4 the server pings (EIO4, "Heartbeat"), in protocol 3 the client
// does (EIO3, "Timeouts"). Times are those of Server.now.
type heartbeat struct {
	// due is when the wheel should next call tick; guarded by Session.mu.
	due time.Duration
	// pinged says, in protocol 4, that due is when the answer to a ping is
	// overdue; otherwise it is when the next ping is to be sent.
	pinged bool

	// The node in the wheel, guarded by the wheel's lock.
	slot       *wheelSlot
	next, prev *Session
}

// startHeartbeat begins the count before the answer of the handshake is written.
func (s *Session) startHeartbeat() {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := &s.server.options
	if s.state != stateOpen { // a shutdown was faster
		return
	}
	wait := o.PingInterval
	if s.protocol == Protocol3 {
		wait += o.PingTimeout
	}
	s.server.wheel.schedule(s, s.server.now()+wait)
}

// tick is called by the wheel at or soon after due. A ping goes into pings.
func (s *Session) tick(now time.Duration, pings *Batch) {
	s.mu.Lock()
	h, o := &s.heartbeat, &s.server.options
	switch {
	case s.state == stateClosed:
		s.mu.Unlock()
	case now < h.due: // it was put off since the wheel noted it
		s.server.wheel.schedule(s, h.due)
		s.mu.Unlock()
	case s.state == stateOpen && (s.protocol == Protocol3 || h.pinged) && s.handling():
		s.server.wheel.schedule(s, now+o.PingTimeout)
		s.mu.Unlock()
	case s.state == stateClosing || s.protocol == Protocol3 || h.pinged:
		s.mu.Unlock()
		s.abort(ReasonPingTimeout)
	default:
		// Over polling, the deadline stands from the handshake or the last pong
		// on, as overdue has it, however late the wheel is. A connection, and the
		// clients of a process that was stopped for long, get the time from now.
		deadline := h.due + o.PingTimeout
		if s.link != nil || now >= deadline {
			deadline = now + o.PingTimeout
		}
		h.pinged = true
		s.server.wheel.schedule(s, deadline)
		s.mu.Unlock()
		pings.Send(s, framePing)
	}
}

// handling reports whether a packet of the session is being handled. Nothing is read from the peer meanwhile, so that its
// silence says nothing of it.
func (s *Session) handling() bool {
	if s.receiving.TryLock() {
		s.receiving.Unlock()
		return false
	}
	return true
}

// beat handles a ping or pong packet.
func (s *Session) beat(p packet) {
	fromClient := packetPong
	if s.protocol == Protocol3 {
		fromClient = packetPing
	}
	if p.kind != fromClient {
		s.end(ReasonParseError)
		return
	}
	o := &s.server.options
	s.mu.Lock()
	now := s.server.now()
	if s.state != stateOpen {
		s.mu.Unlock()
		return
	}
	if s.protocol == Protocol3 {
		s.heartbeat.due = now + o.PingInterval + o.PingTimeout
	} else if s.heartbeat.pinged {
		s.heartbeat.pinged = false
		s.server.wheel.schedule(s, now+o.PingInterval)
	}
	s.mu.Unlock()
	if s.protocol == Protocol3 {
		s.Send(pongFor(p.data))
	}
}

// pongFor answers a ping of protocol 3 with the same data (EIO3, "2 ping").
func pongFor(data []byte) *Frame {
	if len(data) == 0 || len(data) > maxControlPayload {
		return framePong
	}
	return newPacket(packetPong, string(data))
}

// overdue reports whether the session's heartbeat has failed, whether or not
// the wheel has come to it. A request that arrives late must not revive it.
func (s *Session) overdue() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	limit := s.heartbeat.due
	if s.protocol == Protocol4 && !s.heartbeat.pinged {
		limit += s.server.options.PingTimeout
	}
	return s.server.now() >= limit && !s.handling()
}
