package engineio

import (
	"net/http/httptest"
	"os"
	"runtime"
	"testing"

	"belfry/internal/pagetest"
)

func TestMain(m *testing.M) {
	pagetest.Main()
	os.Exit(m.Run())
}

// BenchmarkIdleSessions measures what an idle WebSocket session holds in the
// server: live heap, stacks, and the memory of the process. The clients are a
// process of their own.
func BenchmarkIdleSessions(b *testing.B) {
	const n = 5000
	for _, c := range []struct {
		name       string
		tls        bool
		goroutines bool
	}{{"plain", false, false}, {"TLS", true, false}, {"plain, goroutines", false, true}, {"TLS, goroutines", true, true}} {
		b.Run(c.name, func(b *testing.B) {
			for range b.N {
				o := slow
				o.GoroutineReaders = c.goroutines
				engine := NewServer(o, func(*Session) Receiver { return deaf{} })
				server := httptest.NewUnstartedServer(engine)
				if c.tls {
					server.StartTLS()
				} else {
					server.Start()
				}
				goroutines := runtime.NumGoroutine()
				before := pagetest.InUse()
				close := pagetest.Open(b, pagetest.Pages{
					Address: server.Listener.Addr().String(), TLS: c.tls, Count: n,
					Path: "/socket.io/", Query: "EIO=4&transport=websocket", Until: "maxPayload",
				})
				eventually(b, "the handlers have returned", func() bool { return runtime.NumGoroutine() <= goroutines+n+8 })
				before.Report(b, n)
				close()
				eventually(b, "the sessions have ended", func() bool { return engine.Len() == 0 })
				shutdown(b, engine)
				server.Close()
			}
		})
	}
}
