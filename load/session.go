package load

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"
)

// A session is one connection of a page. Its page's lock is held wherever it works.
type session struct {
	page *page
	wire wire
	mode sessionMode

	http   responseReader
	frames frameReader

	sid       string
	asked     byte   // polling: 'g' while a GET waits, 'p' while a POST does
	outbox    []byte // polling: the body of the next POST
	request   []byte // polling: a buffer
	pingEvery int64
	code      int // of the server's close frame
}

type sessionMode byte

const (
	modeUpgrade sessionMode = iota // the answer to the WebSocket handshake
	modeFrames
	modePolling
)

var (
	errUnexpected = errors.New("the server sent something unexpected")
	errOver       = errors.New("the session has ended") // and is dealt with
)

var _ interface {
	sink
	frameSink
	responseSink
} = (*session)(nil)

// begin asks for a session.
func (s *session) begin() error {
	if s.page.polling {
		s.mode = modePolling
		return s.get()
	}
	b := s.appendUpgrade([]byte("GET "))
	b = append(b, "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"...)
	return s.wire.Write(b)
}

// appendUpgrade appends the rest of the request line of a handshake, and the Host field.
func (s *session) appendUpgrade(b []byte) []byte {
	e := &s.page.run.public
	if s.page.run.o.Dialect == nil {
		return s.appendTarget(b, "websocket")
	}
	return append(append(append(append(b, e.path...), " HTTP/1.1\r\nHost: "...), e.host...), "\r\n"...)
}

// appendTarget appends the rest of a request line of Engine.IO, and the Host field.
func (s *session) appendTarget(b []byte, transport string) []byte {
	e := &s.page.run.public
	b = append(append(b, e.path...), "?EIO="...)
	b = append(strconv.AppendInt(b, int64(s.page.protocol()), 10), "&transport="...)
	b = append(b, transport...)
	if s.sid != "" {
		b = append(append(b, "&sid="...), s.sid...)
	}
	b = append(append(b, " HTTP/1.1\r\nHost: "...), e.host...)
	return append(b, "\r\n"...)
}

// feed implements [sink].
func (s *session) feed(p []byte) {
	s.page.mu.Lock()
	defer s.page.mu.Unlock()
	if s.page.session != s {
		return
	}
	if err := s.read(p); err != nil && !errors.Is(err, errOver) {
		s.page.cut(err.Error())
	}
}

func (s *session) read(p []byte) (err error) {
	if s.mode != modeFrames {
		if p, err = s.http.feed(p, s); err != nil || s.mode != modeFrames {
			return err
		}
	}
	return s.frames.feed(p, s)
}

// gone implements [sink].
func (s *session) gone(err error) {
	s.page.mu.Lock()
	defer s.page.mu.Unlock()
	if s.page.session != s {
		return
	}
	why := err.Error()
	switch {
	case s.code != 0:
		why = fmt.Sprintf("close code %d", s.code)
	case cutOff(err):
		why = "the connection ended"
	}
	s.page.cut(why)
}

// response implements [responseSink].
func (s *session) response(r *response) (more bool, err error) {
	if s.mode == modeUpgrade {
		if r.status != 101 {
			return false, fmt.Errorf("status %d to the handshake", r.status)
		}
		s.mode = modeFrames
		s.http = responseReader{}
		if dialect := s.page.run.o.Dialect; dialect != nil {
			s.page.state = pageLoggingIn // since the connection began
			return false, s.send(dialect.Login(s.page.user.name, s.page.company.name))
		}
		return false, nil
	}
	if r.status != 200 {
		return false, fmt.Errorf("status %d to a poll", r.status)
	}
	if r.close {
		return false, errors.New("the server closes polling connections")
	}
	asked := s.asked
	s.asked = 0
	if asked == 'g' {
		if err := eachPacket(s.page.protocol(), r.body, s.packet); err != nil {
			return false, err
		}
	}
	if len(s.outbox) > 0 {
		return true, s.post()
	}
	return true, s.get()
}

// frame implements [frameSink].
func (s *session) frame(op byte, payload []byte) error {
	switch op {
	case opText:
		if dialect := s.page.run.o.Dialect; dialect != nil {
			return dialect.Read(payload, dialectPage{s})
		}
		return s.packet(payload)
	case opPing:
		return s.wire.Write(appendFrame(nil, opPong, payload))
	case opClose:
		if len(payload) >= 2 {
			s.code = int(payload[0])<<8 | int(payload[1])
		}
		return fmt.Errorf("close code %d", s.code)
	}
	return nil
}

