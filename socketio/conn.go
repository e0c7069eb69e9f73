package socketio

import (
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
	ReasonReplaced         Reason = "session taken over"          // Socket.Resume, of another socket
)

// A conn is one connection with the sockets it carries, one a namespace. It
// receives what comes on its session.
type conn struct {
	server   *Server
	session  *engineio.Session
	revision int         // 4 or 5
	timer    *time.Timer // until a namespace is joined; guarded by run

	// run is held while anything of the application runs for this connection.
	run     sync.Mutex
	partial *partial // guarded by run

	mu      sync.Mutex
	members []member
	left    []departure // to be told once run is free
	closed  bool
}

// connectDelay is how long the answer to a CONNECT of revision 5 is held back.
// A client must wait for it ("Connection to a namespace"); one that does not
// betrays itself in this time and is disconnected, as the reference server does,
// rather than being heard before the middleware has accepted it.
const connectDelay = 2 * time.Millisecond

// A member is a namespace that the client is in or asks for. Without a socket
// and not connecting, the server has disconnected it: what is on the way from a
// client that does not know yet is ignored.
type member struct {
	name       string
	socket     *Socket
	connecting bool
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
	} else {
		c.awaitNamespace()
	}
	return c
}

// awaitNamespace gives the client time to join a namespace. It is called with run held, or before anybody else has c.
func (c *conn) awaitNamespace() {
	c.timer = time.AfterFunc(c.server.options.ConnectTimeout, c.connectTimeout)
}

const noAuth = "{}"

// openPatience is how long the answer to a handshake waits for middleware and handlers: mostly it can bring what they send
// along, and over polling that spares the client a request.
const openPatience = 20 * time.Millisecond

// openMain connects "/". What the application does for that may take its time, and the answer to the
// handshake does not wait for it: a client gives that up after a while, and does not know of its heartbeat before.
func (c *conn) openMain() {
	c.run.Lock()
	opened := make(chan struct{})
	go func() {
		defer close(opened)
		defer c.run.Unlock()
		c.protect(func() { c.connect("/", noAuth, inline) })
		c.protect(c.tell)
		if c.isNowhere() {
			c.awaitNamespace()
		}
	}()
	patience := time.NewTimer(openPatience)
	defer patience.Stop()
	select {
	case <-opened:
	case <-patience.C:
	}
}

func (c *conn) connectTimeout() {
	if len(c.sockets()) == 0 {
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
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
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
		if m, known := c.find(p.namespace); (!known || m.connecting) && c.revision >= 5 {
			return errInvalidState
		}
		c.partial = newPartial(&p)
		return nil
	}
	return c.dispatch(&p, nil)
}

// find returns the client's place in a namespace.
func (c *conn) find(name []byte) (m member, known bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range c.members {
		if m.name == string(name) {
			return m, true
		}
	}
	return member{}, false
}

// dispatch hands a complete packet to its socket. The reference server of
// revision 4 overlooks packets for namespaces that are not connected; in
// revision 5 they end the connection.
func (c *conn) dispatch(p *packet, files [][]byte) error {
	m, known := c.find(p.namespace)
	s := m.socket
	switch {
	case p.typ == packetConnect && (s != nil || m.connecting):
		return errInvalidState
	case p.typ == packetConnect:
		return c.connectRequest(p, known)
	case p.typ == packetConnectError && c.revision < 5:
		return nil // a client of 2.x sends it in place of what it cannot encode
	case p.typ == packetConnectError:
		return errInvalidState
	case (!known || m.connecting) && c.revision >= 5:
		return errInvalidState
	case s == nil:
		return nil
	}
	switch p.typ {
	case packetDisconnect:
		c.depart(s, ReasonClientDisconnect)
		c.remove(s.namespace.name)
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
	if len(p.namespace) > maxNamespaceLen {
		c.refuse(string(p.namespace), errInvalidNamespace)
		return nil
	}
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
		auth = string(p.payload)
	}
	name := string(p.namespace)
	if c.revision < 5 {
		c.connect(name, auth, inline)
		return nil
	}
	c.place(member{name: name, connecting: true})
	time.AfterFunc(c.server.connectDelay, func() {
		c.protect(func() { c.connect(name, auth, c.later) })
	})
	return nil
}

// authOfQuery is the auth payload of a client of revision 4, which can only add
// a query to the name of a namespace. The last of several values counts.
func authOfQuery(query string) string {
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
	return string(auth)
}

// connect lets the client into a namespace, or tells it why not. The middleware
// runs at once, the rest by serial, which puts it in the order of the
// connection's handlers. Between the two a socket that resumes waits for the
// earlier one, without run: connections that take over from each other would
// block each other with it.
func (c *conn) connect(name, auth string, serial func(func())) {
	n, err := c.server.enter(name, c.session.Handshake(), auth)
	if err != nil {
		c.refuse(name, err)
		return
	}
	s := newSocket(c, n, auth)
	connected := false
	defer func() {
		if !connected {
			c.server.leave(n)
		}
	}()
	handlers := n.load()
	if err := handlers.run(s); err != nil {
		c.refuse(name, err)
		return
	}
	for again := true; again; {
		if again = false; s.Recovered() && !c.hasEnded() {
			s.takeOver()
		}
		serial(func() {
			if connected, again = c.enrol(s); !connected {
				return
			}
			for _, f := range handlers.onConnect {
				f(s)
			}
		})
	}
}

// inline is the serial of connect for a caller that holds run.
func inline(f func()) { f() }

// enrol connects a socket that has been accepted. It does not if the connection
// has ended, nor if the id that the socket resumes is taken, by yet another one.
func (c *conn) enrol(s *Socket) (connected, taken bool) {
	if c.hasEnded() {
		return false, false
	}
	name := s.namespace.name
	c.place(member{name: name, socket: s})
	connected, taken = s.connect()
	switch {
	case taken:
		c.place(member{name: name, connecting: true})
	case !connected:
		c.remove(name)
	case c.timer != nil:
		c.timer.Stop()
		c.timer = nil
	}
	return connected, taken
}

// isNowhere reports whether the client is in no namespace and the connection goes on.
func (c *conn) isNowhere() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.closed && len(c.members) == 0
}

func (c *conn) hasEnded() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

func (c *conn) refuse(name string, err error) {
	c.remove(name)
	c.session.Send(controlFrame(c.revision, packetConnectError, name, refusal(err, c.revision)))
}

// place sets the client's place in the namespace that m names.
func (c *conn) place(m member) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.members {
		if c.members[i].name == m.name {
			c.members[i] = m
			return
		}
	}
	c.members = append(c.members, m)
}

// remove forgets the client's place in a namespace.
func (c *conn) remove(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.members = slices.DeleteFunc(c.members, func(m member) bool { return m.name == name })
}

// depart closes a socket and notes that its owner is to be told, both in one
// step: whoever finds the socket closed and then has run knows that its owner has
// been told, or tells it. It reports false if the socket is not connected.
func (c *conn) depart(s *Socket, reason Reason) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	acks, ok := s.close()
	if !ok {
		return false
	}
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
	defer n.registry.free(d.socket)
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
	c.protect(f)
	c.protect(c.tell)
}

// protect keeps a panic of the application in a goroutine of this package from
// ending the process, as engineio does for those it calls: it is logged with its
// stack, and the connection is closed.
func (c *conn) protect(f func()) {
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
