package server

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"belfry/auth"
	"belfry/internal/hop"
)

const unknownSession = `{"code":1,"message":"Session ID unknown"}`

func TestPagesPollThroughWhateverNodeTheyGet(t *testing.T) {
	for _, n := range []int{2, 3} {
		c := startCluster(t, n, func(o *Options) { o.PingInterval = 100 * time.Millisecond })
		for _, eio := range []int{3, 4} {
			t.Run(fmt.Sprintf("%d nodes, EIO %d", n, eio), func(t *testing.T) {
				uid := fmt.Sprint(eio)
				page := dial(t, c.front, dialing{eio: eio})
				owner := c.owner(page.sid())
				owner.login(page, uid, "1", "text")
				for i := range 3 * n {
					title := fmt.Sprint("message ", i)
					owner.message(uid, title)
					if got := parse[messageOnWire](t, page.next("new_msg")); got.Title != title {
						t.Fatalf("message %q, want %q", got.Title, title)
					}
					page.call("online")
				}
				if eio == 4 { // of revision 4, it is the page that pings
					page.wait("a heartbeat at every node", func() bool { return page.pings >= 3*n })
				}
				owner.message(uid, "after all")
				if got := parse[messageOnWire](t, page.next("new_msg")); got.Title != "after all" {
					t.Errorf("message %q", got.Title)
				}
				if owner.sockets.Len() != 1 {
					t.Errorf("the node has %d sessions", owner.sockets.Len())
				}
				page.vanish()
				eventually(t, "the page is missed", func() bool { return owner.sockets.Len() == 0 })
			})
		}
	}
}

func TestAPageThatPingsDoesSoThroughAnyNode(t *testing.T) {
	c := startCluster(t, 2)
	open := sendRaw(t, "GET", c.nodes[0].Addr(), "EIO=3&transport=polling", "")
	query := "EIO=3&transport=polling&sid=" + sidIn(t, open.body)
	for i := range 6 {
		if a := sendRaw(t, "POST", c.nodes[(i+1)%2].Addr(), query, "1:2"); a.status != 200 || a.body != "ok" {
			t.Fatalf("ping %d: %d %s", i, a.status, a.body)
		}
		for {
			a := sendRaw(t, "GET", c.nodes[i%2].Addr(), query, "")
			if a.status != 200 {
				t.Fatalf("poll %d: %d %s", i, a.status, a.body)
			}
			if strings.HasSuffix(a.body, "1:3") {
				break
			}
		}
	}
}

func TestJSONPThroughAnyNode(t *testing.T) {
	c := startCluster(t, 2)
	query := "EIO=3&transport=polling&j=7"
	open := sendRaw(t, "GET", c.front, query, "")
	if !strings.HasPrefix(open.body, "___eio[7](") {
		t.Fatalf("the handshake is answered %q", open.body)
	}
	sid := sidIn(t, open.body)
	owner := c.owner(sid)
	query += "&sid=" + sid
	for got := open.body; !strings.Contains(got, "2:40"); { // until it is connected
		got = sendRaw(t, "GET", c.front, query, "").body
	}
	login := `420["login",{"uid":"1","companyID":"1"}]`
	form := "d=" + url.QueryEscape(fmt.Sprintf("%d:%s", len(login), login))
	if a := sendRaw(t, "POST", c.front, query, form, "Content-Type", "application/x-www-form-urlencoded"); a.status != 200 || a.body != "ok" || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
		t.Fatalf("the login is answered %d %v %q", a.status, a.header, a.body)
	}
	eventually(t, "the page is logged in", func() bool { return owner.online("1") == 1 })
	owner.message("1", "by JSONP")
	for got := ""; !strings.Contains(got, "by JSONP"); {
		a := sendRaw(t, "GET", c.front, query, "")
		if a.status != 200 || !strings.HasPrefix(a.body, "___eio[7](") || !strings.HasPrefix(a.header.Get("Content-Type"), "text/javascript") {
			t.Fatalf("a poll is answered %d %v %q", a.status, a.header, a.body)
		}
		got = a.body
	}
}

