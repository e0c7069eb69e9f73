package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strconv"
	"time"
)

// A generation is a way in which the clients of some time log in and come back.
type generation string

const (
	generation1 generation = "1.x"     // revision 4, ?token= and the cursor while connecting
	generation2 generation = "2.x"     // revision 4, emits login with the cursor
	generation3 generation = "3.x"     // revision 5, emits login with the cursor
	generation4 generation = "4.6-4.8" // revision 5, logs in while connecting, by connection state recovery
)

var generations = []generation{generation1, generation2, generation3, generation4}

func (g generation) revision() int {
	if g == generation1 || g == generation2 {
		return 4
	}
	return 5
}

// A client drives a page as docs/pages.md says that clients do, and closes its connection now and then.
type client struct {
	page       *page
	generation generation
	balancer   *balancer
	token      string
	marks      *marks // nil if it marks nothing
	rng        *rand.Rand
	visits     time.Duration   // the mean
	stay       <-chan struct{} // closed when it is to stay

	cursor string
	pid    string
	acks   map[int]func(json.RawMessage)
	number int // of the last ack that was asked for
}

const (
	loginPatience = 15 * time.Second
	visitPerPage  = 800 * time.Millisecond // the more pages, the longer each stays before it closes the connection by itself
	maxAway       = 3 * time.Second
	minReturn     = 500 * time.Millisecond // doubled, up to maxReturn, by each try in vain
	maxReturn     = 5 * time.Second
)

// live keeps the page open until ctx ends.
func (c *client) live(ctx context.Context) {
	back := minReturn
	for ctx.Err() == nil {
		left, err := c.visit(ctx)
		if back *= 2; c.page.isIn() {
			back = minReturn
		}
		back = min(back, maxReturn)
		c.page.leaves(fmt.Sprintf("by itself: %v, %v", left, err))
		if errors.Is(err, errRefused) {
			c.page.refused()
		}
		away := back/2 + time.Duration(c.rng.Int64N(int64(back)))
		if left {
			away = time.Duration(c.rng.Int64N(int64(maxAway)))
		}
		select {
		case <-time.After(away):
		case <-ctx.Done():
		}
	}
}

var errRefused = errors.New("the login was refused")

// visit is one connection. Left says that the client has ended it.
func (c *client) visit(ctx context.Context) (left bool, err error) {
	connecting, cancel := context.WithTimeout(ctx, loginPatience)
	defer cancel()
	w, err := dialWebsocket(connecting, c.balancer.addr, c.path())
	if err != nil {
		return false, err
	}
	defer w.close(false)
	defer context.AfterFunc(ctx, func() { w.close(true) })()
	s := &session{client: c, w: w, deadline: time.Now().Add(loginPatience)}
	defer func() { s.stopPings() }()
	leaving := time.NewTimer(time.Duration(c.rng.ExpFloat64() * float64(c.visits)))
	defer leaving.Stop()
	politely := c.rng.IntN(2) == 0
	over := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-leaving.C:
			select {
			case <-c.stay:
			default:
				left = true
				w.close(politely)
			}
		case <-c.stay:
		case <-over:
		}
	}()
	c.acks = make(map[int]func(json.RawMessage))
	c.page.connects(c.balancer.node(w.conn.LocalAddr().String()))
	err = s.run()
	close(over)
	<-ended
	return left, err
}

// path is that of the handshake.
func (c *client) path() string {
	if c.generation.revision() == 5 {
		return "/socket.io/?EIO=4&transport=websocket"
	}
	path := "/socket.io/?EIO=3&transport=websocket"
	if c.generation == generation1 {
		path += "&token=" + url.QueryEscape(c.token) + "&format=text"
		if c.cursor != "" {
			path += "&cursor=" + url.QueryEscape(c.cursor)
		}
	}
	return path
}

// A session is a connection of a client.
type session struct {
	client   *client
	w        *websocket
	deadline time.Time // of the next packet
	beat     time.Duration
	stop     chan struct{} // ends the pings
	asked    string        // the pid that the client has shown
}

// run reads packets until the connection ends.
func (s *session) run() error {
	for {
		packet, err := s.w.read(s.deadline)
		if err != nil {
			return err
		}
		if s.beat > 0 && s.client.page.isIn() {
			s.deadline = time.Now().Add(s.beat)
		}
		if err := s.packet(packet); err != nil {
			return err
		}
	}
}

func (s *session) packet(packet []byte) error {
	if len(packet) == 0 {
		return errors.New("an empty packet")
	}
	switch rest := packet[1:]; packet[0] {
	case '0':
		return s.opened(rest)
	case '1':
		return errors.New("the server closes the session")
	case '2':
		return s.w.send("3")
	case '4':
		return s.message(rest)
	}
	return nil
}

