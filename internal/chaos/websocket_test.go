package chaos

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// A websocket is what a page needs of one: text frames of its own, none in parts, and those of the server.
type websocket struct {
	conn net.Conn
	in   *bufio.Reader

	mu sync.Mutex // one writer at a time
}

// dialWebsocket opens a connection to a path at an address.
func dialWebsocket(ctx context.Context, addr, path string) (*websocket, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	w := &websocket{conn: conn, in: bufio.NewReader(conn)}
	deadline, _ := ctx.Deadline()
	conn.SetDeadline(deadline)
	defer conn.SetDeadline(time.Time{})
	if err := w.shake(addr, path); err != nil {
		conn.Close()
		return nil, err
	}
	return w, nil
}

func (w *websocket) shake(addr, path string) error {
	_, err := fmt.Fprintf(w.conn, "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", path, addr)
	if err != nil {
		return err
	}
	res, err := http.ReadResponse(w.in, nil)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		return fmt.Errorf("the handshake was answered %s", res.Status)
	}
	return nil
}

const (
	opText  = 1
	opClose = 8
	opPing  = 9
	opPong  = 10
)

// maxFrame is more than the server sends at once.
const maxFrame = 16 << 20

// read returns the next text, and fails when the connection ends or nothing comes until the deadline.
func (w *websocket) read(deadline time.Time) ([]byte, error) {
	w.conn.SetReadDeadline(deadline)
	var text []byte
	for {
		var head [2]byte
		if _, err := io.ReadFull(w.in, head[:]); err != nil {
			return nil, err
		}
		n := uint64(head[1] & 0x7f)
		if wide := map[uint64]int{126: 2, 127: 8}[n]; wide > 0 {
			var size [8]byte
			if _, err := io.ReadFull(w.in, size[8-wide:]); err != nil {
				return nil, err
			}
			n = binary.BigEndian.Uint64(size[:])
		}
		if n > maxFrame {
			return nil, fmt.Errorf("a frame of %d bytes", n)
		}
		payload := make([]byte, n)
		if _, err := io.ReadFull(w.in, payload); err != nil {
			return nil, err
		}
		switch op := head[0] & 0x0f; op {
		case opPing:
			if err := w.write(opPong, payload); err != nil {
				return nil, err
			}
		case opPong:
		case opClose:
			return nil, fmt.Errorf("the server closes the connection: %q", bytes.TrimSpace(payload))
		default: // text, or the rest of one
			if text = append(text, payload...); head[0]&0x80 != 0 {
				return text, nil
			}
		}
	}
}

// send sends a text.
func (w *websocket) send(text string) error { return w.write(opText, []byte(text)) }

func (w *websocket) write(op byte, payload []byte) error {
	frame := []byte{0x80 | op}
	switch n := len(payload); {
	case n < 126:
		frame = append(frame, 0x80|byte(n))
	default:
		frame = binary.BigEndian.AppendUint16(append(frame, 0x80|126), uint16(n))
	}
	frame = append(append(frame, 0, 0, 0, 0), payload...) // masked with nothing
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conn.SetWriteDeadline(time.Now().Add(dialPatience))
	_, err := w.conn.Write(frame)
	return err
}

// close ends the connection, as a browser does that leaves the page, or without a word.
func (w *websocket) close(politely bool) {
	if politely {
		w.write(opClose, []byte{0x03, 0xe9}) // going away (1001); it may be gone already
		w.conn.Close()
		return
	}
	reset(w.conn)
}
