package server

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"belfry/internal/pagetest"
)

// hopWays are a session that is asked for at its own node, and at another.
var hopWays = []struct {
	name string
	node int
}{{"direct", 0}, {"hop", 1}}

// BenchmarkPoll is a POST whose event is answered, and the GET that gets the answer, on connections
// that are kept.
func BenchmarkPoll(b *testing.B) {
	c := startCluster(b, 2)
	c.direct = true
	for _, way := range hopWays {
		b.Run(way.name, func(b *testing.B) {
			url := "http://" + c.nodes[way.node].Addr() + "/socket.io/?EIO=4&transport=polling&sid=" + begin(b, c.nodes[0].Addr())
			do := func(method, body, want string) {
				r, err := http.NewRequest(method, url, strings.NewReader(body))
				if err != nil {
					b.Fatal(err)
				}
				res, err := http.DefaultClient.Do(r)
				if err != nil {
					b.Fatal(err)
				}
				got, err := io.ReadAll(res.Body)
				res.Body.Close()
				if err != nil || res.StatusCode != http.StatusOK || !strings.HasPrefix(string(got), want) {
					b.Fatalf("%s is answered %s %q, %v", method, res.Status, got, err)
				}
			}
			do("POST", "40", "ok")
			do("GET", "", "40")
			b.ReportAllocs()
			for b.Loop() {
				do("POST", `421["online"]`, "ok")
				do("GET", "", "431[")
			}
		})
	}
}

// BenchmarkIdleUpgradedPages measures what idle pages that have upgraded hold in all nodes and in themselves together: the difference is
// what it costs that the connection goes through another node.
func BenchmarkIdleUpgradedPages(b *testing.B) {
	n := pagetest.Number(1000)
	for _, way := range hopWays {
		b.Run(way.name, func(b *testing.B) {
			for range b.N {
				c := startCluster(b, 2, func(o *Options) { o.PingInterval = time.Hour })
				c.direct = true
				upgrade := func() *rawSocket {
					s := dialSocket(b, c.nodes[way.node].Addr(), "EIO=4&transport=websocket&sid="+begin(b, c.nodes[0].Addr()))
					s.SetDeadline(time.Time{})
					s.send("2probe")
					s.until("3probe")
					s.send("5")
					s.send("40")
					s.until(`40{"sid"`)
					return s
				}
				pages := []*rawSocket{upgrade()} // what the first costs, once
				before := pagetest.InUse()
				for range n {
					pages = append(pages, upgrade())
				}
				before.Report(b, n)
				for _, s := range pages {
					s.Close()
				}
				eventually(b, "the pages have gone", func() bool { return c.nodes[0].sockets.Len() == 0 })
			}
		})
	}
}

// BenchmarkIdlePolls is the same for pages whose GET waits, long enough that it is parked where it can be.
func BenchmarkIdlePolls(b *testing.B) {
	n := pagetest.Number(1000)
	for _, way := range hopWays {
		b.Run(way.name, func(b *testing.B) {
			for range b.N {
				c := startCluster(b, 2, func(o *Options) { o.PingInterval = time.Hour })
				c.direct = true
				client := &http.Client{Transport: &http.Transport{}}
				before := pagetest.InUse()
				done := make(chan struct{})
				for range n {
					sid := begin(b, c.nodes[0].Addr())
					go func() {
						if res, err := client.Get(fmt.Sprintf("http://%s/socket.io/?EIO=4&transport=polling&sid=%s", c.nodes[way.node].Addr(), sid)); err == nil {
							res.Body.Close()
						}
						done <- struct{}{}
					}()
				}
				eventually(b, "the polls are parked", func() bool { return c.nodes[0].sockets.Len() == n && waiting() == 0 })
				before.Report(b, n)
				ctx, cancel := context.WithTimeout(context.Background(), deadline)
				if err := c.nodes[0].Stop(ctx); err != nil { // which answers them
					b.Error(err)
				}
				cancel()
				for range n {
					<-done
				}
				client.CloseIdleConnections()
			}
		})
	}
}