func TestAPageUpgradesThroughAnotherNode(t *testing.T) {
	for _, eio := range []string{"3", "4"} {
		c := startCluster(t, 2)
		owner, other := c.nodes[0], c.nodes[1]
		open := sendRaw(t, "GET", owner.Addr(), "EIO="+eio+"&transport=polling", "")
		query := "EIO=" + eio + "&sid=" + sidIn(t, open.body)
		s := dialSocket(t, other.Addr(), query+"&transport=websocket")
		s.send("2probe")
		if got := s.next(); got != "3probe" {
			t.Fatalf("the probe is answered %q", got)
		}
		sendRaw(t, "GET", other.Addr(), query+"&transport=polling", "") // what was queued, or a noop
		s.send("5")
		if eio == "4" {
			s.send("40")
			s.until(`40{"sid"`)
		}
		s.send(`421["login",{"uid":"1","companyID":"1"}]`)
		s.until(`431[{"ok":true`)
		for i := range 20 {
			title := fmt.Sprint(strings.Repeat("x", 10*i), " message ", i)
			owner.message("1", title)
			s.until(title)
		}
		if a := sendRaw(t, "GET", other.Addr(), query+"&transport=polling", ""); a.status != 400 || !strings.Contains(a.body, `"code":3`) {
			t.Errorf("a poll after the upgrade is answered %d %s", a.status, a.body)
		}
		s.Close()
		eventually(t, "the page is missed", func() bool { return owner.sockets.Len() == 0 })
	}
}

func TestANodeThatStopsLetsUpgradedPagesOfOthersGo(t *testing.T) {
	c := startCluster(t, 2)
	query := "EIO=4&sid=" + begin(t, c.nodes[0].Addr())
	s := dialSocket(t, c.nodes[1].Addr(), query+"&transport=websocket")
	s.send("2probe")
	s.until("3probe")
	s.send("5")
	s.send("40")
	s.until(`40{"sid"`)
	poll := begin(t, c.nodes[0].Addr())
	answered := make(chan rawAnswer, 1)
	waits := c.nodes[0].willWait()
	go func() { answered <- sendRaw(t, "GET", c.nodes[1].Addr(), "EIO=4&transport=polling&sid="+poll, "") }()
	waits.wait()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	if err := c.nodes[1].Stop(ctx); err != nil {
		t.Errorf("Stop: %v", err)
	}
	if a := <-answered; a.status != 400 || a.body != unknownSession {
		t.Errorf("the poll is answered %d %s", a.status, a.body)
	}
	if _, err := s.in.ReadByte(); err == nil {
		t.Error("the upgraded connection goes on")
	}
	eventually(t, "the pages are missed", func() bool { return c.nodes[0].sockets.Len() == 0 })
}

func TestANodeThatStopsTellsItsPagesThroughOthers(t *testing.T) {
	c := startCluster(t, 2)
	query := "EIO=4&transport=polling&sid=" + begin(t, c.nodes[0].Addr())
	answered := make(chan rawAnswer, 1)
	waits := c.nodes[0].willWait()
	go func() { answered <- sendRaw(t, "GET", c.nodes[1].Addr(), query, "") }()
	waits.wait()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	if err := c.nodes[0].Stop(ctx); err != nil {
		t.Errorf("Stop: %v", err)
	}
	if a := <-answered; a.status != http.StatusOK || a.body != "1" {
		t.Errorf("the poll is answered %d %s", a.status, a.body)
	}
	if a := sendRaw(t, "GET", c.nodes[1].Addr(), query, ""); a.status != http.StatusBadRequest || a.body != unknownSession {
		t.Errorf("the next one is answered %d %s", a.status, a.body)
	}
}

