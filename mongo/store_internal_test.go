package mongo

import (
	"fmt"
	"net"
	"strings"
	"testing"

	driver "go.mongodb.org/mongo-driver/v2/mongo"
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

// A commit that a primary got before it was none any more may be there: it is not given up before it is known.
func TestWhatAnotherPrimaryMayHaveIsUncertain(t *testing.T) {
	for name, one := range map[string]struct {
		err  error
		want bool
	}{
		"stepped down": {driver.CommandError{Code: 11602, Labels: []string{"RetryableWriteError"}}, true},
		"lost":         {driver.CommandError{Labels: []string{"NetworkError"}}, true},
		"not waited":   {driver.WriteException{WriteConcernError: &driver.WriteConcernError{Code: 64}}, true},
		"forbidden":    {driver.CommandError{Code: 13}, false},
		"too large":    {driver.WriteException{WriteErrors: driver.WriteErrors{{Code: 10334}}}, false},
	} {
		if got := uncertain(fmt.Errorf("wrapped: %w", one.err)); got != one.want {
			t.Errorf("%s: %t, want %t", name, got, one.want)
		}
	}
}
