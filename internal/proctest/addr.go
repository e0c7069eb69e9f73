package proctest

import (
	"math/rand/v2"
	"net"
	"strconv"
)

// FreeAddr returns an address of the loopback where nobody listens. Its port is below those that the system gives to
// clients, so that none of them has it while the program that listens there is down.
func FreeAddr() (string, error) {
	var err error
	for range 50 {
		addr := net.JoinHostPort("127.0.0.1", strconv.Itoa(10_000+rand.IntN(22_000)))
		var l net.Listener
		if l, err = net.Listen("tcp", addr); err == nil {
			return addr, l.Close()
		}
	}
	return "", err
}