func TestManyPollsGoOverOneConnectionAlsoWhenTheyWaitForLong(t *testing.T) {
	c := startCluster(t, 2, func(o *Options) { o.PingInterval = time.Hour }) // no poll is answered with a ping
	owner := c.nodes[0]
	query := "EIO=4&transport=polling&sid=" + begin(t, owner.Addr())
	pass := func(method, body string) rawAnswer {
		t.Helper()
		a := sendRaw(t, method, c.nodes[1].Addr(), query, body, "Origin", "http://"+c.nodes[1].Addr())
		if a.status != http.StatusOK || len(a.header["Access-Control-Allow-Origin"]) != 1 || len(a.header["Vary"]) != 1 {
			t.Fatalf("%s is answered %d %v %q", method, a.status, a.header, a.body)
		}
		return a
	}
	pass("POST", "40")
	pass("GET", "")
	n := 0
	usesOneConnection(t, c.networks[0], "polls", func() {
		for range 50 {
			pass("POST", fmt.Sprintf(`42%d["online"]`, n))
			if a := pass("GET", ""); !strings.Contains(a.body, fmt.Sprintf("43%d[", n)) {
				t.Fatalf("poll %d is answered %q", n, a.body)
			}
			n++
		}
	})
	usesOneConnection(t, c.networks[0], "polls that wait for long", func() {
		for range 2 {
			answered := make(chan rawAnswer, 1)
			waits := owner.willWait()
			go func() { answered <- pass("GET", "") }()
			waits.waitParked()
			n++
			owner.sockets.Of("/").Emit("hello", n)
			if a := <-answered; a.body != fmt.Sprintf(`42["hello",%d]`, n) {
				t.Fatalf("the poll that was parked is answered %q", a.body)
			}
			pass("POST", `420["online"]`) // on the connection that was taken away and given back
			pass("GET", "")
		}
	})
}

// usesOneConnection fails where each time that something is done a new connection is made. One may be made now and then: net/http keeps
// none of which it does not know within 50 ms that the request has been written, though it is answered.
func usesOneConnection(t *testing.T, n *network, what string, do func()) {
	t.Helper()
	for range 5 {
		before := n.made.Load()
		if do(); n.made.Load() == before {
			return
		}
	}
	t.Errorf("%s make new connections", what)
}

func TestAPageThatGoesAwayWhileItsPollIsPassedOnIsMissed(t *testing.T) {
	c := startCluster(t, 2)
	for _, parked := range []bool{false, true} {
		sid := begin(t, c.nodes[0].Addr())
		ctx, cancel := context.WithCancel(context.Background())
		r, err := http.NewRequestWithContext(ctx, "GET", "http://"+c.nodes[1].Addr()+"/socket.io/?EIO=4&transport=polling&sid="+sid, nil)
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		waits := c.nodes[0].willWait()
		go func() {
			_, err := http.DefaultClient.Do(r)
			done <- err
		}()
		waits.wait()
		if parked {
			waits.waitParked()
		}
		cancel()
		if err := <-done; err == nil {
			t.Error("the poll is answered")
		}
		eventually(t, "the page is missed", func() bool { return c.nodes[0].sockets.Len() == 0 })
	}
}

