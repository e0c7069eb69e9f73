package hop

import (
	"fmt"
	"net/netip"
	"syscall"
)

// sharedSpace is what providers and clusters use behind address translation (RFC 6598).
var sharedSpace = netip.MustParsePrefix("100.64.0.0/10")

// Private reports whether an address is one that the internet does not route to: loopback, private (RFC 1918, RFC 4193),
// link-local, or shared (RFC 6598).
func Private(ip netip.Addr) bool {
	ip = ip.Unmap()
	return ip.IsLoopback() || ip.IsPrivate() || ip.IsLinkLocalUnicast() || sharedSpace.Contains(ip)
}

// mustBePrivate refuses to dial an ip:port that is not private, whatever name it was found by. It is a
// net.Dialer.Control.
func mustBePrivate(_, address string, _ syscall.RawConn) error {
	if at, err := netip.ParseAddrPort(address); err != nil || !Private(at.Addr()) {
		return fmt.Errorf("%s is not a private address", address)
	}
	return nil
}
