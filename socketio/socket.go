package socketio

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"slices"
	"sync"
	"sync/atomic"

	"belfry/engineio"
)

type socketState uint8

const (
	stateConnecting socketState = iota // middleware runs
	stateConnected
	stateClosed
)

// A Socket is one client in one namespace. Its methods are safe for concurrent
// use.
type Socket struct {
	namespace *Namespace
	conn      *conn
	held      atomic.Pointer[held] // nil unless Hold
	id        string
	told      uint64 // the last cast that it need not be told; guarded by caster.mu

	mu        sync.Mutex
	auth      string
	state     socketState
	recovered bool
	data      any
	rooms     []string // without the one of its id
	acks      *pendingAcks
	pid       *string // for the answer to CONNECT, nil after it
}

func newSocket(c *conn, n *Namespace, auth string) *Socket {
	return &Socket{namespace: n, conn: c, id: c.newSocketID(n.name), auth: auth}
}

// newSocketID returns the id that the client expects: revision 4 derives it
// from the session's, in revision 5 it is one of its own, 120 random bits, so
// that it can be told to others while the session's id stays secret.
func (c *conn) newSocketID(namespace string) string {
	switch {
	case c.revision >= 5:
		var b [15]byte
		rand.Read(b[:])
		return base64.RawURLEncoding.EncodeToString(b[:])
	case namespace == "/":
		return c.session.ID()
	}
	return namespace + "#" + c.session.ID()
}

// ID returns the socket's id, which is also the name of a room with only this
// socket.
func (s *Socket) ID() string { return s.id }

// Namespace returns the socket's namespace.
func (s *Socket) Namespace() *Namespace { return s.namespace }

// Handshake returns what is kept of the request that opened the connection.
func (s *Socket) Handshake() *engineio.Handshake { return s.conn.session.Handshake() }

// Session returns the connection that carries the socket.
func (s *Socket) Session() *engineio.Session { return s.conn.session }

// Auth returns the JSON object that the client sent to connect, {} where it
// sent none. A client of revision 4 sends one as the query of the namespace's
// name: its values are strings.
func (s *Socket) Auth() json.RawMessage {
	s.mu.Lock()
	defer s.mu.Unlock()
	return json.RawMessage(s.auth)
}

// ForgetAuth has Auth return {} from now on. A token is a tenth of what an idle socket
// holds, and a secret: whoever has checked it need not keep it.
func (s *Socket) ForgetAuth() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.auth = noAuth
}

// Revision returns the protocol revision of the client: 4 for clients 1.x and
// 2.x, 5 for 3.x and 4.x.
func (s *Socket) Revision() int { return s.conn.revision }

// Connected reports whether the socket is connected.
func (s *Socket) Connected() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state == stateConnected
}

// Data returns what SetData has stored, or nil.
func (s *Socket) Data() any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.data
}

// SetData stores a value of the application's own with the socket.
func (s *Socket) SetData(v any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.data = v
}

// connect answers the client's CONNECT and only then makes the socket known, so
// that nothing can reach the client before the answer. It does neither if the
// connection is closing, or if the id that it resumes is taken.
func (s *Socket) connect() (connected, taken bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.recovered && !s.namespace.registry.claim(s) {
		return false, true
	}
	frame := controlFrame(s.conn.revision, packetConnect, s.namespace.name, s.answer())
	if !s.conn.session.Send(frame.Alone()) {
		s.state = stateClosed
		s.namespace.registry.free(s)
		return false, false
	}
	s.state, s.pid = stateConnected, nil
	s.namespace.count.Add(1)
	c := &s.namespace.caster
	c.mu.Lock()
	defer c.mu.Unlock()
	s.told = c.latest
	s.namespace.registry.add(s)
	for i, room := range s.rooms {
		s.rooms[i] = s.namespace.registry.join(room, s)
	}
	return true, false
}

// answer returns the payload that accepts a CONNECT (Socket.IO protocol,
// "Connection to a namespace"; the "pid" is that of connection state recovery).
func (s *Socket) answer() []byte {
	if s.conn.revision < 5 {
		return nil
	}
	b := AppendString([]byte(`{"sid":`), s.id)
	if s.pid != nil {
		b = AppendString(append(b, `,"pid":`...), *s.pid)
	}
	return append(b, '}')
}