// opened begins the heartbeat, and logs in.
func (s *session) opened(b []byte) error {
	var open struct{ PingInterval, PingTimeout int64 }
	if err := json.Unmarshal(b, &open); err != nil {
		return err
	}
	interval := time.Duration(open.PingInterval) * time.Millisecond
	s.beat = interval + time.Duration(open.PingTimeout)*time.Millisecond
	c := s.client
	switch c.generation {
	case generation1, generation2:
		s.ping(interval)
		return nil // it is connected unasked
	case generation3:
		return s.w.send("40")
	}
	auth := map[string]string{"token": c.token, "format": "text"}
	if c.pid != "" && c.cursor != "" {
		auth["pid"], auth["offset"], s.asked = c.pid, c.cursor, c.pid
	}
	return s.w.send("40" + encode(auth))
}

func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // of maps and strings
	}
	return string(b)
}

// ping sends the heartbeat of revision 4.
func (s *session) ping(interval time.Duration) {
	s.stop = make(chan struct{})
	go func(stop <-chan struct{}) {
		ticker := time.NewTicker(interval)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				if s.w.send("2") != nil {
					return // the reader learns it
				}
			case <-stop:
				return
			}
		}
	}(s.stop)
}

func (s *session) stopPings() {
	if s.stop != nil {
		close(s.stop)
	}
}

// message takes a packet of Socket.IO.
func (s *session) message(b []byte) error {
	if len(b) == 0 {
		return errors.New("an empty message")
	}
	switch rest := b[1:]; b[0] {
	case '0':
		return s.connected(rest)
	case '1':
		return errors.New("the server disconnects the page")
	case '2':
		return s.event(rest)
	case '3':
		return s.ack(rest)
	case '4':
		return fmt.Errorf("%w: %s", errRefused, rest)
	}
	return nil
}

// connected logs in where that was not done while connecting.
func (s *session) connected(b []byte) error {
	c := s.client
	switch c.generation {
	case generation2, generation3:
		login := map[string]string{"token": c.token, "format": "text"}
		if c.cursor != "" {
			login["cursor"] = c.cursor
		}
		return s.emit("login", login, s.answered)
	case generation4:
		var given struct{ PID string }
		if err := json.Unmarshal(b, &given); err != nil {
			return err
		}
		if s.asked != "" && given.PID != s.asked {
			s.asked = ""
			c.page.loadsAnew("not recovered")
		}
		c.pid = given.PID
	}
	return nil
}

// answered takes the answer to login.
func (s *session) answered(b json.RawMessage) {
	var w struct {
		OK, Reset bool
		Counts    counts
		Cursor    string
		Error     json.RawMessage
	}
	if err := json.Unmarshal(b, &w); err != nil || !w.OK {
		s.client.page.refused()
		s.w.close(true)
		return
	}
	s.client.cursor = w.Cursor
	s.in(w.Counts, w.Reset)
}

func (s *session) in(now counts, reset bool) {
	s.client.page.loggedIn(now)
	if reset {
		s.client.page.loadsAnew("reset")
	}
	s.deadline = time.Now().Add(s.beat)
}

// event takes an event: ["name", arguments…
func (s *session) event(b []byte) error {
	c := s.client
	name, args, err := parseEvent(b)
	if err != nil {
		return err
	}
	var cursor string
	if n := len(args); n > 0 && json.Unmarshal(args[n-1], &cursor) == nil && cursor != "" {
		c.cursor = cursor
	}
	id, err := c.page.take(name, args)
	if err != nil {
		return err
	}
	if name == "counts" && cursor != "" && !c.page.isIn() { // the answer to a login while connecting
		s.in(counts{}, false)
	}
	if id != "" && c.marks != nil && c.rng.IntN(4) == 0 {
		return s.mark(id)
	}
	return nil
}

// mark marks a message read.
func (s *session) mark(id string) error {
	m := s.client.marks
	m.intend(id)
	return s.emit("read", map[string][]string{"ids": {id}}, func(answer json.RawMessage) {
		var a struct {
			OK     bool
			Counts counts
		}
		if json.Unmarshal(answer, &a) == nil && a.OK {
			m.done(id)
			s.client.page.take("counts", []json.RawMessage{json.RawMessage(encode(a.Counts))})
		}
	})
}

// emit sends an event whose ack is handed to answered.
func (s *session) emit(event string, arg any, answered func(json.RawMessage)) error {
	c := s.client
	c.number++
	c.acks[c.number] = answered
	return s.w.send("42" + strconv.Itoa(c.number) + encode([]any{event, arg}))
}

func (s *session) ack(b []byte) error {
	i := bytes.IndexByte(b, '[')
	if i < 0 {
		return fmt.Errorf("an ack without arguments: %s", b)
	}
	number, err := strconv.Atoi(string(b[:i]))
	if err != nil {
		return err
	}
	var args []json.RawMessage
	if err := json.Unmarshal(b[i:], &args); err != nil || len(args) == 0 {
		return fmt.Errorf("the ack %s: %w", b, err)
	}
	if answered := s.client.acks[number]; answered != nil {
		delete(s.client.acks, number)
		answered(args[0])
	}
	return nil
}

func parseEvent(b []byte) (name string, args []json.RawMessage, err error) {
	if err := json.Unmarshal(bytes.TrimLeft(b, "0123456789"), &args); err != nil || len(args) == 0 {
		return "", nil, fmt.Errorf("the event %s: %w", b, err)
	}
	err = json.Unmarshal(args[0], &name)
	return name, args[1:], err
}
