package engineio

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestPollingCarriesEveryFormOfPayload(t *testing.T) {
	const octets = "application/octet-stream"
	for _, c := range []struct {
		name, query, body, contentType string
		want                           []string // what the session receives; binary ones begin with "b:"
		answer                         string   // what a GET gets when the session sends the same back
		answerType                     string
	}{
		{"protocol 4, one text", "EIO=4", "4hello", "", []string{"hello"}, "4hello", ""},
		{"protocol 4, several packets", "EIO=4", "4a\x1e4\x1e4c", "", []string{"a", "", "c"}, "4a\x1e4\x1e4c", ""},
		{"protocol 4, binary", "EIO=4", "4a\x1ebAQIDBA==", "", []string{"a", "b:\x01\x02\x03\x04"}, "4a\x1ebAQIDBA==", ""},
		{"protocol 4, binary without padding", "EIO=4", "bAQIDBA", "", []string{"b:\x01\x02\x03\x04"}, "bAQIDBA==", ""},
		{"protocol 4, beyond ASCII", "EIO=4", "4汉字😀", "", []string{"汉字😀"}, "4汉字😀", ""},
		{"protocol 3, one text", "EIO=3", "6:4hello", "", []string{"hello"}, "6:4hello", ""},
		{"protocol 3, several packets", "EIO=3", "2:4a1:42:4c", "", []string{"a", "", "c"}, "2:4a1:42:4c", ""},
		{"protocol 3, lengths in UTF-16 units", "EIO=3", "4:4汉😀2:4a", "", []string{"汉😀", "a"}, "4:4汉😀2:4a", ""},
		{"protocol 3, encoded twice by a client 1.x", "EIO=3", "7:4\u00e6\u00b1\u0089\u00e5\u00ad\u0097", "", []string{"汉字"}, "3:4汉字", ""},
		{"protocol 3, base64 for a session with b64", "EIO=3&b64=1", "2:4a10:b4AQIDBA==", "", []string{"a", "b:\x01\x02\x03\x04"}, "2:4a10:b4AQIDBA==", ""},
		{"protocol 3, octets both ways", "EIO=3", "\x00\x02\xff4a\x00\x01\x00\xff4012345678\x01\x05\xff\x04\x01\x02\x03\x04", octets,
			[]string{"a", "012345678", "b:\x01\x02\x03\x04"}, "\x00\x02\xff4a\x00\x01\x00\xff4012345678\x01\x05\xff\x04\x01\x02\x03\x04", octets},
		{"protocol 3, base64 in, octets out", "EIO=3", "2:4é10:b4AQIDBA==", "", []string{"é", "b:\x01\x02\x03\x04"}, "\x00\x03\xff4é\x01\x05\xff\x04\x01\x02\x03\x04", octets},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := serve(t, slow)
			p := h.poll(c.query)
			var header []string
			if c.contentType != "" {
				header = []string{"Content-Type", c.contentType}
			}
			p.post(c.body, header...).want(t, 200, "ok")
			for _, want := range c.want {
				got := receive(t, p.messages, "message")
				text, binary := strings.CutPrefix(want, "b:")
				if string(got.Data) != text || got.Binary != binary {
					t.Errorf("received %+v, want %q", got, want)
				}
				p.Send(NewFrame(p.Protocol(), got))
			}
			a := p.get()
			a.want(t, 200, c.answer)
			if c.answerType == "" {
				c.answerType = "text/plain; charset=UTF-8"
			}
			if got := a.header.Get("Content-Type"); got != c.answerType {
				t.Errorf("content type %q, want %q", got, c.answerType)
			}
		})
	}
}