func TestThePagesOfANodeThatIsLostBeginAnew(t *testing.T) {
	c := startCluster(t, 2)
	page := dial(t, c.nodes[0].Addr(), dialing{})
	sid := begin(t, c.nodes[0].Addr())
	page.vanish()
	answered := make(chan rawAnswer, 1)
	waits := c.nodes[0].willWait()
	query := "EIO=4&transport=polling&sid=" + sid
	origin := "http://" + c.nodes[1].Addr()
	go func() { answered <- sendRaw(t, "GET", c.nodes[1].Addr(), query, "", "Origin", origin) }()
	waits.wait()
	c.networks[0].cut()
	for i, a := range []rawAnswer{
		<-answered,
		sendRaw(t, "GET", c.nodes[1].Addr(), query, "", "Origin", origin),
		sendRaw(t, "POST", c.nodes[1].Addr(), query, "40", "Origin", origin),
		sendRaw(t, "GET", c.nodes[1].Addr(), "EIO=4&transport=polling&sid=abc.nobody", "", "Origin", origin),
		sendRaw(t, "GET", c.nodes[1].Addr(), "EIO=4&transport=websocket&sid="+sid, "", "Origin", origin, "Connection", "Upgrade", "Upgrade", "websocket"),
	} {
		if a.status != http.StatusBadRequest || a.body != unknownSession || a.header.Get("Access-Control-Allow-Origin") != origin {
			t.Errorf("answer %d: %d %v %s", i, a.status, a.header, a.body)
		}
	}
	again := c.nodes[1].page("1", "1", "text")
	c.nodes[1].message("1", "welcome back")
	if got := parse[messageOnWire](t, again.next("new_msg")); got.Title != "welcome back" {
		t.Errorf("message %+v", got)
	}
}

func TestBodiesAreBoundedThroughAHop(t *testing.T) {
	const limit = 100_000
	c := startCluster(t, 2, func(o *Options) { o.MaxPayload = limit })
	query := "EIO=4&transport=polling&sid=" + begin(t, c.nodes[0].Addr())
	if a := sendRaw(t, "POST", c.nodes[1].Addr(), query, "40"); a.status != http.StatusOK {
		t.Fatalf("%d %s", a.status, a.body)
	}
	if a := sendRaw(t, "GET", c.nodes[1].Addr(), query, ""); !strings.HasPrefix(a.body, "40") {
		t.Fatalf("%d %s", a.status, a.body)
	}
	largest := `42["unknown","` + strings.Repeat("x", limit-16) + `"]`
	if a := sendRaw(t, "POST", c.nodes[1].Addr(), query, largest); a.status != http.StatusOK {
		t.Errorf("%d bytes are answered %d %s", len(largest), a.status, a.body)
	}
	for _, known := range []bool{true, false} {
		var body io.Reader = strings.NewReader(largest + "x")
		if !known {
			body = io.MultiReader(body) // of no length that is known: in chunks
		}
		r, err := http.NewRequest("POST", "http://"+c.nodes[1].Addr()+"/socket.io/?"+query, body)
		if err != nil {
			t.Fatal(err)
		}
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("a byte more (length said: %v) is answered %s", known, res.Status)
		}
	}
}

func TestOtherMethodsThroughAHop(t *testing.T) {
	c := startCluster(t, 2)
	query := "EIO=4&transport=polling&sid=" + begin(t, c.nodes[0].Addr())
	for _, method := range []string{"HEAD", "OPTIONS", "DELETE"} {
		here := sendRaw(t, method, c.nodes[0].Addr(), query, "")
		there := sendRaw(t, method, c.nodes[1].Addr(), query, "")
		for _, a := range []rawAnswer{here, there} {
			a.header.Del("Date")
		}
		if fmt.Sprint(here) != fmt.Sprint(there) {
			t.Errorf("%s is answered\n%+v by the node, and\n%+v by another", method, here, there)
		}
	}
}

// fromOutside asks a node as a page that is somewhere else.
func (f *fixture) fromOutside(method, query string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/socket.io/?"+query, nil)
	r.RemoteAddr, r.Host = "203.0.113.9:4711", "127.0.0.1"
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	f.publicRoutes().ServeHTTP(w, r)
	return w
}

