//go:build !unix

package engineio

import "crypto/tls"

// A tlsWire needs to ask a socket whether it is readable.
type tlsWire struct{ connWire }

func newTLSWire(*tls.Conn) (*tlsWire, bool) { return nil, false }
