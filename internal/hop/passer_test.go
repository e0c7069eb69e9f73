package hop

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// owner starts a node that answers by the handler, and returns its address.
func owner(t *testing.T, node string, handler http.HandlerFunc) string {
	t.Helper()
	l := listen(t, node)
	s := &http.Server{Handler: handler}
	go s.Serve(l)
	t.Cleanup(func() { s.Close() })
	return l.Addr().String()
}

// front starts what pages talk to: it passes everything on to node a, which is at the address.
func front(t *testing.T, address string) (*Passer, *httptest.Server) {
	t.Helper()
	return frontWith(t, address, Options{DialTimeout: patience})
}

// frontWith is front with some of the options.
func frontWith(t *testing.T, address string, o Options) (*Passer, *httptest.Server) {
	t.Helper()
	o.Key, o.AnswerTimeout, o.Logger = testKey, patience, silent
	o.Address = func(node string) (string, bool) { return address, node == "a" }
	p := NewPasser(o)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !p.Pass(w, r, "a") {
			http.Error(w, "not passed", http.StatusTeapot)
		}
	}))
	t.Cleanup(func() {
		p.Close()
		s.Close()
	})
	return p, s
}

func TestWhatIsPassedOnArrivesAsItWasSent(t *testing.T) {
	type seen struct {
		method, uri, host, body string
		header                  http.Header
		length                  int64
	}
	requests := make(chan seen, 1)
	_, s := front(t, owner(t, "a", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		requests <- seen{r.Method, r.RequestURI, r.Host, string(body), r.Header, r.ContentLength}
		w.Header().Set("Vary", "Origin")
		w.Header().Add("X-Two", "1")
		w.Header().Add("X-Two", "2")
		w.Header().Set("Connection", "close")
		w.WriteHeader(http.StatusAccepted)
		io.WriteString(w, "answer to "+r.Method)
	}))
	for _, method := range []string{"GET", "POST", "HEAD", "DELETE"} {
		sent := ""
		if method == "POST" {
			sent = strings.Repeat("body ", 100_000)
		}
		const target = "/some%2Fpath/?a=%zz&b=1;2&sid=x.a"
		r, err := http.NewRequest(method, s.URL+target, strings.NewReader(sent))
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "bell.example"
		r.Header = http.Header{
			"Origin": {"http://bell.example"}, "Cookie": {"a=b"}, "X-Forwarded-For": {"203.0.113.9"}, "Forwarded": {"for=x"},
			"Accept-Encoding": {"br"}, "Connection": {"X-Mine"}, "X-Mine": {"for the front"}, AddressHeader: {"198.51.100.1:1", "x"},
			"User-Agent": {""},
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		want := "answer to " + method
		if method == "HEAD" {
			want = ""
		}
		if err != nil || res.StatusCode != http.StatusAccepted || string(body) != want || len(res.Header["Vary"]) != 1 || len(res.Header["X-Two"]) != 2 || res.Close {
			t.Errorf("%s is answered %d %q %v, %v", method, res.StatusCode, body, res.Header, err)
		}
		got := <-requests
		if got.method != method || got.uri != target || got.host != "bell.example" || got.body != sent || got.length != int64(len(sent)) {
			t.Errorf("%s arrives as %s %s of %s with %d bytes (%d)", method, got.method, got.uri, got.host, len(got.body), got.length)
		}
		address := got.header[AddressHeader]
		if len(address) != 1 || !strings.HasPrefix(address[0], "127.0.0.1:") {
			t.Errorf("%s comes from %q", method, address)
		}
		delete(got.header, AddressHeader)
		delete(got.header, "Content-Length")
		if want := "map[Accept-Encoding:[br] Cookie:[a=b] Forwarded:[for=x] Origin:[http://bell.example] X-Forwarded-For:[203.0.113.9]]"; fmt.Sprint(got.header) != want {
			t.Errorf("%s arrives with %v", method, got.header)
		}
	}
}

func TestWhoGoesAwayIsMissedAtTheNode(t *testing.T) {
	begun, ended := make(chan struct{}), make(chan struct{})
	_, s := front(t, owner(t, "a", func(w http.ResponseWriter, r *http.Request) {
		close(begun)
		<-r.Context().Done()
		close(ended)
	}))
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		<-begun
		cancel()
	}()
	r, _ := http.NewRequestWithContext(ctx, "GET", s.URL, nil)
	if _, err := http.DefaultClient.Do(r); err == nil {
		t.Error("the request was answered")
	}
	select {
	case <-ended:
	case <-time.After(patience):
		t.Error("the node goes on answering")
	}
}

// TestAPollWhoseAnswerIsLostIsNotSentAgain has a connection end that was used before, when the node has got a GET and perhaps
// taken for it what the page waits for.
func TestAPollWhoseAnswerIsLostIsNotSentAgain(t *testing.T) {
	var polls atomic.Int32
	var connection atomic.Value // that the last request came on
	l := listen(t, "a")
	node := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		polls.Add(1)
		connection.Store(r.Context().Value(thisConnection{}))
		if r.URL.Path != "/lost" {
			return
		}
		c, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		c.Close()
	}), ConnContext: func(ctx context.Context, c net.Conn) context.Context {
		return context.WithValue(ctx, thisConnection{}, c)
	}}
	go node.Serve(l)
	t.Cleanup(func() { node.Close() })
	_, s := front(t, l.Addr().String())
	get := func(path string, code int) any {
		t.Helper()
		before := polls.Load()
		res, err := http.Get(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != code {
			t.Errorf("%s is answered %d, want %d", path, res.StatusCode, code)
		}
		if n := polls.Load() - before; n != 1 {
			t.Errorf("the node has got %s %d times", path, n)
		}
		return connection.Load()
	}
	// net/http keeps no connection of which it does not know within 50 ms that the request has been written, though it is answered.
	for end := time.Now().Add(patience); !t.Failed() && time.Now().Before(end); {
		if get("/", http.StatusOK) == get("/lost", http.StatusTeapot) {
			return
		}
	}
	if !t.Failed() {
		t.Error("no connection is used twice")
	}
}