// packet takes a packet of Engine.IO.
func (s *session) packet(packet []byte) error {
	if len(packet) == 0 {
		return errUnexpected
	}
	switch kind, rest := packet[0], packet[1:]; kind {
	case '0':
		return s.opened(rest)
	case '1':
		return errors.New("the server closed the session")
	case '2':
		s.page.tally.heartbeats.Add(1)
		return s.send([]byte{'3'})
	case '3':
		s.page.tally.heartbeats.Add(1)
	case '4':
		return s.message(rest)
	}
	return nil
}

// opened takes the handshake of Engine.IO.
func (s *session) opened(b []byte) error {
	var open struct {
		SID          string
		PingInterval int64
	}
	if err := json.Unmarshal(b, &open); err != nil || open.SID == "" || open.PingInterval <= 0 {
		return errUnexpected
	}
	s.sid, s.pingEvery = open.SID, open.PingInterval*int64(time.Millisecond)
	s.page.pinged = s.page.run.now()
	if s.page.revision == 4 {
		return nil // it is connected unasked
	}
	return s.send(append([]byte("40"), s.page.login()...))
}

// message takes a packet of Socket.IO, of the namespace /.
func (s *session) message(b []byte) error {
	if len(b) == 0 {
		return errUnexpected
	}
	kind, rest := b[0], b[1:]
	switch kind {
	case '0':
		return s.over(s.page.connected(rest))
	case '1':
		return errors.New("the server disconnected the page")
	case '2':
		name, ok := eventName(rest)
		if !ok {
			return errUnexpected
		}
		return s.over(s.page.event(name, rest))
	case '3':
		return s.over(s.page.answered(bytes.TrimLeft(rest, "0123456789")))
	case '4':
		var refusal struct{ Message string }
		json.Unmarshal(rest, &refusal)
		s.page.failed("login refused: " + refusal.Message)
		return errOver
	}
	return nil
}

// over stops the reading where the page has let go of the session.
func (s *session) over(err error) error {
	if err == nil && s.page.session != s {
		return errOver
	}
	return err
}

// eventName returns the name of an event: ["name",…
func eventName(b []byte) ([]byte, bool) {
	if len(b) < 3 || b[0] != '[' || b[1] != '"' {
		return nil, false
	}
	name, _, found := bytes.Cut(b[2:], []byte{'"'})
	return name, found
}

// send sends a packet of Engine.IO. While polling it goes with the next request.
func (s *session) send(packet []byte) error {
	if s.mode == modeFrames {
		var buf [128]byte
		return s.wire.Write(appendFrame(buf[:0], opText, packet))
	}
	s.outbox = appendPayload(s.outbox, s.page.protocol(), packet, len(s.outbox) == 0)
	return nil
}

// ping sends the heartbeat of revision 4. Where a GET waits, it goes over another connection.
func (s *session) ping() {
	if s.mode == modeFrames {
		s.send([]byte{'2'}) // if that fails, the reader learns it too
		return
	}
	s.aside('2')
}

// bye tells the server that the page closes.
func (s *session) bye() {
	if s.mode == modeFrames {
		s.wire.Write(appendFrame(nil, opClose, []byte{0x03, 0xE9})) // going away (1001)
		return
	}
	s.aside('1')
}

// aside posts a packet over a connection that polling pages share. Where too many wait, it is left
// out.
func (s *session) aside(packet byte) {
	e := &s.page.run.public
	url := fmt.Sprintf("%s://%s%s?EIO=%d&transport=polling&sid=%s", e.scheme(), e.host, e.path, s.page.protocol(), s.sid)
	select {
	case s.page.run.errand.queue <- errandPost{url, string(appendPayload(nil, s.page.protocol(), []byte{packet}, true))}:
	default:
	}
}

func (s *session) get() error {
	s.asked = 'g'
	s.request = append(s.appendTarget(append(s.request[:0], "GET "...), "polling"), "\r\n"...)
	return s.wire.Write(s.request)
}

func (s *session) post() error {
	s.asked = 'p'
	s.request = appendPost(s.appendTarget(append(s.request[:0], "POST "...), "polling"), s.outbox)
	s.outbox = s.outbox[:0]
	return s.wire.Write(s.request)
}

// appendPost appends the rest of the head of a POST, and its body.
func appendPost(b, body []byte) []byte {
	b = append(b, "Content-Type: text/plain; charset=UTF-8\r\nContent-Length: "...)
	b = append(strconv.AppendInt(b, int64(len(body)), 10), "\r\n\r\n"...)
	return append(b, body...)
}
