package engineio

import (
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// A sink is a Wire that takes everything and counts it.
type sink struct{ count *counter }

// A counter says when a number of bytes have been written.
type counter struct {
	left atomic.Int64
	done chan struct{}
}

func newCounter() *counter { return &counter{done: make(chan struct{}, 1)} }

// expect must be called before what is expected can happen.
func (c *counter) expect(n int) { c.left.Add(int64(n)) }

func (c *counter) add(n int) {
	if c.left.Add(-int64(n)) == 0 {
		c.done <- struct{}{}
	}
}

func (s sink) TryWrite(p []byte) (int, error) { s.count.add(len(p)); return len(p), nil }
func (s sink) Write(p []byte) error           { s.count.add(len(p)); return nil }
func (sink) Finish() error                    { return nil }
func (sink) Close() error                     { return nil }

type deaf struct{}

func (deaf) Message([]byte, bool) {}
func (deaf) Closed(Reason)        {}

// attachMany opens n sessions over sinks and waits until their open packets are
// written. Their heartbeats are of o.
func attachMany(b *testing.B, n int, o Options) (*Server, []*Session, *counter) {
	o.Logger = discard
	engine := NewServer(o, func(*Session) Receiver { return deaf{} })
	count := newCounter()
	handshake := &Handshake{}
	sessions := make([]*Session, n)
	count.expect(1 << 50)
	for i := range sessions {
		l, ok := engine.Attach(sink{count}, Protocol4, handshake)
		if !ok {
			b.Fatal("refused")
		}
		sessions[i] = l.Session()
	}
	for _, s := range sessions {
		eventually(b, "the open packet is written", func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.queue.len() == 0 && s.turn == 0
		})
	}
	count.left.Store(0)
	b.Cleanup(func() { shutdown(b, engine) })
	return engine, sessions, count
}

var message = Message{Data: make([]byte, 300)}

// BenchmarkFanOut encodes one message, sends it to all sessions and waits until
// all of it is written; "ahead" is how many publications are queued before the wait.
func BenchmarkFanOut(b *testing.B) {
	for _, n := range []int{1_000, 10_000} {
		for _, ahead := range []int{1, 10} {
			b.Run(fmt.Sprintf("sessions=%d/ahead=%d", n, ahead), func(b *testing.B) {
				engine, sessions, count := attachMany(b, n, slow)
				size := NewFrame(Protocol4, message).Size()
				batch := engine.NewBatch()
				publish := func() {
					count.expect(n * ahead * size)
					for range ahead {
						f := NewFrame(Protocol4, message)
						for _, s := range sessions {
							batch.Send(s, f)
						}
						batch.Flush()
					}
					<-count.done
				}
				publish() // the pools and lists grow to their size
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				b.ResetTimer()
				for range b.N {
					publish()
				}
				b.StopTimer()
				runtime.ReadMemStats(&after)
				deliveries := float64(b.N) * float64(n*ahead)
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/deliveries, "ns/delivery")
				b.ReportMetric(float64(after.Mallocs-before.Mallocs)/deliveries, "allocs/delivery")
			})
		}
	}
}

// BenchmarkFanOutTCP is the same over loopback connections whose peers discard.
func BenchmarkFanOutTCP(b *testing.B) {
	const n = 1000
	for _, ahead := range []int{1, 10} {
		b.Run(fmt.Sprintf("sessions=%d/ahead=%d", n, ahead), func(b *testing.B) {
			h := serve(b, slow)
			count := newCounter()
			sessions := make([]*recorder, n)
			for i := range sessions {
				s, r := h.open("EIO=4")
				s.conn.SetDeadline(time.Time{})
				sessions[i] = r
				go func() {
					buf := make([]byte, 16<<10)
					for {
						k, err := s.conn.Read(buf)
						if err != nil {
							return
						}
						count.add(k)
					}
				}()
			}
			size := NewFrame(Protocol4, message).Size()
			b.ResetTimer()
			for range b.N {
				count.expect(n * ahead * size)
				for range ahead {
					f := NewFrame(Protocol4, message)
					for _, s := range sessions {
						s.Send(f)
					}
				}
				<-count.done
			}
			b.StopTimer()
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n*ahead), "ns/delivery")
		})
	}
}

// BenchmarkHeartbeat is a ping and its pong for each of 100,000 sessions.
func BenchmarkHeartbeat(b *testing.B) {
	const n = 100_000
	engine, sessions, count := attachMany(b, n, slow)
	links := make([]*Link, n)
	for i, s := range sessions {
		links[i] = s.link
	}
	pong := []byte(textFrame("3"))
	scratch := make([]byte, len(pong))
	pings := engine.NewBatch()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	b.ResetTimer()
	for range b.N {
		count.expect(n * framePing.Size())
		now := slow.PingInterval + engine.now()
		for _, s := range sessions {
			s.tick(now, pings)
		}
		pings.Flush()
		<-count.done
		for _, l := range links {
			copy(scratch, pong)
			l.Feed(scratch)
		}
	}
	b.StopTimer()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/session")
	b.ReportMetric(float64(after.Mallocs-before.Mallocs)/float64(b.N*n), "allocs/session")
}

// memory returns what the process holds after a collection.
func memory() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}

// BenchmarkIdleMemory measures what an idle session holds, in memory and over
// loopback; there the bytes are those of the server and of net/http, the kernel's and
// the client's left aside as far as the client is a bare descriptor.
func BenchmarkIdleMemory(b *testing.B) {
	b.Run("memory", func(b *testing.B) {
		const n = 50_000
		for range b.N {
			before := memory()
			_, sessions, _ := attachMany(b, n, slow)
			b.ReportMetric(float64(memory()-before)/n, "B/session")
			runtime.KeepAlive(sessions)
		}
	})
	b.Run("websocket", func(b *testing.B) {
		const n = 2000
		for range b.N {
			engine := NewServer(slow, func(*Session) Receiver { return deaf{} })
			server := httptest.NewServer(engine)
			conns := make([]net.Conn, n)
			var opening sync.WaitGroup
			before := memory()
			for i := range conns {
				conn, err := net.Dial("tcp", server.Listener.Addr().String())
				if err != nil {
					b.Fatal(err)
				}
				conns[i] = conn
				opening.Go(func() {
					fmt.Fprintf(conn, webSocketRequest, "EIO=4&transport=websocket", "localhost", "")
					io.ReadAtLeast(conn, make([]byte, 300), 150) // into the open packet
				})
				if i%64 == 63 {
					opening.Wait()
				}
			}
			opening.Wait()
			eventually(b, "the handlers have returned", func() bool { return runtime.NumGoroutine() < n+50 })
			b.ReportMetric(float64(memory()-before)/n, "B/session")
			for _, c := range conns {
				c.Close()
			}
			shutdown(b, engine)
			server.Close()
		}
	})
}
