package server

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestOrigins(t *testing.T) {
	none, listed, all, local := Options{}, Options{Origins: []string{"https://App.example.com", "http://b.example:8080/"}},
		Options{Origins: []string{"*"}}, Options{LoopbackOrigins: true}
	cases := []struct {
		name         string
		o            Options
		host, origin string
		from         string
		want         bool
	}{
		{"the own host", none, "chat.example", "https://chat.example", "203.0.113.9:1", true},
		{"the own host on another port", none, "chat.example:2120", "http://chat.example:8080", "203.0.113.9:1", true},
		{"the own host in capitals", none, "chat.example:2120", "http://CHAT.example", "203.0.113.9:1", true},
		{"an IPv6 address", none, "[::1]:2120", "http://[::1]", "203.0.113.9:1", true},
		{"another host", none, "chat.example:2120", "http://evil.example", "203.0.113.9:1", false},
		{"a host that begins alike", none, "chat.example", "http://chat.example.evil.example", "203.0.113.9:1", false},
		{"a host that ends alike", none, "chat.example", "http://evilchat.example", "203.0.113.9:1", false},
		{"a name before an at sign", none, "chat.example", "http://chat.example@evil.example", "203.0.113.9:1", false},
		{"null", none, "chat.example", "null", "203.0.113.9:1", false},
		{"nonsense", none, "chat.example", "http://[", "203.0.113.9:1", false},
		{"a page of this machine", none, "127.0.0.1:2120", "http://localhost:3000", "127.0.0.1:1", false},
		{"a listed origin", listed, "chat.example", "https://app.example.com", "203.0.113.9:1", true},
		{"a listed origin with its port", listed, "chat.example", "http://b.example:8080", "203.0.113.9:1", true},
		{"a listed host by another scheme", listed, "chat.example", "http://app.example.com", "203.0.113.9:1", false},
		{"a listed host on another port", listed, "chat.example", "http://b.example:8081", "203.0.113.9:1", false},
		{"any, where all are allowed", all, "chat.example", "https://x.example", "203.0.113.9:1", true},
		{"null, where all are allowed", all, "chat.example", "null", "203.0.113.9:1", true},
		{"a page of this machine, in development", local, "127.0.0.1:2120", "http://localhost:3000", "127.0.0.1:1", true},
		{"a page of this machine by address, in development", local, "localhost:2120", "http://127.0.0.1:3000", "[::1]:1", true},
		{"a file, in development", local, "localhost:2120", "null", "127.0.0.1:1", true},
		{"another host, in development", local, "localhost:2120", "http://evil.example", "127.0.0.1:1", false},
		{"a host called like this machine, in development", local, "localhost:2120", "http://localhost.evil.example", "127.0.0.1:1", false},
		{"a page of another machine's own, in development", local, "chat.example", "http://localhost:3000", "203.0.113.9:1", false},
		{"a file on another machine, in development", local, "chat.example", "null", "203.0.113.9:1", false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p, err := newOriginPolicy(c.o.Origins, c.o.LoopbackOrigins)
			if err != nil {
				t.Fatal(err)
			}
			r := httptest.NewRequest("GET", "http://"+c.host+"/socket.io/", nil)
			r.RemoteAddr = c.from
			r.Header.Set("Origin", c.origin)
			if got := p.allows(r); got != c.want {
				t.Errorf("allowed: %v, want %v", got, c.want)
			}
		})
	}
	t.Run("a file through a proxy, in development", func(t *testing.T) {
		p, err := newOriginPolicy(nil, true)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest("GET", "http://localhost:2120/socket.io/", nil)
		r.RemoteAddr = "127.0.0.1:1"
		r.Header.Set("Origin", "null")
		r.Header.Set("X-Forwarded-For", "203.0.113.9")
		if p.allows(r) {
			t.Error("it is allowed")
		}
	})
}

func TestOriginsThatCannotBeListed(t *testing.T) {
	for _, origin := range []string{"", "app.example.com", "ftp://x.example", "https://", "https://x.example/path", "null", "https://*.example.com/x", "%"} {
		if _, err := newOriginPolicy([]string{origin}, false); err == nil {
			t.Errorf("%q is accepted", origin)
		}
	}
}

func TestAForeignOriginGets403AtOnceAndOthersTheirHeaders(t *testing.T) {
	f := start(t, func(o *Options) { o.Origins = []string{"https://app.example.com"} })
	ask := func(method, origin string) *http.Response {
		t.Helper()
		req := newRequest(t, method, "http://"+f.Addr()+"/socket.io/?EIO=9&transport=polling", "", "")
		if origin != "" {
			req.Header.Set("Origin", origin)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		return res
	}
	if res := ask("GET", "https://evil.example"); res.StatusCode != http.StatusForbidden || res.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("a foreign origin: status %d, headers %v", res.StatusCode, res.Header)
	}
	if res := ask("OPTIONS", "https://evil.example"); res.StatusCode != http.StatusForbidden {
		t.Errorf("a foreign preflight: status %d", res.StatusCode)
	}
	for _, method := range []string{"GET", "OPTIONS"} {
		res := ask(method, "https://app.example.com")
		h := res.Header
		if res.StatusCode == http.StatusForbidden || h.Get("Access-Control-Allow-Origin") != "https://app.example.com" || h.Get("Access-Control-Allow-Credentials") != "true" || h.Get("Vary") != "Origin" {
			t.Errorf("%s of a listed origin: status %d, headers %v", method, res.StatusCode, h)
		}
	}
	if res := ask("GET", ""); res.StatusCode == http.StatusForbidden || res.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("without an origin: status %d, headers %v", res.StatusCode, res.Header)
	}
}
