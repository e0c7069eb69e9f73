package server

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"testing"

	"belfry"
)

// BenchmarkPushHTTP pushes messages over loopback HTTP with 32 callers, stored
// in SQLite before each is answered. The user who is online has two pages that
// read along.
func BenchmarkPushHTTP(b *testing.B) {
	for _, c := range []struct{ name, uid, want string }{{"online", "1", pushOK}, {"offline", "2", pushOffline}} {
		b.Run(c.name, func(b *testing.B) {
			f := start(b, func(o *Options) { o.MaxQueue = 64 << 20 })
			for range 2 {
				f.page("1", "1", "text").drain()
			}
			form := url.Values{"token": {testKey}, "action": {"message"}, "receiverID": {c.uid}, "title": {"A task"}, "content": {"You have a new task."}}.Encode()
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}}
			defer client.CloseIdleConnections()
			b.SetParallelism((32 + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0))
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					res, err := client.Post("http://"+f.PushAddr()+"/", formType, strings.NewReader(form))
					if err != nil {
						b.Error(err)
						return
					}
					answer, err := io.ReadAll(res.Body)
					res.Body.Close()
					if err != nil || string(answer) != c.want {
						b.Errorf("answer %q, %v; want %s", answer, err, c.want)
						return
					}
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pushes/s")
		})
	}
}

// BenchmarkLogin is what the login of one page takes, away from the network.
func BenchmarkLogin(b *testing.B) {
	f := start(b)
	who := belfry.Identity{User: "1", Company: "1"}
	for b.Loop() {
		if _, err := f.Service().Login(context.Background(), who, silentPage{}); err != nil {
			b.Fatal(err)
		}
		f.Service().Logout(who, silentPage{})
	}
}

// A silentPage takes everything and shows nothing.
type silentPage struct{}

func (silentPage) ID() string               { return "page" }
func (silentPage) Join(...string)           {}
func (silentPage) Emit(string, ...any) bool { return true }
