package engineio

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// A Server serves the Engine.IO protocol as an [http.Handler], at whatever path
// it is mounted. The http.Server in front must have no WriteTimeout, since polls
// wait; a ReadHeaderTimeout is advised.
type Server struct {
	options  Options
	openRest string
	onOpen   func(*Session) Receiver
	start    time.Time
	wheel    *wheel
	flushers []*flusher
	poller   poller
	paced    pacedSessions
	next     atomic.Uint32 // the flusher of the next session
	shards   [sessionShards]sessionShard
	count    atomic.Int64
	stop     chan struct{}
	stopOnce sync.Once

	waits waits

	mu       sync.RWMutex // orders opening, which reads, with shutting down
	closed   bool
	sessions sync.WaitGroup // open ones, and those whose Closed has not returned
}

// sessionShards divides the table of sessions, so that handshakes and requests
// on many processors do not wait for one lock; a power of two.
const sessionShards = 64

type sessionShard struct {
	mu   sync.RWMutex
	byID map[string]*Session
}

// NewServer makes a server. It calls onOpen once for every session, before any
// packet of it is read; onOpen may already send. The Receiver that it returns gets
// what arrives; nil refuses the session with 403. Shutdown ends the server's
// goroutines. NewServer panics if Options.Node is no name.
func NewServer(options Options, onOpen func(*Session) Receiver) *Server {
	if options.Node != "" && !ValidNode(options.Node) {
		panic("engineio: bad node name " + options.Node)
	}
	s := &Server{options: options.withDefaults(), onOpen: onOpen, start: time.Now(), stop: make(chan struct{}), waits: defaultWaits}
	s.openRest = s.options.openRest()
	for i := range s.shards {
		s.shards[i].byID = make(map[string]*Session)
	}
	s.wheel = newWheel(s.options)
	busy := &busyFlushers{all: int32(runtime.GOMAXPROCS(0))}
	for i := range int(busy.all) {
		f := newFlusher(i, busy, s.stop)
		s.flushers = append(s.flushers, f)
		go f.run()
	}
	go s.wheel.run(s.now, s.NewBatch(), s.stop)
	return s
}

// now is the time since the server was made, from the monotonic clock.
func (s *Server) now() time.Duration { return time.Since(s.start) }

// Options returns the options in effect: those of NewServer, with the defaults in
// the place of zeros.
func (s *Server) Options() Options { return s.options }

// Len returns the number of open sessions.
func (s *Server) Len() int { return int(s.count.Load()) }

// A request is one that has passed the checks.
type request struct {
	query    url.Values
	protocol Protocol
	binary   binaryForm
	session  *Session // nil for a handshake
}

// ServeHTTP implements [http.Handler].
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	origin := r.Header.Get("Origin")
	if origin != "" && !s.options.CheckOrigin(r) {
		w.Header().Add("Vary", "Origin")
		writeError(w, errForbidden)
		return
	}
	allowCORS(w, origin)
	if r.Method == http.MethodOptions {
		servePreflight(w, r)
		return
	}
	upgrade := isWebSocket(r)
	q, err := s.check(r, upgrade)
	if err != nil {
		writeError(w, err)
		return
	}
	form := formOf(q.query)
	switch {
	case upgrade:
		s.serveWebSocket(w, r, q)
	case q.session == nil:
		s.serveHandshake(w, r, q, form)
	case r.Method == http.MethodGet:
		q.session.serveGet(w, r, form)
	case r.Method == http.MethodPost:
		q.session.servePost(w, r, form)
	default:
		writeError(w, errBadRequest)
	}
}

// check looks at what every request says of itself, in the order of the
// reference server (engine.io's Server.verify).
func (s *Server) check(r *http.Request, upgrade bool) (request, *requestError) {
	q := request{query: r.URL.Query()}
	transport := q.query.Get("transport")
	if transport != "polling" && transport != "websocket" {
		return q, errUnknownTransport
	}
	switch q.query.Get("EIO") {
	case "3":
		q.protocol = Protocol3
	case "4":
		q.protocol = Protocol4
	default:
		return q, errUnsupportedVersion
	}
	if q.protocol == Protocol3 {
		q.binary = binaryFormOf(q.query)
	}
	mismatch := upgrade != (transport == "websocket")
	sid := q.query.Get("sid")
	switch {
	case sid == "" && r.Method != http.MethodGet:
		return q, errHandshakeMethod
	case sid == "" && mismatch:
		return q, errBadRequest
	case sid == "":
		return q, nil
	}
	if q.session = s.lookup(sid); q.session == nil {
		return q, errUnknownSession
	}
	if q.session.overdue() {
		q.session.abort(ReasonPingTimeout)
		return q, errUnknownSession
	}
	if mismatch || q.session.protocol != q.protocol || (!upgrade && q.session.upgraded()) {
		return q, errBadRequest
	}
	return q, nil
}