func TestAMalformedPostEndsTheSession(t *testing.T) {
	for _, c := range []struct{ name, query, body, contentType string }{
		{"unknown packet type", "EIO=4", "abc", ""},
		{"empty body", "EIO=4", "", ""},
		{"empty packet", "EIO=4", "4a\x1e", ""},
		{"malformed base64", "EIO=4", "b???", ""},
		{"not UTF-8", "EIO=4", "4\xff", ""},
		{"octets in protocol 4", "EIO=4", "4a", "application/octet-stream"},
		{"no length", "EIO=3", "abc", ""},
		{"empty body in protocol 3", "EIO=3", "", ""},
		{"length beyond the body", "EIO=3", "5:4a", ""},
		{"length within a character", "EIO=3", "2:4😀", ""},
		{"length zero", "EIO=3", "0:", ""},
		{"enormous length", "EIO=3", "99999999999999999999:4a", ""},
		{"negative length", "EIO=3", "-1:4a", ""},
		{"unknown kind of octets", "EIO=3", "\x02\x02\xff4a", "application/octet-stream"},
		{"octets without an end of the length", "EIO=3", "\x00\x02", "application/octet-stream"},
		{"octets beyond the body", "EIO=3", "\x01\x09\xff\x04", "application/octet-stream"},
		{"octets of an unknown type", "EIO=3", "\x01\x02\xff\x09a", "application/octet-stream"},
		{"a ping in the wrong direction", "EIO=4", "2", ""},
		{"a pong in the wrong direction", "EIO=3", "1:3", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := serve(t, slow)
			p := h.poll(c.query)
			other := h.poll("EIO=4")
			a := p.post(c.body, "Content-Type", c.contentType)
			if decodes := strings.HasPrefix(c.name, "a p"); !decodes {
				a.want(t, 400, `{"code":3,"message":"Bad request"}`)
			}
			wantClosed(t, p.recorder, ReasonParseError)
			p.get().want(t, 400, `{"code":1,"message":"Session ID unknown"}`)
			other.post("4still here").want(t, 200, "ok")
			wantMessage(t, other.recorder, "still here")
		})
	}
}

func TestPacketsBeforeAMalformedOneAreReceived(t *testing.T) {
	p := serve(t, slow).poll("EIO=4")
	p.post("4a\x1e4b\x1e?").want(t, 400, `{"code":3,"message":"Bad request"}`)
	wantMessage(t, p.recorder, "a")
	wantMessage(t, p.recorder, "b")
	wantClosed(t, p.recorder, ReasonParseError)
}

func TestAGetWaitsForSomethingToAnswer(t *testing.T) {
	p := serve(t, slow).poll("EIO=4")
	for i := range 3 {
		got := p.getLater()
		p.text(fmt.Sprint(i))
		receive(t, got, "answer").want(t, 200, fmt.Sprintf("4%d", i))
	}
}

func TestAnswersAreNotCached(t *testing.T) {
	p := serve(t, slow).poll("EIO=4")
	p.text("a")
	for _, a := range []answer{p.get(), p.post("4a")} {
		if got := a.header.Get("Cache-Control"); got != "no-store" {
			t.Errorf("Cache-Control %q", got)
		}
	}
}

func TestASecondGetEndsTheSession(t *testing.T) {
	for eio, last := range map[string]string{"EIO=4": "1", "EIO=3": "1:1"} {
		p := serve(t, slow).poll(eio)
		first := p.getLater()
		p.get().want(t, 400, `{"code":3,"message":"Bad request"}`)
		receive(t, first, "answer of the first").want(t, 200, last)
		wantClosed(t, p.recorder, ReasonTransportError)
		p.get().want(t, 400, `{"code":1,"message":"Session ID unknown"}`)
	}
}

func TestASecondPostEndsTheSession(t *testing.T) {
	h := serve(t, slow)
	p := h.poll("EIO=4")
	body, more := io.Pipe()
	first := make(chan answer, 1)
	go func() {
		r, _ := http.NewRequest("POST", h.url(p.query), body)
		first <- h.do(r)
	}()
	more.Write([]byte("4first"))
	eventually(t, "a POST is being read", func() bool {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.posting
	})
	p.post("4second").want(t, 400, `{"code":3,"message":"Bad request"}`)
	wantClosed(t, p.recorder, ReasonTransportError)
	more.Close()
	receive(t, first, "answer of the first")
	if len(p.messages) != 0 {
		t.Errorf("%d messages were received", len(p.messages))
	}
}

func TestACancelledGetEndsTheSession(t *testing.T) {
	h := serve(t, slow)
	p := h.poll("EIO=4")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan answer, 1)
	go func() {
		r, _ := http.NewRequestWithContext(ctx, "GET", h.url(p.query), nil)
		done <- h.do(r)
	}()
	p.waitsForPoll()
	cancel()
	receive(t, done, "end of the GET")
	wantClosed(t, p.recorder, ReasonTransportError)
	p.get().want(t, 400, `{"code":1,"message":"Session ID unknown"}`)
}

