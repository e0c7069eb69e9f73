// Package emitters hears what Socket.IO emitters publish through Redis, so that a backend which sends to pages
// that way needs no change: @socket.io/redis-emitter and socket.io-emitter of npm, and those for PHP, Java,
// Python, Go and others that speak as they do.
//
// A broadcast is MessagePack, on one of these channels:
//
//	prefix#/#          [uid, packet, options]   to all pages, or to several rooms
//	prefix#/#<room>#   [uid, packet, options]   to one room; older emitters publish the same once for each room
//	prefix#emitter     [packet, options]        emitters from before Socket.IO 1.4
//
//	packet   {type: 2 or 5, data: [event, argument…], nsp: "/"}
//	options  {rooms: […], except: […], flags: {…}}
//
// Flags say how to send (volatile, compress), and none matters to belfry. An order to the servers is JSON on
// prefix-request#/#; of these belfry knows the one that disconnects pages.
//
// What Socket.IO servers tell each other through @socket.io/redis-adapter looks the same, and is heard as well.
package emitters
