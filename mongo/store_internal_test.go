package mongo

import (
	"fmt"
	"net"
	"strings"
	"testing"
)

func TestWhatIsWrongWithAURIIsSaidWithoutIt(t *testing.T) {
	const secret = "s3cr3t"
	for says, err := range map[string]error{
		"DNS":       fmt.Errorf("lookup of %s: %w", secret, &net.DNSError{Err: "no such host", Name: secret}),
		"malformed": fmt.Errorf("mongodb://belfry:%s@: no host", secret),
	} {
		if got := uriError(err).Error(); !strings.Contains(got, says) || strings.Contains(got, secret) {
			t.Errorf("of %v it says %q, want %q", err, got, says)
		}
	}
}
