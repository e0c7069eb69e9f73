package socketio_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"belfry/engineio"
	"belfry/socketio"
)

// reaches checks for how many sockets something was queued.
func reaches(t *testing.T, want int) func(int, error) {
	return func(sockets int, err error) {
		t.Helper()
		if sockets != want || err != nil {
			t.Errorf("sent to %d, %v; want %d", sockets, err, want)
		}
	}
}

func TestBroadcastsToAHeldSocketWait(t *testing.T) {
	server, address := start(t, socketio.Options{})
	n := server.Of("/")
	recovers(server, "/")
	n.On("ask", func(_ *socketio.Socket, e *socketio.Event) { e.Ack("answer") })
	c, s := comes(t, server, address)
	free, other := comes(t, server, address)
	for range 2 {
		s.Hold()
		s.Hold()
		reaches(t, 2)(n.Emit("kept", 1, []byte{1, 2}, socketio.Binary{3}))
		reaches(t, 2)(n.To("all", s.ID()).Emit("kept", 2))
		reaches(t, 1)(n.To(s.ID()).Emit("kept", 3))
		reaches(t, 1)(other.Broadcast().Emit("kept", 4))
		if err := s.Emit("direct", []byte{5}); err != nil {
			t.Error(err)
		}
		c.play(gets(`51-["direct",{"_placeholder":true,"num":0}]`), gets(`05`), sends(`27["ask"]`), gets(`37["answer"]`))
		free.expect(`52-["kept",1,{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`, `0102`, `03`, `2["kept",2]`)
		s.Release()
		reaches(t, 2)(n.Emit("later"))
		s.Release()
		c.expect(`52-["kept",1,{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`, `0102`, `03`,
			`2["kept",2]`, `2["kept",3]`, `2["kept",4]`, `2["later"]`)
		free.expect(`2["later"]`)
	}
}

func TestASocketIsHeldFromTheMiddlewareOn(t *testing.T) {
	for _, protocol := range []int{3, 4} {
		t.Run(fmt.Sprint("in protocol ", protocol), func(t *testing.T) {
			server, address := start(t, socketio.Options{})
			n := server.Of("/")
			n.Use(func(s *socketio.Socket) error { s.Hold(); return s.Join("room") })
			n.OnConnect(func(s *socketio.Socket) {
				reaches(t, 1)(n.To("room").Emit("kept"))
				s.Emit("missed")
				s.Release()
				reaches(t, 1)(n.To("room").Emit("later"))
			})
			join(t, address, protocol).expect(`2["missed"]`, `2["kept"]`, `2["later"]`)
		})
	}
}

func TestAHeldSocketThatKeepsTooMuchIsClosed(t *testing.T) {
	server, address := start(t, socketio.Options{Engine: engineio.Options{MaxQueue: 1000}})
	n := server.Of("/")
	echo(server, "/")
	gone := make(chan socketio.Reason, 1)
	n.OnDisconnect(func(_ *socketio.Socket, r socketio.Reason) { gone <- r })
	c := join(t, address, 4)
	c.expect(`2["auth",{}]`)
	s := socketOf(t, n)
	text := strings.Repeat("x", 400)

	s.Hold()
	for range 3 { // the third enters at over 800 bytes
		reaches(t, 1)(n.Emit("e", text))
	}
	c.quiet()
	s.Release() // what was kept fits into the queue
	for range 3 {
		c.expect(`2["e","` + text + `"]`)
	}

	s.Hold()
	for range 3 {
		reaches(t, 1)(n.Emit("e", text))
	}
	reaches(t, 0)(n.Emit("one too many"))
	if r := receive(t, gone); r != engineio.ReasonTooSlow {
		t.Errorf("closed for %q", r)
	}
	s.Release()
	reaches(t, 0)(n.Emit("afterwards"))
	c.expect("closed")
}

func TestWhatIsKeptIsDroppedWithTheSocket(t *testing.T) {
	server, address := start(t, socketio.Options{})
	n := server.Of("/")
	echo(server, "/custom")
	recovers(server, "/")
	c, s := comes(t, server, address)
	c.play(sends(`0/custom`), gets(`0/custom,{"sid":"SID"}`), gets(`2/custom,["auth",{}]`))
	s.Hold()
	reaches(t, 1)(n.Emit("kept"))
	s.Disconnect(false)
	s.Release()
	s.Hold()
	s.Release()
	reaches(t, 0)(n.Emit("later"))
	c.expect(`1`)
	c.quietIn("/custom")
}

// TestNoBroadcastIsLostDoubledOrOvertakenByHolding sends from many goroutines to
// sockets that are held and released all the time. Between the marks that a socket
// gets of its own while it is held, there must be no broadcast.
func TestNoBroadcastIsLostDoubledOrOvertakenByHolding(t *testing.T) {
	const clients, senders, count = 3, 6, 300
	server, address := start(t, socketio.Options{Engine: engineio.Options{MaxQueue: 1 << 30}})
	n := server.Of("/")
	recovers(server, "/")
	var holding, sending sync.WaitGroup
	sent := make(chan struct{})
	receivers := make([]*client, clients)
	for i := range receivers {
		c, s := comes(t, server, address)
		receivers[i] = c
		holding.Go(func() {
			for {
				select {
				case <-sent:
					return
				default:
				}
				s.Hold()
				s.Emit("held")
				s.Join("another") // changes rooms under the broadcasts
				s.Leave("another")
				s.Emit("released")
				s.Release()
			}
		})
	}
	for sender := range senders {
		to := []socketio.Broadcast{n.To("all"), n.Except("nobody"), n.To("another", "all")}[sender%3]
		sending.Go(func() {
			for i := range count {
				args := []any{sender, i}
				if i%7 == 0 {
					args = append(args, []byte{byte(i)})
				}
				reaches(t, clients)(to.Emit("e", args...))
			}
		})
	}
	go func() {
		sending.Wait()
		close(sent)
	}()
	for number, c := range receivers {
		var next [senders]int
		held := false
		for left := senders * count; left > 0; {
			got := c.next()
			switch {
			case got == `2["held"]` && !held, got == `2["released"]` && held:
				held = !held
				continue
			case held:
				t.Fatalf("client %d got %s while it was held", number, got)
			}
			var sender, i int
			if _, err := fmt.Sscanf(got[strings.Index(got, `["e"`):], `["e",%d,%d`, &sender, &i); err != nil || i != next[sender] {
				t.Fatalf("client %d got %s; want %d of that sender, %v", number, got, next[sender], err)
			}
			left--
			if next[sender]++; i%7 == 0 {
				c.expect(fmt.Sprintf("%02x", byte(i)))
			}
		}
	}
	holding.Wait()
}

func TestSocketsThatCloseWhileTheyAreHeldLeaveNothing(t *testing.T) {
	server, address := start(t, socketio.Options{})
	n := server.Of("/")
	recovers(server, "/")
	n.OnConnect(func(s *socketio.Socket) {
		go func() {
			for s.Connected() {
				s.Hold()
				n.Emit("e")
				s.Release()
			}
		}()
	})
	var clients []*client
	for range 10 {
		c, _ := comes(t, server, address)
		clients = append(clients, c)
	}
	for i, c := range clients {
		if i%2 == 0 {
			c.close()
		} else {
			c.send(`1`)
		}
	}
	eventually(t, "all are gone", func() bool {
		rooms, sockets := n.Census()
		return rooms == 0 && sockets == 0 && n.Len() == 0
	})
}
