package server

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"belfry"
)

// BenchmarkPushHTTP pushes messages over loopback HTTP with 32 callers to users in
// turn, stored in SQLite before each is answered. The pages of those who are online
// read along.
func BenchmarkPushHTTP(b *testing.B) {
	const users = 200
	for _, c := range []struct{ name, want string }{{"online", pushOK}, {"offline", pushOffline}} {
		b.Run(c.name, func(b *testing.B) {
			f := start(b, func(o *Options) { o.MaxQueue = 64 << 20 })
			for i := range users {
				if c.want == pushOK {
					f.page(fmt.Sprint(i), "1", "text").drain()
				}
			}
			form := url.Values{"token": {testKey}, "action": {"message"}, "title": {"A task"}, "content": {"You have a new task."}}.Encode()
			var pushed atomic.Int64
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 32}}
			defer client.CloseIdleConnections()
			b.SetParallelism((32 + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0))
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					to := fmt.Sprintf("%s&receiverID=%d", form, pushed.Add(1)%users)
					res, err := client.Post("http://"+f.PushAddr()+"/", formType, strings.NewReader(to))
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
		w, err := f.Service().Login(context.Background(), who, silentPage{}, belfry.LoginOptions{Trusted: true})
		if err != nil {
			b.Fatal(err)
		}
		f.Service().Logout(who, silentPage{}, w.Cursor, "")
	}
}

// A silentPage takes everything and shows nothing.
type silentPage struct{}

func (silentPage) ID() string                              { return "page" }
func (silentPage) Join(...string)                          {}
func (silentPage) Leave(...string)                         {}
func (silentPage) Hold()                                   {}
func (silentPage) Release()                                {}
func (silentPage) Emit(string, belfry.Cursor, ...any) bool { return true }
