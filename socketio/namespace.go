package socketio

import (
	"encoding/json"
	"errors"
	"iter"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// A Namespace is one of the channels that share a connection (Socket.IO
// protocol, "Introduction"). Its handlers are set before the server takes
// requests, or at any time for sockets and events that come after.
type Namespace struct {
	*Handlers
	server   *Server
	name     string
	dynamic  bool // guarded by Server.mu
	users    atomic.Int64
	count    atomic.Int64
	registry *registry
	caster   caster
}

func newNamespace(server *Server, name string, handlers *Handlers) *Namespace {
	r := newRegistry()
	return &Namespace{
		Handlers: handlers,
		server:   server,
		name:     name,
		registry: r,
		caster:   caster{registry: r, threshold: castFrom, chunk: castChunk},
	}
}

// Name returns the name, "/" or "/something".
func (n *Namespace) Name() string { return n.name }

// Len returns the number of connected sockets.
func (n *Namespace) Len() int { return int(n.count.Load()) }

// RoomLen returns the number of sockets in a room.
func (n *Namespace) RoomLen(room string) int { return n.registry.size(room) }

// Socket returns the connected socket with this id, or nil.
func (n *Namespace) Socket(id string) *Socket { return n.registry.socket(id) }

// To returns a broadcast to the sockets in any of the rooms. A socket's id is
// the name of a room that only it is in.
func (n *Namespace) To(rooms ...string) Broadcast { return n.broadcast().To(rooms...) }

// Except returns a broadcast to the sockets that are in none of the rooms.
func (n *Namespace) Except(rooms ...string) Broadcast { return n.broadcast().Except(rooms...) }

// Emit sends an event to all sockets; see [Broadcast.Emit].
func (n *Namespace) Emit(event string, args ...any) (sockets int, err error) {
	return n.broadcast().Emit(event, args...)
}

// Pace waits while sixteen broadcasts to large rooms or more are on their way to
// the queues of the sockets. That depends on the processor alone and on no client. Whoever
// sends many of them calls it after each.
func (n *Namespace) Pace() { n.caster.pace() }

// Sockets returns the sockets that are connected when the iteration starts.
func (n *Namespace) Sockets() iter.Seq[*Socket] { return n.broadcast().Sockets() }

func (n *Namespace) broadcast() Broadcast { return Broadcast{namespace: n} }

// A Middleware decides whether a socket may connect. It may read the socket's
// handshake and auth, set its data, join rooms, hold broadcasts, and offer or
// resume a session; the socket cannot be emitted to yet. An error refuses the connection: the client learns its
// text, or what a [*ConnectError] says.
type Middleware func(*Socket) error

// An EventHandler handles an event of a client.
type EventHandler func(*Socket, *Event)

// Handlers are what a namespace, or a family of dynamic namespaces, does. They
// belong to the namespace, not to each socket: a socket costs no memory for
// them. Of several functions for one thing all are called, in the order in
// which they were added.
type Handlers struct {
	mu    sync.Mutex // one change at a time
	table atomic.Pointer[handlerTable]
}

// A handlerTable is immutable.
type handlerTable struct {
	middleware   []Middleware
	onConnect    []func(*Socket)
	onDisconnect []func(*Socket, Reason)
	events       map[string]namedHandlers
	onAny        []EventHandler
}

// namedHandlers has the name too, so that no event allocates it.
type namedHandlers struct {
	name     string
	handlers []EventHandler
}

var noHandlers handlerTable

func (h *Handlers) load() *handlerTable {
	if t := h.table.Load(); t != nil {
		return t
	}
	return &noHandlers
}

// change replaces the table by a copy that change has edited.
func (h *Handlers) change(edit func(*handlerTable)) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := *h.load()
	edit(&t)
	h.table.Store(&t)
}

// appended returns a copy of list with v at its end.
func appended[T any](list []T, v T) []T { return append(slices.Clip(list), v) }

// Use adds a middleware.
func (h *Handlers) Use(m Middleware) {
	h.change(func(t *handlerTable) { t.middleware = appended(t.middleware, m) })
}

// OnConnect adds a function that is called when a socket is connected and the
// client has been told so.
func (h *Handlers) OnConnect(f func(*Socket)) {
	h.change(func(t *handlerTable) { t.onConnect = appended(t.onConnect, f) })
}

// OnDisconnect adds a function that is called once for every socket that was
// connected, after its last event handler has returned. The socket is in no
// room any more; Socket.Rooms still says which it was in.
func (h *Handlers) OnDisconnect(f func(*Socket, Reason)) {
	h.change(func(t *handlerTable) { t.onDisconnect = appended(t.onDisconnect, f) })
}

// On adds a handler of an event.
func (h *Handlers) On(event string, f EventHandler) {
	h.change(func(t *handlerTable) {
		t.events = maps.Clone(t.events)
		if t.events == nil {
			t.events = make(map[string]namedHandlers)
		}
		t.events[event] = namedHandlers{event, appended(t.events[event].handlers, f)}
	})
}

// OnAny adds a handler of the events that have no handler of their own.
func (h *Handlers) OnAny(f EventHandler) {
	h.change(func(t *handlerTable) { t.onAny = appended(t.onAny, f) })
}

// find returns the handlers of an event.
func (t *handlerTable) find(name []byte) (string, []EventHandler) {
	if named, ok := t.events[string(name)]; ok {
		return named.name, named.handlers
	}
	if t.onAny == nil {
		return "", nil
	}
	return string(name), t.onAny
}

// run asks the middleware whether s may connect.
func (t *handlerTable) run(s *Socket) error {
	for _, m := range t.middleware {
		if err := m(s); err != nil {
			return err
		}
	}
	return nil
}

// connectErrorOf returns the ConnectError in err's chain, or nil.
func connectErrorOf(err error) *ConnectError {
	var ce *ConnectError
	if errors.As(err, &ce) {
		return ce
	}
	return nil
}

// refusal encodes why a client may not connect.
func refusal(err error, revision int) []byte {
	ce := connectErrorOf(err)
	if ce == nil {
		ce = &ConnectError{Message: err.Error()}
	}
	e := newEncoder(0)
	defer e.free()
	var value any = map[string]any{"message": ce.Message}
	switch {
	case revision >= 5 && ce.Data != nil:
		value = struct {
			Message string `json:"message"`
			Data    any    `json:"data"`
		}{ce.Message, ce.Data}
	case revision < 5 && ce.Data != nil:
		value = ce.Data
	case revision < 5:
		value = ce.Message
	}
	if e.value(value, maxDepth) != nil || len(e.files) > 0 {
		// Data cannot be encoded; the message always can.
		return refusal(&ConnectError{Message: ce.Message}, revision)
	}
	return json.RawMessage(slices.Clone(e.payload))
}
