package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf16"
)

// deadline bounds every wait of the tests. None of them waits that long unless
// it is about to fail.
const deadline = time.Minute

// A dialing says how a client connects. The zero value is a client of 4.x that
// shows nothing while it connects.
type dialing struct {
	eio    int         // 3 or 4; 0 means 4
	query  url.Values  // of the handshake
	auth   any         // of the CONNECT packet, protocol 4 only
	header http.Header // of every request
}

// A client is a Socket.IO client over long polling, of revision 4 (Engine.IO 3) or
// 5 (Engine.IO 4).
type client struct {
	t      testing.TB
	url    string
	eio    int
	header http.Header
	http   *http.Client
	cancel context.CancelFunc // of the polls

	posting sync.Mutex // a POST beside another ends the session (Engine.IO 4, "Sending data")

	mu       sync.Mutex
	changed  chan struct{} // closed and replaced when something has arrived
	events   []event
	acks     map[int]json.RawMessage
	nextAck  int
	pings    int               // of the server's heartbeat
	drained  bool              // events are dropped
	connects []json.RawMessage // the answers to CONNECT
	refusals []json.RawMessage // CONNECT_ERROR
	ended    error             // why there are no more polls
}

type event struct {
	name string
	args []json.RawMessage
}

// dial connects to "/" and waits for the answer, which may be a refusal.
func dial(t testing.TB, addr string, d dialing) *client {
	t.Helper()
	if d.eio == 0 {
		d.eio = 4
	}
	query := url.Values{"EIO": {strconv.Itoa(d.eio)}, "transport": {"polling"}}
	for name, values := range d.query {
		query[name] = values
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &client{
		t: t, eio: d.eio, header: d.header, http: &http.Client{Transport: &http.Transport{}},
		cancel: cancel, changed: make(chan struct{}), acks: map[int]json.RawMessage{},
	}
	t.Cleanup(c.vanish)
	base := "http://" + addr + "/socket.io/?"
	packets, err := c.request(ctx, http.MethodGet, base+query.Encode(), "")
	if err != nil {
		t.Fatalf("handshake: %v", err)
	}
	var open struct{ SID string }
	if len(packets) == 0 || !strings.HasPrefix(packets[0], "0") || json.Unmarshal([]byte(packets[0][1:]), &open) != nil {
		t.Fatalf("handshake answered %q", packets)
	}
	query.Set("sid", open.SID)
	c.url = base + query.Encode()
	for _, p := range packets[1:] {
		c.take(p)
	}
	if c.eio == 4 {
		auth := []byte{}
		if d.auth != nil {
			if auth, err = json.Marshal(d.auth); err != nil {
				t.Fatal(err)
			}
		}
		c.post("40" + string(auth))
	}
	go c.poll(ctx)
	c.wait("an answer to CONNECT", func() bool { return len(c.connects)+len(c.refusals) > 0 })
	return c
}

// request sends one request and returns the packets of its answer.
func (c *client) request(ctx context.Context, method, url, body string) ([]string, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, values := range c.header {
		req.Header[name] = values
		if name == "Host" {
			req.Host = values[0]
		}
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("status %d: %s", res.StatusCode, answer)
	}
	if method == http.MethodPost {
		return nil, nil
	}
	return c.split(string(answer))
}

// split divides a payload into packets.
func (c *client) split(payload string) ([]string, error) {
	if c.eio == 4 {
		return strings.Split(payload, "\x1e"), nil
	}
	var packets []string
	for payload != "" {
		digits, rest, _ := strings.Cut(payload, ":")
		n, err := strconv.Atoi(digits)
		units := utf16.Encode([]rune(rest))
		if err != nil || n > len(units) {
			return nil, fmt.Errorf("bad payload %q", payload)
		}
		packets = append(packets, string(utf16.Decode(units[:n])))
		payload = string(utf16.Decode(units[n:]))
	}
	return packets, nil
}

func (c *client) poll(ctx context.Context) {
	for {
		packets, err := c.request(ctx, http.MethodGet, c.url, "")
		for _, p := range packets {
			if p == "1" {
				err = errors.New("closed by the server")
			}
			if p == "2" {
				c.mu.Lock()
				c.pings++
				c.mu.Unlock()
				go c.post("3")
			}
			c.take(p)
		}
		if err != nil {
			c.mu.Lock()
			c.ended = err
			c.notify()
			c.mu.Unlock()
			return
		}
	}
}

// take notes a packet that has arrived.
func (c *client) take(packet string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.notify()
	if len(packet) < 2 || packet[0] != '4' {
		return
	}
	body := packet[2:]
	digits := strings.IndexFunc(body, func(r rune) bool { return r < '0' || r > '9' })
	switch packet[1] {
	case '0':
		c.connects = append(c.connects, json.RawMessage(body))
	case '1':
		c.ended = errors.New("disconnected by the server")
	case '2':
		var args []json.RawMessage
		var name string
		if json.Unmarshal([]byte(body[digits:]), &args) != nil || len(args) == 0 || json.Unmarshal(args[0], &name) != nil {
			c.t.Errorf("bad event %q", packet)
			return
		}
		if !c.drained {
			c.events = append(c.events, event{name, args[1:]})
		}
	case '3':
		id, err := strconv.Atoi(body[:digits])
		var args []json.RawMessage
		if err != nil || json.Unmarshal([]byte(body[digits:]), &args) != nil || len(args) != 1 {
			c.t.Errorf("bad ack %q", packet)
			return
		}
		c.acks[id] = args[0]
	case '4':
		c.refusals = append(c.refusals, json.RawMessage(body))
	}
}

// notify wakes whoever waits. The lock is held.
func (c *client) notify() {
	close(c.changed)
	c.changed = make(chan struct{})
}

// wait returns when the condition holds; it is called with the lock held. It
// fails the test at the deadline, or when nothing can arrive any more.
func (c *client) wait(what string, condition func() bool) {
	c.t.Helper()
	timeout := time.NewTimer(deadline)
	defer timeout.Stop()
	for {
		c.mu.Lock()
		ok, ended, changed := condition(), c.ended, c.changed
		c.mu.Unlock()
		if ok {
			return
		}
		if ended != nil {
			c.t.Fatalf("waiting for %s: %v", what, ended)
		}
		select {
		case <-changed:
		case <-timeout.C:
			c.t.Fatalf("no %s in %v", what, deadline)
		}
	}
}

// post sends one packet.
func (c *client) post(packet string) error {
	if c.eio == 3 {
		packet = fmt.Sprintf("%d:%s", len(utf16.Encode([]rune(packet))), packet)
	}
	c.posting.Lock()
	defer c.posting.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	_, err := c.request(ctx, http.MethodPost, c.url, packet)
	return err
}

// emit sends an event with arguments that are JSON already.
func (c *client) emit(name string, args ...string) {
	c.t.Helper()
	if err := c.post("42" + eventJSON(name, args)); err != nil {
		c.t.Fatalf("emit %s: %v", name, err)
	}
}

func eventJSON(name string, args []string) string {
	quoted, err := json.Marshal(name)
	if err != nil {
		panic(err) // a string always encodes
	}
	return "[" + strings.Join(append([]string{string(quoted)}, args...), ",") + "]"
}

// call sends an event and returns the answer.
func (c *client) call(name string, args ...string) json.RawMessage {
	c.t.Helper()
	c.mu.Lock()
	id := c.nextAck
	c.nextAck++
	c.mu.Unlock()
	if err := c.post("42" + strconv.Itoa(id) + eventJSON(name, args)); err != nil {
		c.t.Fatalf("emit %s: %v", name, err)
	}
	c.wait("answer to "+name, func() bool { return c.acks[id] != nil })
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.acks[id]
}

// next waits for an event and takes it and all others of that name before it.
func (c *client) next(name string) json.RawMessage {
	c.t.Helper()
	var found json.RawMessage
	c.wait("event "+name, func() bool {
		for i, e := range c.events {
			if e.name == name {
				found = json.RawMessage("null")
				if len(e.args) > 0 {
					found = e.args[0]
				}
				c.events = append(c.events[:i:i], c.events[i+1:]...)
				return true
			}
		}
		return false
	})
	return found
}

// until waits for an event with this argument; earlier ones of the name are
// dropped.
func (c *client) until(name, arg string) {
	c.t.Helper()
	for string(c.next(name)) != arg {
	}
}

// settled returns the first arguments of what has arrived of an event. Whatever the server has sent
// before the call is there: the answer to an event comes behind it.
func (c *client) settled(name string) []string {
	c.t.Helper()
	c.call("online")
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []string
	for _, e := range c.events {
		if e.name == name && len(e.args) > 0 {
			all = append(all, string(e.args[0]))
		}
	}
	return all
}

// drain makes the client forget every event that comes.
func (c *client) drain() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drained = true
}

// gone waits until the server has closed the connection.
func (c *client) gone() {
	c.t.Helper()
	timeout := time.NewTimer(deadline)
	defer timeout.Stop()
	for {
		c.mu.Lock()
		ended, changed := c.ended, c.changed
		c.mu.Unlock()
		if ended != nil {
			return
		}
		select {
		case <-changed:
		case <-timeout.C:
			c.t.Fatalf("the connection is still open after %v", deadline)
		}
	}
}

// vanish ends the connection as a page that is closed does: its poll is cut off,
// or, where none is waiting at that moment, it says that it closes.
func (c *client) vanish() {
	c.cancel()
	c.post("1") // refused if the cut was noticed
	c.http.CloseIdleConnections()
}
