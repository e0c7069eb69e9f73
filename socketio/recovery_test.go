package socketio_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"unsafe"

	"belfry/socketio"
)

// recovers gives the namespaces a middleware that offers a pid, "pid of " and
// the socket's id, and resumes what comes back with one.
func recovers(server *socketio.Server, names ...string) {
	for _, name := range names {
		server.Of(name).Use(func(s *socketio.Socket) error {
			pid, _, ok := s.Recovery()
			if id, found := strings.CutPrefix(pid, "pid of "); ok && found {
				s.Resume(id, pid)
			} else {
				s.Offer("pid of " + s.ID())
			}
			return s.Join("all")
		})
	}
}

// resuming is the CONNECT of a client that comes back to a namespace.
func resuming(namespace, id string) string {
	if namespace != "/" {
		return `0` + namespace + `,{"pid":"pid of ` + id + `"}`
	}
	return `0{"pid":"pid of ` + id + `"}`
}

// accepting is the answer to it.
func accepting(namespace, id string) string {
	answer := `{"sid":"` + id + `","pid":"pid of ` + id + `"}`
	if namespace != "/" {
		return `0` + namespace + `,` + answer
	}
	return `0` + answer
}

// resume comes back to a namespace and is accepted.
func (c *client) resume(namespace, id string) {
	c.t.Helper()
	c.send(resuming(namespace, id))
	c.expect(accepting(namespace, id))
}

// A journal has what happened, in its order.
type journal struct {
	mu    sync.Mutex
	lines []string
}

func (j *journal) add(format string, args ...any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lines = append(j.lines, fmt.Sprintf(format, args...))
}

func (j *journal) all() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.lines)
}

// record notes in a journal who comes and goes.
func record(n *socketio.Namespace) *journal {
	j := new(journal)
	n.OnConnect(func(s *socketio.Socket) { j.add("%s connected, recovered %v", s.ID(), s.Recovered()) })
	n.OnDisconnect(func(s *socketio.Socket, r socketio.Reason) { j.add("%s disconnected: %s", s.ID(), r) })
	return j
}

func TestRecoveryHandshake(t *testing.T) {
	server, address := start(t, socketio.Options{})
	for _, name := range []string{"/", "/custom"} {
		n := server.Of(name)
		n.Use(func(s *socketio.Socket) error {
			var auth struct{ Offer, Resume string }
			if err := json.Unmarshal(s.Auth(), &auth); err != nil {
				return err
			}
			if auth.Offer != "" {
				s.Offer("overwritten")
				s.Offer(auth.Offer)
			}
			if auth.Resume != "" {
				pid, _, _ := s.Recovery()
				s.Join("a", auth.Resume)
				s.Resume(auth.Resume, pid)
			}
			return nil
		})
		n.OnConnect(func(s *socketio.Socket) {
			id := s.ID()
			s.Offer("late")
			s.Resume("late", "late")
			_, offset, ok := s.Recovery()
			s.Emit("state", s.ID() == id, s.Recovered(), offset, ok, s.Rooms(), s.Namespace().RoomLen(id))
		})
	}
	for name, script := range map[string]steps{
		"gets no pid that is not offered": {sends(`0`), gets(`0{"sid":"SID"}`), gets(`2["state",true,false,"",false,null,1]`)},
		"is offered a pid": {sends(`0{"offer":"a\"b"}`), gets(`0{"sid":"SID","pid":"a\"b"}`),
			gets(`2["state",true,false,"",false,null,1]`)},
		"is offered a pid in another namespace": {sends(`0/custom,{"offer":"p"}`), gets(`0/custom,{"sid":"SID","pid":"p"}`),
			gets(`2/custom,["state",true,false,"",false,null,1]`)},
		"goes on with its id": {sends(`0{"pid":"p","offset":"o","resume":"it é"}`), gets(`0{"sid":"it é","pid":"p"}`),
			gets(`2["state",true,true,"o",true,["a"],1]`)},
		"goes on in another namespace": {sends(`0/custom,{"pid":"p","resume":"it"}`), gets(`0/custom,{"sid":"it","pid":"p"}`),
			gets(`2/custom,["state",true,true,"",true,["a"],1]`)},
		"is not recovered against the will of the application": {sends(`0{"pid":"p","offset":"o"}`), gets(`0{"sid":"SID"}`),
			gets(`2["state",true,false,"o",true,null,1]`)},
		"is offered another pid instead": {sends(`0{"pid":"p","offset":"o","offer":"q"}`), gets(`0{"sid":"SID","pid":"q"}`),
			gets(`2["state",true,false,"o",true,null,1]`)},
	} {
		t.Run(name, func(t *testing.T) { dial(t, address, 4).play(script...) })
	}
	t.Run("has no recovery in revision 4", func(t *testing.T) {
		dial(t, address, 3).play(gets(`0`), gets(`2["state",true,false,"",false,null,1]`), sends(`0/custom?pid=p&offset=o&resume=it&offer=q,`),
			gets(`0/custom,`), gets(`2/custom,["state",true,false,"",false,["a","it"],1]`))
	})
}

