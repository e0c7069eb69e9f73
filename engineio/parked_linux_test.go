package engineio

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A rawClient sends requests on one connection, and does not wait for answers by itself.
type rawClient struct {
	*testing.T
	net.Conn
	in *bufio.Reader
}

// parkedHarness is a server that parks a GET as soon as it waits.
func parkedHarness(t *testing.T) *harness {
	h := serve(t, slow)
	h.parkPolls()
	return h
}

func dialRaw(t *testing.T, h *harness) *rawClient {
	t.Helper()
	conn, err := net.Dial("tcp", h.http.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	return &rawClient{T: t, Conn: conn, in: bufio.NewReader(conn)}
}

func (c *rawClient) send(method, query, body string) {
	c.Helper()
	_, err := fmt.Fprintf(c.Conn, "%s /engine.io/?EIO=4&transport=polling%s HTTP/1.1\r\nHost: %s\r\nOrigin: http://%s\r\nContent-Length: %d\r\n\r\n%s",
		method, query, c.RemoteAddr(), c.RemoteAddr(), len(body), body)
	if err != nil {
		c.Fatal(err)
	}
}

// get sends a GET, as browsers do: without a Content-Length.
func (c *rawClient) get(query string) {
	c.Helper()
	_, err := fmt.Fprintf(c.Conn, "GET /engine.io/?EIO=4&transport=polling%s HTTP/1.1\r\nHost: %s\r\nOrigin: http://%s\r\n\r\n", query, c.RemoteAddr(), c.RemoteAddr())
	if err != nil {
		c.Fatal(err)
	}
}

// want reads an answer.
func (c *rawClient) want(status int, body string) *http.Response {
	c.Helper()
	response, err := http.ReadResponse(c.in, nil)
	if err != nil {
		c.Fatalf("waiting for %q: %v", body, err)
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != status || !strings.HasPrefix(string(got), body) {
		c.Fatalf("answered %d %q, %v; want %d %q", response.StatusCode, got, err, status, body)
	}
	return response
}

// parkedSession is a session whose GET waits, parked, on the connection.
func parkedSession(t *testing.T, h *harness) (*rawClient, *recorder) {
	t.Helper()
	c := dialRaw(t, h)
	c.get("")
	c.want(http.StatusOK, "0{")
	r := h.session()
	c.get("&sid=" + r.ID())
	wantParked(t, r)
	return c, r
}

func wantParked(t *testing.T, r *recorder) {
	t.Helper()
	eventually(t, "the GET is parked", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.poll != nil && r.poll.parked != nil
	})
}

func TestAParkedGetIsAnsweredAndItsConnectionServesOn(t *testing.T) {
	h := parkedHarness(t)
	c, r := parkedSession(t, h)
	for i := range 3 {
		text := fmt.Sprint("message ", i)
		r.text(text)
		answer := c.want(http.StatusOK, "4"+text)
		for name, want := range map[string]string{
			"Access-Control-Allow-Origin": "http://" + c.RemoteAddr().String(),
			"Vary":                        "Origin", "Cache-Control": "no-store", "Content-Type": "text/plain; charset=UTF-8",
		} {
			if got := answer.Header.Get(name); got != want {
				t.Errorf("%s is %q, want %q", name, got, want)
			}
		}
		if answer.Header.Get("Date") == "" || answer.Close {
			t.Errorf("the answer is %+v", answer)
		}
		c.send("POST", "&sid="+r.ID(), "4back")
		c.want(http.StatusOK, "ok")
		wantMessage(t, r, "back")
		c.get("&sid=" + r.ID())
		wantParked(t, r)
	}
	// What is too large for the connection's buffer goes as well.
	large := strings.Repeat("x", 8<<20)
	h.engine.options.MaxQueue = len(large) * 2
	r.text(large)
	c.want(http.StatusOK, "4"+large)
}

func TestWhoGoesAwayWhileItsGetIsParkedEndsItsSession(t *testing.T) {
	h := parkedHarness(t)
	c, r := parkedSession(t, h)
	c.Conn.Close()
	wantClosed(t, r, ReasonTransportError)
}

func TestASecondGetBesideAParkedOneEndsTheSession(t *testing.T) {
	h := parkedHarness(t)
	c, r := parkedSession(t, h)
	other := dialRaw(t, h)
	other.get("&sid=" + r.ID())
	other.want(http.StatusBadRequest, `{"code":3`)
	c.want(http.StatusOK, "1")
	wantClosed(t, r, ReasonTransportError)
}

// What a client sends before it has the answer is served after it.
func TestWhatFollowsAParkedGetIsNotLost(t *testing.T) {
	h := parkedHarness(t)
	c, r := parkedSession(t, h)
	c.send("POST", "&sid="+r.ID(), "4early")
	r.text("answer")
	c.want(http.StatusOK, "4answer")
	c.want(http.StatusOK, "ok")
	wantMessage(t, r, "early")
}

func TestAShutdownAnswersParkedGets(t *testing.T) {
	h := parkedHarness(t)
	c, r := parkedSession(t, h)
	shutdown(t, h.engine)
	if answer := c.want(http.StatusOK, "1"); !answer.Close {
		t.Errorf("the answer is %+v", answer)
	}
	wantClosed(t, r, ReasonShutdown)
	if _, err := c.in.ReadByte(); err != io.EOF {
		t.Errorf("the connection stays open: %v", err)
	}
}

func TestAGetThatExpectsMoreThanAnAnswerIsNotParked(t *testing.T) {
	h := parkedHarness(t)
	c := dialRaw(t, h)
	c.get("")
	c.want(http.StatusOK, "0{")
	r := h.session()
	fmt.Fprintf(c.Conn, "GET /engine.io/?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", r.ID(), c.RemoteAddr())
	eventually(t, "the GET waits", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.poll != nil
	})
	r.text("answer")
	if answer := c.want(http.StatusOK, "4answer"); !answer.Close {
		t.Errorf("the answer is %+v", answer)
	}
}

