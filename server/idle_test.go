package server

import (
	"fmt"
	"log/slog"
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
	const n = 5000
	for _, c := range []struct {
		name       string
		await, say []string
		until      string
	}{
		{"login", []string{"maxPayload", `40{"sid"`}, []string{`40`, `420["login",{"token":"%s"}]`}, `430[{"ok":true`},
		{"auth", []string{"maxPayload"}, []string{`40{"token":"%s"}`}, `["counts",`},
	} {
		b.Run(c.name, func(b *testing.B) {
			for range b.N {
				f := start(b, func(o *Options) { o.Logger = slog.New(slog.DiscardHandler) })
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
				close := pagetest.Open(b, pagetest.Pages{
					Address: f.Addr(), Count: n, Path: "/socket.io/", Query: "EIO=4&transport=websocket",
					Values: tokens, Await: c.await, Say: c.say, Until: c.until,
				})
				eventually(b, "the handlers have returned", func() bool { return runtime.NumGoroutine() <= goroutines+n+8 })
				before.Report(b, n)
				runtime.KeepAlive(tokens)
				close()
				eventually(b, "the pages have gone", func() bool { return f.sockets.Len() == 0 })
			}
		})
	}
}
