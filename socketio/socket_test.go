package socketio_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"belfry/engineio"
	"belfry/socketio"
)

// socketOf returns the one socket of a namespace.
func socketOf(t *testing.T, n *socketio.Namespace) *socketio.Socket {
	t.Helper()
	var s *socketio.Socket
	eventually(t, "a socket is connected", func() bool {
		for s = range n.Sockets() {
			return true
		}
		return false
	})
	return s
}

func TestMiddlewareDecidesWhoConnects(t *testing.T) {
	server, address := start(t, socketio.Options{})
	var order atomic.Int32
	n := server.Of("/n")
	n.Use(func(s *socketio.Socket) error {
		var auth struct{ Token string }
		if err := json.Unmarshal(s.Auth(), &auth); err != nil {
			return err
		}
		switch auth.Token {
		case "data":
			return fmt.Errorf("wrapped: %w", &socketio.ConnectError{Message: "no entry", Data: map[string]int{"code": 7}})
		case "plain":
			return errors.New("not you")
		case "unencodable":
			return &socketio.ConnectError{Message: "odd", Data: make(chan int)}
		}
		s.SetData(auth.Token)
		if err := s.Emit("early"); !errors.Is(err, socketio.ErrNotConnected) {
			t.Errorf("Emit in a middleware: %v", err)
		}
		order.CompareAndSwap(0, 1)
		return s.Join("room of " + auth.Token)
	})
	n.Use(func(*socketio.Socket) error { order.CompareAndSwap(1, 2); return nil })
	n.OnConnect(func(s *socketio.Socket) { s.Emit("hello", s.Data(), s.Rooms()) })

	modern := dial(t, address, 4)
	modern.play(
		sends(`0/n,{"token":"data"}`), gets(`4/n,{"message":"no entry","data":{"code":7}}`),
		sends(`0/n,{"token":"plain"}`), gets(`4/n,{"message":"not you"}`),
		sends(`0/n,{"token":"unencodable"}`), gets(`4/n,{"message":"odd"}`),
		sends(`0/n,{"token":"x"}`), gets(`0/n,{"sid":"SID"}`), gets(`2/n,["hello","x",["room of x"]]`))
	if order.Load() != 2 || n.Len() != 1 || n.RoomLen("room of x") != 1 {
		t.Errorf("order %d, %d sockets, %d in the room", order.Load(), n.Len(), n.RoomLen("room of x"))
	}
	old := dial(t, address, 3)
	old.play(gets(`0`),
		sends(`0/n?token=data`), gets(`4/n,{"code":7}`),
		sends(`0/n?token=plain`), gets(`4/n,"not you"`),
		sends(`0/n?token=x`), gets(`0/n,`), gets(`2/n,["hello","x",["room of x"]]`))
}

func TestSlowMiddlewareHoldsUpNothingElse(t *testing.T) {
	server, address := start(t, socketio.Options{})
	echo(server, "/")
	release := make(chan struct{})
	server.Of("/slow").Use(func(*socketio.Socket) error { <-release; return nil })
	c := join(t, address, 4)
	c.play(gets(`2["auth",{}]`), sends(`0/slow`), sends(`2["message"]`), gets(`2["message-back"]`))
	close(release)
	c.play(gets(`0/slow,{"sid":"SID"}`))
}

func TestDynamicNamespacesComeAndGo(t *testing.T) {
	server, address := start(t, socketio.Options{})
	family := server.AllowNamespaces(func(name string, h *engineio.Handshake, auth json.RawMessage) error {
		switch name {
		case "/team-1", "/team-2":
			return nil
		case "/closed":
			return &socketio.ConnectError{Message: "closed today"}
		}
		return errors.New("a secret reason")
	})
	gone := make(chan string, 1)
	family.OnConnect(func(s *socketio.Socket) { s.Emit("welcome", s.Namespace().Name()) })
	family.OnDisconnect(func(s *socketio.Socket, r socketio.Reason) { gone <- s.Namespace().Name() + ": " + string(r) })
	c := dial(t, address, 4)
	c.play(sends(`0/team-1`), gets(`0/team-1,{"sid":"SID"}`), gets(`2/team-1,["welcome","/team-1"]`),
		sends(`0/closed`), gets(`4/closed,{"message":"closed today"}`),
		sends(`0/other`), gets(`4/other,{"message":"Invalid namespace"}`))
	if got := server.Names(); !slices.Equal(got, []string{"/", "/team-1"}) {
		t.Errorf("namespaces: %v", got)
	}
	c.send(`1/team-1`)
	if got := receive(t, gone); got != "/team-1: client namespace disconnect" {
		t.Error(got)
	}
	eventually(t, "the namespace vanishes", func() bool { return len(server.Names()) == 1 })
}