// close takes the socket out of everything that knows it and returns what waits
// for an acknowledgement.
func (s *Socket) close() (waiting []ackFunc, ok bool) {
	s.mu.Lock()
	if s.state != stateConnected {
		s.mu.Unlock()
		return nil, false
	}
	s.state = stateClosed
	rooms, acks := s.rooms, s.acks
	s.acks = nil
	s.mu.Unlock()
	if h := s.held.Load(); h != nil {
		h.drop()
	}
	for _, room := range rooms {
		s.namespace.registry.leave(room, s)
	}
	s.namespace.registry.remove(s)
	s.namespace.count.Add(-1)
	return acks.abandon(), true
}

// Join puts the socket into rooms. It fails when the socket is disconnected and,
// with the rooms that still fit joined, when it is in Options.MaxRooms. A
// middleware may call it: the rooms are joined if and when the socket connects.
func (s *Socket) Join(rooms ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == stateClosed {
		return ErrNotConnected
	}
	if s.state == stateConnected {
		c := &s.namespace.caster
		c.mu.Lock()
		defer c.mu.Unlock()
		c.settle(s)
	}
	for _, room := range rooms {
		if s.in(room) {
			continue
		}
		if len(s.rooms) >= s.namespace.server.options.MaxRooms {
			return ErrTooManyRooms
		}
		if s.state == stateConnected {
			room = s.namespace.registry.join(room, s)
		}
		s.rooms = append(s.rooms, room)
	}
	return nil
}

// Leave takes the socket out of rooms. It stays in the room of its own id.
func (s *Socket) Leave(rooms ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.state == stateClosed {
		return
	}
	c := &s.namespace.caster
	c.mu.Lock()
	defer c.mu.Unlock()
	c.settle(s)
	for _, room := range rooms {
		if i := slices.Index(s.rooms, room); i >= 0 {
			s.rooms = slices.Delete(s.rooms, i, i+1)
			s.namespace.registry.leave(room, s)
		}
	}
}

// LeaveAll takes the socket out of all rooms but that of its own id.
func (s *Socket) LeaveAll() { s.Leave(s.Rooms()...) }

// Rooms returns the rooms that the socket is in, or was in when it was
// disconnected, without the room of its own id.
func (s *Socket) Rooms() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.rooms)
}

// In reports whether the socket is in a room.
func (s *Socket) In(room string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.in(room)
}

func (s *Socket) in(room string) bool {
	return room == s.id || slices.Contains(s.rooms, room)
}

// To returns a broadcast to the sockets in any of the rooms except this one.
func (s *Socket) To(rooms ...string) Broadcast { return s.Broadcast().To(rooms...) }

// Broadcast returns a broadcast to all sockets of the namespace except this one.
func (s *Socket) Broadcast() Broadcast {
	return Broadcast{namespace: s.namespace, selection: selection{self: s}}
}

// Emit sends an event to the client; see [Broadcast.Emit] for the arguments.
// That it returns nil means that the event is queued. [ErrNotConnected] is
// returned once the connection is known to be gone.
func (s *Socket) Emit(event string, args ...any) error {
	if !s.Connected() {
		return ErrNotConnected
	}
	e := newEncoder(s.namespace.server.options.MaxAttachments)
	defer e.free()
	if err := e.event(event, args); err != nil {
		return err
	}
	return s.send(e, packetEvent, noAck)
}

func (s *Socket) send(e *encoder, typ packetType, id int64) error {
	s.namespace.caster.precede(s)
	if !s.conn.session.Send(e.frame(s.conn.revision, typ, s.namespace.name, id)) {
		return ErrNotConnected
	}
	return nil
}

// Disconnect disconnects the client from the namespace, or with closeTransport
// from all namespaces, and closes the connection. Official clients do not come
// back by themselves after it. The disconnect handlers are called when the
// handler that runs at the moment, if any, has returned.
func (s *Socket) Disconnect(closeTransport bool) {
	c := s.conn
	s.namespace.caster.precede(s)
	if closeTransport {
		c.disconnectAll()
		return
	}
	if c.depart(s, ReasonServerDisconnect) {
		c.session.Send(controlFrame(c.revision, packetDisconnect, s.namespace.name, nil))
		go c.later(func() {}) // tells the owner
	}
}

// receive calls the handlers of an event.
func (s *Socket) receive(p *packet, files [][]byte) error {
	first := p.items[0].of(p.payload)
	name, err := eventName(first)
	if err != nil {
		return err
	}
	eventName, handlers := s.namespace.load().find(name)
	if len(handlers) == 0 && !p.binary {
		return nil
	}
	args, err := p.args(1, files)
	if err != nil {
		return err
	}
	e := &Event{Name: eventName, Args: args, socket: s, id: p.id}
	for _, f := range handlers {
		f(s, e)
	}
	return nil
}
