package engineio

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf16"
)

func TestHandshakeOverPolling(t *testing.T) {
	h := serve(t, Options{PingInterval: 300 * time.Second, PingTimeout: 200 * time.Second})
	for _, eio := range []string{"3", "4"} {
		a := h.request("GET", "transport=polling&EIO="+eio, "")
		if a.status != 200 || a.header.Get("Content-Type") != "text/plain; charset=UTF-8" {
			t.Errorf("EIO %s: answered %d, %s", eio, a.status, a.header.Get("Content-Type"))
		}
		open := openPacketOf(t, a.body)
		if !regexp.MustCompile(`^[\w-]{20}$`).MatchString(open.SID) || !slices.Equal(open.Upgrades, []string{"websocket"}) ||
			open.PingInterval != 300_000 || open.PingTimeout != 200_000 || open.MaxPayload != 1_000_000 {
			t.Errorf("EIO %s: open packet %+v", eio, open)
		}
		if length, packet, found := strings.Cut(a.body, ":"); eio == "3" && (!found || length != strconv.Itoa(len(packet))) {
			t.Errorf("EIO 3: payload %q", a.body)
		}
		s := h.session()
		if s.ID() != open.SID || s.Protocol() != Protocol(eio[0]-'0') || h.engine.Len() != int(eio[0]-'2') {
			t.Errorf("EIO %s: session %s of protocol %d, %d in all", eio, s.ID(), s.Protocol(), h.engine.Len())
		}
	}
}

func TestHandshakeOverWebSocket(t *testing.T) {
	h := serve(t, slow)
	for _, eio := range []string{"3", "4"} {
		s := h.connect("EIO=" + eio)
		op, data := s.read()
		if open := openPacketOf(t, string(data)); op != opText || data[0] != '0' || open.Upgrades == nil || len(open.Upgrades) != 0 {
			t.Errorf("EIO %s: open packet %q", eio, data)
		}
	}
}

