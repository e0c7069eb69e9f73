package socketio

import (
	"bytes"
	"encoding/json"
	"net/url"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"belfry/engineio"
)

// Reason says why a socket was disconnected: one of the constants here, or why
// the connection below ended.
type Reason = engineio.Reason

// The reasons that are Socket.IO's own, in the words of the reference server.
const (
	ReasonClientDisconnect Reason = "client namespace disconnect" // the client left
	ReasonServerDisconnect Reason = "server namespace disconnect" // Socket.Disconnect
	ReasonParseError              = engineio.ReasonParseError     // the client broke the protocol
	ReasonNoNamespace      Reason = "no namespace joined"         // Options.ConnectTimeout
)

// A conn is one connection with the sockets it carries, one a namespace. It
// receives what comes on its session.
type conn struct {
	server   *Server
	session  *engineio.Session
	revision int // 4 or 5
	timer    *time.Timer

	// run is held while anything of the application runs for this connection.
	run     sync.Mutex
	partial *partial // guarded by run

	mu      sync.Mutex
	members []member
	left    []departure // to be told once run is free
}

// A member is a namespace that the client is in. Without a socket the server
// has disconnected it: what is on the way from a client that does not know yet
// is ignored.
type member struct {
	name   string
	socket *Socket
}

// A departure is a socket that is closed and whose owner is to be told.
type departure struct {
	socket *Socket
	reason Reason
	acks   []ackFunc
}

// open takes on a new session. A client of revision 4 is in "/" unasked.
func (s *Server) open(session *engineio.Session) engineio.Receiver {
	c := &conn{server: s, session: session, revision: 5}
	if session.Protocol() == engineio.Protocol3 {
		c.revision = 4
		c.openMain()
	}
	if len(c.members) == 0 {
		c.timer = time.AfterFunc(s.options.ConnectTimeout, c.connectTimeout)
	}
	return c
}

var noAuth = json.RawMessage("{}")

// openMain connects "/". If the application panics, the session is refused and
// so nobody would tell of its end.
func (c *conn) openMain() {
	c.run.Lock()
	defer c.run.Unlock()
	opened := false
	defer func() {
		if !opened {
			c.closeAll(engineio.ReasonPanic)
		}
	}()
	c.connect("/", noAuth)
	opened = true
}

func (c *conn) connectTimeout() {
	c.mu.Lock()
	none := len(c.members) == 0
	c.mu.Unlock()
	if none {
		c.session.Close(ReasonNoNamespace)
	}
}

// Message implements [engineio.Receiver].
func (c *conn) Message(data []byte, binary bool) {
	c.run.Lock()
	defer c.run.Unlock()
	if err := c.receive(data, binary); err != nil {
		c.server.options.Logger.Debug("socket.io client broke the protocol",
			"session", c.session.ID(), "address", c.session.Handshake().Address, "err", err)
		c.partial = nil
		c.session.Close(ReasonParseError)
	}
	c.tell()
}

// Closed implements [engineio.Receiver].
func (c *conn) Closed(reason engineio.Reason) {
	c.run.Lock()
	defer c.run.Unlock()
	if c.timer != nil {
		c.timer.Stop()
	}
	c.partial = nil
	c.closeAll(reason)
}

// closeAll closes the sockets and tells their owners.
func (c *conn) closeAll(reason Reason) {
	for _, s := range c.sockets() {
		c.depart(s, reason)
	}
	c.tell()
}

func (c *conn) sockets() []*Socket {
	c.mu.Lock()
	defer c.mu.Unlock()
	var sockets []*Socket
	for _, m := range c.members {
		if m.socket != nil {
			sockets = append(sockets, m.socket)
		}
	}
	return sockets
}

// receive handles one message. An error is a breach of the protocol.
func (c *conn) receive(data []byte, binary bool) error {
	switch {
	case binary && c.partial == nil:
		return errTextExpected
	case binary:
		if p := c.partial; p.add(data) {
			c.partial = nil
			return c.dispatch(&p.packet, p.files)
		}
		return nil
	case c.partial != nil:
		return errBinaryExpected
	}
	var scratch [8]span
	p, err := decodePacket(data, c.revision, c.server.options.MaxAttachments, scratch[:0])
	if err != nil {
		return err
	}
	if p.attachments > 0 {
		if _, known := c.find(p.namespace); !known && c.revision >= 5 {
			return errInvalidState
		}
		c.partial = newPartial(&p)
		return nil
	}
	return c.dispatch(&p, nil)
}

// find returns the socket in a namespace, nil if the server has disconnected it,
// and whether the client may think that it is connected.
func (c *conn) find(name []byte) (s *Socket, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.members {
		if m.name == string(name) {
			return m.socket, true
		}
	}
	return nil, false
}

