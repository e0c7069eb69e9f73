package server

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"belfry"
)

func health(t *testing.T, addr string) (int, string) {
	t.Helper()
	res, err := http.Get("http://" + addr + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func TestHealthOnBothPorts(t *testing.T) {
	healthy := make(chan error, 4)
	f := start(t, func(o *Options) { o.Check = func(context.Context) error { return <-healthy } })
	for _, addr := range []string{f.Addr(), f.PushAddr()} {
		healthy <- nil
		if status, body := health(t, addr); status != http.StatusOK || body != `{"status":"ok"}` {
			t.Errorf("%d %s", status, body)
		}
		healthy <- errors.New("the disk password=hunter2 is gone")
		if status, body := health(t, addr); status != http.StatusServiceUnavailable || body != `{"status":"unavailable"}` {
			t.Errorf("when the store fails: %d %s", status, body)
		}
	}
}

func TestStopFinishesPushesTellsPagesAndLeavesNothingBehind(t *testing.T) {
	idle := stacks()
	hooks := &hookedStore{}
	f := start(t, func(o *Options) {
		hooks.Store = o.Store
		o.Store = hooks
		o.Grace = time.Hour
	})
	pages := []*client{f.page("1", "1", "text"), f.page("2", "1", "html"), dial(t, f.Addr(), dialing{eio: 3}), dial(t, f.Addr(), dialing{})}
	entered, release := make(chan struct{}), make(chan struct{})
	hooks.set(func(h *hookedStore) {
		h.add = func() error {
			close(entered)
			<-release
			return nil
		}
	})
	word := make(chan string, 1)
	go func() { word <- f.message("1", "the last one") }()
	<-entered
	stopped := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 2*deadline)
		defer cancel()
		stopped <- f.Stop(ctx)
	}()
	eventually(t, "the health says that it is stopping", func() bool {
		status, body := health(t, f.Addr())
		return status == http.StatusServiceUnavailable && body == `{"status":"stopping"}`
	})
	select {
	case err := <-stopped:
		t.Fatalf("Stop returned %v while a push was under way", err)
	default:
	}
	close(release)
	if got := <-word; got != "ok" {
		t.Errorf("the push under way was answered %s", got)
	}
	if err := <-stopped; err != nil {
		t.Errorf("Stop: %v", err)
	}
	for i, page := range pages {
		page.gone()
		if !strings.Contains(page.ended.Error(), "by the server") {
			t.Errorf("page %d was not told: %v", i, page.ended)
		}
	}
	if got := parse[messageOnWire](t, pages[0].next("new_msg")); got.Title != "the last one" {
		t.Errorf("message %+v", got)
	}
	if n := f.online("1"); n != 0 {
		t.Errorf("%d users are online after the stop", n)
	}
	for _, addr := range []string{f.Addr(), f.PushAddr()} {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			t.Errorf("%s still accepts connections", addr)
		}
	}
	eventually(t, "no goroutine is left", func() bool {
		return stacks() <= idle
	})
}

// stacks counts the goroutines that run code of belfry's server side, those of
// the database left aside: it is closed later.
func stacks() (n int) {
	all := make([]byte, 4<<20)
	all = all[:runtime.Stack(all, true)]
	for stack := range strings.SplitSeq(string(all), "\n\n") {
		if strings.Contains(stack, "belfry/engineio.") || strings.Contains(stack, "belfry/socketio.") ||
			strings.Contains(stack, "belfry.(*MemoryPresence)") || strings.Contains(stack, "net/http.(*conn).serve") {
			n++
		}
	}
	return n
}

