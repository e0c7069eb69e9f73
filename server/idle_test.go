package server

import (
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"runtime"
	"testing"
	"time"

	"belfry"
	"belfry/internal/pagetest"
)

func TestMain(m *testing.M) {
	pagetest.Main()
	os.Exit(m.Run())
}

// BenchmarkIdlePages measures what a page that has logged in with a token and is
// idle holds in the server, from the connection to presence: live heap, stacks, and
// the memory of the process. Every page is of another user; fifty share a company.
// The pages are a process of their own.
func BenchmarkIdlePages(b *testing.B) {
	n := pagetest.Number(5000)
	for _, c := range []struct {
		name       string
		polling    bool
		tls        bool // as behind no proxy: an http.Server of another's, with this one's handler
		await, say []string
		until      string
	}{
		{"login", false, false, []string{"maxPayload", `40{"sid"`}, []string{`40`, `420["login",{"token":"%s"}]`}, `430[{"ok":true`},
		{"auth", false, false, []string{"maxPayload"}, []string{`40{"token":"%s"}`}, `["counts",`},
		{"TLS", false, true, []string{"maxPayload"}, []string{`40{"token":"%s"}`}, `["counts",`},
		{"polling", true, false, []string{"maxPayload"}, []string{`40{"token":"%s"}`}, `["counts",`},
	} {
		b.Run(c.name, func(b *testing.B) {
			for range b.N {
				f := start(b, func(o *Options) {
					o.Logger = slog.New(slog.DiscardHandler)
					o.PingInterval = time.Hour // pages that poll answer none
				})
				address := f.Addr()
				if c.tls {
					secure := httptest.NewTLSServer(f.public.Handler)
					defer secure.Close()
					address = secure.Listener.Addr().String()
				}
				tokens := make([]string, n)
				for i := range tokens {
					var err error
					who := belfry.Identity{User: belfry.UserID(fmt.Sprint(100_000 + i)), Company: belfry.CompanyID(fmt.Sprint(1000 + i/50))}
					if tokens[i], err = f.tokens.Sign(who, time.Hour); err != nil {
						b.Fatal(err)
					}
				}
				goroutines := runtime.NumGoroutine()
				before := pagetest.InUse()
				query := "EIO=4&transport=websocket"
				if c.polling {
					query = "EIO=4&transport=polling"
				}
				close := pagetest.Open(b, pagetest.Pages{
					Address: address, TLS: c.tls, Polling: c.polling, Count: n, Path: "/socket.io/", Query: query,
					Values: tokens, Await: c.await, Say: c.say, Until: c.until,
				})
				// A GET that waits has a goroutine in its handler and one that watches the connection, until
				// it is parked.
				eventually(b, "the handlers have returned", func() bool { return runtime.NumGoroutine() <= goroutines+n/10+8 })
				before.Report(b, n)
				runtime.KeepAlive(tokens)
				f.sockets.Of("/").Except().Disconnect(true) // a page that polls and vanishes is missed late
				close()
				eventually(b, "the pages have gone", func() bool { return f.sockets.Len() == 0 })
			}
		})
	}
}
