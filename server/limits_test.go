package server

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"
)

func TestNetworksThatAreCounted(t *testing.T) {
	for address, want := range map[string]string{
		"203.0.113.9:80":          "203.0.113.9/32",
		"[::ffff:203.0.113.9]:80": "203.0.113.9/32",
		"[2001:db8:1:2::3]:80":    "2001:db8:1:2::/64",
		"[2001:db8:1:2:ff::9]:80": "2001:db8:1:2::/64",
		"[fe80::1%eth0]:80":       "fe80::/64",
		"127.0.0.1:80":            "", // this machine: a proxy on it speaks for everybody
		"[::1]:80":                "",
		"[::ffff:127.0.0.1]:80":   "",
		"localhost:80":            "",
		"nonsense":                "",
	} {
		network, counted := networkOf(address)
		if counted != (want != "") || counted && network.String() != want {
			t.Errorf("%s is counted as %v (%v), want %q", address, network, counted, want)
		}
	}
}

func TestHandshakesOfOneAddressAreLimitedOverTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(Limits{Handshakes: 2}) // bursts of 20
		begin := func(address string, n int) (begun int) {
			for range n {
				if l.mayBegin(address) {
					begun++
				}
			}
			return begun
		}
		if got := begin("203.0.113.9:1", 30); got != 20 {
			t.Errorf("%d handshakes at once, want 20", got)
		}
		if got := begin("203.0.113.8:1", 30); got != 20 {
			t.Errorf("another address: %d handshakes, want 20", got)
		}
		if got := begin("127.0.0.1:1", 100); got != 100 {
			t.Errorf("this machine: %d handshakes, want all", got)
		}
		time.Sleep(3 * time.Second) // of the bubble's clock
		if got := begin("203.0.113.9:2", 30); got != 6 {
			t.Errorf("%d handshakes after 3 s, want 6", got)
		}
		if got := begin("[2001:db8::1]:1", 15) + begin("[2001:db8::2]:1", 15); got != 20 {
			t.Errorf("%d handshakes of one network of IPv6, want 20", got)
		}
	})
}

func TestPagesOfOneAddressAreLimited(t *testing.T) {
	l := newLimiter(Limits{Pages: 2})
	const address = "203.0.113.9:1"
	for range 2 {
		if !l.enter(address) {
			t.Fatal("a page is refused where two are allowed")
		}
	}
	if l.mayBegin(address) {
		t.Error("a third connection may begin")
	}
	if l.enter(address) {
		t.Error("a third page may enter")
	}
	l.leave(address) // the third, which was refused
	l.leave(address)
	if !l.mayBegin(address) || !l.enter(address) {
		t.Error("a page is refused although one has left")
	}
	for range 100 {
		if !l.enter("127.0.0.1:1") {
			t.Fatal("this machine is limited")
		}
		defer l.leave("127.0.0.1:1")
	}
}

func TestIdleAddressesAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLimiter(Limits{Handshakes: 1})
		const stays, owes = "203.0.113.1:1", "203.0.113.2:1"
		l.enter(stays)
		for i := range 5 * minSweep {
			l.mayBegin(fmt.Sprintf("10.0.%d.%d:1", i/256, i%256))
			if n := len(l.visitors); n > l.sweepAt {
				t.Fatalf("%d addresses are remembered", n)
			}
			if i%minSweep == 0 {
				time.Sleep(time.Minute) // all have their burst back
			}
		}
		for range 10 {
			l.mayBegin(owes)
		}
		l.sweep()
		if len(l.visitors) > 2*minSweep {
			t.Errorf("%d addresses are remembered", len(l.visitors))
		}
		if l.mayBegin(owes) {
			t.Error("an address that has used up its burst was forgotten")
		}
		network, _ := networkOf(stays)
		if v := l.visitors[network]; v == nil || v.pages != 1 {
			t.Error("an address with an open page was forgotten")
		}
	})
}

func TestTooManyHandshakesAreAnsweredSo(t *testing.T) {
	l := newLimiter(Limits{Handshakes: 0.1})
	reached := 0
	h := l.handshakesOf(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached++ }))
	ask := func(query string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", "/socket.io/?"+query, nil)
		r.RemoteAddr = "203.0.113.9:1"
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	ask("EIO=4")
	if w := ask("EIO=4"); w.Code != http.StatusTooManyRequests || w.Header().Get("Retry-After") == "" || reached != 1 {
		t.Errorf("the second handshake: status %d, %d reached", w.Code, reached)
	}
	if w := ask("EIO=4&sid=x"); w.Code != http.StatusOK || reached != 2 {
		t.Errorf("a request of a session: status %d, %d reached", w.Code, reached)
	}
}
