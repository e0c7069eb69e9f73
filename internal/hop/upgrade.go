package hop

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// upgradeTimeout is how long a node may take to answer to an upgrade, which is nothing to wait for.
const upgradeTimeout = 10 * time.Second

// lingerTimeout is how long one side of a relay is still listened to when the other has nothing more to say.
const lingerTimeout = 5 * time.Second

// isWebSocket reports whether a request asks to become a WebSocket connection (RFC 6455 section 4.1). Other protocols are not
// offered to anybody.
func isWebSocket(r *http.Request) bool {
	return r.Method == http.MethodGet && r.ContentLength == 0 && strings.EqualFold(r.Header.Get("Upgrade"), "websocket") &&
		strings.Contains(strings.ToLower(strings.Join(r.Header.Values("Connection"), ",")), "upgrade")
}

// passUpgrade passes on a request to become a WebSocket connection, on a connection of its own. If the node agrees, the handler is
// to return: the relay goes on without the goroutine and the buffers of net/http.
func (p *Passer) passUpgrade(w http.ResponseWriter, out *http.Request) error {
	owner, err := p.dial(out.Context(), out.URL.Host)
	if err != nil {
		return err
	}
	if err := owner.SetDeadline(time.Now().Add(upgradeTimeout)); err != nil {
		owner.Close()
		return err
	}
	out.Header.Set("Connection", "Upgrade")
	out.Header.Set("Upgrade", "websocket")
	in := bufio.NewReaderSize(owner, 1<<10)
	err = out.Write(owner)
	var res *http.Response
	if err == nil {
		res, err = http.ReadResponse(in, out)
	}
	if err != nil {
		owner.Close()
		return err
	}
	if res.StatusCode != http.StatusSwitchingProtocols {
		defer owner.Close()
		answer(w, res)
		return nil
	}
	page, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		owner.Close()
		return err
	}
	early, _ := buffered.Reader.Peek(buffered.Reader.Buffered())
	if err := agree(page, owner, res.Header, in, early); err != nil {
		page.Close()
		owner.Close()
		return nil // the page has no connection that could be told
	}
	p.relay(page, owner)
	return nil
}

// agree tells the page that its connection is upgraded, and both sides what has been read of the other.
func agree(page, owner net.Conn, h http.Header, in *bufio.Reader, early []byte) error {
	var head bytes.Buffer
	head.WriteString("HTTP/1.1 101 Switching Protocols\r\n")
	h.Write(&head)
	head.WriteString("\r\n")
	io.CopyN(&head, in, int64(in.Buffered()))
	if err := page.SetDeadline(time.Now().Add(upgradeTimeout)); err != nil {
		return err
	}
	if _, err := page.Write(head.Bytes()); err != nil {
		return err
	}
	if _, err := owner.Write(early); err != nil {
		return err
	}
	if err := page.SetDeadline(time.Time{}); err != nil {
		return err
	}
	return owner.SetDeadline(time.Time{})
}

// relay carries bytes both ways, until both sides have ended, one is lost, or the passer is closed. It does not wait.
func (p *Passer) relay(page, owner net.Conn) {
	closeBoth := func() {
		page.Close()
		owner.Close()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		closeBoth()
		return
	}
	p.relays.Add(1)
	forget := context.AfterFunc(p.ctx, closeBoth)
	var ended atomic.Int32
	carry := func(to, from net.Conn) {
		if !pump(to, from) {
			closeBoth()
		}
		if ended.Add(1) == 2 {
			closeBoth()
			forget()
			p.relays.Done()
		}
	}
	go carry(owner, page)
	go carry(page, owner)
}

// smallBuffer is enough for heartbeats, and most messages; it is kept while nothing comes.
const smallBuffer = 512

var largeBuffers = sync.Pool{New: func() any { return new([16 << 10]byte) }}

// pump carries bytes one way. It reports true when from has ended, and to has been told: to may still
// answer for a while.
func pump(to, from net.Conn) bool {
	small := make([]byte, smallBuffer)
	buf := small
	var large *[16 << 10]byte
	putBack := func() {
		if large != nil {
			largeBuffers.Put(large)
			large, buf = nil, small
		}
	}
	defer putBack()
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if _, err := to.Write(buf[:n]); err != nil {
				return false
			}
		}
		switch {
		case err != nil:
			c, ok := to.(interface{ CloseWrite() error })
			return err == io.EOF && ok && c.CloseWrite() == nil && to.SetReadDeadline(time.Now().Add(lingerTimeout)) == nil
		case n < smallBuffer:
			putBack()
		case large == nil: // more is coming
			large = largeBuffers.Get().(*[16 << 10]byte)
			buf = large[:]
		}
	}
}
