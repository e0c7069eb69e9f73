package engineio

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"belfry/internal/handover"
)

// patience bounds every wait of a test. It decides nothing in a run that is well.
const patience = time.Minute

// slow are heartbeats that do not come up during a test, and upgrades that may take as long as it.
var slow = Options{PingInterval: time.Hour, PingTimeout: time.Hour, UpgradeTimeout: time.Hour}

// goroutineReaders has every server of the tests read by goroutines, and parkedPolls has every GET parked
// as soon as it waits; see TestTheSameInOtherWays.
var (
	goroutineReaders = os.Getenv(waysVariable) == "goroutines"
	parkedPolls      = os.Getenv(waysVariable) == "parked"
)

const waysVariable = "BELFRY_TEST_WAYS"

// A harness is a server with an address, and the sessions that it opened.
type harness struct {
	t      testing.TB
	engine *Server
	http   *httptest.Server
	opened chan *recorder

	resumed *handover.Listener // of connections that polls were parked on
}

// serve starts a server whose sessions record what they receive.
func serve(t testing.TB, o Options) *harness {
	return serveWith(t, o, httptest.NewServer, nil)
}

func serveWith(t testing.TB, o Options, listen func(http.Handler) *httptest.Server, onOpen func(*recorder)) *harness {
	t.Helper()
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.GoroutineReaders = o.GoroutineReaders || goroutineReaders
	h := &harness{t: t, opened: make(chan *recorder, 1024), resumed: handover.Listen(nil)}
	h.engine = NewServer(o, func(s *Session) Receiver {
		r := &recorder{Session: s, messages: make(chan Message, 4096), closed: make(chan Reason, 2)}
		if onOpen != nil {
			onOpen(r)
		}
		h.opened <- r
		return r
	})
	// A process that stands still for some seconds answers all the same what it would have.
	h.engine.waits.handlingTimeout, h.engine.waits.nextGet, h.engine.waits.closeTimeout = time.Hour, time.Hour, time.Hour
	if parkedPolls {
		h.parkPolls()
	}
	h.http = listen(h.engine)
	served := make(chan struct{})
	go func() {
		h.http.Config.Serve(h.resumed)
		close(served)
	}()
	t.Cleanup(func() {
		// Pages that are between two GETs would be waited for.
		h.engine.each(func(s *Session) { s.abort(ReasonForcedClose) })
		shutdown(t, h.engine)
		h.resumed.Close()
		<-served
		h.http.Close()
	})
	return h
}

// parkPolls has every GET parked as soon as it waits.
func (h *harness) parkPolls() {
	h.engine.options.Resume = func(_ *http.Server, c net.Conn, early []byte) bool { return h.resumed.Hand(c, early) }
	h.engine.waits.parkAfter = time.Nanosecond
}

// A recorder is a session and what it has received.
type recorder struct {
	*Session
	messages chan Message
	closed   chan Reason
	handler  atomic.Pointer[func(Message)] // instead of messages
}

func (r *recorder) Message(data []byte, binary bool) {
	m := Message{Data: append([]byte(nil), data...), Binary: binary}
	if handle := r.handler.Load(); handle != nil {
		(*handle)(m)
		return
	}
	r.messages <- m
}

func (r *recorder) handle(do func(Message)) { r.handler.Store(&do) }

func (r *recorder) Closed(reason Reason) { r.closed <- reason }

func (r *recorder) text(text string) bool {
	return r.Send(NewFrame(r.Protocol(), Message{Data: []byte(text)}))
}

func (r *recorder) binary(data ...byte) bool {
	return r.Send(NewFrame(r.Protocol(), Message{Data: data, Binary: true}))
}

// receive returns what arrives on c next.
func receive[T any](t testing.TB, c <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("no %s in time", what)
		panic("unreachable")
	}
}

func (h *harness) session() *recorder { return receive(h.t, h.opened, "session") }

func wantMessage(t testing.TB, r *recorder, want string) {
	t.Helper()
	if got := receive(t, r.messages, "message "+want); string(got.Data) != want {
		t.Fatalf("received %q, want %q", got.Data, want)
	}
}

func wantClosed(t testing.TB, r *recorder, want Reason) {
	t.Helper()
	if got := receive(t, r.closed, "end of the session"); got != want {
		t.Fatalf("closed with %q, want %q", got, want)
	}
}