// An upgrade releases the GET, wherever it waits.
func TestAnUpgradeReleasesAParkedGet(t *testing.T) {
	h := parkedHarness(t)
	c, r := parkedSession(t, h)
	ws := h.connect("EIO=4&transport=websocket&sid=" + r.ID())
	ws.send("2probe")
	ws.want("3probe")
	c.want(http.StatusOK, "6")
	ws.send("5")
	r.text("by the other way")
	ws.want("4by the other way")
}

// BenchmarkPoll is a GET that waits and its answer, on a connection that is kept: within net/http, and parked in
// between. The client's side is in it.
func BenchmarkPoll(b *testing.B) {
	for _, parked := range []bool{false, true} {
		b.Run(fmt.Sprintf("parked=%t", parked), func(b *testing.B) {
			h := serve(b, slow)
			if parked {
				h.parkPolls()
			}
			page := h.poll("EIO=4")
			r := page.recorder
			waits := func() bool {
				r.mu.Lock()
				defer r.mu.Unlock()
				return r.poll != nil && (r.poll.parked != nil) == parked
			}
			b.ReportAllocs()
			before := processorTime(b)
			for b.Loop() {
				answered := make(chan answer, 1)
				go func() { answered <- page.get() }()
				// Shorter pauses than those of eventually, which would be most of what is measured.
				for end := time.Now().Add(patience); !waits(); time.Sleep(20 * time.Microsecond) {
					if time.Now().After(end) {
						b.Fatal("the GET does not wait")
					}
				}
				r.text("message")
				(<-answered).want(b, http.StatusOK, "4message")
			}
			b.ReportMetric(float64((processorTime(b)-before).Microseconds())/float64(b.N), "cpu-us/poll")
		})
	}
}

// processorTime is what the process has used, user and system.
func processorTime(b *testing.B) time.Duration {
	var r unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
