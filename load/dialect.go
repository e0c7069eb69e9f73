package load

import "errors"

// A Dialect is what pages speak, over WebSocket, to a server that knows no Socket.IO, so that it
// can be measured beside belfry. It holds nothing of a page: one serves all of them.
type Dialect interface {
	// Login is the first message of a page.
	Login(user, company string) []byte
	// Read takes a message of the server, valid during the call, and says what is in it to the
	// page. An error ends the connection.
	Read(message []byte, to DialectPage) error
}

// A DialectPage is told what a message of the server holds. An error that it returns ends the reading
// of the message and is returned by it.
type DialectPage interface {
	// Welcome says that the page is logged in.
	Welcome() error
	// Publication says that the page has got one, whole or as far as it holds what was pushed.
	Publication(packet []byte) error
	// Heartbeat answers one of the server.
	Heartbeat(answer []byte) error
}

// errDialect is the limit of what dialects can do.
var errDialect = errors.New("a dialect is spoken over WebSocket, without recovery")

// dialectPage is the session as a dialect sees it.
type dialectPage struct{ *session }

var _ DialectPage = dialectPage{}

// Welcome implements [DialectPage].
func (s dialectPage) Welcome() error {
	if s.page.state != pageLoggingIn {
		return errUnexpected
	}
	s.page.welcome()
	return nil
}

// Publication implements [DialectPage].
func (s dialectPage) Publication(packet []byte) error {
	s.page.publication(packet)
	return s.over(nil)
}

// Heartbeat implements [DialectPage].
func (s dialectPage) Heartbeat(answer []byte) error {
	s.page.tally.heartbeats.Add(1)
	return s.send(answer)
}