func TestAcknowledgementsFromTheClient(t *testing.T) {
	server, address := start(t, socketio.Options{AckTimeout: time.Minute})
	c := join(t, address, 4)
	s := socketOf(t, server.Of("/"))
	type result struct {
		args socketio.Args
		err  error
	}
	ask := func(ctx context.Context) <-chan result {
		ch := make(chan result, 1)
		go func() {
			args, err := s.EmitWithAck(ctx, "q", 1)
			ch <- result{args, err}
		}()
		return ch
	}

	answer := ask(context.Background())
	c.play(gets(`20["q",1]`), sends(`61-0["a",{"_placeholder":true,"num":0}]`), sendsB{9})
	r := receive(t, answer)
	var file socketio.Binary
	if r.err != nil || string(r.args.Raw(0)) != `"a"` || r.args.Decode(1, &file) != nil || string(file) != "\x09" {
		t.Errorf("answer: %v, %v", r.args, r.err)
	}

	ctx, cancel := context.WithCancel(context.Background())
	answer = ask(ctx)
	c.play(gets(`21["q",1]`))
	cancel()
	if r := receive(t, answer); !errors.Is(r.err, context.Canceled) {
		t.Errorf("cancelled: %v", r.err)
	}

	called := make(chan error, 1)
	back := func(_ socketio.Args, err error) { called <- err }
	if err := s.EmitAckFunc("f", time.Minute, back); err != nil {
		t.Fatal(err)
	}
	c.play(gets(`22["f"]`), sends(`31["late"]`), sends(`32[]`))
	if err := receive(t, called); err != nil {
		t.Errorf("function: %v", err)
	}
	if err := s.EmitAckFunc("f", time.Millisecond, back); err != nil {
		t.Fatal(err)
	}
	if err := receive(t, called); !errors.Is(err, socketio.ErrAckTimeout) {
		t.Errorf("function without answer: %v", err)
	}
	if err := s.EmitAckFunc("f", time.Minute, back, make(chan int)); err == nil {
		t.Error("a channel was sent")
	}

	c.play(gets(`23["f"]`))
	answer = ask(context.Background())
	c.play(gets(`24["q",1]`))
	if err := s.EmitAckFunc("f", time.Minute, back); err != nil {
		t.Fatal(err)
	}
	c.close()
	if r := receive(t, answer); !errors.Is(r.err, socketio.ErrNotConnected) {
		t.Errorf("disconnected: %v", r.err)
	}
	if err := receive(t, called); !errors.Is(err, socketio.ErrNotConnected) {
		t.Errorf("function, disconnected: %v", err)
	}
	if _, err := s.EmitWithAck(context.Background(), "q"); !errors.Is(err, socketio.ErrNotConnected) {
		t.Errorf("after the disconnect: %v", err)
	}
}

func TestAcknowledgementTimeoutOfTheServer(t *testing.T) {
	server, address := start(t, socketio.Options{AckTimeout: time.Millisecond})
	join(t, address, 4)
	if _, err := socketOf(t, server.Of("/")).EmitWithAck(context.Background(), "q"); !errors.Is(err, socketio.ErrAckTimeout) {
		t.Errorf("got %v", err)
	}
}

