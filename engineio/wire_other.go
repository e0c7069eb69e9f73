//go:build !linux

package engineio

import "net"

// newWire returns the wire for conn and what reads it.
func (s *Server) newWire(conn net.Conn) (Wire, wireReader) {
	return newConnWire(conn)
}

// A poller is something that this system has not, or belfry has not for it.
type poller struct{}

func (*poller) stop() {}
