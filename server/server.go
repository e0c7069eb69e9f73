package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"belfry"
	"belfry/auth"
	"belfry/engineio"
	"belfry/internal/handover"
	"belfry/internal/plainhttp"
	"belfry/socketio"
)

// Options configure a [Server]. Store and Tokens are needed; the zero value of
// everything else is useful.
type Options struct {
	// Listen is the public address, for pages; "" means ":2120".
	Listen string
	// PushListen is the address for backends; "" means "127.0.0.1:2121".
	PushListen string
	// Path is where Socket.IO is; "" means "/socket.io/".
	Path string

	Store  belfry.Store
	Check  func(context.Context) error // is the store there; nil means that it always is
	Tokens *auth.Tokens
	// PushKey is the key of backends. The zero Key matches nothing.
	PushKey auth.Key
	// OpenPush lets programs on this machine push without the key.
	OpenPush bool
	// InsecureLogin says from where pages may log in without a token; "" means
	// [InsecureOff].
	InsecureLogin InsecureLogin
	// Origins lists origins of pages, beside the server's own host.
	Origins []string
	// LoopbackOrigins accepts every page on this machine.
	LoopbackOrigins bool
	// Demo serves the demo application.
	Demo bool

	// Zone is for dates on the wire; nil means Asia/Shanghai, the article's.
	Zone *time.Location
	// Journal is the delivery record; nil means that none is kept.
	Journal belfry.Journal
	// ForcedCategories are those that no preference turns off.
	ForcedCategories []string
	// TopicHook is asked about topics that a page's token does not list; without a URL
	// they are refused.
	TopicHook TopicHook
	// Cluster makes the broker and the presence of a node of several; nil means that this is the only one.
	Cluster Cluster
	// Grace is how long a user without a page still counts as online; 0 means
	// 3 s.
	Grace time.Duration
	// ReplayLimit bounds the messages that a login replays; 0 means 100.
	ReplayLimit int
	// CatchUpLimit bounds what a page is told that comes back with a cursor; 0 means
	// 500.
	CatchUpLimit int
	// Retention says how much the store keeps; the zero value keeps everything.
	Retention belfry.Retention
	// PingInterval and PingTimeout are the heartbeat; 0 means 25 s and 20 s.
	PingInterval, PingTimeout time.Duration
	// MaxPayload bounds what a page may send at once, in bytes; 0 means 1,000,000.
	MaxPayload int
	// MaxQueue bounds what waits for one page, in bytes; 0 means 256 KiB.
	MaxQueue int
	Limits   Limits
	// Hop makes the server one of many nodes; the zero value is a server that is alone.
	Hop    HopOptions
	Logger *slog.Logger // nil means slog.Default()
}

// The HTTP limits on what a stranger may take.
const (
	headerTimeout  = 10 * time.Second
	idleTimeout    = 2 * time.Minute
	maxHeaderBytes = 16 << 10
	maxQueryOver   = 256 << 10        // what a query may be too large by and still be told so
	pushTimeout    = 30 * time.Second // for the whole request of a backend
)

// DefaultZone is the zone of dates on the wire.
const DefaultZone = "Asia/Shanghai"

