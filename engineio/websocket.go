package engineio

import (
	"crypto/sha1"
	"encoding/base64"
	"net"
	"net/http"
	"strings"
	"time"
)

// websocketGUID is the constant of the opening handshake (RFC 6455 section 1.3).
const websocketGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// handshakeTimeout bounds the writing of the handshake's answer.
const handshakeTimeout = 10 * time.Second

// isWebSocket reports whether the request asks to become a WebSocket connection.
func isWebSocket(r *http.Request) bool {
	return r.Method == http.MethodGet &&
		hasToken(r.Header, "Connection", "upgrade") && hasToken(r.Header, "Upgrade", "websocket")
}

// hasToken looks for a word in a header that is a comma-separated list.
func hasToken(h http.Header, name, token string) bool {
	for _, value := range h.Values(name) {
		for word := range strings.SplitSeq(value, ",") {
			if strings.EqualFold(strings.TrimSpace(word), token) {
				return true
			}
		}
	}
	return false
}

// checkWebSocket checks the rest of the opening handshake (RFC 6455 section
// 4.2.1) and returns the answer to its key.
func checkWebSocket(r *http.Request) (accept string, ok bool) {
	key := r.Header.Get("Sec-WebSocket-Key")
	nonce, err := base64.StdEncoding.DecodeString(key)
	if err != nil || len(nonce) != 16 || r.Header.Get("Sec-WebSocket-Version") != "13" {
		return "", false
	}
	sum := sha1.Sum([]byte(key + websocketGUID))
	return base64.StdEncoding.EncodeToString(sum[:]), true
}

// hijack takes the connection from net/http and completes the opening
// handshake. No extension is accepted: compression would cost memory per
// connection and encode per receiver. Early bytes of the peer are returned.
func hijack(w http.ResponseWriter, accept string) (conn net.Conn, early []byte, err error) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, nil, err
	}
	if n := buffered.Reader.Buffered(); n > 0 {
		peeked, _ := buffered.Reader.Peek(n)
		early = append(early, peeked...)
	}
	const head = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: "
	conn.SetDeadline(time.Now().Add(handshakeTimeout))
	_, err = conn.Write([]byte(head + accept + "\r\n\r\n"))
	if err == nil {
		err = conn.SetDeadline(time.Time{})
	}
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return conn, early, nil
}

// serveWebSocket answers a request whose checks have passed: it opens a session
// or, with one given, tries to upgrade it.
func (s *Server) serveWebSocket(w http.ResponseWriter, r *http.Request, q request) {
	accept, ok := checkWebSocket(r)
	if !ok {
		w.Header().Set("Sec-WebSocket-Version", "13")
		writeError(w, errBadRequest)
		return
	}
	session := q.session
	if session == nil {
		var err *requestError
		session, err = s.open(q.protocol, newHandshake(r, q.query, s.options.HandshakeHeaders), q.binary, true)
		if err != nil {
			writeError(w, err)
			return
		}
	}
	conn, early, err := hijack(w, accept)
	if err != nil {
		s.options.Logger.Debug("websocket handshake failed", "err", err)
		if q.session == nil {
			session.abort(ReasonTransportError)
		}
		return
	}
	wire, read := s.newWire(conn)
	var link *Link
	if q.session == nil {
		link = session.attach(wire)
	} else if link, ok = session.tryUpgrade(wire); !ok {
		link.close(closeNormal)
	}
	// The goroutine of the request ends here: its stack and buffers are large.
	read(link, early)
}
