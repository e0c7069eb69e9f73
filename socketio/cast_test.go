package socketio

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"belfry/engineio"
)

// A tape is the sending side of a connection and keeps what is written.
type tape struct {
	mu   sync.Mutex
	text []byte
}

var _ engineio.Wire = (*tape)(nil)

func (w *tape) TryWrite(p []byte) (int, error) { return len(p), w.Write(p) }

func (w *tape) Write(p []byte) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text = append(w.text, p...)
	return nil
}

func (*tape) Finish() error { return nil }
func (*tape) Close() error  { return nil }

var numbered = regexp.MustCompile(`\["n",(\d+)[],]`)

// numbers returns the arguments of the events n that have been written.
func (w *tape) numbers() []int {
	w.mu.Lock()
	defer w.mu.Unlock()
	list := []int{}
	for _, m := range numbered.FindAllSubmatch(w.text, -1) {
		k, err := strconv.Atoi(string(m[1]))
		if err != nil {
			panic(err)
		}
		list = append(list, k)
	}
	return list
}

// A reader is a socket, what it was written, and what it should have been.
type reader struct {
	*Socket
	tape *tape
	want []int
	kept []int // while it is held
	held bool
}

func (r *reader) gets(k int) {
	if r.held {
		r.kept = append(r.kept, k)
		return
	}
	r.want = append(r.want, k)
}

// newReaders connects n sockets of revision 4, which need no CONNECT. Rooms of
// five sockets are large.
func newReaders(t *testing.T, n int) (*Namespace, func() *reader) {
	server := NewServer(Options{Engine: engineio.Options{MaxQueue: 1 << 30, PingInterval: time.Hour, PingTimeout: time.Hour}})
	t.Cleanup(func() { server.Shutdown(t.Context()) })
	space := server.Of("/")
	space.caster.threshold, space.caster.chunk = 5, 3
	sockets := make(chan *Socket, 1)
	space.OnConnect(func(s *Socket) { sockets <- s })
	return space, func() *reader {
		w := new(tape)
		if _, ok := server.Engine().Attach(w, engineio.Protocol3, &engineio.Handshake{}); !ok {
			t.Fatal("refused")
		}
		return &reader{Socket: <-sockets, tape: w}
	}
}

// Whatever sockets do while casts are on their way, and whatever else is sent, each gets
// what was sent to its rooms at that moment, once and in order.
func TestACastIsAsIfItWentOutAtOnce(t *testing.T) {
	rooms := []string{"a", "b", "c"}
	for seed := range uint64(40) {
		random := rand.New(rand.NewPCG(seed, 1))
		space, connect := newReaders(t, 30)
		var readers []*reader
		in := func(room string, do func(*reader)) (n int) {
			for _, r := range readers {
				if r.Connected() && r.In(room) {
					do(r)
					n++
				}
			}
			return n
		}
		for range 30 {
			r := connect()
			r.Join(rooms[random.IntN(2)], rooms[1+random.IntN(2)])
			readers = append(readers, r)
		}
		for k := range 600 {
			r, room := readers[random.IntN(len(readers))], rooms[random.IntN(len(rooms))]
			switch random.IntN(12) {
			default:
				want := in(room, func(r *reader) { r.gets(k) })
				if n, err := space.To(room).Emit("n", k); n != want || err != nil {
					t.Fatalf("sent to %d of %d, %v", n, want, err)
				}
			case 0:
				if r.Emit("n", k) == nil {
					r.want = append(r.want, k) // whether it is held or not
				}
			case 1:
				space.To(r.ID()).Emit("n", k)
				if r.Connected() {
					r.gets(k)
				}
			case 2:
				in(room, func(other *reader) {
					if other != r {
						other.gets(k)
					}
				})
				space.To(room).Except(r.ID()).Emit("n", k)
			case 3:
				r.Join(room)
			case 4:
				r.Leave(room)
			case 5:
				r.Hold()
				r.held = r.Connected()
			case 6:
				r.Release()
				r.want, r.kept, r.held = append(r.want, r.kept...), nil, false
			case 7:
				if k%3 > 0 {
					break
				}
				r.Disconnect(false)
				readers = slices.DeleteFunc(readers, func(other *reader) bool { return other == r })
				r = connect()
				r.Join(room)
				readers = append(readers, r)
			}
		}
		for _, r := range readers {
			r.Release()
			r.want = append(r.want, r.kept...)
			for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
				got := r.tape.numbers()
				if slices.Equal(got, r.want) {
					break
				}
				if len(got) > len(r.want) || time.Now().After(end) {
					t.Fatalf("seed %d: it got %v, want %v", seed, got, r.want)
				}
			}
		}
		// A cast is over only when its members have been gone through, which is after all of them may have got it from elsewhere.
		over := func() bool {
			space.caster.mu.Lock()
			defer space.caster.mu.Unlock()
			return len(space.caster.pending) == 0 && !space.caster.busy()
		}
		for end := time.Now().Add(time.Minute); !over(); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("casts are left over")
			}
		}
	}
}

func TestPaceWaitsForCastsOnly(t *testing.T) {
	space, connect := newReaders(t, 8)
	var readers []*reader
	for range 8 {
		r := connect()
		r.Join("all")
		readers = append(readers, r)
	}
	space.Pace()
	c := &space.caster
	c.mu.Lock() // no chunk goes out
	for range maxPending {
		k := &cast{number: c.latest, room: "nobody's", batch: space.server.engine.NewBatch(), done: make(chan struct{}), next: -1}
		c.pending = append(c.pending, k)
		c.count.Add(1)
	}
	c.mu.Unlock()
	paced := make(chan struct{})
	go func() {
		space.Pace()
		close(paced)
	}()
	// One socket is sent to all the same.
	if err := readers[0].Emit("n", 1); err != nil {
		t.Fatal(err)
	}
	select {
	case <-paced:
		t.Fatal("it did not wait")
	default:
	}
	go c.run()
	<-paced
	if n := c.count.Load(); n >= maxPending {
		t.Error("it came back while", n, "were under way")
	}
}

// Many at once: for the race detector, and for counts that must come out.
func TestCastsFromManySides(t *testing.T) {
	const n, senders, rounds = 40, 4, 100
	space, connect := newReaders(t, n)
	var readers []*reader
	for i := range n {
		r := connect()
		r.Join("all", fmt.Sprint("half", i%2))
		readers = append(readers, r)
	}
	var sending sync.WaitGroup
	for k := range senders {
		sending.Go(func() {
			for i := range rounds {
				id := k*rounds + i
				switch i % 4 {
				case 0:
					space.To("half0", "half1").Emit("n", id)
				case 1:
					space.To("half0").Emit("n", id)
					space.To("half1").Emit("n", id)
				default:
					space.To("all").Emit("n", id)
				}
				space.Pace()
				r := readers[(id*7)%n]
				r.Leave("other")
				r.Hold()
				r.Join("other")
				r.Release()
			}
		})
	}
	sending.Wait()
	for _, r := range readers {
		var got []int
		for end := time.Now().Add(time.Minute); len(got) < senders*rounds; time.Sleep(time.Millisecond) {
			if got = r.tape.numbers(); time.Now().After(end) {
				break
			}
		}
		last := make([]int, senders)
		for _, id := range got {
			if k := id / rounds; id%rounds+1 <= last[k] {
				t.Fatalf("%d of sender %d after %d", id%rounds, k, last[k]-1)
			} else {
				last[k] = id%rounds + 1
			}
		}
		if len(got) != senders*rounds {
			t.Fatalf("%d events, want %d", len(got), senders*rounds)
		}
	}
}
