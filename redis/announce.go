package redis

import (
	"time"

	"belfry"
)

// noteChange has the company's number announced: now, or after its rest. The lock is held.
func (p *Presence) noteChange(c *company) {
	if !c.queued && !p.closed {
		c.queued = true
		p.due.stale.push(c)
	}
}

// announceAll is the goroutine that calls Changed, and tells the other nodes.
func (p *Presence) announceAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		taken := p.due.stale.take(p, 1)
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
			p.due.stale.push(c)
		}
	})
}

// As in belfry.MemoryPresence: telling a page takes some ten microseconds, so that a large company rests longer.
const (
	restPerUser = 200 * time.Microsecond
	longestRest = 10 * time.Second
)

func (p *Presence) restOf(users int) time.Duration {
	return max(p.coalesce, min(time.Duration(users)*restPerUser, longestRest))
}

// publish tells the other nodes that a company's number has changed. They ask for the number when it is their time to tell it,
// so it does not matter in which order they hear of changes. Where a message is lost, their next beat tells them.
func (p *Presence) publish(id belfry.CompanyID) {
	message := p.node + " " + string(id)
	_, err := p.do(p.c.r.B().Publish().Channel(p.channel()).Message(message).Build())
	p.mu.Lock()
	defer p.mu.Unlock()
	p.noteAnswer(err)
}
