package socketio

import (
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"belfry/engineio"
)

// A sink is the sending side of a connection whose peer takes everything.
type sink struct{ bytes *atomic.Int64 }

var _ engineio.Wire = sink{}

func (s sink) TryWrite(p []byte) (int, error) {
	s.bytes.Add(int64(len(p)))
	return len(p), nil
}

func (s sink) Write(p []byte) error {
	s.bytes.Add(int64(len(p)))
	return nil
}

func (sink) Finish() error { return nil }
func (sink) Close() error  { return nil }

// attach connects n sockets of revision 4, which need no CONNECT, to "/".
func attach(b *testing.B, server *Server, n int, written *atomic.Int64) {
	b.Helper()
	for range n {
		if _, ok := server.Engine().Attach(sink{written}, engineio.Protocol3, &engineio.Handshake{}); !ok {
			b.Fatal("a session was refused")
		}
	}
	for end := time.Now().Add(10 * time.Second); server.Of("/").RoomLen("all") != n; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			b.Fatal("not all have joined")
		}
	}
}

// settle waits until nothing has been written for a while: the answers of the
// handshakes are gone then.
func settle(written *atomic.Int64) {
	for last := int64(-1); last != written.Load(); time.Sleep(100 * time.Millisecond) {
		last = written.Load()
	}
}

// BenchmarkBroadcast sends one message to a room of that many sockets. The
// allocations of an operation must not depend on their number.
func BenchmarkBroadcast(b *testing.B) {
	args := []any{map[string]any{"title": "a title", "content": "some content of a usual length, 消息", "typeID": 1}}
	for _, n := range []int{1, 1_000, 10_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			server := NewServer(Options{Engine: engineio.Options{MaxQueue: 1 << 30}})
			defer server.Shutdown(b.Context())
			server.Of("/").OnConnect(func(s *Socket) { s.Join("all") })
			var written atomic.Int64
			attach(b, server, n, &written)
			room := server.Of("/").To("all")
			e := newEncoder(0)
			if err := e.event("new_msg", args); err != nil {
				b.Fatal(err)
			}
			size := int64(n * e.frame(4, packetEvent, "/", noAck).Size())
			e.free()
			settle(&written)
			b.ReportAllocs()
			b.ResetTimer()
			for b.Loop() {
				goal := written.Load() + size
				if sockets, err := room.Emit("new_msg", args...); sockets != n || err != nil {
					b.Fatal(sockets, err)
				}
				// Wait until all has been written, so that queues do not grow.
				for start := time.Now(); written.Load() < goal; runtime.Gosched() {
					if time.Since(start) > 10*time.Second {
						b.Fatalf("%d bytes are missing", goal-written.Load())
					}
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/receiver")
		})
	}
}

// BenchmarkDecodeEvent decodes an event and copies its arguments.
func BenchmarkDecodeEvent(b *testing.B) {
	text := []byte(`2["login",{"uid":1234,"companyID":56,"token":"eyJhbGciOiJIUzI1NiJ9.eyJ1aWQiOjEyMzR9"}]`)
	b.ReportAllocs()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		var scratch [8]span
		p, err := decodePacket(text, 5, 10, scratch[:0])
		if err != nil {
			b.Fatal(err)
		}
		if _, err := p.args(1, nil); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkJoinLeave joins and leaves a large room.
func BenchmarkJoinLeave(b *testing.B) {
	r := newRegistry()
	for range 10_000 {
		r.join("all", &Socket{})
	}
	s := &Socket{}
	b.ReportAllocs()
	for b.Loop() {
		r.join("all", s)
		r.leave("all", s)
	}
}
