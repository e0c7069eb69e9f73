package load

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// A caller is one backend: a connection to the push port with one push in flight.
type caller struct {
	run    *run
	number int
	rand   *rand.Rand

	// What it pushes to: its companies, each in its turn, or its users, at random.
	companies []target
	users     []target

	// awaited is the publication that pages are to have before the next, its target above its number;
	// arrived counts them.
	awaited atomic.Uint64
	arrived atomic.Int64

	mu       sync.Mutex
	wire     wire // nil while it connects
	reader   responseReader
	request  []byte
	turn     int
	target   target
	seq      uint32
	inFlight bool
	begun    int64 // when the publication in flight was meant to be pushed
	sent     int64 // when it was
	pages    int64 // who are to have it before the next is pushed; 0 where that does not matter
	due      int64 // with a rate: when the next is meant to be pushed
	every    int64
}

// A target is whom a stream goes to.
type target struct {
	stream  *stream
	company *company
	user    *user // nil where it is the company
	index   int   // of the company or user
	lane    int
}

// spreadTimeout is how long a caller waits for the pages to have a publication. A page may leave
// while it does.
const spreadTimeout = 2 * time.Second

// arrive says that a page has a publication.
func (c *caller) arrive(s stamp, at *company) {
	if awaitedOf(s.target, s.seq) != c.awaited.Load() {
		return
	}
	if n := c.arrived.Add(1); n >= at.open.Load() {
		c.poke()
	}
}

func awaitedOf(target int, seq uint32) uint64 { return uint64(target)<<32 | uint64(seq) }

// poke has the caller push if it is time to.
func (c *caller) poke() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.advance()
}

// look is poke, once in a while: it also gives up what takes too long.
func (c *caller) look(now int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inFlight && time.Duration(now-c.sent) > answerTimeout {
		c.wire.Close()
		c.broke(errors.New("no answer in " + answerTimeout.String()))
		return
	}
	c.advance()
}

// advance pushes the next publication if it is time to; c.mu is held.
func (c *caller) advance() {
	now := c.run.now()
	switch {
	case c.inFlight || c.wire == nil || !c.run.pushing(now):
		return
	case c.run.o.Rate > 0:
		if now < c.due {
			return
		}
		c.begun = c.due
		c.due += c.every
	default:
		if c.pages > 0 && c.arrived.Load() < min(c.pages, c.target.company.open.Load()) {
			if time.Duration(now-c.sent) < spreadTimeout {
				return
			}
			c.run.count.stalled.Add(1)
		}
		c.begun = now
	}
	c.push(now)
}

// push sends the next publication; c.mu is held.
func (c *caller) push(now int64) {
	c.choose()
	t := &c.target
	c.seq = t.stream.next()
	c.arrived.Store(0)
	c.awaited.Store(awaitedOf(t.index, c.seq))
	c.pages = 0
	if t.user == nil {
		c.pages = t.company.open.Load()
	}
	c.inFlight, c.sent = true, now
	c.run.count.lag.add(now - c.begun)
	c.run.count.pushes.Add(1)
	s := stamp{kind: 'c', target: t.index, lane: t.lane, seq: c.seq, at: c.begun}
	if t.user != nil {
		s.kind = 'u'
	}
	if err := c.wire.Write(c.build(s)); err != nil {
		c.wire.Close()
		c.broke(err)
	}
}

func (c *caller) choose() {
	if len(c.users) > 0 {
		c.target = c.users[c.rand.IntN(len(c.users))]
		return
	}
	c.target = c.companies[c.turn%len(c.companies)]
	c.turn++
}

// build makes the request. Nothing in it needs escaping but what the command was given.
func (c *caller) build(s stamp) []byte {
	b := append(c.request[:0], c.run.pushHead...)
	size := len(b)
	b = append(b, "        \r\n\r\n"...) // the length; spaces before a value are allowed
	body := len(b)
	if s.kind == 'u' {
		b = append(append(b, "action=message&typeID=1&receiverID="...), c.target.user.name...)
	} else {
		b = append(append(b, "action=dynamic&objectType=4&objectID=1&companyID="...), c.target.company.name...)
	}
	if !c.run.o.Stored {
		b = append(b, "&store=0"...)
	}
	b = s.append(append(b, "&title="...), c.run.marker)
	b = append(append(b, "&content="...), c.run.content...)
	var digits [8]byte
	copy(b[size:], strconv.AppendInt(digits[:0], int64(len(b)-body), 10))
	c.request = b
	return b
}

// feed implements [sink].
func (c *caller) feed(p []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wire == nil {
		return
	}
	if _, err := c.reader.feed(p, c); err != nil {
		c.wire.Close()
		c.broke(err)
	}
}

// gone implements [sink].
func (c *caller) gone(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wire != nil {
		c.broke(err)
	}
}

var errClosing = errors.New("the server closes the connection")

// response implements [responseSink].
func (c *caller) response(r *response) (more bool, err error) {
	if !c.inFlight {
		return false, errUnexpected
	}
	now := c.run.now()
	count, seq := &c.run.count, c.seq
	c.inFlight = false
	word := string(r.body)
	switch {
	case r.status == 200 && word == "ok":
		count.ok.Add(1)
		c.target.stream.accept(seq)
	case r.status == 200 && word == "offline":
		count.offline.Add(1)
		c.target.stream.accept(seq)
		c.pages = 0 // nobody will have it
	case r.status == 200 && word == "fail":
		count.refused.Add(1)
		c.target.stream.refuse(seq)
		c.run.troubles.note("push refused: " + string(header(r.head, "X-Belfry-Error")))
		c.pages = 0
	default:
		c.doubt(fmt.Errorf("status %d, %.40q", r.status, word))
	}
	if c.run.measures(c.begun) {
		count.push.add(now - c.begun)
	}
	if c.run.measures(now) {
		count.measuredPushes.Add(1)
	}
	if r.close {
		return false, errClosing
	}
	c.advance()
	return true, nil
}

// doubt says that nobody knows what became of the publication in flight.
func (c *caller) doubt(err error) {
	c.run.count.failed.Add(1)
	c.run.troubles.note("push failed: " + err.Error())
	c.target.stream.doubt(c.seq)
	c.inFlight, c.pages = false, 0
}

// broke says that the connection is closed, and begins another; c.mu is held.
func (c *caller) broke(err error) {
	if c.inFlight {
		c.doubt(err)
	}
	c.wire, c.reader = nil, responseReader{}
	if !c.run.stopped.Load() {
		time.AfterFunc(reconnectAfter, c.connect)
	}
}

// reconnectAfter is how long a caller waits before it connects again.
const reconnectAfter = 200 * time.Millisecond

// connect opens the caller's connection, and tries until that succeeds or the run ends.
func (c *caller) connect() {
	conn, err := c.run.dial(&c.run.backend, c.number)
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err != nil:
		c.run.troubles.note("connecting to push: " + err.Error())
		if !c.run.stopped.Load() {
			time.AfterFunc(reconnectAfter, c.connect)
		}
	case c.run.stopped.Load():
		conn.Close()
	default:
		c.wire = startReading(c.run.loops[c.number%len(c.run.loops)], conn, c)
		c.advance()
	}
}

// busy reports whether a push is in flight.
func (c *caller) busy() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.inFlight
}

// behind returns how many publications are due that have not been pushed.
func (c *caller) behind(now int64) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.every == 0 || now < c.due {
		return 0
	}
	return (now - c.due) / c.every
}

func (c *caller) finish() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wire != nil {
		c.wire.Close()
		c.wire = nil
	}
}
