package engineio

import (
	"runtime/debug"
	"sync"
	"time"
)

// A Receiver gets what arrives on a session.
type Receiver interface {
	// Message is called for one message at a time, in order. Data is valid only
	// during the call. The next message waits until it returns.
	Message(data []byte, binary bool)
	// Closed is called once, after the last Message has returned.
	Closed(reason Reason)
}

// Reason says why a session ended.
type Reason string

// The reasons, in the words of the reference server where it has them.
const (
	ReasonTransportClose Reason = "transport close"      // the peer went away
	ReasonTransportError Reason = "transport error"      // the connection broke or was misused
	ReasonPingTimeout    Reason = "ping timeout"         // no heartbeat in time
	ReasonParseError     Reason = "parse error"          // the peer sent what is no packet
	ReasonForcedClose    Reason = "forced close"         // the server closed it
	ReasonTooSlow        Reason = "too slow"             // its queue was full
	ReasonTooBig         Reason = "message too big"      // over MaxPayload
	ReasonShutdown       Reason = "server shutting down" // see Server.Shutdown
	ReasonPanic          Reason = "server error"         // its Receiver panicked
)

// closeCode returns the WebSocket close code that tells the peer the reason
// (RFC 6455 section 7.4.1).
func (r Reason) closeCode() int {
	switch r {
	case ReasonShutdown:
		return closeGoingAway
	case ReasonTooBig:
		return closeTooBig
	case ReasonPanic:
		return closeInternalError
	case ReasonParseError:
		return closeProtocolError
	case ReasonTooSlow, ReasonPingTimeout:
		return closePolicyViolation
	}
	return closeNormal
}

type sessionState uint8

const (
	stateOpen    sessionState = iota
	stateClosing              // nothing is read or queued; what is queued is written
	stateClosed
)

// A turn says where a session is with its flusher; zero is nowhere.
type turn uint8

const (
	turnListed turn = 1 << iota // on a list, to be written
	turnTaken                   // being written, or waiting until that can go on
	turnUrgent                  // on the list of those that come first, or to be put there
)

// A Session is one client's connection, whatever carries it at the moment. Its
// methods are safe for concurrent use.
type Session struct {
	server    *Server
	flusher   *flusher
	receiver  Receiver
	handshake *Handshake
	id        string
	protocol  Protocol // the small fields stand together: a session is one of many
	binary    binaryForm

	state   sessionState
	turn    turn   // who has the queue, where a WebSocket connection carries the session
	posting bool   // a POST is being read or handled
	probed  bool   // the probe has been probed: waiting GETs are released
	paced   bool   // somebody waits until the queue is empty, see Pace
	code    uint16 // the close code that a WebSocket peer will get
	reason  Reason // why it is closing

	// receiving is held while a packet is handed over: one at a time, none
	// after Closed.
	receiving sync.Mutex

	mu        sync.Mutex // guards the fields from state to reason, and these
	queue     queue
	poll      *poll // the GET that waits for an answer
	link      *Link // the WebSocket connection that carries it, nil while polling
	probe     *Link // the WebSocket connection that may take over
	heartbeat heartbeat
	handled   chan struct{} // closed when a POST that is answered already is handled; nil without one
}

// ID returns the session id: 20 characters that cannot be guessed.
func (s *Session) ID() string { return s.id }

// Protocol returns the revision that the client speaks.
func (s *Session) Protocol() Protocol { return s.protocol }

// Handshake returns what is kept of the request that opened the session.
func (s *Session) Handshake() *Handshake { return s.handshake }

// Send queues f, which must be of the session's protocol, and returns at once.
// Frames leave in the order of Send. It reports false when the session is closing
// or, because the queue is full, closed by this call.
func (s *Session) Send(f *Frame) bool {
	if !s.enqueue(f) {
		return false
	}
	s.unlockAndWake()
	return true
}

// sendBatched is Send for a [Batch]. It reports whether the batch is to list s.
func (s *Session) sendBatched(f *Frame) (listed, ok bool) {
	if !s.enqueue(f) {
		return false, false
	}
	defer s.mu.Unlock()
	switch {
	case s.link != nil && s.turn == 0:
		s.turn, listed = turnListed, true
	case s.link == nil && s.poll != nil:
		s.poll.signal()
	}
	return listed, true
}

// enqueue queues f. It leaves s.mu locked if it reports true.
func (s *Session) enqueue(f *Frame) bool {
	s.mu.Lock()
	if s.state != stateOpen {
		s.mu.Unlock()
		return false
	}
	if !s.queue.push(f, s.server.options.MaxQueue) {
		s.mu.Unlock()
		s.abort(ReasonTooSlow)
		return false
	}
	return true
}

// unlockAndWake lets go of s.mu and has what is queued written, by the flusher
// or by the GET that waits.
func (s *Session) unlockAndWake() {
	wake := false
	switch {
	case s.link == nil && s.poll != nil:
		s.poll.signal()
	case s.link == nil:
	case s.turn&turnTaken != 0:
		s.turn |= turnUrgent
	case s.turn&turnUrgent == 0: // it may be on the list of a batch already
		s.turn, wake = turnListed|turnUrgent, true
	}
	s.mu.Unlock()
	if wake {
		s.flusher.add(s)
	}
}