// eventually waits for a condition that nothing announces.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatalf("not in time: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

// An answer is an HTTP response.
type answer struct {
	status int
	body   string
	header http.Header
	err    error
}

func (h *harness) url(query string) string { return h.http.URL + "/engine.io/?" + query }

func (h *harness) do(r *http.Request) answer {
	client := *h.http.Client()
	client.Timeout = patience
	resp, err := client.Do(r)
	if err != nil {
		return answer{err: err}
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, string(body), resp.Header, err}
}

func (h *harness) request(method, query, body string, header ...string) answer {
	h.t.Helper()
	r, err := http.NewRequest(method, h.url(query), strings.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return h.do(r)
}

func (a answer) want(t testing.TB, status int, body string) {
	t.Helper()
	if a.err != nil || a.status != status || a.body != body {
		t.Fatalf("answered %d %q (%v), want %d %q", a.status, a.body, a.err, status, body)
	}
}

// A page is a client that polls.
type page struct {
	*harness
	query string
	sid   string
	*recorder
}

// poll opens a session over polling.
func (h *harness) poll(query string) *page {
	h.t.Helper()
	a := h.request("GET", query+"&transport=polling", "")
	if a.status != 200 {
		h.t.Fatalf("handshake answered %d %q (%v)", a.status, a.body, a.err)
	}
	sid := openPacketOf(h.t, a.body).SID
	return &page{h, query + "&transport=polling&sid=" + sid, sid, h.session()}
}

type openData struct {
	SID          string
	Upgrades     []string
	PingInterval int
	PingTimeout  int
	MaxPayload   int
}

// openPacketOf finds the open packet in any form of payload.
func openPacketOf(t testing.TB, payload string) (open openData) {
	t.Helper()
	payload = strings.ReplaceAll(payload, `\"`, `"`)
	from, to := strings.Index(payload, `0{"`), strings.LastIndex(payload, "}")
	if from < 0 || to < from {
		t.Fatalf("no open packet in %q", payload)
	}
	if err := json.Unmarshal([]byte(payload[from+1:to+1]), &open); err != nil {
		t.Fatal(err)
	}
	return open
}

func (p *page) get() answer { p.t.Helper(); return p.request("GET", p.query, "") }

func (p *page) post(body string, header ...string) answer {
	p.t.Helper()
	return p.request("POST", p.query, body, append([]string{"Content-Type", "text/plain;charset=UTF-8"}, header...)...)
}

// getLater starts a GET and returns when the server holds it.
func (p *page) getLater() <-chan answer {
	p.t.Helper()
	got := make(chan answer, 1)
	go func() { got <- p.get() }()
	p.waitsForPoll()
	return got
}

func (p *page) waitsForPoll() {
	p.t.Helper()
	eventually(p.t, "a GET waits", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.Session.poll != nil
	})
}

// A socket is a WebSocket client.
type socket struct {
	t    testing.TB
	conn net.Conn
	in   *bufio.Reader
}

const webSocketRequest = "GET /engine.io/?%s HTTP/1.1\r\nHost: %s\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n" +
	"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n"

// dial makes the opening handshake and returns its answer. Early is sent with it.
func (h *harness) dial(query, header, early string) (*socket, *http.Response) {
	h.t.Helper()
	u, err := url.Parse(h.http.URL)
	if err != nil {
		h.t.Fatal(err)
	}
	var conn net.Conn
	if u.Scheme == "https" {
		conn, err = tls.Dial("tcp", u.Host, &tls.Config{InsecureSkipVerify: true}) // a certificate of the test's own
	} else {
		conn, err = net.Dial("tcp", u.Host)
	}
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	fmt.Fprintf(conn, webSocketRequest+"%s", query+"&transport=websocket", u.Host, header, early)
	s := &socket{h.t, conn, bufio.NewReader(conn)}
	resp, err := http.ReadResponse(s.in, nil)
	if err != nil {
		h.t.Fatal(err)
	}
	return s, resp
}