func TestRecoveryIsWhatTheClientSaid(t *testing.T) {
	server, address := start(t, socketio.Options{})
	said := make(chan string, 1)
	server.Of("/").Use(func(s *socketio.Socket) error {
		pid, offset, ok := s.Recovery()
		said <- fmt.Sprintf("%.9s %d %.9s %d %v", pid, len(pid), offset, len(offset), ok)
		return nil
	})
	const none = " 0  0 false"
	for name, test := range map[string]struct{ auth, want string }{
		"pid and offset":                        {`{"pid":"p","offset":"o"}`, "p 1 o 1 true"},
		"the other way round, spaced":           {` { "offset" : "o" , "token":{"pid":1}, "pid" : "p" } `, "p 1 o 1 true"},
		"escaped":                               {`{"\u0070id":"\u0061\"","offset":"\n"}`, "a\" 2 \n 1 true"},
		"no payload":                            {``, none},
		"an empty object":                       {`{}`, none},
		"an empty pid":                          {`{"pid":"","offset":"o"}`, none},
		"an offset alone":                       {`{"offset":"o"}`, none},
		"a number as pid":                       {`{"pid":7,"offset":"o"}`, none},
		"null as pid":                           {`{"pid":null,"offset":"o"}`, none},
		"an object as pid":                      {`{"pid":{"pid":"p"}}`, none},
		"an array as pid":                       {`{"pid":["p"]}`, none},
		"a pid in an object":                    {`{"a":{"pid":"p"}}`, none},
		"a pid in capitals":                     {`{"PID":"p"}`, none},
		"a number as offset":                    {`{"pid":"p","offset":7}`, "p 1  0 true"},
		"an object as offset":                   {`{"pid":"p","offset":{}}`, "p 1  0 true"},
		"no offset":                             {`{"pid":"p"}`, "p 1  0 true"},
		"the last of two":                       {`{"pid":"p","pid":"q","offset":"o","offset":"n"}`, "q 1 n 1 true"},
		"the last of two, a number":             {`{"pid":"p","pid":1}`, none},
		"a lone surrogate":                      {`{"pid":"\ud800"}`, "\uFFFD 3  0 true"},
		"a pid of the greatest length":          {`{"pid":"` + strings.Repeat("p", 4096) + `"}`, "ppppppppp 4096  0 true"},
		"a pid that is too long":                {`{"pid":"` + strings.Repeat("p", 4097) + `"}`, none},
		"a pid as long in escapes":              {`{"pid":"` + strings.Repeat(`\u0070`, 4096) + `"}`, "ppppppppp 4096  0 true"},
		"an offset of the greatest length":      {`{"pid":"p","offset":"` + strings.Repeat("o", 256) + `"}`, "p 1 ooooooooo 256 true"},
		"an offset that is too long":            {`{"pid":"p","offset":"` + strings.Repeat("o", 257) + `"}`, "p 1  0 true"},
		"between members of the greatest depth": {`{"a":` + strings.Repeat("[", 500) + strings.Repeat("]", 500) + `,"pid":"p"}`, "p 1  0 true"},
	} {
		t.Run(name, func(t *testing.T) {
			dial(t, address, 4).play(sends(`0`+test.auth), gets(`0{"sid":"SID"}`))
			if got := receive(t, said); got != test.want {
				t.Errorf("got  %q\nwant %q", got, test.want)
			}
		})
	}
}

