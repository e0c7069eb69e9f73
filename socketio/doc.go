// Package socketio is a Socket.IO server. It speaks protocol revision 5
// (clients 3.x and 4.x) and revision 4 (clients 1.x and 2.x) on one port, over
// the sessions of package engineio.
//
// A [Server] has namespaces. A [Namespace] has the handlers of its events, the
// middleware that decides who may connect, and the connected sockets. A
// [Socket] is one client in one namespace; it joins rooms, and a [Broadcast]
// reaches the sockets of rooms.
//
//	server := socketio.NewServer(socketio.Options{})
//	chat := server.Of("/")
//	chat.OnConnect(func(s *socketio.Socket) { s.Join("lobby") })
//	chat.On("say", func(s *socketio.Socket, e *socketio.Event) {
//		s.To("lobby").Emit("said", e.Args.All()...)
//	})
//	http.Handle("/socket.io/", server)
//
// # Order and concurrency
//
// All methods are safe for concurrent use. The event handlers and the connect
// and disconnect handlers of one connection run one at a time, in the order of
// its packets, in the goroutine that reads the connection. The middleware runs
// in a goroutine of its own, so that asking somebody who a client is holds up
// neither its heartbeat nor its other namespaces (in revision 4, where "/" is
// connected unasked, in the request that opens the connection).
//
// A handler that blocks holds up only its own connection, but also that
// connection's heartbeat: work that may take longer than the ping timeout
// belongs in a goroutine of its own. Emitting never blocks. A connection that
// cannot keep up with what is sent to it is closed (engineio.Options.MaxQueue).
//
// # What a broadcast costs
//
// The arguments are encoded once, and once more into a frame for each protocol
// revision among the receivers. All receivers share these immutable frames, so
// the number of allocations does not depend on the number of receivers.
//
// # Recovery
//
// A client from 4.6 on whose connection broke can go on where it was
// ("Connection state recovery" of the Socket.IO documentation, revision 5 only).
// The application makes the two strings that this takes and judges them when they
// come back; the package only carries them:
//
//   - [Socket.Offer], in a middleware, gives the client a pid.
//   - From then on the client takes the last argument of every event as its
//     offset, whatever the event is for, if that is a string. Where there are no
//     arguments it takes the event's name. So an application that offers pids
//     ends every event with an offset, or with an argument that is no string.
//     Only events that ask for an acknowledgement change no offset.
//   - [Socket.Recovery], in a middleware, says what the client came back with,
//     and [Socket.Resume] makes the socket go on in the place of the earlier one.
//   - [Socket.Hold] and [Socket.Release] keep broadcasts aside while the client is
//     sent what it has missed.
//
// # What is refused
//
// A client that breaks the protocol is disconnected with the reason
// [ReasonParseError]. Lengths and numbers that a client chooses are bounded:
// messages by engineio.Options.MaxPayload, attachments by
// [Options.MaxAttachments], namespaces a connection, the length of their
// names, and the nesting of JSON.
package socketio
