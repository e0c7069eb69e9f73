package engineio

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// A Link is one WebSocket connection and the session that it carries or asks to
// carry. Whoever reads the connection hands the bytes to Feed and its end to
// Hangup, from one goroutine at a time.
type Link struct {
	session *Session
	wire    Wire
	reader  *frameReader // only while a frame or message has arrived in part
	timer   *time.Timer  // bounds the upgrade from polling; nil for other links
	closed  atomic.Bool
	failed  bool // an error has ended the reading
}

// errLinkDone stops the reading of frames on a link that has ended.
var errLinkDone = errors.New("engineio: the connection has ended")

// Attach opens a session on a stream whose WebSocket handshake is done by
// somebody else. It reports false when the server is shutting down or its onOpen
// refused the session; the stream is closed then.
func (s *Server) Attach(wire Wire, p Protocol, h *Handshake) (*Link, bool) {
	session, err := s.open(p, h, binaryWhereNeeded, true)
	if err != nil {
		wire.Close()
		return nil, false
	}
	return session.attach(wire), true
}

// attach makes wire the carrier of a new session.
func (s *Session) attach(wire Wire) *Link {
	l := &Link{session: s, wire: wire}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.link = l
	if s.state == stateClosed {
		defer l.close(0)
		return l
	}
	// The answer of the opening handshake has just been written.
	s.turn = turnTaken
	s.flusher.addLater(s)
	return l
}

// Session returns the session of the link.
func (l *Link) Session() *Session { return l.session }

// Feed takes bytes that the peer sent and handles the packets in them. It may
// change p. After the end of the link, or an error in the bytes before, it
// discards them.
func (l *Link) Feed(p []byte) {
	if l.closed.Load() || l.failed {
		return
	}
	defer l.session.recoverPanic()
	err := l.readFrames(p)
	if err == nil || errors.Is(err, errLinkDone) {
		return
	}
	reason, code := ReasonParseError, closeProtocolError
	if ce := (*closeError)(nil); errors.As(err, &ce) {
		code = ce.code
		if code == closeTooBig {
			reason = ReasonTooBig
		}
	}
	if l.carries() {
		l.session.endWith(reason, code)
	} else {
		l.abandon(code)
	}
}

// readFrames hands the frames in p to l. It borrows a reader, and keeps it where
// p ends within a message.
func (l *Link) readFrames(p []byte) error {
	r := l.reader
	if r == nil {
		r = frameReaders.Get().(*frameReader)
		r.maxMessage = l.session.server.options.MaxPayload
	}
	l.reader = nil
	err := r.feed(p, l)
	switch {
	case err != nil:
		l.failed = true
	case r.resting():
		frameReaders.Put(r)
	default:
		l.reader = r
	}
	return err
}

var frameReaders = sync.Pool{New: func() any { return new(frameReader) }}

// Hangup says that the peer is gone: nothing follows from it.
func (l *Link) Hangup(reason Reason) {
	if !l.closed.Swap(true) {
		if l.carries() {
			l.session.abort(reason)
		} else {
			l.session.forgetProbe(l)
		}
	}
	l.stopTimer()
	l.wire.Close()
}

// carries reports whether the link carries its session, rather than probing.
func (l *Link) carries() bool {
	l.session.mu.Lock()
	defer l.session.mu.Unlock()
	return l.session.link == l
}

// frame implements frameSink.
func (l *Link) frame(op opcode, payload []byte) error {
	var pkt packet
	var err error
	switch op {
	case opText:
		pkt, err = decodeText(l.session.protocol, payload)
	case opBinary:
		pkt, err = decodeBinary(l.session.protocol, payload)
	case opPing:
		l.pong(payload)
		return nil
	case opClose:
		code, err := closeReply(payload)
		if err != nil {
			return err
		}
		if l.carries() {
			l.session.endWith(ReasonTransportClose, code)
		} else {
			l.abandon(code)
		}
		return errLinkDone
	default:
		return nil
	}
	if err != nil {
		return err
	}
	if !l.carries() {
		return l.probe(pkt)
	}
	if !l.session.receive(pkt) {
		return errLinkDone
	}
	return nil
}

// pong answers a ping of WebSocket itself (RFC 6455 section 5.5.2), in its turn
// among the packets. Connections that only probe are too short-lived for it.
func (l *Link) pong(payload []byte) {
	if l.carries() {
		wire := appendFrameHeader(nil, opPong, len(payload))
		l.session.Send(&Frame{wire: append(wire, payload...)})
	}
}

// close ends the connection: after a close frame with the code, or at once when
// code is 0. The caller has seen to it that nobody else writes.
func (l *Link) close(code int) {
	if l.closed.Swap(true) {
		return
	}
	l.stopTimer()
	if code != 0 && l.sayClose(code) {
		return
	}
	l.wire.Close()
}

// sayClose writes a close frame without holding up the caller.
func (l *Link) sayClose(code int) bool {
	p := appendCloseFrame(nil, code)
	n, err := l.wire.TryWrite(p)
	if err != nil {
		return false
	}
	if n == len(p) {
		return l.wire.Finish() == nil
	}
	go func() {
		stop := time.AfterFunc(l.session.server.waits.closeTimeout, func() { l.wire.Close() })
		defer stop.Stop()
		if l.wire.Write(p[n:]) != nil || l.wire.Finish() != nil {
			l.wire.Close()
		}
	}()
	return true
}

func (l *Link) stopTimer() {
	if l.timer != nil {
		l.timer.Stop()
	}
}