// comes connects a client to "/" and returns its socket.
func comes(t *testing.T, server *socketio.Server, address string) (*client, *socketio.Socket) {
	t.Helper()
	c := dial(t, address, 4)
	c.send(`0`)
	_, rest, _ := strings.Cut(c.next(), `"sid":"`)
	id, _, _ := strings.Cut(rest, `"`)
	return c, known(t, server.Of("/"), id)
}

// known waits for a socket, which is known after its client has the answer to CONNECT.
func known(t *testing.T, n *socketio.Namespace, id string) (s *socketio.Socket) {
	t.Helper()
	eventually(t, "the socket is known", func() bool {
		s = n.Socket(id)
		return s != nil
	})
	return s
}

// onlyOne checks that a namespace has one socket and finds it everywhere.
func onlyOne(t *testing.T, n *socketio.Namespace, id string) {
	t.Helper()
	s := n.Socket(id)
	if s == nil || !s.Connected() || s.ID() != id {
		t.Fatalf("found %v", s)
	}
	for _, room := range []string{id, "all"} {
		if got := slices.Collect(n.To(room).Sockets()); len(got) != 1 || got[0] != s || n.RoomLen(room) != 1 {
			t.Errorf("room %s has %d sockets, RoomLen %d", room, len(got), n.RoomLen(room))
		}
	}
	if rooms, sockets := n.Census(); rooms != 1 || sockets != 1 || n.Len() != 1 {
		t.Errorf("%d rooms, %d sockets, Len %d", rooms, sockets, n.Len())
	}
}

