package engineio

import (
	"bytes"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestWebSocketCarriesTextAndBinary(t *testing.T) {
	for _, c := range []struct {
		name, query string
		send, echo  []byte // a whole frame of the client, the payload of the answer
		op          opcode
	}{
		{"text", "EIO=4", []byte(textFrame("4汉字😀")), []byte("4汉字😀"), opText},
		{"text of protocol 3", "EIO=3", []byte(textFrame("4汉字😀")), []byte("4汉字😀"), opText},
		{"binary", "EIO=4", clientFrame(0x82, []byte{1, 2}), []byte{1, 2}, opBinary},
		{"empty binary", "EIO=4", clientFrame(0x82, nil), []byte{}, opBinary},
		{"binary of protocol 3", "EIO=3", clientFrame(0x82, []byte{4, 1, 2}), []byte{4, 1, 2}, opBinary},
		{"binary in base64", "EIO=4", []byte(textFrame("bAQI=")), []byte{1, 2}, opBinary},
		{"binary in base64, with b64", "EIO=3&b64=1", []byte(textFrame("b4AQI=")), []byte("b4AQI="), opText},
		{"a message of 126 bytes", "EIO=4", []byte(textFrame("4" + strings.Repeat("x", 125))), []byte("4" + strings.Repeat("x", 125)), opText},
		{"a message of 70,000 bytes", "EIO=4", []byte(textFrame("4" + strings.Repeat("x", 70_000))), []byte("4" + strings.Repeat("x", 70_000)), opText},
		{"fragments with a ping between", "EIO=4", bytes.Join([][]byte{clientFrame(0x01, []byte("4a")), clientFrame(0x8A, []byte("pong")),
			clientFrame(0x00, nil), clientFrame(0x80, []byte("b"))}, nil), []byte("4ab"), opText},
	} {
		for _, listen := range []string{"plain", "TLS"} {
			t.Run(c.name+" "+listen, func(t *testing.T) {
				start := httptest.NewServer
				if listen == "TLS" {
					start = httptest.NewTLSServer
				}
				h := serveWith(t, slow, start, nil)
				s, r := h.open(c.query)
				if r.Handshake().Secure != (listen == "TLS") {
					t.Errorf("Secure is %t", r.Handshake().Secure)
				}
				s.write(c.send)
				r.Send(NewFrame(r.Protocol(), receive(t, r.messages, "message")))
				if op, got := s.read(); op != c.op || !bytes.Equal(got, c.echo) {
					t.Errorf("got %x %.40q, want %x %.40q", op, got, c.op, c.echo)
				}
			})
		}
	}
}

func TestBytesThatCameWithTheHandshakeAreRead(t *testing.T) {
	h := serve(t, slow)
	h.dial("EIO=4", "", textFrame("4early"))
	wantMessage(t, h.session(), "early")
}

func TestPingsOfWebSocketItselfAreAnswered(t *testing.T) {
	s, _ := serve(t, slow).open("EIO=4")
	s.write(clientFrame(0x89, []byte("are you there")))
	if op, got := s.read(); op != opPong || string(got) != "are you there" {
		t.Errorf("got %x %q", op, got)
	}
}

func TestMisuseOfAWebSocketConnectionClosesItWithACode(t *testing.T) {
	o := slow
	o.MaxPayload = 1000
	h := serve(t, o)
	for _, c := range []struct {
		name   string
		send   []byte
		code   int
		reason Reason
	}{
		{"a packet of unknown type", []byte(textFrame("abc")), closeProtocolError, ReasonParseError},
		{"an empty packet", []byte(textFrame("")), closeProtocolError, ReasonParseError},
		{"a ping in the wrong direction", []byte(textFrame("2")), closeProtocolError, ReasonParseError},
		{"an upgrade of what is no polling session", []byte(textFrame("5")), closeProtocolError, ReasonParseError},
		{"text that is not UTF-8", clientFrame(0x81, []byte("4\xff")), closeInvalidPayload, ReasonParseError},
		{"a message over the limit", []byte(textFrame("4" + strings.Repeat("x", 1000))), closeTooBig, ReasonTooBig},
		{"fragments over the limit", append(clientFrame(0x01, make([]byte, 600)), clientFrame(0x80, make([]byte, 600))...), closeTooBig, ReasonTooBig},
		{"a header that promises too much", []byte{0x82, 0xFF, 0x7F, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0}, closeTooBig, ReasonTooBig},
		{"a frame without a mask", []byte{0x81, 0x02, '4', 'a'}, closeProtocolError, ReasonParseError},
		{"reserved bits", clientFrame(0xC1, []byte("4a")), closeProtocolError, ReasonParseError},
		{"unknown opcode", clientFrame(0x83, []byte("4a")), closeProtocolError, ReasonParseError},
		{"a continuation of nothing", clientFrame(0x80, []byte("4a")), closeProtocolError, ReasonParseError},
		{"a message within a message", append(clientFrame(0x01, []byte("4a")), clientFrame(0x81, []byte("4b"))...), closeProtocolError, ReasonParseError},
		{"a ping in fragments", clientFrame(0x09, nil), closeProtocolError, ReasonParseError},
		{"a ping that is too long", clientFrame(0x89, make([]byte, 126)), closeProtocolError, ReasonParseError},
		{"a close frame", clientFrame(0x88, []byte{0x03, 0xE8}), closeNormal, ReasonTransportClose},
		{"a close frame with a code and a reason", clientFrame(0x88, []byte("\x03\xE9bye")), closeGoingAway, ReasonTransportClose},
		{"a close frame with a code of the application", clientFrame(0x88, []byte{0x0F, 0xA0}), 4000, ReasonTransportClose},
		{"a close frame without a code", clientFrame(0x88, nil), closeNoStatus, ReasonTransportClose},
		{"a close frame with half a code", clientFrame(0x88, []byte{0x03}), closeProtocolError, ReasonParseError},
		{"a close frame with a code that is never sent", clientFrame(0x88, []byte{0x03, 0xED}), closeProtocolError, ReasonParseError},
		{"a close frame with an unknown code", clientFrame(0x88, []byte{0x13, 0x88}), closeProtocolError, ReasonParseError},
		{"a close frame whose reason is not UTF-8", clientFrame(0x88, []byte("\x03\xE8\xFF")), closeInvalidPayload, ReasonParseError},
		{"a close packet", []byte(textFrame("1")), closeNormal, ReasonTransportClose},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, r := h.open("EIO=4")
			s.write(append(c.send, textFrame("4after")...))
			s.wantClose(c.code)
			wantClosed(t, r, c.reason)
			if len(r.messages) != 0 {
				t.Error("what came after was received")
			}
		})
	}
}

func TestAPeerThatIsGoneEndsTheSession(t *testing.T) {
	h := serve(t, slow)
	s, r := h.open("EIO=4")
	s.conn.Close()
	wantClosed(t, r, ReasonTransportClose)
	eventually(t, "no session is left", func() bool { return h.engine.Len() == 0 })
}

func TestACloseOfTheServerWritesWhatIsQueued(t *testing.T) {
	s, r := serve(t, slow).open("EIO=4")
	for range 100 {
		r.text("a")
	}
	r.Close(ReasonForcedClose)
	if r.text("late") {
		t.Error("Send after Close was accepted")
	}
	for range 100 {
		s.want("4a")
	}
	s.wantClose(closeNormal)
	wantClosed(t, r, ReasonForcedClose)
}
