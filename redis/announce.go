package redis

import (
	"context"
	"strings"
	"time"

	"belfry"

	"github.com/redis/rueidis"
)

// noteChange has the company's number announced: now, or after its rest. The lock is held.
func (p *Presence) noteChange(c *company) {
	if !c.queued && !p.closed {
		c.queued = true
		p.stale.push(c, soon)
	}
}

// announceAll is the goroutine that calls Changed, and tells the other nodes.
func (p *Presence) announceAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		taken := p.stale.take(p, 1)
		if taken == nil {
			return
		}
		p.announce(taken[0])
	}
}

// announce announces a number that has changed, and lets the company rest. One that has rested without a change
// leaves the queue. The lock is held, and given back while pages and nodes are told.
func (p *Presence) announce(c *company) {
	n, here := c.number().Users, len(c.members) > 0
	changed, publish := here && (n != c.announced || c.told), c.publish
	if !changed && !publish {
		c.queued = false
		if !here {
			c.announced, c.told = 0, false
		}
		p.forget(c)
		return
	}
	c.announced, c.told, c.publish = n, false, false
	if publish {
		p.running.Go(func() { p.publish(c.id) })
	}
	if changed {
		p.mu.Unlock()
		p.changed(c.id, n)
		p.mu.Lock()
	}
	time.AfterFunc(p.restOf(n), func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if !p.closed {
			p.stale.push(c, soon)
		}
	})
}

// As in belfry.MemoryPresence: telling a page takes some ten microseconds, so that a large company rests longer.
const (
	restPerUser = 200 * time.Microsecond
	longestRest = 10 * time.Second
)

func (p *Presence) restOf(users int) time.Duration {
	if p.coalesce < 0 {
		return 0
	}
	return max(p.coalesce, min(time.Duration(users)*restPerUser, longestRest))
}

// publish tells the other nodes that a company's number has changed. They ask for the number when it is their time to tell it,
// so it does not matter in which order they hear of changes. Where a message is lost, their next beat tells them.
func (p *Presence) publish(id belfry.CompanyID) {
	message := p.node + " " + string(id)
	ctx, cancel := context.WithTimeout(context.Background(), p.patience)
	defer cancel()
	p.c.r.Do(ctx, p.c.r.B().Publish().Channel(p.channel()).Message(message).Build())
}

// listen hears from other nodes that a company's number has changed. What it misses is found by a beat.
func (p *Presence) listen(ctx context.Context) {
	for ctx.Err() == nil {
		err := p.c.r.Receive(ctx, p.c.r.B().Subscribe().Channel(p.channel()).Build(), func(m rueidis.PubSubMessage) {
			if node, id, _ := strings.Cut(m.Message, " "); node != p.node {
				p.hint(belfry.CompanyID(id))
			}
		})
		if err != nil && ctx.Err() == nil {
			select {
			case <-time.After(retryEvery):
			case <-ctx.Done():
			}
		}
	}
}

// hint has a company counted again that this node has users of.
func (p *Presence) hint(id belfry.CompanyID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.company(id); c != nil {
		p.wantCompany(c, soon)
	}
}
