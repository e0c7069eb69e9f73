package hop

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// AddressHeader has the host:port that a request came from. On the connection of a node it is to be believed, elsewhere
// it means nothing.
const AddressHeader = "Belfry-Hop-Address"

// The bounds of connections to other nodes.
const (
	dialTimeout = 2 * time.Second // greeting included; for [Options].DialTimeout
	// maxIdle is how many connections to a node are kept that no request is on. Each request that waits has one of its own.
	maxIdle     = 1024
	idleTimeout = time.Minute
	// OwnerIdleTimeout is how long the owner of a Listener has to keep a connection that no request is on: longer than the passer
	// does, so that no request meets the end of its connection.
	OwnerIdleTimeout = 2 * idleTimeout
)

// Options configure a [Passer]. All but DialTimeout are needed.
type Options struct {
	Key Key
	// Address finds the Listener of a node, at host:port. It reports false where there is no such node. It must not wait for long,
	// and is called by many at once.
	Address func(node string) (address string, ok bool)
	// AnswerTimeout is how long the answer to one request may take: longer than any poll waits.
	AnswerTimeout time.Duration
	// DialTimeout is how long a connection to a node may take to be there, the greeting included. 0 means 2 s.
	DialTimeout time.Duration
	Logger      *slog.Logger
}

// A Passer passes requests on to other nodes. It is safe for concurrent use.
type Passer struct {
	options   Options
	transport *http.Transport
	complain  rate.Sometimes

	ctx  context.Context // of all that is passed on
	stop context.CancelFunc

	mu     sync.Mutex
	closed bool
	relays sync.WaitGroup
}

// NewPasser makes a passer, which is to be closed.
func NewPasser(o Options) *Passer {
	if o.DialTimeout <= 0 {
		o.DialTimeout = dialTimeout
	}
	p := &Passer{options: o, complain: rate.Sometimes{Interval: 10 * time.Second}}
	p.ctx, p.stop = context.WithCancel(context.Background())
	p.transport = &http.Transport{
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			node, _, err := net.SplitHostPort(address)
			if err != nil {
				return nil, err
			}
			return p.dial(ctx, node)
		},
		DisableCompression:    true, // what the page asks for is what it gets
		MaxIdleConnsPerHost:   maxIdle,
		IdleConnTimeout:       idleTimeout,
		ResponseHeaderTimeout: o.AnswerTimeout,
		ReadBufferSize:        1 << 10, // a connection is there as long as the poll on it
		WriteBufferSize:       1 << 10,
	}
	return p
}

// Close ends what is being passed on, connections that were upgraded included, and returns when these have ended.
func (p *Passer) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.stop()
	p.relays.Wait()
	p.transport.CloseIdleConnections()
}

var errUnknownNode = errors.New("no such node")

// dial makes a connection to a node that has proved to be it.
func (p *Passer) dial(ctx context.Context, node string) (net.Conn, error) {
	address, ok := p.options.Address(node)
	if !ok {
		return nil, errUnknownNode
	}
	ctx, cancel := context.WithTimeout(ctx, p.options.DialTimeout)
	defer cancel()
	dialer := net.Dialer{Control: mustBePrivate}
	c, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	err = c.SetDeadline(deadline)
	if err == nil {
		err = p.options.Key.introduce(c, node)
	}
	if err == nil {
		err = c.SetDeadline(time.Time{})
	}
	if err != nil {
		c.Close()
		return nil, fmt.Errorf("greeting %s: %w", address, err)
	}
	return c, nil
}

// Pass has a node, whose name can stand for a host in a URL, answer a request. What the node answers is the answer, its headers
// included, and a connection that it upgrades goes on through this process. Pass reports false, and has
// written nothing, if the node is not known or does not answer: then somebody else has to. The body may have been
// read by then.
func (p *Passer) Pass(w http.ResponseWriter, r *http.Request, node string) (passed bool) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(p.ctx, cancel)()
	out := outgoing(ctx, r, node)
	var err error
	if isWebSocket(r) {
		err = p.passUpgrade(w, out)
	} else {
		err = p.passPlain(w, out)
	}
	switch {
	case err == nil, r.Context().Err() != nil: // or nobody waits for the answer
		return true
	case !errors.Is(err, errUnknownNode) && p.ctx.Err() == nil:
		p.complain.Do(func() {
			p.options.Logger.Warn("a request could not be passed on to its node", "node", node, "err", err)
		})
	}
	return false
}

// outgoing is the request to pass on.
func outgoing(ctx context.Context, r *http.Request, node string) *http.Request {
	out := (&http.Request{
		Method:        r.Method,
		URL:           &url.URL{Scheme: "http", Host: node, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery},
		Host:          r.Host,
		Header:        r.Header.Clone(),
		ContentLength: r.ContentLength,
	}).WithContext(ctx)
	if r.ContentLength != 0 {
		out.Body = r.Body
	}
	removeHopByHop(out.Header)
	if out.Header.Get("User-Agent") == "" {
		out.Header.Set("User-Agent", "") // or net/http would send its own
	}
	out.Header.Set(AddressHeader, r.RemoteAddr)
	return out
}

// hopByHop are the headers that are about a connection and not about what is sent (RFC 9110 section 7.6.1).
var hopByHop = []string{
	"Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection", "Te", "Trailer",
	"Transfer-Encoding", "Upgrade", "Expect",
}

func removeHopByHop(h http.Header) {
	for _, listed := range h.Values("Connection") {
		for name := range strings.SplitSeq(listed, ",") {
			h.Del(strings.TrimSpace(name))
		}
	}
	for _, name := range hopByHop {
		h.Del(name)
	}
}

// passPlain passes on a request that is answered and over. It fails before anything is written. What the node may have got is sent
// once: an answer to a poll that is lost on the way back must not be followed by the next as if it had come.
func (p *Passer) passPlain(w http.ResponseWriter, out *http.Request) error {
	if out.Method == http.MethodGet && out.Body == nil {
		out.Body = io.NopCloser(strings.NewReader("")) // net/http sends a GET with a body of its own no second time
	}
	res, err := p.transport.RoundTrip(out)
	if err != nil {
		return err
	}
	answer(w, res)
	return nil
}

// answer gives an answer of the node to the page.
func answer(w http.ResponseWriter, res *http.Response) {
	defer res.Body.Close()
	removeHopByHop(res.Header)
	for name, values := range res.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(res.StatusCode)
	if _, err := io.Copy(w, res.Body); err != nil {
		panic(http.ErrAbortHandler) // a part must not be taken for the whole
	}
}