func TestAnEventIsAcknowledgedOnce(t *testing.T) {
	server, address := start(t, socketio.Options{})
	errs := make(chan error, 3)
	server.Of("/").On("e", func(_ *socketio.Socket, e *socketio.Event) {
		errs <- e.Ack("first", []byte{1})
		errs <- e.Ack("second")
	})
	c := join(t, address, 4)
	c.play(sends(`25["e"]`), gets(`61-5["first",{"_placeholder":true,"num":0}]`), gets(`01`))
	if a, b := receive(t, errs), receive(t, errs); a != nil || !errors.Is(b, socketio.ErrAcknowledged) {
		t.Errorf("got %v and %v", a, b)
	}
	c.send(`2["e"]`)
	if err := receive(t, errs); !errors.Is(err, socketio.ErrNoAck) {
		t.Errorf("unasked: %v", err)
	}
}

func TestDisconnectByTheServer(t *testing.T) {
	for name, closeTransport := range map[string]bool{"of one namespace": false, "of the connection": true} {
		t.Run(name, func(t *testing.T) {
			server, address := start(t, socketio.Options{})
			echo(server, "/custom")
			n := server.Of("/")
			log := make(chan string, 10)
			n.On("leave", func(s *socketio.Socket, _ *socketio.Event) {
				s.Disconnect(closeTransport)
				s.Disconnect(closeTransport)
				log <- fmt.Sprint(s.Connected(), n.Len(), n.RoomLen("r"), s.Join("r") != nil, s.Emit("x") != nil)
			})
			n.OnConnect(func(s *socketio.Socket) { s.Join("r") })
			n.OnDisconnect(func(s *socketio.Socket, r socketio.Reason) { log <- fmt.Sprintf("%s %v", r, s.Rooms()) })
			c := join(t, address, 4)
			c.play(sends(`0/custom`), gets(`0/custom,{"sid":"SID"}`), gets(`2/custom,["auth",{}]`), sends(`2["leave"]`), gets(`1`))
			if closeTransport {
				c.expect(`1/custom,`, "closed")
			} else {
				c.play(sends(`2["leave"]`), sends(`31[]`), sends(`1`), // on the way when the server disconnected
					sends(`2/custom,["message"]`), gets(`2/custom,["message-back"]`))
			}
			if got := receive(t, log); got != "false 0 0 true true" {
				t.Errorf("in the handler: %s", got)
			}
			if got := receive(t, log); got != "server namespace disconnect [r]" {
				t.Errorf("OnDisconnect: %s", got)
			}
			if !closeTransport {
				c.play(sends(`0`), gets(`0{"sid":"SID"}`))
			}
		})
	}
}

func TestDisconnectHandlerWaitsForTheEventHandler(t *testing.T) {
	server, address := start(t, socketio.Options{})
	n := server.Of("/")
	entered, release := make(chan *socketio.Socket, 1), make(chan struct{})
	var returned atomic.Bool
	told := make(chan bool, 1)
	n.On("work", func(s *socketio.Socket, _ *socketio.Event) {
		entered <- s
		<-release
		returned.Store(true)
	})
	n.OnDisconnect(func(*socketio.Socket, socketio.Reason) { told <- returned.Load() })
	c := join(t, address, 4)
	c.send(`2["work"]`)
	s := receive(t, entered)
	s.Disconnect(false)
	c.expect(`1`)
	close(release)
	if !receive(t, told) {
		t.Error("OnDisconnect was called during the event handler")
	}
}

// A client of revision 4 is in "/" unasked, and that may take the application longer than a client waits for a handshake.
func TestTheHandshakeDoesNotWaitForTheApplication(t *testing.T) {
	server, address := start(t, socketio.Options{})
	echo(server, "/")
	release := make(chan struct{})
	free := sync.OnceFunc(func() { close(release) })
	defer free()
	server.Of("/").Use(func(*socketio.Socket) error { <-release; return nil })
	c := dial(t, address, 3) // and gets the open packet
	if _, err := c.conn.Write(appendFrame(nil, 1, []byte("2"))); err != nil {
		t.Fatal(err)
	}
	if _, answer, err := c.frame(); err != nil || string(answer) != "3" {
		t.Fatalf("its ping was answered %q, %v", answer, err)
	}
	c.send(`2["message",1]`) // waits for its turn
	free()
	c.expect("0", `2["auth",{}]`, `2["message-back",1]`)
}

