// Package load is a load generator for a belfry installation: it opens pages as
// browsers do, pushes as backends do, and measures what comes through.
//
// [Run] is given [Options] and returns a [Report]. It knows the wire and nothing of
// the server's code, so that what it says of the server is said by an independent
// witness.
//
// A page is a small state machine that is fed the bytes of its connection. On Linux
// a few loops feed thousands of pages; elsewhere, and over TLS, each connection has a
// goroutine. Backends are callers, each with one connection and one push in flight.
//
// # What is verified
//
// What one caller pushes to one company, or to one user, is a stream: it is numbered
// without gaps, and the next is pushed when the last has been answered, so there is an
// order that the server must keep. With [Options].Verify every page judges each of its
// streams for itself, from login to logout. These are faults:
//
//   - lost: a later publication of the stream came and this one did not; or it was
//     answered while the page was logged in, and had not come when the page left or the run ended,
//     though the page waited for it. A slow page does not wait when it leaves; at the end it
//     reads as fast as the others.
//   - doubled: it came again, or came to a page that logged in after it had been answered
//     and that was not to be told of it.
//   - out of order: it came after a later one of its stream.
//   - misdelivered: it was for another company or user.
//   - unknown: nobody has pushed it.
//
// A page has a right to what is pushed from the moment it knows that it is logged in. What
// was pushed before, while it logged in or was away, may come or not, unless the page
// recovers its session ([Options].Recover) and the publication is stored: then all of it must
// come, once and in order. A push that failed without an answer may or may not have come. A page that
// the server disconnects is counted as disconnected; up to there its streams are judged
// like any other, and what follows is not owed to it unless it recovers.
package load
