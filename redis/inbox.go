package redis

import (
	"fmt"
	"runtime/debug"
	"slices"

	"belfry"

	"github.com/redis/rueidis"
)

// An inbox gathers what comes from each node. One goroutine uses it.
type inbox struct {
	nodes map[string]*sender
}

// A sender is a node that something has come from.
type sender struct {
	run      uint64
	packets  int // of the run
	news     []numberedNews
	envelope uint64 // number of the last, which comes once for each of its channels that this node watches
}

func newInbox() *inbox { return &inbox{nodes: make(map[string]*sender)} }

// maxSenders bounds the nodes that are remembered; each start of one is another.
const maxSenders = 4096

func (in *inbox) sender(node string) *sender {
	s := in.nodes[node]
	if s == nil {
		if len(in.nodes) >= maxSenders {
			clear(in.nodes)
		}
		s = &sender{}
		in.nodes[node] = s
	}
	return s
}

// take handles a message. It is called for one after the other, in the order of Redis. A panic is that of what the message
// causes, and ends neither the process nor the connection.
func (b *Broker) take(in *inbox, m rueidis.PubSubMessage) {
	defer func() {
		if v := recover(); v != nil {
			b.log.Error("panic at what another node says", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			b.receiver.Lost()
			b.receiver.Found()
		}
	}()
	kind, p, err := decode(m.Message)
	if err != nil {
		b.log.Warn("not understood what another node says; this one reads the store", "err", err)
		b.receiver.Lost()
		b.receiver.Found()
		return
	}
	own := p.From == b.node
	switch s := in.sender(p.From); kind {
	case kindNews:
		if s.run != p.Number {
			s.run, s.packets, s.news = p.Number, 0, nil
		}
		s.packets++
		s.news = append(s.news, p.News...)
	case kindRun:
		packets, news := s.packets, s.news
		if s.run != p.Number {
			packets, news = 0, nil
		}
		s.packets, s.news = 0, nil
		if own {
			b.out.answer(p.Number, packets, nil)
			return
		}
		b.receive(p, packets, news)
	case kindEnvelope:
		again := s.envelope == p.Number
		s.envelope = p.Number
		switch {
		case own:
			b.out.answer(p.Number, 1, nil)
		case again:
			b.answer(p, 1, nil)
		case p.Envelope.Record != "":
			go func() { // it ends soon after the receiver does
				b.receiver.Deliver(p.Envelope.envelope())
				b.answer(p, 1, nil)
			}()
		default:
			b.answer(p, 1, map[int]int{0: b.receiver.Deliver(p.Envelope.envelope())})
		}
	case kindAnswer:
		b.out.answer(p.Number, p.Packets, p.Pages)
	case kindHole:
		if !own {
			b.receiver.Lost()
			b.receiver.Found()
		}
	}
}

// receive hands a run on as one unit, and says whom it has reached.
func (b *Broker) receive(p *packet, packets int, news []numberedNews) {
	slices.SortFunc(news, func(a, b numberedNews) int { return a.Index - b.Index })
	u := belfry.Unit{After: *p.After, Last: *p.Last}
	for i := range news {
		u.News = append(u.News, news[i].News)
	}
	b.receiver.Receive(u, func(pages []int) {
		if packets == 0 {
			return
		}
		reached := make(map[int]int)
		for i, n := range pages {
			if n > 0 {
				reached[news[i].Index] = n
			}
		}
		b.answer(p, packets, reached)
	})
}

// answer tells a node how many pages of this one its packets have reached.
func (b *Broker) answer(to *packet, packets int, pages map[int]int) {
	b.out.put(&outgoing{to: to.From, answer: &packet{From: b.node, Number: to.Number, Packets: packets, Pages: pages}})
}