func TestStopCutsOffACallerThatDoesNotFinish(t *testing.T) {
	f := start(t)
	page := f.page("1", "1", "text")
	for _, addr := range []string{f.Addr(), f.PushAddr()} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		path := "/"
		if addr == f.Addr() {
			path = strings.TrimPrefix(page.url, "http://"+addr)
		}
		if _, err := io.WriteString(c, "POST "+path+" HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		if n, err := c.Read(make([]byte, 12)); n == 0 { // "HTTP/1.1 100": the handler reads the body
			t.Fatal(err)
		}
	}
	// Half of the time goes to who holds up the push port; the rest is for the page to be told in. Then nobody has to wait.
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	stopped := make(chan error, 1)
	go func() { stopped <- f.Server.Stop(ctx) }()
	page.gone()
	cancel()
	if err := <-stopped; err == nil {
		t.Error("Stop does not say that it cut somebody off")
	}
	if !strings.Contains(page.ended.Error(), "by the server") {
		t.Errorf("the page was not told: %v", page.ended)
	}
}

// Balancers and browsers connect ahead of need. A port has half of the time, which is over before [http.Server.Shutdown] would
// take such a connection for one that nobody uses: that is after 5 seconds.
func TestStopDoesNotWaitForTheRequestOfAConnection(t *testing.T) {
	f := start(t)
	for _, addr := range []string{f.Addr(), f.PushAddr()} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		health(t, addr) // accepted later, so that the server has that one
	}
	ctx, cancel := context.WithTimeout(context.Background(), 9*time.Second)
	defer cancel()
	if err := f.Stop(ctx); err != nil {
		t.Errorf("Stop: %v", err)
	}
}

func TestStartFailsWhereAPortIsTaken(t *testing.T) {
	f := start(t)
	s, err := New(context.Background(), Options{Listen: "127.0.0.1:0", PushListen: f.PushAddr(), Store: f.store, Tokens: f.tokens, Logger: f.Server.log})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err == nil || !strings.Contains(err.Error(), f.PushAddr()) {
		t.Errorf("Start: %v; want it to name the address", err)
	}
	if err := s.Stop(context.Background()); err != nil {
		t.Errorf("Stop after it: %v", err)
	}
}

func TestOptionsThatAreRefused(t *testing.T) {
	f := start(t)
	for name, o := range map[string]Options{
		"no store":               {Tokens: f.tokens},
		"no tokens":              {Store: f.store},
		"a path without slashes": {Store: f.store, Tokens: f.tokens, Path: "socket.io"},
		"a path with a pattern":  {Store: f.store, Tokens: f.tokens, Path: "/{x}/"},
		"an origin that is none": {Store: f.store, Tokens: f.tokens, Origins: []string{"app"}},
	} {
		if _, err := New(context.Background(), o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestAPathOfOnesOwn(t *testing.T) {
	f := start(t, func(o *Options) { o.Path = "/bell/io/" })
	for path, want := range map[string]int{"/bell/io/": 400, "/socket.io/": 404} {
		res, err := http.Get("http://" + f.Addr() + path + "?EIO=9&transport=polling")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%s: status %d, want %d", path, res.StatusCode, want)
		}
	}
}

func TestSecretsStayOutOfTheLog(t *testing.T) {
	f := start(t)
	token := f.token("1", "1", time.Hour)
	page := dial(t, f.Addr(), dialing{})
	page.call("login", `{"token":`+quoted(token+"x")+`}`)
	page.call("login", `{"token":`+quoted(token)+`}`)
	dial(t, f.Addr(), dialing{auth: map[string]string{"token": token + "y"}})
	f.push("action", "message", "receiverID", "1", "title", "a private matter")
	f.send(newRequest(t, "POST", "http://"+f.PushAddr()+"/?"+toOne+"&date=x", "", ""))
	f.send(newRequest(t, "POST", "http://"+f.PushAddr()+"/?token=wrong-key-shown&action=message", "", ""))
	f.send(newRequest(t, "POST", "http://"+f.PushAddr()+"/?"+withKey+"&x=%zz", "", ""))
	log := f.log.String()
	if !strings.Contains(log, "push refused") || !strings.Contains(log, "login refused") {
		t.Fatal("refusals are not logged")
	}
	for _, secret := range []string{testKey, "wrong-key-shown", token, token[:20], "a private matter", strings.Repeat("s", 32)} {
		if strings.Contains(log, secret) {
			t.Errorf("the log has %q", secret)
		}
	}
}

var _ belfry.Store = (*hookedStore)(nil)
