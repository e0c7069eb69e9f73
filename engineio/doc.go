// Package engineio serves the Engine.IO protocol, revisions 3 and 4, on one
// address: sessions over HTTP long polling (XHR and JSONP) and WebSocket, the
// upgrade from one to the other, heartbeats, and bounded outbound queues.
//
// The protocol documents are "Engine.IO Protocol" v3 and v4 of the Socket.IO
// project (docs/engine.io-protocol), and RFC 6455 for WebSocket. Comments call
// them EIO3, EIO4 and RFC 6455.
//
// # The way of a frame
//
// What is sent is a [Frame]: encoded once, immutable, shared by the queues of any
// number of sessions. [Session.Send] appends a pointer and never waits. Sessions
// on WebSocket that have something to write are gathered by one flusher per
// processor, which joins what is queued for a session into one write; sessions on
// polling answer their waiting GET. A peer that does not read fills its own
// bounded queue and is closed; nobody waits for it.
//
// # What a session costs
//
// An idle session has no timer, no writing goroutine and no buffer: heartbeats are
// a timing wheel's, writing is a flusher's, and a reading goroutine takes a pooled
// buffer only when bytes have arrived. The bytes go in and out through [Wire]
// and [Link], so that other ways to wait for readiness can replace the goroutine.
package engineio