func TestARequestThatIsNotInOrderGetsCodeAndMessage(t *testing.T) {
	h := serve(t, slow)
	known := h.poll("EIO=4").sid
	for _, c := range []struct {
		name, method, query string
		status              int
		body                string
	}{
		{"no transport", "GET", "EIO=4", 400, `{"code":0,"message":"Transport unknown"}`},
		{"unknown transport", "GET", "EIO=4&transport=abc", 400, `{"code":0,"message":"Transport unknown"}`},
		{"unknown session", "GET", "EIO=4&transport=polling&sid=abc", 400, `{"code":1,"message":"Session ID unknown"}`},
		{"POST to an unknown session", "POST", "EIO=3&transport=polling&sid=abc", 400, `{"code":1,"message":"Session ID unknown"}`},
		{"unknown session over WebSocket without an upgrade", "GET", "EIO=4&transport=websocket&sid=abc", 400, `{"code":1,"message":"Session ID unknown"}`},
		{"WebSocket handshake by POST", "POST", "EIO=4&transport=websocket", 400, `{"code":2,"message":"Bad handshake method"}`},
		{"handshake by POST", "POST", "EIO=4&transport=polling", 400, `{"code":2,"message":"Bad handshake method"}`},
		{"handshake by PUT", "PUT", "EIO=4&transport=polling", 400, `{"code":2,"message":"Bad handshake method"}`},
		{"WebSocket without an upgrade", "GET", "EIO=4&transport=websocket", 400, `{"code":3,"message":"Bad request"}`},
		{"a method that sessions do not have", "DELETE", "EIO=4&transport=polling&sid=" + known, 400, `{"code":3,"message":"Bad request"}`},
		{"another protocol than the session's", "GET", "EIO=3&transport=polling&sid=" + known, 400, `{"code":3,"message":"Bad request"}`},
		{"no protocol", "GET", "transport=polling", 400, `{"code":5,"message":"Unsupported protocol version"}`},
		{"protocol 2", "GET", "EIO=2&transport=polling", 400, `{"code":5,"message":"Unsupported protocol version"}`},
		{"protocol abc", "GET", "EIO=abc&transport=polling", 400, `{"code":5,"message":"Unsupported protocol version"}`},
		{"protocol 04", "GET", "EIO=04&transport=polling", 400, `{"code":5,"message":"Unsupported protocol version"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := h.request(c.method, c.query, "")
			a.want(t, c.status, c.body)
			if got := a.header.Get("Content-Type"); got != "application/json" {
				t.Errorf("content type %q", got)
			}
		})
	}
	if h.engine.Len() != 1 {
		t.Errorf("%d sessions, want the one that was opened", h.engine.Len())
	}
}

func TestARefusedWebSocketHandshakeIsAnsweredInHTTP(t *testing.T) {
	h := serve(t, slow)
	for _, query := range []string{"", "EIO=abc", "EIO=2"} {
		if _, resp := h.dial(query, "", ""); resp.StatusCode != 400 {
			t.Errorf("%q answered %d, want 400", query, resp.StatusCode)
		}
	}
	if _, resp := h.dial("EIO=4&sid=unknown", "", ""); resp.StatusCode != 400 {
		t.Errorf("an unknown session answered %d, want 400", resp.StatusCode)
	}
	a := h.request("GET", "EIO=4&transport=websocket", "", "Connection", "Upgrade", "Upgrade", "websocket",
		"Sec-WebSocket-Version", "8", "Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
	if a.status != 400 || a.header.Get("Sec-WebSocket-Version") != "13" {
		t.Errorf("version 8 answered %d, version %q", a.status, a.header.Get("Sec-WebSocket-Version"))
	}
}

func TestARefusedOriginGets403AtOnce(t *testing.T) {
	h := serve(t, slow)
	const body = `{"code":4,"message":"Forbidden"}`
	for _, origin := range []string{"http://elsewhere.example", "null", "http://127.0.0.1.elsewhere.example"} {
		a := h.request("GET", "EIO=4&transport=polling", "", "Origin", origin)
		a.want(t, 403, body)
		if got := a.header.Get("Access-Control-Allow-Origin"); got != "" {
			t.Errorf("allows %q", got)
		}
		h.request("OPTIONS", "EIO=4&transport=polling", "", "Origin", origin).want(t, 403, body)
		if _, resp := h.dial("EIO=4", "Origin: "+origin+"\r\n", ""); resp.StatusCode != 403 {
			t.Errorf("WebSocket from %s answered %d, want 403", origin, resp.StatusCode)
		}
	}
	if h.engine.Len() != 0 {
		t.Errorf("%d sessions, want none", h.engine.Len())
	}
}

func TestSameHostLooksAtTheHostOnly(t *testing.T) {
	for _, c := range []struct {
		host, origin string
		same         bool
	}{
		{"a.example", "http://a.example", true},
		{"a.example:2120", "https://a.example", true},
		{"a.example:2120", "http://A.example:80", true},
		{"[::1]:2120", "http://[::1]:80", true},
		{"a.example", "http://b.example", false},
		{"a.example", "http://a.example.b.example", false},
		{"a.example", "null", false},
		{"a.example", "file://", false},
		{"a.example", "http://%", false},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = c.host
		r.Header.Set("Origin", c.origin)
		if got := SameHost(r); got != c.same {
			t.Errorf("%s asked by %s: %t", c.host, c.origin, got)
		}
	}
}

func TestCrossOriginRequestsAreAllowedWithCredentials(t *testing.T) {
	o := slow
	o.CheckOrigin = func(r *http.Request) bool { return r.Header.Get("Origin") == "http://app.example" }
	h := serve(t, o)
	check := func(a answer) {
		t.Helper()
		if a.header.Get("Access-Control-Allow-Origin") != "http://app.example" || a.header.Get("Access-Control-Allow-Credentials") != "true" ||
			!slices.Contains(a.header.Values("Vary"), "Origin") {
			t.Errorf("header %v", a.header)
		}
	}
	check(h.request("GET", "EIO=4&transport=polling", "", "Origin", "http://app.example"))
	check(h.request("GET", "EIO=4&transport=polling&sid=abc", "", "Origin", "http://app.example")) // errors are to be read, too
	a := h.request("OPTIONS", "EIO=4&transport=polling", "", "Origin", "http://app.example",
		"Access-Control-Request-Method", "POST", "Access-Control-Request-Headers", "content-type,x-extra")
	a.want(t, 204, "")
	check(a)
	if a.header.Get("Access-Control-Allow-Headers") != "content-type,x-extra" || !strings.Contains(a.header.Get("Access-Control-Allow-Methods"), "POST") {
		t.Errorf("preflight header %v", a.header)
	}
}

func TestTheHandshakeIsKept(t *testing.T) {
	o := slow
	o.HandshakeHeaders = []string{"user-agent", "X-None"}
	h := serve(t, o)
	h.request("GET", "EIO=4&transport=polling&token=abc", "", "User-Agent", "test/1", "Cookie", "secret")
	got := h.session().Handshake()
	if got.Query().Get("token") != "abc" || got.RawQuery != "token=abc" || got.Path != "/engine.io/" || got.Secure || got.Address == "" ||
		len(got.Header) != 1 || got.Header.Get("User-Agent") != "test/1" {
		t.Errorf("handshake %+v", got)
	}
}

func TestAnOwnerThatRefusesASessionIsAnswered403(t *testing.T) {
	for name, onOpen := range map[string]func(*Session) Receiver{
		"by nil":   func(*Session) Receiver { return nil },
		"by panic": func(*Session) Receiver { panic("refused") },
		"after it has closed the session itself": func(s *Session) Receiver {
			s.abort(ReasonForcedClose)
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			o := slow
			o.Logger = discard
			engine := NewServer(o, onOpen)
			h := &harness{t: t, engine: engine, http: httptest.NewServer(engine)}
			defer h.http.Close()
			h.request("GET", "EIO=4&transport=polling", "").want(t, 403, `{"code":4,"message":"Forbidden"}`)
			if _, resp := h.dial("EIO=4", "", ""); resp.StatusCode != 403 {
				t.Errorf("WebSocket answered %d, want 403", resp.StatusCode)
			}
			if engine.Len() != 0 {
				t.Errorf("%d sessions, want none", engine.Len())
			}
			shutdown(t, engine)
		})
	}
}

func TestWhatOnOpenDoesToASessionTakesEffect(t *testing.T) {
	for name, c := range map[string]struct {
		do     func(*recorder)
		want   string
		reason Reason
	}{
		"it sends":             {func(r *recorder) { r.text("hi") }, "4hi", ""},
		"it closes":            {func(r *recorder) { r.text("hi"); r.Close(ReasonForcedClose) }, "4hi", ReasonForcedClose},
		"it overflows a queue": {func(r *recorder) { sendUntilRefused(r) }, "", ReasonTooSlow},
	} {
		t.Run(name, func(t *testing.T) {
			o := slow
			o.MaxQueue = 1000
			h := serveWith(t, o, httptest.NewServer, c.do)
			a := h.request("GET", "EIO=4&transport=polling", "")
			r := h.session()
			s := h.connect("EIO=4")
			r2 := h.session()
			if c.want == "" {
				a.want(t, 400, `{"code":1,"message":"Session ID unknown"}`)
				s.wantCut()
			} else {
				sid := openPacketOf(t, a.body).SID
				want := c.want
				if c.reason != "" {
					want += "\x1e1"
				}
				h.request("GET", "EIO=4&transport=polling&sid="+sid, "").want(t, 200, want)
				s.read() // open
				s.want(c.want)
			}
			if c.reason == "" {
				return
			}
			wantClosed(t, r, c.reason)
			if c.want != "" {
				s.wantClose(closeNormal)
			}
			wantClosed(t, r2, c.reason)
		})
	}
}

func sendUntilRefused(r *recorder) {
	for r.text("0123456789") {
	}
}

func TestServerSendsTheOpenPacketAlone(t *testing.T) {
	onOpen := func(r *recorder) { r.text("first"); r.text("second") }
	h := serveWith(t, slow, httptest.NewServer, onOpen)
	a := h.request("GET", "EIO=4&transport=polling", "")
	if strings.ContainsRune(a.body, separator) {
		t.Errorf("the handshake was answered %q", a.body)
	}
	sid := openPacketOf(t, a.body).SID
	h.request("GET", "EIO=4&transport=polling&sid="+sid, "").want(t, 200, "4first\x1e4second")

	synctest.Test(t, func(t *testing.T) { // what is sent within aloneDelay goes along
		o := slow
		o.Logger = discard
		var r *recorder
		engine := NewServer(o, func(s *Session) Receiver {
			r = &recorder{Session: s, closed: make(chan Reason, 2)}
			onOpen(r)
			return r
		})
		wire := newPipe(1 << 20)
		if _, ok := engine.Attach(wire, Protocol4, &Handshake{}); !ok {
			t.Fatal("refused")
		}
		open := <-wire.writes
		if !strings.Contains(string(open), `0{"sid"`) || strings.Contains(string(open), "first") {
			t.Errorf("the first write is %q", open)
		}
		time.Sleep(aloneDelay - 1)
		r.text("third")
		if rest := <-wire.writes; string(rest) != "\x81\x064first\x81\x074second\x81\x064third" {
			t.Errorf("the second write is %q", rest)
		}
		shutdown(t, engine)
	})
}

func TestUTF16LengthOfAHandshakeWithinProtocol3(t *testing.T) {
	h := serve(t, slow)
	p := h.poll("EIO=3")
	const text = "汉字 😀 é"
	p.text(text)
	units := len(utf16.Encode([]rune("4" + text)))
	p.get().want(t, 200, fmt.Sprintf("%d:4%s", units, text))
}