func TestAPanicWhileAClientOfRevision4Connects(t *testing.T) {
	server, address := start(t, socketio.Options{})
	n := server.Of("/")
	gone := make(chan socketio.Reason, 1)
	n.OnDisconnect(func(_ *socketio.Socket, r socketio.Reason) { gone <- r })
	n.OnConnect(func(*socketio.Socket) { panic("test") })
	dial(t, address, 3).expect("0", "closed")
	if reason := receive(t, gone); reason != engineio.ReasonPanic {
		t.Errorf("it ended with %q", reason)
	}
	eventually(t, "nobody is left", func() bool { return n.Len() == 0 && server.Len() == 0 })
}

func TestAPanicEndsOnlyItsConnection(t *testing.T) {
	server, address := start(t, socketio.Options{})
	echo(server, "/")
	n := server.Of("/")
	n.On("panic", func(*socketio.Socket, *socketio.Event) { panic("test") })
	n.On("ask", func(s *socketio.Socket, _ *socketio.Event) {
		s.EmitAckFunc("q", time.Minute, func(socketio.Args, error) { panic("test") })
	})
	n.On("ask late", func(s *socketio.Socket, _ *socketio.Event) {
		s.EmitAckFunc("q", time.Millisecond, func(socketio.Args, error) { panic("test") })
	})
	server.Of("/use").Use(func(*socketio.Socket) error { panic("test") })
	server.Of("/connect").OnConnect(func(*socketio.Socket) { panic("test") })
	server.Of("/disconnect").OnDisconnect(func(*socketio.Socket, socketio.Reason) { panic("test") })
	gone := make(chan socketio.Reason, 10)
	n.OnDisconnect(func(_ *socketio.Socket, r socketio.Reason) { gone <- r })
	other := join(t, address, 4)
	other.expect(`2["auth",{}]`)
	for name, script := range map[string]steps{
		"in an event handler":       {sends(`2["panic"]`), gets("closed")},
		"in a middleware":           {sends(`0/use`), gets("closed")},
		"in a connect handler":      {sends(`0/connect`), gets(`0/connect,{"sid":"SID"}`), gets("closed")},
		"in a disconnect handler":   {sends(`0/disconnect`), gets(`0/disconnect,{"sid":"SID"}`), sends(`1/disconnect`), gets("closed")},
		"in an acknowledgement":     {sends(`2["ask"]`), gets(`20["q"]`), sends(`30[]`), gets("closed")},
		"in a late acknowledgement": {sends(`2["ask late"]`), gets(`20["q"]`), gets("closed")},
	} {
		t.Run(name, func(t *testing.T) {
			c := join(t, address, 4)
			c.expect(`2["auth",{}]`)
			c.play(script...)
			receive(t, gone)
		})
	}
	other.quiet()
	eventually(t, "only the other is left", func() bool { return n.Len() == 1 && server.Len() == 1 })
}

func TestShutdownTellsTheHandlersAndSendsNoDisconnect(t *testing.T) {
	server, address := start(t, socketio.Options{})
	gone := make(chan socketio.Reason, 1)
	server.Of("/").OnDisconnect(func(_ *socketio.Socket, r socketio.Reason) { gone <- r })
	c := join(t, address, 4)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	if len(gone) != 1 || <-gone != engineio.ReasonShutdown {
		t.Error("Shutdown returned before the disconnect handler")
	}
	c.expect("closed")
}

func TestAMiddlewareMayForgetTheAuthThatItHasChecked(t *testing.T) {
	server, address := start(t, socketio.Options{})
	n := server.Of("/")
	n.Use(func(s *socketio.Socket) error { s.ForgetAuth(); return nil })
	n.OnConnect(func(s *socketio.Socket) { s.Emit("auth", s.Auth()) })
	dial(t, address, 4).play(sends(`0{"token":"secret"}`), gets(`0{"sid":"SID"}`), gets(`2["auth",{}]`))
}
