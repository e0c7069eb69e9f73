package redis_test

import (
	"context"
	"strings"
	"testing"

	"belfry"
	"belfry/internal/redistest"
	"belfry/redis"
)

func newAuthority(t *testing.T) *redistest.Authority {
	t.Helper()
	a, err := redistest.NewAuthority(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// launchTLS starts a server that asks for a password, too, so that none is in an error.
func launchTLS(t *testing.T, a *redistest.Authority, name string, flags ...string) (addr string) {
	t.Helper()
	s, addr, err := a.LaunchTLS(name, flags...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	if _, err := s.Command("CONFIG SET requirepass secret"); err != nil {
		t.Fatal(err)
	}
	return addr
}

func TestNodesMeetOverTLS(t *testing.T) {
	t.Parallel()
	authority := newAuthority(t)
	cert, key, err := authority.Sign("belfry")
	if err != nil {
		t.Fatal(err)
	}
	for name, one := range map[string]struct{ clients, parameters string }{
		"a certificate of the server alone": {"no", "?ca=" + authority.CA},
		"and of the client":                 {"yes", "?ca=" + authority.CA + "&cert=" + cert + "&key=" + key},
	} {
		t.Run(name, func(t *testing.T) {
			url := "rediss://:secret@" + launchTLS(t, authority, "127.0.0.1", "--tls-auth-clients", one.clients) + one.parameters
			a, b := open(t, url, "x"), open(t, url, "x")
			a.join("ann", "acme", "1")
			b.join("bob", "acme", "2")
			wantOnline(t, "acme", 2, 2, a, b)
			posts := openPosts(t, url, lasting, 1, 2)
			posts[1].watch(t, "page", belfry.UserRoom("ann"))
			wantReached(t, posts[0], "ann", 2)
		})
	}
}

func TestAServerThatCannotBeTrustedIsRefusedWithAdvice(t *testing.T) {
	t.Parallel()
	authority, other := newAuthority(t), newAuthority(t)
	right, wrongName := launchTLS(t, authority, "127.0.0.1", "--tls-auth-clients", "no"), launchTLS(t, authority, "localhost", "--tls-auth-clients", "no")
	asks := launchTLS(t, authority, "127.0.0.1")
	cert, key, err := authority.Sign("belfry")
	if err != nil {
		t.Fatal(err)
	}
	for name, one := range map[string]struct{ url, advice string }{
		"the system's authorities":   {"rediss://:secret@" + right, "?ca=FILE"},
		"another authority":          {"rediss://:secret@" + right + "?ca=" + other.CA, "?ca=FILE"},
		"another name":               {"rediss://:secret@" + wrongName + "?ca=" + authority.CA, "other names"},
		"no certificate of a client": {"rediss://:secret@" + asks + "?ca=" + authority.CA, "?cert=FILE&key=FILE"},
		"a server without TLS":       {"rediss://:secret@" + server.Addr(), "redis://"},
		"no file":                    {"rediss://:secret@" + right + "?ca=" + authority.CA + "x", "no such file"},
		"a file of something else":   {"rediss://:secret@" + right + "?ca=" + key, "no certificate"},
		"half a pair":                {"rediss://:secret@" + right + "?cert=" + cert, "two files"},
		"a pair that is none":        {"rediss://:secret@" + right + "?cert=" + cert + "&key=" + cert, "cert and key"},
		"an authority for no TLS":    {"redis://:secret@" + right + "?ca=" + authority.CA, "rediss://"},
	} {
		silence := bound
		if name == "a server without TLS" { // it says nothing
			silence = redis.Silence
		}
		c, err := redis.OpenSilent(context.Background(), redis.Options{URL: one.url}, silence)
		if err == nil {
			c.Close()
			t.Errorf("%s: opened", name)
		} else if !strings.Contains(err.Error(), one.advice) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v; want %q in it", name, err, one.advice)
		}
	}
	connect(t, redis.Options{URL: "rediss://:secret@" + wrongName + "?skip_verify=true"}, bound).Close()
}
