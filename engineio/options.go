package engineio

import (
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unique"
)

// Protocol is a revision of the Engine.IO protocol, as the EIO parameter of a
// request names it.
type Protocol uint8

// The revisions that are served: 3 for Socket.IO clients 1.x and 2.x, 4 for 3.x
// and 4.x.
const (
	Protocol3 Protocol = 3
	Protocol4 Protocol = 4
)

// Options configure a [Server]. The zero value is useful.
type Options struct {
	// PingInterval is the time between heartbeats; 0 means 25 s (the default of
	// the protocol's reference server).
	PingInterval time.Duration
	// PingTimeout is how long a heartbeat may take; 0 means 20 s.
	PingTimeout time.Duration
	// MaxPayload bounds one message from a client and the body of one POST, in
	// bytes; 0 means 1,000,000.
	MaxPayload int
	// MaxQueue bounds what waits to be written to one session, in bytes, the
	// frame that is being written left aside. A Send that finds that much waiting
	// closes the session with [ReasonTooSlow]; one that finds less always enters,
	// so that a single larger message passes. 0 means 256 KiB.
	MaxQueue int
	// UpgradeTimeout bounds the time from a WebSocket probe to its upgrade
	// packet; 0 means 10 s.
	UpgradeTimeout time.Duration
	// CheckOrigin decides about requests that carry an Origin header; nil means
	// [SameHost]. Refused requests get 403 at once.
	CheckOrigin func(*http.Request) bool
	// HandshakeHeaders names the request headers that [Handshake.Header] keeps
	// for the life of a session. None by default: headers are large.
	HandshakeHeaders []string
	// GoroutineReaders has every WebSocket connection read by a goroutine of its
	// own. On Linux, TCP connections, plain and under TLS, are otherwise watched by
	// one poller, which takes less memory; everything else, and other systems, have
	// goroutines in any case.
	GoroutineReaders bool
	// Node is the name of this server among several: the ids of its sessions end in it, so that whoever gets a request
	// of a session can tell whose it is; see [NodeOf]. It is empty, or a [ValidNode].
	Node string
	// Resume, where set, takes back a connection that was taken from net/http while a GET waited, and that has been
	// answered: it has the next requests on it served. From is the server that it was taken from; early is what has been
	// read of the next requests. It reports false if it does not take it. On Linux, where it is set, an idle page that polls takes as little memory as one over
	// WebSocket; everywhere else net/http keeps the connection, two goroutines and their buffers.
	Resume func(from *http.Server, conn net.Conn, early []byte) bool
	// Logger gets what is worth an operator's attention; nil means
	// slog.Default().
	Logger *slog.Logger
}

// closeTimeout bounds how long a session that is being closed may take to
// write what is queued for it.
const closeTimeout = 5 * time.Second

// nextGet is how long a session that is being closed over polling waits for the
// GET that will be told so, if there is none at the moment. A client sends it as soon as it has the answer to the
// one before; one that has gone away never does.
const nextGet = time.Second

// lateGet is how long a session whose client has closed it over polling waits for
// the GET to answer.
const lateGet = 100 * time.Millisecond

// waits are for how long a server waits, as the constants of the same names say. Tests of something else than the end of a wait have it wait
// longer, or not at all.
type waits struct {
	closeTimeout, nextGet, lateGet, handlingTimeout, parkAfter time.Duration
}

var defaultWaits = waits{closeTimeout, nextGet, lateGet, handlingTimeout, parkAfter}

func (o Options) withDefaults() Options {
	setDefault(&o.PingInterval, 25*time.Second)
	setDefault(&o.PingTimeout, 20*time.Second)
	setDefault(&o.MaxPayload, 1_000_000)
	setDefault(&o.MaxQueue, 256<<10)
	setDefault(&o.UpgradeTimeout, 10*time.Second)
	if o.CheckOrigin == nil {
		o.CheckOrigin = SameHost
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

func setDefault[T int | time.Duration](v *T, d T) {
	if *v <= 0 {
		*v = d
	}
}

// SameHost accepts a request whose Origin has the host name that the request
// was sent to, whatever the port: the page of a site may talk to another port
// of it.
func SameHost(r *http.Request) bool {
	origin, err := url.Parse(r.Header.Get("Origin"))
	if err != nil || origin.Host == "" {
		return false
	}
	host := r.Host
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	return strings.EqualFold(strings.Trim(host, "[]"), origin.Hostname())
}

// A Handshake is what is kept of the request that opened a session.
type Handshake struct {
	Address string      // the peer's host:port
	Path    string      // of the URL
	Header  http.Header // those that Options.HandshakeHeaders names
	Secure  bool        // over TLS
	// RawQuery has the parameters of the URL, encoded, without those of the
	// protocol itself. Most clients send no others.
	RawQuery string
}

// Query returns the parameters of the URL, without those of the protocol itself.
func (h *Handshake) Query() url.Values {
	query, err := url.ParseQuery(h.RawQuery)
	if err != nil {
		return url.Values{} // set by somebody else
	}
	return query
}

// protocolParameters are those that the protocol gives a meaning (EIO4, "HTTP
// long-polling"; EIO3, "URLs").
var protocolParameters = []string{"EIO", "transport", "sid", "t", "j", "b64"}

// newHandshake copies what it keeps: a part of the request would hold on to the
// whole of it.
func newHandshake(r *http.Request, query url.Values, keep []string) *Handshake {
	h := &Handshake{Address: r.RemoteAddr, Path: unique.Make(r.URL.Path).Value(), Secure: r.TLS != nil}
	for _, name := range keep {
		if values := r.Header.Values(name); len(values) > 0 {
			if h.Header == nil {
				h.Header = make(http.Header, 1)
			}
			h.Header[http.CanonicalHeaderKey(name)] = slices.Clone(values)
		}
	}
	rest := maps.Clone(query)
	for _, name := range protocolParameters {
		delete(rest, name)
	}
	h.RawQuery = rest.Encode()
	return h
}