func TestACloseOfTheClientEndsItsGetWithANoop(t *testing.T) {
	for eio, c := range map[string]struct{ close, noop string }{"EIO=4": {"1", "6"}, "EIO=3": {"1:1", "1:6"}} {
		for _, order := range []string{"that waits", "that comes a moment later"} {
			t.Run(eio+" "+order, func(t *testing.T) {
				h := serve(t, slow)
				h.engine.waits.lateGet = time.Hour
				p := h.poll(eio)
				if order == "that waits" {
					got := p.getLater()
					p.post(c.close).want(t, 200, "ok")
					receive(t, got, "answer").want(t, 200, c.noop)
				} else {
					p.post(c.close).want(t, 200, "ok")
					p.get().want(t, 200, c.noop)
				}
				wantClosed(t, p.recorder, ReasonTransportClose)
				p.get().want(t, 400, `{"code":1,"message":"Session ID unknown"}`)
			})
		}
	}
}

func TestAfterItsCloseAClientIsNotHeard(t *testing.T) {
	p := serve(t, slow).poll("EIO=4")
	p.post("4a\x1e1\x1e4b").want(t, 200, "ok")
	wantMessage(t, p.recorder, "a")
	wantClosed(t, p.recorder, ReasonTransportClose)
	if len(p.messages) != 0 || p.text("late") {
		t.Error("the session went on")
	}
}

func TestACloseOfTheServerReachesAPollingClient(t *testing.T) {
	h := serve(t, slow)
	waiting, away := h.poll("EIO=4"), h.poll("EIO=4")
	got := waiting.getLater()
	waiting.Close(ReasonForcedClose)
	receive(t, got, "answer").want(t, 200, "1")
	wantClosed(t, waiting.recorder, ReasonForcedClose)

	away.text("last words")
	away.Close(ReasonForcedClose)
	away.post("4more").want(t, 400, `{"code":1,"message":"Session ID unknown"}`)
	away.get().want(t, 200, "4last words\x1e1")
	wantClosed(t, away.recorder, ReasonForcedClose)
}

func TestAPostOverMaxPayloadIsAnswered413(t *testing.T) {
	o := slow
	o.MaxPayload = 100
	h := serve(t, o)
	p := h.poll("EIO=4")
	p.post("4"+strings.Repeat("x", 99)).want(t, 200, "ok")
	if a := p.post("4" + strings.Repeat("x", 100)); a.status != 413 {
		t.Errorf("answered %d, want 413", a.status)
	}
	body := io.MultiReader(strings.NewReader("4"), strings.NewReader(strings.Repeat("x", 100)))
	r, _ := http.NewRequest("POST", h.url(p.query), body) // without a Content-Length
	if a := h.do(r); a.status != 413 {
		t.Errorf("a body of unknown length answered %d (%v), want 413", a.status, a.err)
	}
	if got := receive(t, p.messages, "message"); len(got.Data) != 99 || len(p.messages) != 0 {
		t.Errorf("%d bytes received, %d more messages", len(got.Data), len(p.messages))
	}
}

