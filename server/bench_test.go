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
	"time"

	"belfry"
	"belfry/engineio"
	"belfry/internal/plainhttp"
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

func (silentPage) ID() string      { return "page" }
func (silentPage) Join(...string)  {}
func (silentPage) Leave(...string) {}
func (silentPage) Hold()           {}
func (silentPage) Release()        {}
func (silentPage) Drop()           {}
func (silentPage) Pace() bool      { return true }

func (silentPage) Emit(string, belfry.Cursor, ...any) bool { return true }

// BenchmarkPlainPush is what a push that is not stored takes from the bytes of the
// request to the frame of its receiver's page, away from the network.
func BenchmarkPlainPush(b *testing.B) {
	f := start(b, func(o *Options) { o.MaxQueue = 1 << 30 })
	link, ok := f.sockets.Engine().Attach(deafWire{}, engineio.Protocol3, &engineio.Handshake{})
	if !ok {
		b.Fatal("refused")
	}
	link.Feed(clientFrame(fmt.Sprintf(`42["login",{"uid":"7","companyID":"1","token":%q}]`, f.token("7", "1", time.Hour))))
	for end := time.Now().Add(20 * time.Second); f.online("1") == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			b.Fatal("nobody logs in")
		}
	}
	request := plainhttp.Request{
		Method: http.MethodPost, RemoteAddr: "127.0.0.1:1", Host: []byte("127.0.0.1"), ContentType: []byte(formType),
		Body: []byte(url.Values{
			"token": {testKey}, "action": {"message"}, "store": {"0"}, "receiverID": {"7"}, "companyID": {"1"}, "sender": {"Ann"},
			"title": {"A task"}, "content": {strings.Repeat("You have a new task. ", 5)}, "typeID": {"1"},
		}.Encode()),
	}
	var answer plainhttp.Response
	b.ReportAllocs()
	for b.Loop() {
		f.Server.push.servePlain(&answer, &request)
	}
}

// A deafWire is the sending side of a connection whose peer takes everything.
type deafWire struct{}

func (deafWire) TryWrite(p []byte) (int, error) { return len(p), nil }
func (deafWire) Write([]byte) error             { return nil }
func (deafWire) Finish() error                  { return nil }
func (deafWire) Close() error                   { return nil }

// clientFrame is a text message as a client sends it, masked with zeros (RFC 6455
// section 5.2).
func clientFrame(text string) []byte {
	header := []byte{0x81, 0x80 | 126, byte(len(text) >> 8), byte(len(text)), 0, 0, 0, 0}
	return append(header, text...)
}
