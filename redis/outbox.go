package redis

import (
	"context"
	"slices"
	"sync"
	"time"

	"belfry"

	"github.com/redis/rueidis"
)

const (
	// maxOutgoing bounds what waits to be sent. Beyond it, other nodes find what is stored in the store.
	maxOutgoing = 16_384
	// maxSent is how much is sent in one go.
	maxSent = 512
	// hurried is the patience with nodes after one has not answered.
	hurried = 50 * time.Millisecond
)

// An outgoing is something to be sent: one of unit, envelope and answer.
type outgoing struct {
	unit     *belfry.Unit
	envelope *belfry.Envelope
	answer   *packet
	to       string // the node that is answered

	handle *handle
}

// A handle is what comes of something that was sent.
type handle struct {
	pages  []int // of each of the news, or of an envelope
	failed bool
	done   chan struct{} // closed when the others may be read
}

// A reply gathers the answers to a run or an envelope. The outbox's lock guards it.
type reply struct {
	sent     bool
	at       time.Time
	wanted   int // packets to be answered; known when it is sent
	answered int
	pages    map[int]int // by the index of the news in the run
	parts    []part
}

// A part of a reply is for one unit of a run.
type part struct {
	handle *handle
	first  int // index of its first news in the run
	n      int
}

// end hands out the reply.
func (r *reply) end(failed bool) {
	for _, p := range r.parts {
		p.handle.pages, p.handle.failed = make([]int, p.n), failed
		for i := range p.handle.pages {
			p.handle.pages[i] = r.pages[p.first+i]
		}
		close(p.handle.done)
	}
}

// An outbox holds what waits to be sent, and for answers.
type outbox struct {
	mu      sync.Mutex
	queue   []*outgoing
	asked   map[uint64]*reply // by the number of the run or envelope
	last    uint64            // number
	open    bool              // there is a connection
	slow    bool              // a node has not answered
	closed  bool
	changed chan struct{}
}

func newOutbox() outbox {
	return outbox{asked: make(map[uint64]*reply), changed: make(chan struct{}, 1)}
}

// put has something sent, or returns nil where that is not to be had now.
func (o *outbox) put(one *outgoing) *handle {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.open || o.closed || len(o.queue) >= maxOutgoing {
		return nil
	}
	one.handle = &handle{done: make(chan struct{})}
	o.queue = append(o.queue, one)
	o.nudge()
	return one.handle
}

func (o *outbox) nudge() {
	select {
	case o.changed <- struct{}{}:
	default:
	}
}

func (o *outbox) take() []*outgoing {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := min(len(o.queue), maxSent)
	taken := o.queue[:n:n]
	o.queue = o.queue[n:]
	if len(o.queue) > 0 {
		o.nudge()
	}
	return taken
}

// setOpen says that there is a connection, or that there is none: then all that waits is given up.
func (o *outbox) setOpen(open bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.open = open && !o.closed; o.open {
		return
	}
	for _, one := range o.queue {
		one.handle.failed = true
		close(one.handle.done)
	}
	o.queue = nil
	for number, r := range o.asked {
		delete(o.asked, number)
		r.end(true)
	}
}

func (o *outbox) close() {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	o.setOpen(false)
}

// answer notes an answer to a run or an envelope.
func (o *outbox) answer(number uint64, packets int, pages map[int]int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	r := o.asked[number]
	if r == nil {
		return
	}
	r.answered += packets
	for i, n := range pages {
		if r.pages == nil {
			r.pages = make(map[int]int)
		}
		r.pages[i] += n
	}
	o.settle(number, r)
}

// settle ends a reply when all have answered. The lock is held.
func (o *outbox) settle(number uint64, r *reply) {
	if r.sent && r.answered >= r.wanted {
		delete(o.asked, number)
		r.end(false)
		o.slow = o.slow && r.wanted == 0
	}
}

// await returns how many pages other nodes have reached, of each of n news.
func (b *Broker) await(ctx context.Context, h *handle, n int) ([]int, error) {
	patience := b.patience
	if b.out.isSlow() {
		patience = min(patience, hurried)
	}
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for waiting := true; waiting; {
		select {
		case <-h.done:
			waiting = false
		case <-timer.C:
			b.out.expire(h)
			timer.Reset(hurried) // it may just be on its way from the queue
		case <-ctx.Done():
			return make([]int, n), ctx.Err()
		}
	}
	if h.failed {
		return append(h.pages, make([]int, n-len(h.pages))...), errAway
	}
	return h.pages, nil
}

func (o *outbox) isSlow() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.slow
}

// expire gives up to wait for whom a handle's run has not reached.
func (o *outbox) expire(h *handle) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for number, r := range o.asked {
		if slices.ContainsFunc(r.parts, func(p part) bool { return p.handle == h }) {
			delete(o.asked, number)
			r.end(true)
			o.slow = true
			return
		}
	}
	for i, one := range o.queue {
		if one.handle == h { // Redis is slow
			o.queue = slices.Delete(o.queue, i, i+1)
			h.failed = true
			close(h.done)
			return
		}
	}
}