// dispatch hands a complete packet to its socket. The reference server of
// revision 4 overlooks packets for namespaces that are not connected; in
// revision 5 they end the connection.
func (c *conn) dispatch(p *packet, files [][]byte) error {
	s, known := c.find(p.namespace)
	switch {
	case p.typ == packetConnect && s != nil, p.typ == packetConnectError && c.revision >= 5:
		return errInvalidState
	case p.typ == packetConnect:
		return c.connectRequest(p, known)
	case p.typ == packetConnectError:
		return nil // a client of 2.x sends it in place of what it cannot encode
	case !known && c.revision >= 5:
		return errInvalidState
	case s == nil:
		return nil
	}
	switch p.typ {
	case packetDisconnect:
		c.depart(s, ReasonClientDisconnect)
		c.remove(s)
		return nil
	case packetAck:
		args, err := p.args(0, files)
		if err == nil {
			s.acknowledged(p.id, args)
		}
		return err
	}
	return s.receive(p, files)
}

// connectRequest handles a CONNECT packet. What it has of p it copies.
func (c *conn) connectRequest(p *packet, known bool) error {
	c.mu.Lock()
	full := !known && len(c.members) >= c.server.options.MaxNamespaces
	c.mu.Unlock()
	if full {
		return errTooManyNamespaces
	}
	auth := noAuth
	switch {
	case len(p.query) > 0:
		auth = authOfQuery(string(p.query))
	case p.payload != nil && c.revision >= 5:
		auth = bytes.Clone(p.payload)
	}
	c.connect(string(p.namespace), auth)
	return nil
}

// authOfQuery is the auth payload of a client of revision 4, which can only add
// a query to the name of a namespace. The last of several values counts.
func authOfQuery(query string) json.RawMessage {
	values, err := url.ParseQuery(query)
	if err != nil || len(values) == 0 {
		return noAuth
	}
	last := make(map[string]string, len(values))
	for name, list := range values {
		last[name] = list[len(list)-1]
	}
	auth, err := json.Marshal(last)
	if err != nil {
		return noAuth
	}
	return auth
}

// connect lets the client into a namespace, or tells it why not.
func (c *conn) connect(name string, auth json.RawMessage) {
	n, err := c.server.enter(name, c.session.Handshake(), auth)
	if err != nil {
		c.refuse(name, err)
		return
	}
	s := newSocket(c, n, auth)
	connected := false
	defer func() {
		if !connected {
			c.remove(s)
			c.server.leave(n)
		}
	}()
	handlers := n.load()
	if err := handlers.run(s); err != nil {
		c.refuse(name, err)
		return
	}
	c.add(s)
	if connected = s.connect(); !connected {
		return
	}
	if c.timer != nil {
		c.timer.Stop()
	}
	for _, f := range handlers.onConnect {
		f(s)
	}
}

func (c *conn) refuse(name string, err error) {
	c.session.Send(controlFrame(c.revision, packetConnectError, name, refusal(err, c.revision)))
}

// add makes s the socket of its namespace.
func (c *conn) add(s *Socket) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, m := range c.members {
		if m.name == s.namespace.name {
			c.members[i].socket = s
			return
		}
	}
	c.members = append(c.members, member{s.namespace.name, s})
}

// remove forgets the namespace of a socket that is closed.
func (c *conn) remove(s *Socket) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.members = slices.DeleteFunc(c.members, func(m member) bool {
		return m.name == s.namespace.name && (m.socket == s || m.socket == nil)
	})
}

// depart closes a socket and notes that its owner is to be told. It reports
// false if the socket is not connected.
func (c *conn) depart(s *Socket, reason Reason) bool {
	acks, ok := s.close()
	if !ok {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.members {
		if c.members[i].socket == s {
			c.members[i].socket = nil
		}
	}
	c.left = append(c.left, departure{s, reason, acks})
	return true
}

// tell tells the owners of sockets that have departed. run is held.
func (c *conn) tell() {
	c.mu.Lock()
	left := c.left
	c.left = nil
	c.mu.Unlock()
	tellAll(left)
}

// tellAll tells all owners even if one of them panics.
func tellAll(left []departure) {
	if len(left) > 0 {
		defer tellAll(left[1:])
		left[0].tell()
	}
}

func (d *departure) tell() {
	n := d.socket.namespace
	defer n.server.leave(n)
	for _, f := range d.acks {
		f(Args{}, ErrNotConnected)
	}
	for _, f := range n.load().onDisconnect {
		f(d.socket, d.reason)
	}
}

// later runs f in the order of the connection's handlers, from outside of them.
func (c *conn) later(f func()) {
	c.run.Lock()
	defer c.run.Unlock()
	defer func() {
		if v := recover(); v != nil {
			c.server.options.Logger.Error("panic in a socket.io handler",
				"session", c.session.ID(), "panic", v, "stack", string(debug.Stack()))
			c.session.Close(engineio.ReasonPanic)
		}
	}()
	f()
}

// disconnectAll disconnects all sockets and then the connection.
func (c *conn) disconnectAll() {
	for _, s := range c.sockets() {
		s.Disconnect(false)
	}
	c.session.Close(engineio.ReasonForcedClose)
}