func TestAPostThatBreaksOffEndsTheSession(t *testing.T) {
	h := serve(t, slow)
	p := h.poll("EIO=4")
	conn, err := net.Dial("tcp", h.http.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(conn, "POST /engine.io/?%s HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n4half", p.query)
	conn.Close()
	wantClosed(t, p.recorder, ReasonTransportError)
}

func TestJSONP(t *testing.T) {
	h := serve(t, slow)
	a := h.request("GET", "EIO=3&transport=polling&j=7", "")
	if a.header.Get("Content-Type") != "text/javascript; charset=UTF-8" || a.header.Get("X-Content-Type-Options") != "nosniff" ||
		!strings.HasPrefix(a.body, `___eio[7]("`) || !strings.HasSuffix(a.body, `");`) {
		t.Fatalf("answered %v %q", a.header, a.body)
	}
	r := h.session()
	query := "EIO=3&transport=polling&sid=" + openPacketOf(t, a.body).SID

	r.text("</script>\u2028\"\n")
	r.binary(1, 2, 3, 4)
	h.request("GET", query+"&j=8", "").want(t, 200, `___eio[8]("13:4\u003c/script\u003e\u2028\"\n10:b4AQIDBA==");`)
	for j, index := range map[string]string{"1)%3Balert(2": "12", "": "0", "x": "0", "%C2%B2": "0"} {
		r.text("a")
		h.request("GET", query+"&j="+j, "").want(t, 200, `___eio[`+index+`]("2:4a");`)
	}

	post := func(body string) answer {
		return h.request("POST", query+"&j=8", body, "Content-Type", "application/x-www-form-urlencoded")
	}
	// As a browser sends it: 4a<newline>\n汉;&=%, the newline as \n, the \n as \\n.
	ok := post(`d=12%3A4a%5Cn%5C%5Cn%E6%B1%89%3B%26%3D%25+b2%3A4z`)
	ok.want(t, 200, "ok")
	if got := ok.header.Get("Content-Type"); got != "text/html; charset=UTF-8" {
		t.Errorf("content type %q", got)
	}
	wantMessage(t, r, "a\n\\n汉;&=% b")
	wantMessage(t, r, "z")
	post("x=1").want(t, 400, `{"code":3,"message":"Bad request"}`)
	wantClosed(t, r, ReasonParseError)
}

func TestManyMessagesBothWaysKeepTheirOrder(t *testing.T) {
	p := serve(t, slow).poll("EIO=4")
	const n = 200
	go func() {
		for i := range n {
			p.text(fmt.Sprintf("down %d", i))
			if i%7 == 0 {
				p.post(fmt.Sprintf("4up %d", i/7))
			}
		}
	}()
	for i := 0; i < n; {
		for packet := range strings.SplitSeq(p.get().body, "\x1e") {
			if want := fmt.Sprintf("4down %d", i); packet != want {
				t.Fatalf("got %q, want %q", packet, want)
			}
			i++
		}
	}
	for i := range (n + 6) / 7 {
		wantMessage(t, p.recorder, fmt.Sprintf("up %d", i))
	}
}

func TestRequestsOnOneConnectionAreServed(t *testing.T) {
	h := serve(t, slow)
	p := h.poll("EIO=4")
	p.text("a")
	conn, err := net.Dial("tcp", h.http.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	for _, body := range []string{"4one", "4two"} {
		fmt.Fprintf(conn, "POST /engine.io/?%s HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n%s", p.query, body)
		resp, err := http.ReadResponse(in, nil)
		if err != nil || resp.StatusCode != 200 {
			t.Fatal(resp, err)
		}
		io.ReadAll(resp.Body)
		wantMessage(t, p.recorder, body[1:])
	}
}

// Clients 1.0 to 1.3 take every answer over XHR that is not binary for an empty
// one. Their requests end with a time and a counter.
func TestTheOldestClientsGetBinaryPayloadsAlone(t *testing.T) {
	h := serve(t, slow)
	cases := []struct {
		name, query string
		octets      bool
	}{
		{"clients 1.0 to 1.3", "EIO=3&transport=polling&t=1514764800000-0", true},
		{"clients 1.0 to 1.3 without XHR2", "EIO=3&transport=polling&t=1514764800000-0&b64=1", false},
		{"clients 1.4 to 2.x", "EIO=3&transport=polling&t=LhXrKJa.0", false},
		{"a client that says nothing", "EIO=3&transport=polling", false},
		{"clients since 3.0", "EIO=4&transport=polling&t=1514764800000-0", false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			a := h.request("GET", c.query, "")
			if got := a.header.Get("Content-Type") == "application/octet-stream"; got != c.octets {
				t.Fatalf("Content-Type %q; binary should be %t", a.header.Get("Content-Type"), c.octets)
			}
			if !c.octets {
				return
			}
			packets, err := decodeAll(Protocol3, []byte(a.body), true)
			if err != nil || len(packets) != 1 || packets[0].kind != packetOpen {
				t.Fatalf("%q holds %v, %v; want the open packet", a.body, packets, err)
			}
		})
	}
}

// A client that polls no more holds up a shutdown for as long as one takes that is
// between two GETs, and no longer.
func TestAShutdownDoesNotWaitForAClientThatPollsNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := NewServer(Options{Logger: discard}, func(*Session) Receiver { return deaf{} })
		if _, err := engine.open(Protocol4, &Handshake{}, binaryWhereNeeded, false); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		if err := engine.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
		if took := time.Since(start); took < nextGet || took > 2*nextGet+engine.wheel.tick {
			t.Errorf("it took %v", took)
		}
	})
}