// send is the goroutine that sends, over one connection, so that the order is kept.
func (b *Broker) send(ctx context.Context) {
	for ctx.Err() == nil {
		conn, release := b.c.r.Dedicate()
		err := conn.Do(ctx, b.publish(channelAll, b.hole())).Error()
		if err == nil {
			b.out.setOpen(true)
			err = b.sendAll(ctx, conn)
		}
		b.out.setOpen(false)
		conn.Close()
		release()
		if ctx.Err() == nil {
			b.log.Warn("nothing is sent to other nodes; they read the store", "err", err)
			pause(ctx, retryEvery)
		}
	}
}

// hole tells other nodes that what was sent before may not have come. A node that begins says so, too: what it has to
// tell of the time before is in the store.
func (b *Broker) hole() string {
	message, err := encode(kindHole, &packet{From: b.node})
	if err != nil {
		panic(err) // a string
	}
	return message
}

// sendAll sends until something goes wrong.
func (b *Broker) sendAll(ctx context.Context, conn rueidis.DedicatedClient) error {
	for {
		select {
		case <-b.out.changed:
		case <-ctx.Done():
			return ctx.Err()
		}
		if batch := b.out.take(); len(batch) > 0 {
			if err := b.sendBatch(ctx, conn, batch); err != nil {
				return err
			}
		}
	}
}

// A sending is one go: commands, and for each what it is to be answered with, if it is.
type sending struct {
	broker   *Broker
	commands rueidis.Commands
	replies  []*reply
	asked    map[uint64]*reply
}

func (s *sending) add(channel string, kind byte, p *packet, r *reply) {
	message, err := encode(kind, p)
	if err != nil { // the values are belfry's own
		s.broker.log.Error("not encoded for other nodes", "err", err)
		return
	}
	s.commands = append(s.commands, s.broker.publish(channel, message))
	s.replies = append(s.replies, r)
}

// ask gives something that is sent its number, and a reply, which others may end from now on.
func (s *sending) ask(parts []part) (uint64, *reply) {
	o := &s.broker.out
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last++
	r := &reply{at: time.Now(), parts: parts}
	o.asked[o.last] = r
	s.asked[o.last] = r
	return o.last, r
}

// addRun sends units that follow each other: to each channel what it is concerned with, and then to all nodes that this was it.
func (s *sending) addRun(units []*outgoing) {
	parts, index := make([]part, len(units)), 0
	for i, one := range units {
		parts[i] = part{one.handle, index, len(one.unit.News)}
		index += len(one.unit.News)
	}
	number, r := s.ask(parts)
	byChannel := make(map[string]*packet)
	var channels []string
	index = 0
	for _, one := range units {
		for i := range one.unit.News {
			n := &one.unit.News[i]
			channel := channelOf(n.Room())
			p := byChannel[channel]
			if p == nil {
				p = &packet{From: s.broker.node, Number: number}
				byChannel[channel] = p
				channels = append(channels, channel)
			}
			p.News = append(p.News, numberedNews{index, *n})
			index++
		}
	}
	for _, channel := range channels {
		s.add(channel, kindNews, byChannel[channel], r)
	}
	after, last := units[0].unit.After, units[len(units)-1].unit.Last
	s.add(channelAll, kindRun, &packet{From: s.broker.node, Number: number, After: &after, Last: &last}, nil)
}

func (s *sending) addEnvelope(one *outgoing) {
	e, err := newEnvelope(one.envelope)
	if err != nil {
		s.broker.log.Error("not encoded for other nodes", "event", one.envelope.Event, "err", err)
		close(one.handle.done)
		return
	}
	number, r := s.ask([]part{{one.handle, 0, 1}})
	channels := channelsOf(e.Rooms)
	if len(e.Rooms) == 0 {
		channels = []string{channelAll}
	}
	for _, channel := range channels {
		s.add(channel, kindEnvelope, &packet{From: s.broker.node, Number: number, Envelope: e}, r)
	}
}

func (b *Broker) sendBatch(ctx context.Context, conn rueidis.DedicatedClient, batch []*outgoing) error {
	s := sending{broker: b, asked: make(map[uint64]*reply)}
	for len(batch) > 0 {
		n := 1
		switch one := batch[0]; {
		case one.unit != nil:
			for n < len(batch) && batch[n].unit != nil && batch[n].unit.After == batch[n-1].unit.Last {
				n++
			}
			s.addRun(batch[:n])
		case one.envelope != nil:
			s.addEnvelope(one)
		default:
			s.add(nodeChannel(one.to), kindAnswer, one.answer, nil)
			close(one.handle.done)
		}
		batch = batch[n:]
	}
	bounded, cancel := context.WithTimeout(ctx, b.c.silence)
	defer cancel()
	results := conn.DoMulti(bounded, s.commands...)
	o := &b.out
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, result := range results {
		heard, err := result.AsInt64()
		if err != nil {
			return err // all that is asked is given up with the connection
		}
		if r := s.replies[i]; r != nil {
			r.wanted += int(heard)
		}
	}
	for number, r := range s.asked {
		if o.asked[number] == r { // it has not expired
			r.sent = true
			o.settle(number, r)
		}
	}
	o.forget(time.Now().Add(-2 * b.patience))
	return nil
}

// forget gives up replies to what was sent before a time, for which nobody waits, where there are many: a node that was to
// answer has gone. The lock is held.
func (o *outbox) forget(before time.Time) {
	if len(o.asked) < maxOutgoing {
		return
	}
	for number, r := range o.asked {
		if r.at.Before(before) {
			delete(o.asked, number)
			r.end(true)
		}
	}
}
