package server

import (
	"net"
	"net/http"
	"net/netip"
	"sync"

	"golang.org/x/time/rate"
)

// Limits bound what one address may do. Addresses of this machine are not
// limited: behind a proxy on it, every page has one.
type Limits struct {
	// Pages is how many pages an address may have open; 0 means 10,000. The
	// people of a large office share one address.
	Pages int
	// Handshakes is how many connections per second an address may begin, with
	// bursts of ten times that; 0 means 200. A request of the REST API counts as
	// one.
	Handshakes float64
}

// A limiter counts by address; of IPv6 by network of 64 bits, which is what one
// subscriber has (RFC 6177).
type limiter struct {
	limits Limits

	mu       sync.Mutex
	visitors map[netip.Prefix]*visitor
	sweepAt  int // the number of visitors at which idle ones are forgotten
}

type visitor struct {
	pages      int
	handshakes *rate.Limiter
}

const minSweep = 1024

func newLimiter(l Limits) *limiter {
	if l.Pages <= 0 {
		l.Pages = 10_000
	}
	if l.Handshakes <= 0 {
		l.Handshakes = 200
	}
	return &limiter{limits: l, visitors: make(map[netip.Prefix]*visitor), sweepAt: minSweep}
}

// networkOf returns what is counted for a host:port. It reports false where
// nothing is.
func networkOf(address string) (netip.Prefix, bool) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return netip.Prefix{}, false
	}
	ip, err := netip.ParseAddr(host)
	if err != nil || ip.Unmap().IsLoopback() {
		return netip.Prefix{}, false
	}
	ip = ip.Unmap().WithZone("")
	bits := 32
	if ip.Is6() {
		bits = 64
	}
	prefix, err := ip.Prefix(bits)
	return prefix, err == nil
}

// visitor returns the record of a network. The lock is held.
func (l *limiter) visitor(network netip.Prefix) *visitor {
	v := l.visitors[network]
	if v == nil {
		if len(l.visitors) >= l.sweepAt {
			l.sweep()
		}
		v = &visitor{handshakes: rate.NewLimiter(rate.Limit(l.limits.Handshakes), max(1, int(10*l.limits.Handshakes)))}
		l.visitors[network] = v
	}
	return v
}

// sweep forgets the networks that have no page and their whole burst back. The
// lock is held.
func (l *limiter) sweep() {
	for network, v := range l.visitors {
		if v.pages == 0 && v.handshakes.Tokens() >= float64(v.handshakes.Burst()) {
			delete(l.visitors, network)
		}
	}
	l.sweepAt = max(minSweep, 2*len(l.visitors))
}

// handshakesOf lets requests of a session through, and those that begin one as
// far as their address may.
func (l *limiter) handshakesOf(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("sid") == "" && !l.mayBegin(r.RemoteAddr) {
			w.Header().Set("Retry-After", "1")
			http.Error(w, "too many connections from this address; try again later", http.StatusTooManyRequests)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// mayBegin reports whether an address may begin one more connection.
func (l *limiter) mayBegin(address string) bool {
	return l.count(address, func(v *visitor) bool { return v.pages < l.limits.Pages && v.handshakes.Allow() })
}

// mayAsk reports whether an address may make one more request of the REST API.
func (l *limiter) mayAsk(address string) bool {
	return l.count(address, func(v *visitor) bool { return v.handshakes.Allow() })
}

// enter counts a page in and reports whether its address may have it. leave must
// follow in either case.
func (l *limiter) enter(address string) bool {
	return l.count(address, func(v *visitor) bool {
		v.pages++
		return v.pages <= l.limits.Pages
	})
}

// leave counts a page out.
func (l *limiter) leave(address string) {
	l.count(address, func(v *visitor) bool {
		v.pages--
		return true
	})
}

// count asks the record of an address, under the lock. Where nothing is counted
// everything is allowed.
func (l *limiter) count(address string, ask func(*visitor) bool) bool {
	network, counted := networkOf(address)
	if !counted {
		return true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return ask(l.visitor(network))
}
