package socketio

import "slices"

// What a client can send to go on with an earlier session is bounded, in bytes.
const (
	maxPIDLen    = 4096
	maxOffsetLen = 256
)

// Recovery returns what the client sent to go on with an earlier session
// ("Connection state recovery" of the Socket.IO documentation, clients from 4.6
// on): the pid that an earlier answer carried, and the offset of the last event
// that it has handled, "" where there was none. Both are what the client says;
// the application checks them. The offset can be from before the pid: a client
// keeps its last one when it is given another pid.
//
// ok is false, and both are empty, unless the client speaks revision 5 and sent
// a string of 1 to 4,096 bytes as "pid". An offset that is no string, or longer
// than 256 bytes, is none.
func (s *Socket) Recovery() (pid, offset string, ok bool) {
	if s.conn.revision < 5 {
		return "", "", false
	}
	return recoveryIn(s.Auth())
}

// recoveryIn is Recovery for an auth payload, a valid JSON object. As in
// JavaScript the last of several members with one name counts. It decodes the
// two values only, since a stranger chooses how many others there are.
func recoveryIn(auth []byte) (pid, offset string, ok bool) {
	i := skipSpace(auth, skipSpace(auth, 0)+1)
	for auth[i] != '}' {
		key := span{i, skipString(auth, i)}
		value := span{start: skipSpace(auth, skipSpace(auth, key.end)+1)}
		value.end = skipValue(auth, value.start, maxDepth)
		switch string(unquote(key.of(auth))) {
		case "pid":
			pid = shortString(value.of(auth), maxPIDLen)
		case "offset":
			offset = shortString(value.of(auth), maxOffsetLen)
		}
		if i = skipSpace(auth, value.end); auth[i] == ',' {
			i = skipSpace(auth, i+1)
		}
	}
	if pid == "" {
		return "", "", false
	}
	return pid, offset, true
}

// shortString returns the text of a JSON string, or "" if the value is none or
// longer than max.
func shortString(value []byte, max int) string {
	if value[0] != '"' {
		return ""
	}
	if text := unquote(value); len(text) <= max {
		return string(text)
	}
	return ""
}

// Offer makes the answer to the client's CONNECT carry a pid, with which the
// client can come back; see [Socket.Recovery]. It also makes the client keep
// offsets; the package documentation says what that demands of every event.
// Without it the client is told of no pid. It is for a middleware, and does
// nothing later or in revision 4. The last of several calls counts, of Resume
// too.
func (s *Socket) Offer(pid string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.awaitsAnswer() {
		s.pid = &pid
	}
}

// Resume makes the socket go on in the place of an earlier one of its namespace:
// it takes over that one's id (an empty one leaves it its own), and the answer to
// CONNECT carries the pid. A client that sent the same pid then knows that it is
// recovered. Rooms and data are not taken over. Like Offer it is for a middleware,
// and does nothing later or in revision 4. Until it has returned, no other
// goroutine may use the socket.
//
// A socket that still has the id is disconnected with [ReasonReplaced], once the
// middleware has accepted the new one: its connection is dead and nobody has
// noticed yet, or two clients have the same pid. If that connection carries
// nothing else it is closed, and a client that is alive comes back by itself; else
// it gets a DISCONNECT packet. Whatever ended the earlier socket, its disconnect
// handlers have returned before the new one is answered, is found by its id, or
// has its connect handlers called. So an id has one socket at a time, and of many
// that resume it at once each is connected and disconnected in its turn; the last
// one stays.
//
// Therefore the new socket waits for the handler of the earlier connection that
// runs at the moment, if any. Its own connection can go on meanwhile, as it can
// during a middleware. A handler must not wait for a socket that resumes from its
// own connection.
func (s *Socket) Resume(id, pid string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.awaitsAnswer() {
		return
	}
	if id != "" {
		s.id = id
		// It is in this room anyway, and must not be in it twice.
		s.rooms = slices.DeleteFunc(s.rooms, func(room string) bool { return room == id })
	}
	s.pid, s.recovered = &pid, true
}

// awaitsAnswer reports whether the answer to a CONNECT of revision 5 is still to
// be given. s.mu is held.
func (s *Socket) awaitsAnswer() bool { return s.state == stateConnecting && s.conn.revision >= 5 }

// Recovered reports whether the socket goes on in the place of an earlier one;
// see [Socket.Resume].
func (s *Socket) Recovered() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.recovered
}

// takeOver disconnects the socket that has the id of s, if any, and returns when
// its owner has been told. No lock is held: handlers of that socket's connection
// may run, and resume the id of one of this connection.
func (s *Socket) takeOver() {
	earlier := s.namespace.registry.owner(s.id)
	if earlier == nil {
		return
	}
	c := earlier.conn
	if c.depart(earlier, ReasonReplaced) {
		if c.idle() {
			c.session.Close(ReasonReplaced)
		} else {
			c.session.Send(controlFrame(c.revision, packetDisconnect, s.namespace.name, nil))
		}
	}
	c.later(func() {}) // tells the owner, or waits until it has been told
}

// idle reports whether the connection carries no socket and none that connects.
func (c *conn) idle() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !slices.ContainsFunc(c.members, func(m member) bool { return m.socket != nil || m.connecting })
}