// Close stops reading, writes what is queued within five seconds, and ends the
// session. It returns at once.
func (s *Session) Close(reason Reason) {
	s.mu.Lock()
	if s.state != stateOpen {
		s.mu.Unlock()
		return
	}
	limit := s.server.waits.closeTimeout
	if s.link == nil {
		s.queue.push(frameClose, s.queue.size)
		if s.poll == nil {
			limit = s.server.waits.nextGet
		}
	}
	s.finish(reason, reason.closeCode(), limit)
}

// leave ends a session whose client said over polling that it closes. The GET
// of such a client is answered with a noop packet (as the reference does); it may
// have been sent at the same time on another connection, and still be on the way.
func (s *Session) leave() {
	s.mu.Lock()
	if s.state != stateOpen {
		s.mu.Unlock()
		return
	}
	s.queue.clear()
	s.queue.push(frameNoop, 0)
	s.finish(ReasonTransportClose, closeNormal, s.server.waits.lateGet)
}

// finish makes s closing: what is queued is written, then the session ends, after
// limit in any case. It unlocks s.mu.
func (s *Session) finish(reason Reason, code int, limit time.Duration) {
	s.state, s.reason, s.code = stateClosing, reason, uint16(code)
	s.emptied()
	if limit < s.server.wheel.tick {
		time.AfterFunc(limit, func() { s.abort(reason) })
	} else {
		s.server.wheel.schedule(s, s.server.now()+limit)
	}
	s.unlockAndWake()
}

// written is called by whoever has the queue when it is empty. It unlocks s.mu.
func (s *Session) written() {
	s.turn = 0
	if s.queue.first == nil {
		s.emptied()
	}
	closing, reason, code := s.state == stateClosing, s.reason, s.code
	s.mu.Unlock()
	if closing {
		s.endWith(reason, int(code))
	}
}

// abort ends the session at once: what is queued is not written, and the peer is
// not told.
func (s *Session) abort(reason Reason) { s.endWith(reason, 0) }

// end closes whatever carries the session and tells its receiver. A WebSocket
// peer gets a close frame first.
func (s *Session) end(reason Reason) { s.endWith(reason, reason.closeCode()) }

// endWith is end with a close code; 0 leaves the close frame out. A write that is
// under way is finished first, since a close frame has to follow whole frames.
// The reason that was given first counts.
func (s *Session) endWith(reason Reason, code int) {
	s.mu.Lock()
	if s.state == stateClosed {
		s.mu.Unlock()
		return
	}
	if s.turn != 0 && code != 0 {
		if s.state == stateOpen {
			s.finish(reason, code, s.server.waits.closeTimeout) // unlocks
		} else {
			s.mu.Unlock()
		}
		return
	}
	if s.state == stateClosing {
		reason = s.reason
	}
	s.state = stateClosed
	poll, link, probe := s.poll, s.link, s.probe
	s.poll, s.probe = nil, nil
	s.queue.clear()
	s.emptied()
	if poll != nil {
		poll.last = frameClose
		poll.signal()
	}
	s.mu.Unlock()

	s.server.forget(s)
	if probe != nil {
		probe.close(0)
	}
	if link != nil {
		link.close(code)
	}
	go s.tellClosed(reason)
}

// tellClosed calls Receiver.Closed when the last Message has returned. A session
// that was refused has no receiver.
func (s *Session) tellClosed(reason Reason) {
	s.receiving.Lock()
	defer s.receiving.Unlock()
	defer s.server.sessions.Done()
	defer s.recoverPanic()
	if s.receiver != nil {
		s.receiver.Closed(reason)
	}
}

// receive handles one packet from the transport that carries the session. The
// result says whether the session goes on.
func (s *Session) receive(p packet) bool {
	s.receiving.Lock()
	defer s.receiving.Unlock()
	if !s.isOpen() {
		return false
	}
	switch p.kind {
	case packetMessage:
		s.message(p)
	case packetPing, packetPong:
		s.beat(p)
	case packetClose:
		if s.upgraded() {
			s.end(ReasonTransportClose)
		} else {
			s.leave()
		}
	case packetNoop:
	default:
		s.end(ReasonParseError)
	}
	return s.isOpen()
}

func (s *Session) message(p packet) {
	defer s.recoverPanic()
	s.receiver.Message(p.data, p.binary)
}

// recoverPanic keeps a panic of the receiver from ending the process: it is
// logged with its stack, and the session is closed.
func (s *Session) recoverPanic() {
	if v := recover(); v != nil {
		s.server.options.Logger.Error("panic while handling a session",
			"session", s.id, "panic", v, "stack", string(debug.Stack()))
		s.end(ReasonPanic)
	}
}

// upgraded reports whether a WebSocket connection carries the session.
func (s *Session) upgraded() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.link != nil
}

func (s *Session) isOpen() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state == stateOpen
}
