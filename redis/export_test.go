package redis

import (
	"context"
	"time"

	"belfry"
)

// OpenSilent is Open with a server that may say nothing for longer before a connection to it is given up.
func OpenSilent(ctx context.Context, o Options, silence time.Duration) (*Client, error) {
	return open(ctx, o, silence)
}

// Silence is how long it may be for Open.
const Silence = silence

// ErrOut is why nobody was asked.
var ErrOut = errOut

// CompanySlot and UserSlot say where a cluster has the keys of a company and of a user, NodesSlot where it has the nodes.
func (p *Presence) CompanySlot(id belfry.CompanyID) int { return slotOf(p.companyKey(id, "")) }
func (p *Presence) UserSlot(id belfry.UserID) int       { return slotOf(p.userKey(id)) }
func (p *Presence) NodesSlot() int                      { return slotOf(p.nodesKey()) }

// Beat does at once what a beat does in slices, and returns when Redis has confirmed it.
func (p *Presence) Beat() {
	p.mu.Lock()
	var flights []*flight
	for _, some := range p.companies {
		for _, c := range some {
			flights = append(flights, p.wantCompany(c, later))
		}
	}
	p.mu.Unlock()
	for _, f := range flights {
		<-f.done
	}
}

// EndGraces removes users whose last page has left, as when their grace periods are over.
func (p *Presence) EndGraces() { p.endDueGraces(time.Now().Add(p.grace)) }

// ReadShards asks any server of a cluster, over any of the connections to it.
func (p *Presence) ReadShards() { p.readShards() }

// Freeze keeps a node from talking to Redis until the function that it returns is called, as if its process were stopped.
func (p *Presence) Freeze() (thaw func()) {
	p.mu.Lock()
	return p.mu.Unlock
}

// Vanish ends a node without a word to Redis, as if its process were killed.
func (p *Presence) Vanish() {
	p.mu.Lock()
	for _, s := range p.shards.byName {
		s.lost = "all" // so that Close does not sign off
	}
	p.closed = true
	p.mu.Unlock()
	p.Close()
}

// SendRaw sends a message to all nodes.
func (b *Broker) SendRaw(ctx context.Context, message string) error {
	return b.c.r.Do(ctx, b.publish(channelAll, message)).Error()
}

// Sharded says whether the broker takes sharded channels.
func (b *Broker) Sharded() bool { return b.sharded }

// Dials is how many connections were made.
func (c *Client) Dials() int64 { return c.dials.Load() }

// KillOthers closes all connections of other clients.
func (c *Client) KillOthers(ctx context.Context) error {
	for _, kind := range []string{"pubsub", "normal"} { // some of its own may be among the normal ones
		if err := c.r.Do(ctx, c.r.B().Arbitrary("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes").Build()).Error(); err != nil {
			return err
		}
	}
	return nil
}

// TakeApart decodes a message as a broker does, and all that is in it.
func TakeApart(message string) {
	_, p, err := decode(message)
	if err != nil {
		return
	}
	if p.Envelope != nil {
		env := p.Envelope.envelope()
		channelsOf(env.Rooms)
	}
	for i := range p.News {
		channelOf(p.News[i].Room())
	}
}