func (o Options) withDefaults() (Options, error) {
	if o.Store == nil || o.Tokens == nil {
		return o, errors.New("server: Options need a Store and Tokens")
	}
	if o.Listen == "" {
		o.Listen = ":2120"
	}
	if o.PushListen == "" {
		o.PushListen = "127.0.0.1:2121"
	}
	if o.Path == "" {
		o.Path = "/socket.io/"
	}
	if !strings.HasPrefix(o.Path, "/") || !strings.HasSuffix(o.Path, "/") || strings.ContainsAny(o.Path, "{} ") {
		return o, fmt.Errorf("server: path %q must begin and end with a slash", o.Path)
	}
	if o.Check == nil {
		o.Check = func(context.Context) error { return nil }
	}
	if o.Zone == nil {
		zone, err := time.LoadLocation(DefaultZone)
		if err != nil {
			return o, fmt.Errorf("server: %w", err)
		}
		o.Zone = zone
	}
	if o.Cluster == nil {
		o.Cluster = alone{}
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if err := o.Hop.check(); err != nil {
		return o, err
	}
	return o, nil
}

// A Server is belfry's two ports and what is behind them. Use it as New, Start,
// Stop.
type Server struct {
	options  Options
	log      *slog.Logger
	sockets  *socketio.Server
	service  *belfry.Service
	broker   Broker
	presence Presence
	janitor  *belfry.Janitor // nil before Start
	push     *pushHandler
	rest     *rest
	limits   *limiter
	expiry   *expiry
	topics   *topicCheck
	demo     *demo // nil unless Options.Demo
	hop      *hopPort
	stopping atomic.Bool

	public    *http.Server
	private   *plainhttp.Server
	resumed   *handover.Listener // connections of the public port that were taken from it for a while
	listeners []net.Listener     // public, push
	failed    chan error
}

// New makes a server. It listens when started, and is to be stopped in either case. It fails
// as the store does.
func New(ctx context.Context, options Options) (*Server, error) {
	o, err := options.withDefaults()
	if err != nil {
		return nil, err
	}
	origins, err := newOriginPolicy(o.Origins, o.LoopbackOrigins)
	if err != nil {
		return nil, err
	}
	s := &Server{options: o, log: o.Logger, limits: newLimiter(o.Limits), failed: make(chan error, 5)}
	s.sockets = socketio.NewServer(socketio.Options{
		Engine: engineio.Options{
			PingInterval:     o.PingInterval,
			PingTimeout:      o.PingTimeout,
			MaxPayload:       o.MaxPayload,
			MaxQueue:         o.MaxQueue,
			CheckOrigin:      origins.allows,
			HandshakeHeaders: proxyHeaders,
			Node:             o.Hop.Node,
			Resume:           s.resume,
			Logger:           o.Logger,
		},
		Logger: o.Logger,
	})
	pages := s.sockets.Of("/")
	s.broker = o.Cluster.Broker(&emitter{pages: pages, zone: o.Zone, log: o.Logger})
	s.presence, err = o.Cluster.Presence(belfry.PresenceOptions{
		Grace:   o.Grace,
		Changed: belfry.AnnounceOnline(s.broker),
	})
	if err != nil {
		return nil, fmt.Errorf("server: %w", err)
	}
	s.service, err = belfry.NewService(ctx, belfry.ServiceOptions{
		Store:            o.Store,
		Broker:           s.broker,
		Presence:         s.presence,
		Journal:          o.Journal,
		ReplayLimit:      o.ReplayLimit,
		CatchUpLimit:     o.CatchUpLimit,
		CatchUpStep:      o.MaxQueue / 4,
		ForcedCategories: o.ForcedCategories,
		Logger:           o.Logger,
	})
	if err != nil {
		s.presence.Close()
		s.broker.Close()
		return nil, fmt.Errorf("server: %w", err)
	}
	s.expiry, s.topics = newExpiry(askForToken, endExpired), newTopicCheck(o.TopicHook)
	gateway := &gateway{
		service: s.service,
		logins:  &logins{tokens: o.Tokens, insecure: o.InsecureLogin},
		limits:  s.limits,
		expiry:  s.expiry,
		topics:  s.topics,
		zone:    o.Zone,
		log:     o.Logger,
	}
	gateway.attach(pages)
	keys := keyCheck{key: o.PushKey, open: o.OpenPush}
	s.push = &pushHandler{service: s.service, keys: keys, zone: o.Zone, log: o.Logger}
	s.rest = &rest{service: s.service, tokens: o.Tokens, keys: keys, origins: origins, limits: s.limits, log: o.Logger}
	if o.Hop.Node != "" {
		s.hop = newHopPort(o.Hop, s.sockets.Engine().Options(), loggingPanics(s.log, s.hopRoutes()), s.log)
	}
	return s, nil
}

// resume has a connection served on by the server that it was taken from.
func (s *Server) resume(from *http.Server, c net.Conn, early []byte) bool {
	if s.hop != nil && from == s.hop.server {
		return s.hop.resumed.Hand(c, early)
	}
	return s.resumed.Hand(c, early)
}

// Service returns the rules that the server serves.
func (s *Server) Service() *belfry.Service { return s.service }

// Start listens on both ports and serves in the background. Failed tells when
// that ends.
func (s *Server) Start() error {
	for _, address := range []string{s.options.Listen, s.options.PushListen} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			s.closeListeners()
			return fmt.Errorf("server: %w", err)
		}
		s.listeners = append(s.listeners, l)
	}
	serving := []func() error{
		func() error { return s.public.Serve(s.listeners[0]) },
		func() error { return s.public.Serve(s.resumed) },
		func() error { return s.private.Run(s.listeners[1]) },
	}
	if s.hop != nil {
		if err := s.hop.listen(); err != nil {
			s.closeListeners()
			return fmt.Errorf("server: %w", err)
		}
		serving = append(serving, s.hop.serve, s.hop.serveResumed)
	}
	if s.options.Demo {
		s.demo = newDemo(s.options.Tokens, s.PushAddr(), s.options.Zone, s.log)
	}
	s.public = &http.Server{
		Handler:           loggingPanics(s.log, s.publicRoutes()),
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	new(freshList).watch(s.public)
	s.private = &plainhttp.Server{Serve: s.push.servePlain, Logger: s.log, Other: &http.Server{
		Handler:           loggingPanics(s.log, s.pushRoutes()),
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       pushTimeout,
		WriteTimeout:      pushTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxPushBody + maxQueryOver, // the article's callers put all fields into the query
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}}
	s.resumed = handover.Listen(s.listeners[0].Addr())
	for _, serve := range serving {
		go func() {
			if err := serve(); !errors.Is(err, http.ErrServerClosed) {
				s.failed <- fmt.Errorf("server: %w", err)
			}
		}()
	}
	s.janitor = belfry.NewJanitor(belfry.JanitorOptions{
		Store: s.options.Store, Retention: s.options.Retention, Pruned: s.service.TellCounts, Logger: s.log,
	})
	s.log.Info("listening", "public", s.Addr(), "push", s.PushAddr())
	return nil
}