func TestTheAddressOfAPageGoesWithItsRequests(t *testing.T) {
	c := startCluster(t, 2, func(o *Options) { o.LoopbackOrigins = true })
	const origin = "http://localhost:5173" // a page of another program on this machine
	query := "EIO=4&transport=polling&sid=" + begin(t, c.nodes[0].Addr())
	for i, node := range c.nodes {
		if a := sendRaw(t, "POST", node.Addr(), query, "40", "Origin", origin, "X-Forwarded-For", "127.0.0.1"); a.status != http.StatusForbidden {
			t.Errorf("node %d, through a proxy: %d", i, a.status)
		}
		for _, smuggled := range []string{"", "127.0.0.1:80"} {
			if w := node.fromOutside("GET", query, "Origin", origin, hop.AddressHeader, smuggled); w.Code != http.StatusForbidden {
				t.Errorf("node %d, from outside (it says %q): %d", i, smuggled, w.Code)
			}
		}
		if a := sendRaw(t, "POST", node.Addr(), query, "6", "Origin", origin); a.status != http.StatusOK {
			t.Errorf("node %d, from this machine: %d %s", i, a.status, a.body)
		}
	}
}

func TestNobodyOutsideCanSayWhereTheyAre(t *testing.T) {
	c := startCluster(t, 2)
	for i, node := range c.nodes {
		page := dial(t, node.Addr(), dialing{header: http.Header{hop.AddressHeader: {"203.0.113.9:1"}}})
		page.call("login", `{"token":"x"}`)
		if log := node.log.String(); strings.Contains(log, "203.0.113.9") || !strings.Contains(log, "login refused") || !strings.Contains(log, "address=127.0.0.1") {
			t.Errorf("node %d notes:\n%s", i, log)
		}
	}
}

func TestWhatCameFromANodeIsNotPassedOn(t *testing.T) {
	var asked atomic.Int32
	f := start(t, func(o *Options) {
		o.Hop = HopOptions{Node: "a", Listen: "127.0.0.1:0", Secret: auth.Secret(strings.Repeat("n", auth.MinSecretBytes)), Address: func(string) (string, bool) {
			asked.Add(1)
			return "", false
		}}
	})
	for _, c := range []struct {
		name, target, address string
		status                int
	}{
		{"a session of another node", "/socket.io/?EIO=4&transport=polling&sid=x.b", "203.0.113.9:1", http.StatusMisdirectedRequest},
		{"the beginning of one", "/socket.io/?EIO=4&transport=polling", "203.0.113.9:1", http.StatusMisdirectedRequest},
		{"without an address", "/socket.io/?EIO=4&transport=polling&sid=x.a", "", http.StatusMisdirectedRequest},
		{"one that is gone", "/socket.io/?EIO=4&transport=polling&sid=x.a", "203.0.113.9:1", http.StatusBadRequest},
		{"another path", "/v1/me/counts", "203.0.113.9:1", http.StatusNotFound},
		{"the health", "/healthz", "203.0.113.9:1", http.StatusNotFound},
	} {
		r := httptest.NewRequest("GET", c.target, nil)
		r.Header.Set(hop.AddressHeader, c.address)
		w := httptest.NewRecorder()
		f.hop.server.Handler.ServeHTTP(w, r)
		if w.Code != c.status || c.status == http.StatusBadRequest && w.Body.String() != unknownSession {
			t.Errorf("%s: %d %s", c.name, w.Code, w.Body)
		}
	}
	if asked.Load() != 0 || f.sockets.Len() != 0 {
		t.Errorf("%d nodes were looked for, %d sessions begun", asked.Load(), f.sockets.Len())
	}
	if a := sendRaw(t, "GET", f.HopAddr(), "EIO=4&transport=polling&sid=x.a", "", hop.AddressHeader, "127.0.0.1:1"); a.status != http.StatusForbidden {
		t.Errorf("whoever is no node: %d %s", a.status, a.body)
	}
}