// serveHandshake opens a session over polling. The answer is its first poll.
func (s *Server) serveHandshake(w http.ResponseWriter, r *http.Request, q request, form responseForm) {
	session, err := s.open(q.protocol, newHandshake(r, q.query, s.options.HandshakeHeaders), q.binary, false)
	if err != nil {
		writeError(w, err)
		return
	}
	session.serveGet(w, r, form)
}

// open makes a session, with its open packet queued (EIO4, "Handshake").
func (s *Server) open(p Protocol, h *Handshake, binary binaryForm, websocket bool) (*Session, *requestError) {
	session := &Session{
		server:    s,
		flusher:   s.flushers[int(s.next.Add(1))%len(s.flushers)],
		handshake: h,
		id:        newSessionID(s.options.Node),
		protocol:  p,
		binary:    binary,
	}
	session.queue.push(s.openPacket(session, websocket), s.options.MaxQueue)
	// Closed waits until the receiver is known.
	session.receiving.Lock()
	defer session.receiving.Unlock()
	if !s.remember(session) {
		return nil, errShuttingDown
	}
	session.startHeartbeat()
	if !session.callOnOpen() {
		session.abort(ReasonForcedClose)
		return nil, errForbidden
	}
	return session, nil
}

// remember enters a session into the table, unless the server is shutting down.
func (s *Server) remember(session *Session) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return false
	}
	s.sessions.Add(1)
	s.count.Add(1)
	shard := s.shard(session.id)
	shard.mu.Lock()
	defer shard.mu.Unlock()
	shard.byID[session.id] = session
	return true
}

// callOnOpen asks the owner of the server for the session's receiver. A panic
// there refuses the session.
func (s *Session) callOnOpen() (accepted bool) {
	defer func() {
		if v := recover(); v != nil {
			s.server.options.Logger.Error("panic while opening a session",
				"session", s.id, "panic", v, "stack", string(debug.Stack()))
			s.receiver, accepted = nil, false
		}
	}()
	s.receiver = s.server.onOpen(s)
	return s.receiver != nil
}

// openPacket is the first of every session. All but the id is the same for all; that has no
// character that JSON would escape.
func (s *Server) openPacket(session *Session, websocket bool) *Frame {
	upgrades := `["websocket"]`
	if websocket {
		upgrades = `[]`
	}
	return newPacket(packetOpen, `{"sid":"`+session.id+`","upgrades":`+upgrades+s.openRest).Alone()
}

// openRest is what follows on the upgrades in an open packet.
func (o *Options) openRest() string {
	return fmt.Sprintf(`,"pingInterval":%d,"pingTimeout":%d,"maxPayload":%d}`,
		o.PingInterval.Milliseconds(), o.PingTimeout.Milliseconds(), o.MaxPayload)
}

func (s *Server) shard(id string) *sessionShard {
	// The ids are random but for the node at their end: two characters of the rest spread well.
	return &s.shards[(uint(id[0])*31+uint(id[len(id)/2]))%sessionShards]
}

func (s *Server) lookup(id string) *Session {
	shard := s.shard(id)
	shard.mu.RLock()
	defer shard.mu.RUnlock()
	return shard.byID[id]
}

// forget removes a session that has ended from the table and the wheel.
func (s *Server) forget(session *Session) {
	s.wheel.remove(session)
	shard := s.shard(session.id)
	shard.mu.Lock()
	_, known := shard.byID[session.id]
	delete(shard.byID, session.id)
	shard.mu.Unlock()
	if known {
		s.count.Add(-1)
	}
}

// Shutdown refuses new sessions, closes the open ones once what is queued for
// them is written, waits until all receivers have been told, and ends the server's
// goroutines. When ctx ends first, the remaining sessions are cut off and
// ctx's error is returned.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.each(func(session *Session) { session.Close(ReasonShutdown) })

	done := make(chan struct{})
	go func() {
		s.sessions.Wait()
		close(done)
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = ctx.Err()
		s.each(func(session *Session) { session.abort(ReasonShutdown) })
	}
	s.stopOnce.Do(func() { close(s.stop) })
	s.poller.stop()
	return err
}

func (s *Server) isClosed() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.closed
}

func (s *Server) each(do func(*Session)) {
	for i := range s.shards {
		shard := &s.shards[i]
		shard.mu.RLock()
		sessions := make([]*Session, 0, len(shard.byID))
		for _, session := range shard.byID {
			sessions = append(sessions, session)
		}
		shard.mu.RUnlock()
		for _, session := range sessions {
			do(session)
		}
	}
}