// thisConnection is the key of a request's connection.
type thisConnection struct{}

func TestANodeThatDoesNotAnswerIsNotPassedTo(t *testing.T) {
	dead := listen(t, "a")
	dead.Close()
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	never := func(http.ResponseWriter, *http.Request) { t.Error("it gets the request") }
	other := httptest.NewServer(http.HandlerFunc(never))
	defer other.Close()
	for name, address := range map[string]string{
		"nobody listens":     dead.Addr().String(),
		"it says nothing":    mute.Addr().String(),
		"it is another node": owner(t, "b", never),
		"it is no node":      other.Listener.Addr().String(),
		"it is public":       "203.0.113.5:2122",
	} {
		_, s := frontWith(t, address, Options{}) // what says nothing is waited for
		for _, upgrade := range []bool{false, true} {
			r, _ := http.NewRequest("GET", s.URL, nil)
			if upgrade {
				r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}
			}
			res, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != http.StatusTeapot {
				t.Errorf("%s (upgrade %v): answered %s", name, upgrade, res.Status)
			}
		}
	}
}

// upgrading answers as a node that agrees to an upgrade, says something with it, and then talks.
func upgrading(talk func(net.Conn, *bufio.Reader)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer c.Close()
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: "+r.Header.Get("Upgrade")+"\r\nConnection: Upgrade\r\nX-Accept: yes\r\n\r\nearly")
		talk(c, buffered.Reader)
	}
}

// upgrade asks the front for an upgrade, and says something with it.
func upgrade(t *testing.T, s *httptest.Server) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(patience))
	io.WriteString(c, "GET /?sid=x.a HTTP/1.1\r\nHost: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\nhasty")
	in := bufio.NewReader(c)
	res, err := http.ReadResponse(in, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols || res.Header.Get("X-Accept") != "yes" || res.Header.Get("Upgrade") != "websocket" {
		t.Fatalf("answered %+v, %v", res, err)
	}
	return c, in
}

func TestAnUpgradedConnectionCarriesEverythingBothWays(t *testing.T) {
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	_, s := front(t, owner(t, "a", upgrading(func(c net.Conn, in *bufio.Reader) {
		io.Copy(c, in) // until the page says no more
		io.WriteString(c, "bye")
	})))
	c, in := upgrade(t, s)
	want := func(text string) {
		t.Helper()
		got := make([]byte, len(text))
		if _, err := io.ReadFull(in, got); err != nil || string(got) != text {
			t.Fatalf("got %.100q, %v; want %.100q", got, err, text)
		}
	}
	want("earlyhasty")
	for _, n := range []int{1, smallBuffer - 1, smallBuffer, smallBuffer + 1, 2 * smallBuffer, 10} {
		c.Write(large[:n])
		want(string(large[:n]))
	}
	go c.Write(large)
	want(string(large))
	c.(*net.TCPConn).CloseWrite()
	want("bye")
	if _, err := in.ReadByte(); err != io.EOF {
		t.Errorf("after the end: %v", err)
	}
}

func TestAConnectionThatIsLostOnOneSideEndsOnTheOther(t *testing.T) {
	gone := make(chan error, 1)
	_, s := front(t, owner(t, "a", upgrading(func(c net.Conn, in *bufio.Reader) {
		in.Discard(len("hasty"))
		_, err := in.ReadByte()
		gone <- err
	})))
	c, _ := upgrade(t, s)
	c.Close()
	select {
	case <-gone:
	case <-time.After(patience):
		t.Error("the node is not told")
	}
}

func TestCloseEndsWhatIsPassedOn(t *testing.T) {
	begun := make(chan struct{}, 2)
	upgraded := upgrading(func(_ net.Conn, in *bufio.Reader) { io.Copy(io.Discard, in) })
	p, s := front(t, owner(t, "a", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			upgraded(w, r)
			return
		}
		begun <- struct{}{}
		<-r.Context().Done()
	}))
	_, in := upgrade(t, s)
	status := make(chan int, 1)
	go func() {
		res, err := http.Get(s.URL)
		if err != nil {
			t.Error(err)
			status <- 0
			return
		}
		res.Body.Close()
		status <- res.StatusCode
	}()
	<-begun
	p.Close()
	if got := <-status; got != http.StatusTeapot {
		t.Errorf("the request is answered %d", got)
	}
	if _, err := io.ReadAll(in); err != nil {
		t.Errorf("the upgraded connection: %v", err)
	}
}

func TestARefusedUpgradeIsAnAnswer(t *testing.T) {
	_, s := front(t, owner(t, "a", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "no", http.StatusBadRequest) }))
	r, _ := http.NewRequest("GET", s.URL, nil)
	r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if body, err := io.ReadAll(res.Body); err != nil || res.StatusCode != http.StatusBadRequest || string(body) != "no\n" {
		t.Errorf("answered %d %q, %v", res.StatusCode, body, err)
	}
}
