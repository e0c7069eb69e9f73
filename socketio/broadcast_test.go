package socketio_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"belfry/socketio"
)

func TestBroadcastReachesWhomItShould(t *testing.T) {
	server, address := start(t, socketio.Options{})
	n := server.Of("/")
	echo(server, "/")
	n.On("join", func(s *socketio.Socket, e *socketio.Event) {
		for i := range e.Args.Len() {
			var room string
			if err := e.Args.Decode(i, &room); err != nil {
				t.Error(err)
			}
			s.Join(room)
		}
	})
	var clients []*client
	var sockets []*socketio.Socket
	connected := make(chan *socketio.Socket, 3)
	n.OnConnect(func(s *socketio.Socket) { connected <- s })
	for i, protocol := range []int{4, 4, 3} {
		c := join(t, address, protocol)
		c.play(gets(`2["auth",{}]`), sends(fmt.Sprintf(`2["join","all","room %d","é"]`, i)))
		c.quiet()
		clients, sockets = append(clients, c), append(sockets, receive(t, connected))
	}
	for _, test := range []struct {
		name      string
		broadcast socketio.Broadcast
		want      string // numbers of the clients
	}{
		{"a room", n.To("all"), "012"},
		{"several rooms", n.To("all", "room 1").To("é"), "012"},
		{"an id", n.To(sockets[1].ID()), "1"},
		{"all except a room", n.Except("room 0"), "12"},
		{"a room except an id", n.To("all").Except(sockets[2].ID()), "01"},
		{"a room but not oneself", sockets[0].To("all"), "12"},
		{"all others", sockets[2].Broadcast(), "01"},
		{"an empty room", n.To("nowhere"), ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			count, err := test.broadcast.Emit("e", "é", []byte{7})
			if err != nil || count != len(test.want) {
				t.Errorf("sent to %d, %v", count, err)
			}
			for i, c := range clients {
				text := "é"
				if c.protocol == 3 {
					text = `\u00e9`
				}
				if strings.Contains(test.want, fmt.Sprint(i)) {
					c.expect(`51-["e","`+text+`",{"_placeholder":true,"num":0}]`, `07`)
				}
				c.quiet()
			}
		})
	}
	if _, err := n.Emit("disconnect"); !errors.Is(err, socketio.ErrReservedEvent) {
		t.Errorf("reserved event: %v", err)
	}
	if err := n.To("all").Join("more"); err != nil || n.RoomLen("more") != 3 {
		t.Errorf("%d joined, %v", n.RoomLen("more"), err)
	}
	n.To("room 0").Leave("more", "not a room of it")
	if n.RoomLen("more") != 2 || sockets[0].In("more") || !sockets[1].In("more") {
		t.Errorf("%d are left", n.RoomLen("more"))
	}
	n.To("more").Disconnect(true)
	clients[1].expect(`1`, "closed")
	clients[2].expect(`1`, "closed")
	clients[0].quiet()
}

func TestNothingIsLeftOfDisconnectedSockets(t *testing.T) {
	server, address := start(t, socketio.Options{MaxRooms: 3})
	for _, name := range []string{"/", "/custom"} {
		server.Of(name).OnConnect(func(s *socketio.Socket) {
			if err := s.Join("a", "b", "a", "c"); err != nil {
				t.Error(err)
			}
			if err := s.Join("d"); !errors.Is(err, socketio.ErrTooManyRooms) {
				t.Errorf("a fourth room: %v", err)
			}
			s.LeaveAll()
			s.Join("shared", "own "+s.ID())
		})
	}
	var clients []*client
	for i := range 20 {
		c := join(t, address, 3+i%2)
		c.send(`0/custom`)
		if got := c.next(); !strings.HasPrefix(got, `0/custom,`) {
			t.Fatal(got)
		}
		clients = append(clients, c)
	}
	for _, name := range []string{"/", "/custom"} {
		n := server.Of(name)
		eventually(t, "all have joined", func() bool { rooms, _ := n.Census(); return rooms == 21 && n.RoomLen("shared") == 20 })
		if rooms, sockets := n.Census(); rooms != 21 || sockets != 20 || n.Len() != 20 {
			t.Errorf("%s: %d rooms, %d sockets, Len %d", name, rooms, sockets, n.Len())
		}
		for s := range n.Sockets() {
			if n.Socket(s.ID()) != s {
				t.Errorf("%s is not found", s.ID())
			}
		}
	}
	for i, c := range clients {
		switch i % 3 {
		case 0:
			c.close()
		case 1:
			c.sendAll(`1`, `1/custom`)
		case 2:
			c.send(`abc`)
		}
	}
	for _, name := range []string{"/", "/custom"} {
		n := server.Of(name)
		eventually(t, "all are gone from "+name, func() bool {
			rooms, sockets := n.Census()
			return rooms == 0 && sockets == 0 && n.Len() == 0 && n.RoomLen("shared") == 0
		})
	}
}