// Addr returns the public address, PushAddr that of the push port; both once
// started.
func (s *Server) Addr() string { return s.listeners[0].Addr().String() }

// PushAddr returns the address of the push port.
func (s *Server) PushAddr() string { return s.listeners[1].Addr().String() }

// HopAddr returns where other nodes reach the hop listener, once started; "" where there is none.
func (s *Server) HopAddr() string {
	if s.hop == nil {
		return ""
	}
	return s.hop.address
}

// Failed gets the error of a port that stopped by itself.
func (s *Server) Failed() <-chan error { return s.failed }

// Stop ends the service within ctx: pushes that have begun are finished and
// answered, then pages are told and disconnected, then nobody is online. The
// store is its owner's to close, afterwards.
func (s *Server) Stop(ctx context.Context) error {
	s.stopping.Store(true)
	var err error
	if s.private != nil { // Start has not failed
		err = shutdown(ctx, s.private.Shutdown)
	}
	err = errors.Join(err, s.sockets.Shutdown(ctx))
	if s.hop != nil {
		s.hop.passer.Close() // pages of other nodes come back through another one
	}
	if s.public != nil {
		err = errors.Join(err, shutdown(ctx, func(ctx context.Context) error {
			err := s.public.Shutdown(ctx)
			if err != nil {
				s.public.Close()
			}
			return err
		}))
	}
	if s.hop != nil {
		s.hop.shutdown(ctx)
	}
	if s.demo != nil {
		s.demo.close()
	}
	if s.janitor != nil {
		s.janitor.Close()
	}
	s.expiry.close()
	s.topics.close()
	s.presence.Close()
	s.service.Close()
	s.broker.Close()
	return err
}

// shutdown ends a port. Requests that are not answered when half of the time is
// over are cut off, so that one slow caller takes the time of nobody else.
func shutdown(ctx context.Context, port func(context.Context) error) error {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/2)
		defer cancel()
	}
	if err := port(ctx); err != nil {
		return fmt.Errorf("server: requests cut off: %w", err)
	}
	return nil
}

func (s *Server) closeListeners() {
	for _, l := range s.listeners {
		l.Close()
	}
	s.listeners = nil
}