func TestNodesWithOtherSecretsPassNothingOn(t *testing.T) {
	c := startCluster(t, 1)
	stranger := start(t, func(o *Options) {
		o.Hop = HopOptions{Node: "node-b", Listen: "127.0.0.1:0", Secret: auth.Secret(strings.Repeat("x", auth.MinSecretBytes)), Address: c.address, patience: deadline}
	})
	if a := sendRaw(t, "POST", stranger.Addr(), "EIO=4&transport=polling&sid=abc.nobody", "40"); a.status != http.StatusBadRequest || a.body != unknownSession {
		t.Errorf("a node that nobody knows: %d %s", a.status, a.body)
	}
	if log := stranger.log.String(); strings.Contains(log, "passed on") {
		t.Errorf("whoever names a node that nobody knows is noted:\n%s", log)
	}
	query := "EIO=4&transport=polling&sid=" + begin(t, c.nodes[0].Addr())
	if a := sendRaw(t, "POST", stranger.Addr(), query, "40"); a.status != http.StatusBadRequest || a.body != unknownSession {
		t.Errorf("answered %d %s", a.status, a.body)
	}
	if log := stranger.log.String(); !strings.Contains(log, "another secret") || strings.Contains(log, strings.Repeat("x", auth.MinSecretBytes)) {
		t.Errorf("it notes:\n%s", log)
	}
}

func TestHopOptionsThatAreRefused(t *testing.T) {
	good := HopOptions{
		Node: "a", Listen: "10.0.0.5:2122", Secret: auth.Secret(strings.Repeat("n", auth.MinSecretBytes)),
		Address: func(string) (string, bool) { return "", false },
	}
	for name, c := range map[string]struct {
		alter func(*HopOptions)
		says  string // of the error; "" where there is none
	}{
		"none at all":              {func(o *HopOptions) { *o = HopOptions{} }, ""},
		"as it should be":          {func(*HopOptions) {}, ""},
		"loopback":                 {func(o *HopOptions) { o.Listen = "[::1]:0" }, ""},
		"all, advertised":          {func(o *HopOptions) { o.Listen, o.Advertise = ":2122", "192.168.1.5:2122" }, ""},
		"all, advertised by name":  {func(o *HopOptions) { o.Listen, o.Advertise = "[::]:2122", "belfry-1:2122" }, ""},
		"all":                      {func(o *HopOptions) { o.Listen = ":2122" }, "advertise"},
		"public":                   {func(o *HopOptions) { o.Listen = "203.0.113.5:2122" }, "private address such as"},
		"a public one, advertised": {func(o *HopOptions) { o.Listen, o.Advertise = ":2122", "203.0.113.5:2122" }, "public"},
		"none, advertised":         {func(o *HopOptions) { o.Advertise = "0.0.0.0:2122" }, "none"},
		"no port, advertised":      {func(o *HopOptions) { o.Advertise = "10.0.0.5" }, "host and a port"},
		"a name":                   {func(o *HopOptions) { o.Listen = "belfry-1:2122" }, "IP address"},
		"nothing":                  {func(o *HopOptions) { o.Listen = "" }, "address for other nodes"},
		"a node that is no word":   {func(o *HopOptions) { o.Node = "a.b" }, "node"},
		"a short secret":           {func(o *HopOptions) { o.Secret = "short" }, "secret"},
		"nobody who knows nodes":   {func(o *HopOptions) { o.Address = nil }, "Address"},
	} {
		o := good
		c.alter(&o)
		err := o.check()
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
		if err != nil && o.Secret != "" && strings.Contains(err.Error(), string(o.Secret)) {
			t.Errorf("%s: the error has the secret", name)
		}
	}
}

func TestStartFailsWhereThePortForNodesIsTaken(t *testing.T) {
	f := start(t)
	s, err := New(context.Background(), Options{
		Listen: "127.0.0.1:0", PushListen: "127.0.0.1:0", Store: f.store, Tokens: f.tokens, Logger: f.Server.log,
		Hop: HopOptions{
			Node: "a", Listen: f.Addr(), Secret: auth.Secret(strings.Repeat("n", auth.MinSecretBytes)),
			Address: func(string) (string, bool) { return "", false },
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(); err == nil || !strings.Contains(err.Error(), f.Addr()) {
		t.Errorf("Start: %v; want it to name the address", err)
	}
	if err := s.Stop(context.Background()); err != nil {
		t.Errorf("Stop after it: %v", err)
	}
}
