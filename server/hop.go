package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"belfry/auth"
	"belfry/engineio"
	"belfry/internal/handover"
	"belfry/internal/hop"
)

// HopOptions make a server one of many nodes behind a balancer that need not know sessions. The ids of sessions name their
// node, and a node that gets a request of another's session, over polling or to upgrade it, passes it on. A session whose node
// is gone is unknown to every other, so that its page begins a new one. After an upgrade, the page's WebSocket connection goes
// on through the node that it was made to: a node carries about as many connections of others as of its own, unless pages begin with
// WebSocket.
//
// Nodes prove to each other that they have the secret, but what they send is not encrypted; so the listener takes private
// addresses alone: loopback, private, link-local and shared ones (RFC 6598).
type HopOptions struct {
	// Node is the name of this node, an [engineio.ValidNode]. No other node may have it at the same time. Where it is empty, no hop is
	// made.
	Node string
	// Listen is the ip:port for other nodes. The address is private, or unspecified (":2122"), if Advertise is
	// set: then connections to other addresses of this machine than private ones are refused.
	Listen string
	// Advertise is the host:port where other nodes reach this one; "" means that it is the one of Listen.
	Advertise string
	// Secret is what the nodes share, at least [auth.MinSecretBytes] long. It may be the one of login tokens.
	Secret auth.Secret
	// Address finds the advertised address of another node, and reports false where there is no such node. It is called by many at once
	// whenever a connection is to be made, and waited for; whoever asks for a session may have named the node, so it should bound
	// what it does for nodes that it does not know.
	Address func(node string) (address string, ok bool)

	// patience is what nodes have for each other at least: to connect, and to take the last answers. Tests set it, whose machine may stand
	// still for longer than nodes wait.
	patience time.Duration
}

func (o HopOptions) check() error {
	if o.Node == "" {
		return nil
	}
	switch {
	case !engineio.ValidNode(o.Node):
		return fmt.Errorf("server: node %q must be 1 to %d letters, digits, - and _", o.Node, engineio.MaxNodeLen)
	case len(o.Secret) < auth.MinSecretBytes:
		return fmt.Errorf("server: the secret of the nodes must have at least %d bytes", auth.MinSecretBytes)
	case o.Address == nil:
		return errors.New("server: HopOptions need Address")
	}
	return o.checkPrivate()
}

// checkPrivate says what to do where the listener would be open to the internet.
func (o HopOptions) checkPrivate() error {
	host, _, err := net.SplitHostPort(o.Listen)
	if err != nil {
		return fmt.Errorf("server: the address for other nodes: %w", err)
	}
	if host == "" {
		host = "0.0.0.0"
	}
	ip, err := netip.ParseAddr(host)
	switch {
	case err != nil:
		return fmt.Errorf("server: the address for other nodes, %s, must be an IP address with a port", o.Listen)
	case ip.IsUnspecified() && o.Advertise == "":
		return fmt.Errorf("server: the address for other nodes, %s, does not say where they find this one; listen on a private address such as 10.0.0.5:2122, or advertise one", o.Listen)
	case !ip.IsUnspecified() && !hop.Private(ip):
		return fmt.Errorf("server: the address for other nodes, %s, is public, and what nodes send each other is not encrypted; listen on a private address such as 10.0.0.5:2122, of a VPN if the nodes have no network of their own", o.Listen)
	case o.Advertise == "":
		return nil
	}
	host, _, err = net.SplitHostPort(o.Advertise)
	if err != nil || host == "" {
		return fmt.Errorf("server: the advertised address %q must be a host and a port", o.Advertise)
	}
	// A name is looked up by whoever dials, and what it stands for is checked there.
	if ip, err := netip.ParseAddr(host); err == nil && !hop.Private(ip) {
		return fmt.Errorf("server: the advertised address %s is public, or none; other nodes pass requests on to private addresses alone", o.Advertise)
	}
	return nil
}

// A hopPort is what a node has for its others: the listener, and what passes on to theirs.
type hopPort struct {
	options  HopOptions
	address  string // that others know, once it listens
	key      hop.Key
	passer   *hop.Passer
	listener *hop.Listener
	resumed  *handover.Listener // connections that were taken from server for a while
	server   *http.Server
	log      *slog.Logger
}

// answerMargin is how much longer than a session may be silent an answer of its node may take.
const answerMargin = 5 * time.Second

func newHopPort(o HopOptions, engine engineio.Options, handler http.Handler, log *slog.Logger) *hopPort {
	key := hop.NewKey(string(o.Secret))
	h := &hopPort{
		options: o, key: key, log: log,
		passer: hop.NewPasser(hop.Options{
			Key: key, Address: o.Address, Logger: log,
			AnswerTimeout: engine.PingInterval + engine.PingTimeout + answerMargin,
			DialTimeout:   o.patience,
		}),
		server: &http.Server{
			Handler: handler,
			// A connection on which a GET was parked is a new one to net/http, which waits for its first request this long.
			ReadHeaderTimeout: hop.OwnerIdleTimeout,
			IdleTimeout:       hop.OwnerIdleTimeout,
			MaxHeaderBytes:    2 * maxHeaderBytes, // what the public port took, and the page's address
			ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		},
	}
	new(freshList).watch(h.server)
	return h
}

func (h *hopPort) listen() error {
	l, err := net.Listen("tcp", h.options.Listen)
	if err != nil {
		return err
	}
	h.address = l.Addr().String()
	if h.options.Advertise != "" {
		h.address = h.options.Advertise
	}
	h.listener = hop.Listen(l, h.key, h.options.Node, h.log)
	h.resumed = handover.Listen(l.Addr())
	h.log.Info("listening for other nodes", "node", h.options.Node, "address", h.address)
	return nil
}

func (h *hopPort) serve() error { return h.server.Serve(h.listener) }

func (h *hopPort) serveResumed() error { return h.server.Serve(h.resumed) }

// hopEndTimeout is how long answers to other nodes may take when all sessions have ended.
const hopEndTimeout = time.Second

// shutdown ends the port. Connections that others keep for later are not waited for.
func (h *hopPort) shutdown(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, max(hopEndTimeout, h.options.patience))
	defer cancel()
	if h.server.Shutdown(ctx) != nil {
		h.server.Close()
	}
}

// passingOn passes requests of other nodes' sessions on to these. Next answers all others, and those whose node cannot be had:
// it does not know their session. A preflight is about no session.
func (s *Server) passingOn(next http.Handler) http.Handler {
	if s.hop == nil {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		node, named := engineio.NodeOf(r.URL.Query().Get("sid"))
		if !named || node == s.hop.options.Node || r.Method == http.MethodOptions || !s.hop.passer.Pass(w, r, node) {
			next.ServeHTTP(w, r)
		}
	})
}

// fromNodes has requests that other nodes pass on look as the page sent them. They are of sessions: one
// begins where its page connects.
func (s *Server) fromNodes(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		node, _ := engineio.NodeOf(r.URL.Query().Get("sid"))
		address, err := netip.ParseAddrPort(r.Header.Get(hop.AddressHeader))
		if node != s.options.Hop.Node || err != nil {
			http.Error(w, "not for this node", http.StatusMisdirectedRequest)
			return
		}
		r.Header.Del(hop.AddressHeader)
		r.RemoteAddr = address.String()
		next.ServeHTTP(w, r)
	})
}
