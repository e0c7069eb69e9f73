package socketio_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"strconv"
	"strings"
	"time"

	"belfry/engineio"
	"belfry/socketio"
)

// A chat with rooms: who connects with a name may join rooms and talk there.
func Example() {
	server := socketio.NewServer(socketio.Options{})
	chat := server.Of("/")
	chat.Use(func(s *socketio.Socket) error {
		var auth struct{ Name string }
		if err := json.Unmarshal(s.Auth(), &auth); err != nil || auth.Name == "" {
			return &socketio.ConnectError{Message: "say who you are"}
		}
		s.SetData(auth.Name)
		return nil
	})
	chat.On("join", func(s *socketio.Socket, e *socketio.Event) {
		var room string
		err := e.Args.Decode(0, &room)
		if err == nil {
			err = s.Join(room)
		}
		if err := e.Ack(err == nil); err != nil && !errors.Is(err, socketio.ErrNoAck) {
			log.Print(err)
		}
	})
	chat.On("say", func(s *socketio.Socket, e *socketio.Event) {
		if _, err := s.To(s.Rooms()...).Emit("said", append([]any{s.Data()}, e.Args.All()...)...); err != nil {
			log.Print(err)
		}
	})
	chat.OnDisconnect(func(s *socketio.Socket, reason socketio.Reason) {
		log.Printf("%v left: %s", s.Data(), reason)
	})

	mux := http.NewServeMux()
	mux.Handle("/socket.io/", server)
	// http.ListenAndServe("127.0.0.1:3000", mux)

	fmt.Println(chat.Name(), chat.Len())
	// Output: / 0
}

// Any part of a program can send to a room, and learns how many sockets are
// in it.
func ExampleNamespace_To() {
	server := socketio.NewServer(socketio.Options{})
	n, err := server.Of("/").To("company:7").Except("uid:1").Emit("update_dynamic", map[string]any{"title": "hello"})
	fmt.Println(n, err)
	// Output: 0 <nil>
}

// Namespaces that nobody has created can be admitted as clients name them.
func ExampleServer_AllowNamespaces() {
	server := socketio.NewServer(socketio.Options{})
	teams := server.AllowNamespaces(func(name string, _ *engineio.Handshake, _ json.RawMessage) error {
		var team int
		if _, err := fmt.Sscanf(name, "/team-%d", &team); err != nil {
			return err
		}
		return nil
	})
	teams.OnConnect(func(s *socketio.Socket) {
		if err := s.Emit("welcome", s.Namespace().Name()); err != nil {
			log.Print(err)
		}
	})
}

// A question to a client and its answer. The goroutine is needed because the
// answer cannot arrive while a handler runs.
func ExampleSocket_EmitWithAck() {
	server := socketio.NewServer(socketio.Options{})
	server.Of("/").OnConnect(func(s *socketio.Socket) {
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			args, err := s.EmitWithAck(ctx, "what time is it")
			if err != nil {
				log.Print(err)
				return
			}
			var answer string
			if err := args.Decode(0, &answer); err == nil {
				log.Print(answer)
			}
		}()
	})
}

// A client whose connection broke goes on where it was. The pid says which
// socket it had; a real one is signed, so that nobody can make one up.
func ExampleSocket_Resume() {
	news := []string{"first", "second"} // a log; the offset is a place in it
	n := socketio.NewServer(socketio.Options{}).Of("/")
	n.Use(func(s *socketio.Socket) error {
		s.Hold() // what is broadcast from here on waits
		pid, _, ok := s.Recovery()
		if id, known := strings.CutPrefix(pid, "signed "); ok && known {
			s.Resume(id, pid)
		} else {
			s.Offer("signed " + s.ID())
		}
		return s.Join("readers")
	})
	n.OnConnect(func(s *socketio.Socket) {
		defer s.Release()
		if !s.Recovered() {
			return
		}
		_, offset, _ := s.Recovery()
		from, err := strconv.Atoi(offset)
		if err != nil || from < 0 || from > len(news) {
			from = 0
		}
		for i, text := range news[from:] {
			if err := s.Emit("news", text, strconv.Itoa(from+i+1)); err != nil {
				return
			}
		}
	})
}
