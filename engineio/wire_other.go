//go:build !linux

package engineio

import "net"

// newWire returns the wire for conn and the function that reads it.
func newWire(conn net.Conn) (Wire, func(net.Conn, *Link)) {
	return connWire{conn}, readConn
}