// connect opens a WebSocket connection that must be accepted.
func (h *harness) connect(query string) *socket {
	h.t.Helper()
	s, resp := h.dial(query, "", "")
	if resp.StatusCode != http.StatusSwitchingProtocols {
		h.t.Fatalf("opening handshake answered %d", resp.StatusCode)
	}
	if got, want := resp.Header.Get("Sec-WebSocket-Accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="; got != want {
		h.t.Fatalf("Sec-WebSocket-Accept %q, want %q", got, want)
	}
	return s
}

// open opens a session over WebSocket.
func (h *harness) open(query string) (*socket, *recorder) {
	h.t.Helper()
	s := h.connect(query)
	_, data := s.read()
	openPacketOf(h.t, string(data))
	return s, h.session()
}

// clientFrame encodes a frame as a client does. First is the first byte.
func clientFrame(first byte, payload []byte) []byte {
	b := appendFrameHeader(nil, 0, len(payload))
	b[0] = first
	b[1] |= bitMask
	key := [4]byte{0x37, 0xfa, 0x21, 0x3d}
	b = append(b, key[:]...)
	at := len(b)
	b = append(b, payload...)
	unmask(b[at:], key, 0)
	return b
}

func textFrame(text string) string { return string(clientFrame(bitFin|byte(opText), []byte(text))) }

func (s *socket) write(b []byte) {
	s.t.Helper()
	if _, err := s.conn.Write(b); err != nil {
		s.t.Fatal(err)
	}
}

func (s *socket) send(text string) { s.t.Helper(); s.write([]byte(textFrame(text))) }

// next reads one frame.
func (s *socket) next() (opcode, []byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(s.in, head[:]); err != nil {
		return 0, nil, err
	}
	if head[0]&bitFin == 0 || head[0]&bitsRSV != 0 || head[1]&bitMask != 0 {
		return 0, nil, fmt.Errorf("header %x of a frame from the server", head)
	}
	length := uint64(head[1])
	switch length {
	case 126:
		var b [2]byte
		io.ReadFull(s.in, b[:])
		length = uint64(binary.BigEndian.Uint16(b[:]))
	case 127:
		var b [8]byte
		io.ReadFull(s.in, b[:])
		length = binary.BigEndian.Uint64(b[:])
	}
	payload := make([]byte, length)
	_, err := io.ReadFull(s.in, payload)
	return opcode(head[0] & 0x0F), payload, err
}

func (s *socket) read() (opcode, []byte) {
	s.t.Helper()
	op, payload, err := s.next()
	if err != nil {
		s.t.Fatal(err)
	}
	return op, payload
}

func (s *socket) want(text string) {
	s.t.Helper()
	if op, got := s.read(); op != opText || string(got) != text {
		s.t.Fatalf("got frame %x %q, want text %q", op, got, text)
	}
}

func (s *socket) wantBinary(want ...byte) {
	s.t.Helper()
	if op, got := s.read(); op != opBinary || string(got) != string(want) {
		s.t.Fatalf("got frame %x %q, want binary %q", op, got, want)
	}
}

// wantClose reads on to the close frame and checks its code and that nothing follows.
func (s *socket) wantClose(code int) {
	s.t.Helper()
	for {
		op, payload := s.read()
		if op != opClose {
			continue
		}
		got := closeNoStatus
		if len(payload) > 0 {
			got = int(binary.BigEndian.Uint16(payload))
		}
		if got != code {
			s.t.Fatalf("close code %d, want %d", got, code)
		}
		break
	}
	if _, err := s.in.ReadByte(); !errors.Is(err, io.EOF) {
		s.t.Fatalf("after the close frame: %v, want the end", err)
	}
}

// wantCut reads on to the end of a connection that is closed without a word.
func (s *socket) wantCut() {
	s.t.Helper()
	for {
		op, _, err := s.next()
		var timeout net.Error
		if err != nil {
			if errors.As(err, &timeout) && timeout.Timeout() {
				s.t.Fatal("the connection was not closed")
			}
			return
		}
		if op == opClose {
			s.t.Fatal("got a close frame")
		}
	}
}

func base64Of(data ...byte) string { return base64.StdEncoding.EncodeToString(data) }

var discard = slog.New(slog.DiscardHandler)

func shutdown(t testing.TB, engine *Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := engine.Shutdown(ctx); err != nil {
		t.Errorf("shutdown: %v", err)
	}
}