func TestResumeTakesOverFromALiveSocket(t *testing.T) {
	for name, elsewhere := range map[string]bool{"whose connection carries nothing else": false, "whose connection carries another": true} {
		t.Run(name, func(t *testing.T) {
			server, address := start(t, socketio.Options{})
			n := server.Of("/")
			echo(server, "/custom")
			recovers(server, "/")
			j := record(n)
			old, s := comes(t, server, address)
			if elsewhere {
				old.play(sends(`0/custom`), gets(`0/custom,{"sid":"SID"}`), gets(`2/custom,["auth",{}]`))
			}
			c := dial(t, address, 4)
			c.resume("/", s.ID())
			eventually(t, "the handlers have been called", func() bool { return len(j.all()) == 3 }) // before those of anybody else
			if elsewhere {
				old.play(gets(`1`), sends(`2["on the way"]`), sends(`2/custom,["message"]`), gets(`2/custom,["message-back"]`))
				old.resume("/", "another")
				old.send(`1`)
			} else {
				old.expect("closed")
			}
			eventually(t, "the new one is alone", func() bool { _, sockets := n.Census(); return sockets == 1 })
			onlyOne(t, n, s.ID())
			if n.Socket(s.ID()) == s || s.Connected() {
				t.Error("the old socket is connected")
			}
			want := []string{s.ID() + " connected, recovered false", s.ID() + " disconnected: session taken over", s.ID() + " connected, recovered true"}
			if got := j.all(); !slices.Equal(got[:3], want) {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestResumeWaitsForTheHandlersOfTheEarlierConnection(t *testing.T) {
	for name, closing := range map[string]bool{"that is alive": false, "that is closing": true} {
		t.Run(name, func(t *testing.T) {
			server, address := start(t, socketio.Options{})
			n := server.Of("/")
			echo(server, "/custom")
			recovers(server, "/")
			entered, release := make(chan bool, 1), make(chan struct{})
			slow := func(*socketio.Socket, *socketio.Event) { entered <- true; <-release }
			n.OnDisconnect(func(s *socketio.Socket, _ socketio.Reason) {
				if closing && !s.Recovered() {
					slow(s, nil)
				}
			})
			n.On("work", slow)
			j := record(n)
			old, s := comes(t, server, address)
			reason := socketio.ReasonReplaced
			if closing {
				old.send(`1`)
				reason = socketio.ReasonClientDisconnect
			} else {
				old.send(`2["work"]`)
			}
			receive(t, entered)
			// What comes second is answered first.
			c := dial(t, address, 4)
			c.play(sends(resuming("/", s.ID())), sends(`0/custom`), gets(`0/custom,{"sid":"SID"}`), gets(`2/custom,["auth",{}]`))
			eventually(t, "the earlier socket is gone", func() bool { return n.Len() == 0 })
			if n.Socket(s.ID()) != nil || len(j.all()) != 1 {
				t.Errorf("while the handler runs: %q", j.all())
			}
			close(release)
			c.expect(accepting("/", s.ID()))
			c.quietIn("/custom")
			want := []string{s.ID() + " connected, recovered false", fmt.Sprintf("%s disconnected: %s", s.ID(), reason), s.ID() + " connected, recovered true"}
			if got := j.all(); !slices.Equal(got, want) {
				t.Errorf("got %q", got)
			}
			onlyOne(t, n, s.ID())
		})
	}
}

func TestAConnectionThatHasEndedTakesOverNothing(t *testing.T) {
	server, address := start(t, socketio.Options{})
	n := server.Of("/")
	entered, release, returned := make(chan bool, 1), make(chan struct{}), make(chan bool, 1)
	recovers(server, "/")
	n.Use(func(s *socketio.Socket) error {
		if s.Recovered() {
			entered <- true
			<-release
			defer func() { returned <- true }()
		}
		return nil
	})
	echo(server, "/")
	old, s := comes(t, server, address)
	old.expect(`2["auth",{}]`)
	c := dial(t, address, 4)
	c.send(resuming("/", s.ID()))
	receive(t, entered)
	c.close()
	eventually(t, "its end is known", func() bool { return server.Len() == 1 })
	old.quiet()
	close(release)
	receive(t, returned)
	old.quiet()
	onlyOne(t, n, s.ID())
}

func TestARefusedResumeLeavesTheEarlierSocketAlone(t *testing.T) {
	server, address := start(t, socketio.Options{})
	n := server.Of("/")
	recovers(server, "/")
	n.Use(func(s *socketio.Socket) error {
		if s.Recovered() {
			return fmt.Errorf("no")
		}
		return nil
	})
	echo(server, "/")
	old, s := comes(t, server, address)
	old.expect(`2["auth",{}]`)
	dial(t, address, 4).play(sends(resuming("/", s.ID())), gets(`4{"message":"no"}`))
	old.quiet()
	onlyOne(t, n, s.ID())
}

func TestResumingOnTheSameConnection(t *testing.T) {
	server, address := start(t, socketio.Options{})
	n := server.Of("/")
	recovers(server, "/")
	j := record(n)
	c, s := comes(t, server, address)
	for range 20 {
		c.send(`1`)
		c.resume("/", s.ID())
		known(t, n, s.ID()).Disconnect(false)
		c.expect(`1`)
		c.resume("/", s.ID())
	}
	eventually(t, "the last is told", func() bool { return len(j.all()) == 81 })
	for i, line := range j.all() {
		if want := []string{"connected", "disconnected"}[i%2]; !strings.HasPrefix(line, s.ID()+" "+want) {
			t.Errorf("line %d: %s", i, line)
		}
	}
	onlyOne(t, n, s.ID())
}

func TestConnectionsThatTakeOverFromEachOtherDoNotBlock(t *testing.T) {
	server, address := start(t, socketio.Options{})
	server.Of("/custom")
	recovers(server, "/", "/custom")
	// A connection that carries nothing else and asks for nothing is closed when it is taken over from: both ask before either gets anything.
	type gate struct{ asked, open chan struct{} }
	var shut atomic.Pointer[gate]
	for _, name := range []string{"/", "/custom"} {
		server.Of(name).Use(func(*socketio.Socket) error {
			if g := shut.Load(); g != nil {
				g.asked <- struct{}{}
				<-g.open
			}
			return nil
		})
	}
	for i := range 30 {
		main, custom := fmt.Sprintf("main %d", i), fmt.Sprintf("custom %d", i)
		a, b := dial(t, address, 4), dial(t, address, 4)
		a.resume("/", main)
		b.resume("/custom", custom)
		g := &gate{make(chan struct{}, 2), make(chan struct{})}
		shut.Store(g)
		a.send(resuming("/custom", custom))
		b.send(resuming("/", main))
		receive(t, g.asked)
		receive(t, g.asked)
		shut.Store(nil)
		close(g.open)
		for c, answers := range map[*client][]string{a: {accepting("/custom", custom), `1`}, b: {accepting("/", main), `1/custom,`}} {
			got := []string{c.next(), c.next()}
			if slices.Sort(got); !slices.Equal(got, slices.Sorted(slices.Values(answers))) {
				t.Fatalf("got %q, want %q", got, answers)
			}
			c.close()
		}
	}
}

func TestOfManyThatResumeAtOnceOneStays(t *testing.T) {
	server, address := start(t, socketio.Options{})
	n := server.Of("/")
	recovers(server, "/")
	var alive, connects, disconnects atomic.Int32
	var told sync.Map // sockets
	n.OnConnect(func(s *socketio.Socket) {
		connects.Add(1)
		if alive.Add(1) != 1 {
			t.Error("two sockets had the id")
		}
		if found := n.Socket(s.ID()); found != nil && found != s {
			t.Error("the id leads to another socket")
		}
	})
	n.OnDisconnect(func(s *socketio.Socket, _ socketio.Reason) {
		if _, again := told.LoadOrStore(s, true); again {
			t.Error("a socket was disconnected twice")
		}
		alive.Add(-1)
		disconnects.Add(1)
	})
	for round := range 5 {
		before := connects.Load()
		var clients []*client
		for range 30 {
			clients = append(clients, dial(t, address, 4))
		}
		stop, stopped := make(chan struct{}), make(chan struct{})
		go func() { // the server disconnects now and then, too
			defer close(stopped)
			for {
				select {
				case <-stop:
					return
				default:
					n.To("it").Disconnect(round%2 == 0)
				}
			}
		}()
		for i, c := range clients {
			c.send(resuming("/", "it"))
			if i%3 == 0 {
				c.close()
			}
		}
		eventually(t, "all that stayed have had their turn", func() bool { return connects.Load() >= before+int32(len(clients)*2/3) })
		close(stop)
		<-stopped
		last := dial(t, address, 4)
		last.send(resuming("/", "it"))
		eventually(t, "one is left", func() bool {
			_, sockets := n.Census()
			return sockets == 1 && alive.Load() == 1 && connects.Load() == disconnects.Load()+1
		})
		onlyOne(t, n, "it")
		for _, c := range append(clients, last) {
			c.close()
		}
		eventually(t, "all are gone", func() bool {
			rooms, sockets := n.Census()
			return rooms == 0 && sockets == 0 && n.Len() == 0 && server.Len() == 0
		})
		if alive.Load() != 0 || connects.Load() != disconnects.Load() {
			t.Fatalf("%d connected, %d disconnected", connects.Load(), disconnects.Load())
		}
	}
}

func TestASocketStaysSmall(t *testing.T) {
	// The next size class of the allocator is 160.
	if size := unsafe.Sizeof(socketio.Socket{}); size > 144 {
		t.Errorf("%d bytes", size)
	}
}

// quietIn is quiet for a namespace other than "/".
func (c *client) quietIn(namespace string) {
	c.t.Helper()
	c.send(`2` + namespace + `,999["message-with-ack"]`)
	c.expect(`3` + namespace + `,999[]`)
}
