package engineio

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// A gatherer is a connection that keeps what is written until flush.
type gatherer struct {
	net.Conn
	written []byte
}

func (g *gatherer) Write(p []byte) (int, error) {
	g.written = append(g.written, p...)
	return len(p), nil
}

// Read comes after a write where tls waits for an answer.
func (g *gatherer) Read(p []byte) (int, error) {
	if err := g.flush(len(g.written)); err != nil {
		return 0, err
	}
	return g.Conn.Read(p)
}

// flush writes in pieces of a size.
func (g *gatherer) flush(piece int) error {
	for len(g.written) > 0 {
		n := min(piece, len(g.written))
		if _, err := g.Conn.Write(g.written[:n]); err != nil {
			return err
		}
		g.written = g.written[n:]
	}
	return nil
}

// tlsClient opens a TLS connection to h without a WebSocket handshake.
func tlsClient(t *testing.T, h *harness) (*tls.Conn, *gatherer) {
	t.Helper()
	conn, err := net.Dial("tcp", h.http.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(patience))
	below := &gatherer{Conn: conn}
	return tls.Client(below, &tls.Config{InsecureSkipVerify: true}), below
}

// openTLS sends the request of a WebSocket page, with what follows it in the same record,
// and waits for the open packet.
func openTLS(t *testing.T, h *harness, client *tls.Conn, follows string) *recorder {
	t.Helper()
	fmt.Fprintf(client, webSocketRequest+follows, "EIO=4&transport=websocket", "localhost", "")
	for answer := make([]byte, 0, 1000); !bytes.Contains(answer, []byte("maxPayload")); {
		n, err := client.Read(answer[len(answer):cap(answer)])
		if err != nil {
			t.Fatal(err)
		}
		answer = answer[:len(answer)+n]
	}
	return h.session()
}

// However TLS records lie in TCP segments, every message is heard without waiting
// for the next.
func TestTLSRecordsInAnyPieces(t *testing.T) {
	h := serveWith(t, slow, httptest.NewTLSServer, nil)
	client, below := tlsClient(t, h)
	r := openTLS(t, h, client, "")
	next := 0
	for _, c := range []struct{ records, piece int }{{1, 1 << 20}, {300, 1 << 20}, {3, 1}, {40, 17}, {20, 1000}, {2, 1 << 20}} {
		from := next
		for range c.records {
			if _, err := client.Write([]byte(textFrame(fmt.Sprintf("4%d", next)))); err != nil {
				t.Fatal(err)
			}
			next++
		}
		if err := below.flush(c.piece); err != nil {
			t.Fatal(err)
		}
		for i := range c.records {
			wantMessage(t, r, fmt.Sprint(from+i))
		}
	}
	client.Close()
	below.flush(1 << 20)
	wantClosed(t, r, ReasonTransportClose)
}

// A page may send before its handshake is answered. What lies in the record of the
// request is read by tls and in part by net/http before anybody looks at the socket.
func TestTLSFramesBehindTheRequest(t *testing.T) {
	h := serveWith(t, slow, httptest.NewTLSServer, nil)
	client, _ := tlsClient(t, h)
	text := strings.Repeat("x", 1000)
	r := openTLS(t, h, client, strings.Repeat(textFrame("4"+text), 12))
	for range 12 {
		wantMessage(t, r, text)
	}
}

func TestTLSPeersThatStopHalfway(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(*tls.Conn, *gatherer, *recorder)
		want Reason
	}{
		"the stream ends between two records": {func(_ *tls.Conn, below *gatherer, _ *recorder) {
			below.written = nil
			below.Conn.(*net.TCPConn).CloseWrite()
		}, ReasonTransportClose},
		"the stream ends within a record": {func(_ *tls.Conn, below *gatherer, _ *recorder) {
			below.written = below.written[:9]
			below.flush(9)
			below.Conn.(*net.TCPConn).CloseWrite()
		}, ReasonTransportError},
		"the peer says that it sends nothing more": {func(client *tls.Conn, below *gatherer, _ *recorder) {
			client.CloseWrite() // and lets no write follow
			below.Conn.SetWriteDeadline(time.Now().Add(patience))
			below.flush(1 << 20)
		}, ReasonTransportClose},
		"the connection is reset": {func(_ *tls.Conn, below *gatherer, _ *recorder) {
			below.Conn.(*net.TCPConn).SetLinger(0)
			below.Conn.Close()
		}, ReasonTransportError},
		"the server ends the session within a record": {func(_ *tls.Conn, below *gatherer, r *recorder) {
			below.written = below.written[:9]
			below.flush(9)
			r.abort(ReasonForcedClose)
		}, ReasonForcedClose},
		"the server closes the session within a record": {func(_ *tls.Conn, below *gatherer, r *recorder) {
			below.written = below.written[:9]
			below.flush(9)
			r.Close(ReasonForcedClose)
		}, ReasonForcedClose},
	} {
		t.Run(name, func(t *testing.T) {
			h := serveWith(t, slow, httptest.NewTLSServer, nil)
			client, below := tlsClient(t, h)
			r := openTLS(t, h, client, "")
			client.Write([]byte(textFrame("4a")))
			below.flush(1 << 20)
			wantMessage(t, r, "a")
			client.Write([]byte(textFrame("4b")))
			c.end(client, below, r)
			wantClosed(t, r, c.want)
		})
	}
}
