package socketio_test

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"belfry/socketio"
)

// patience bounds every wait of the tests. It never decides a result that is
// not already wrong.
const patience = time.Minute

// start serves a server on a port of its own until the test ends.
func start(t testing.TB, options socketio.Options) (*socketio.Server, string) {
	t.Helper()
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	if options.Engine.PingInterval == 0 { // clients of revision 4 send no heartbeats here
		options.Engine.PingInterval, options.Engine.PingTimeout = time.Hour, time.Hour
	}
	server := socketio.NewServer(options)
	web := httptest.NewServer(server)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		web.Close()
	})
	return server, strings.TrimPrefix(web.URL, "http://")
}

// A client is a WebSocket connection that speaks Engine.IO as far as the tests
// need it: it shows messages without their leading 4, and binary ones in hex.
type client struct {
	t        testing.TB
	conn     net.Conn
	reader   *bufio.Reader
	protocol int
	sid      string
}

// dial opens a connection of Engine.IO protocol 3 or 4.
func dial(t testing.TB, address string, protocol int) *client {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	c := &client{t: t, conn: conn, reader: bufio.NewReader(conn), protocol: protocol}
	fmt.Fprintf(conn, "GET /socket.io/?EIO=%d&transport=websocket HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n\r\n", protocol, address, base64.StdEncoding.EncodeToString(make([]byte, 16)))
	conn.SetReadDeadline(time.Now().Add(patience))
	response, err := http.ReadResponse(c.reader, nil)
	if err != nil || response.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("websocket handshake: %v, %v", response, err)
	}
	op, open, err := c.frame()
	if err != nil || op != 1 || open[0] != '0' {
		t.Fatalf("open packet: %q, %v", open, err)
	}
	_, rest, _ := strings.Cut(string(open), `"sid":"`)
	c.sid, _, _ = strings.Cut(rest, `"`)
	return c
}

// join dials and connects to "/".
func join(t testing.TB, address string, protocol int) *client {
	t.Helper()
	c := dial(t, address, protocol)
	if protocol == 4 {
		c.send("0")
	}
	if got := c.next(); !strings.HasPrefix(got, "0") {
		t.Fatalf("CONNECT was answered %s", got)
	}
	return c
}

// sendAll writes messages in one segment.
func (c *client) sendAll(messages ...string) {
	c.t.Helper()
	var out []byte
	for _, m := range messages {
		out = appendFrame(out, 1, []byte("4"+m))
	}
	if _, err := c.conn.Write(out); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) send(message string) {
	c.t.Helper()
	c.sendAll(message)
}

func (c *client) sendBinary(data ...byte) {
	c.t.Helper()
	if c.protocol == 3 {
		data = append([]byte{4}, data...)
	}
	if _, err := c.conn.Write(appendFrame(nil, 2, data)); err != nil {
		c.t.Fatal(err)
	}
}

// appendFrame appends a WebSocket frame masked with zeros.
func appendFrame(b []byte, op byte, data []byte) []byte {
	b = append(b, 0x80|op)
	if len(data) < 126 {
		b = append(b, 0x80|byte(len(data)))
	} else {
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(len(data)))
	}
	return append(append(b, 0, 0, 0, 0), data...)
}

func (c *client) frame() (op byte, data []byte, err error) {
	c.conn.SetReadDeadline(time.Now().Add(patience))
	var head [2]byte
	if _, err := io.ReadFull(c.reader, head[:]); err != nil {
		return 0, nil, err
	}
	n := uint64(head[1])
	if n >= 126 {
		size := make([]byte, 2+6*(n-126))
		if _, err := io.ReadFull(c.reader, size); err != nil {
			return 0, nil, err
		}
		n = 0
		for _, d := range size {
			n = n<<8 | uint64(d)
		}
	}
	data = make([]byte, n)
	_, err = io.ReadFull(c.reader, data)
	return head[0] & 15, data, err
}

// next returns the next message, "closed" when the connection ends.
func (c *client) next() string {
	c.t.Helper()
	for {
		op, data, err := c.frame()
		var timeout net.Error
		switch {
		case errors.As(err, &timeout) && timeout.Timeout():
			c.t.Fatal("no message comes")
		case err != nil, op == 8, op == 1 && string(data) == "1":
			return "closed"
		case op == 2 && c.protocol == 3:
			return fmt.Sprintf("%x", data[1:])
		case op == 2:
			return fmt.Sprintf("%x", data)
		case string(data) == "2":
			c.conn.Write(appendFrame(nil, 1, []byte("3")))
		case data[0] == '4':
			return string(data[1:])
		}
	}
}

// expect reads the next messages, all of which must be as given.
func (c *client) expect(want ...string) {
	c.t.Helper()
	for _, w := range want {
		if got := c.next(); got != w {
			c.t.Fatalf("got %s, want %s", got, w)
		}
	}
}

// quiet shows that nothing but the answer to one more event is on the way. The
// server must have the handlers of echo.
func (c *client) quiet() {
	c.t.Helper()
	c.send(`2999["message-with-ack"]`)
	c.expect(`3999[]`)
}

func (c *client) close() { c.conn.Close() }

// echo gives the namespaces the handlers of the examples' echo.
func echo(server *socketio.Server, names ...string) {
	for _, name := range names {
		n := server.Of(name)
		n.OnConnect(func(s *socketio.Socket) { s.Emit("auth", s.Auth()) })
		n.On("message", func(s *socketio.Socket, e *socketio.Event) { s.Emit("message-back", e.Args.All()...) })
		n.On("message-with-ack", func(_ *socketio.Socket, e *socketio.Event) { e.Ack(e.Args.All()...) })
	}
}

// eventually waits until a condition holds.
func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}

// receive takes a value from a channel.
func receive[T any](t testing.TB, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		t.Fatal("nothing comes")
		panic("unreachable")
	}
}
