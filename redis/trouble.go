package redis

import (
	"context"
	"sync"
	"time"
)

// trouble is what has not arrived in Redis. The presence's lock guards it.
type trouble struct {
	failures  int // since the last retry
	cause     error
	warned    bool
	companies map[*company]struct{}
	users     map[*user]struct{}
}

// retryEvery is how often something that has failed is tried again, while retryFewest are until
// they succeed, and then twice as many each time.
const (
	retryEvery  = 300 * time.Millisecond
	retryFewest = 64
)

// retry tries again what has failed, and writes all again that may be lost.
func (p *Presence) retry(ctx context.Context) {
	ticker := time.NewTicker(retryEvery)
	defer ticker.Stop()
	dials := p.c.dials.Load()
	for most := retryFewest; ; {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		p.probe()
		// A connection that is new may be to a server that has lost what was written, or to one that took its place.
		if n := p.c.dials.Load(); n != dials {
			dials = n
			p.readShards()
			p.renewLease()
			p.mu.Lock()
			p.registerAll()
			p.mu.Unlock()
		}
		most = p.retryFailed(most)
	}
}

// probe asks the shards that did not answer.
func (p *Presence) probe() {
	p.mu.Lock()
	var lost []string
	for _, s := range p.shards.byName {
		if s.out() {
			lost = append(lost, s.lost)
		}
	}
	p.mu.Unlock()
	if len(lost) == 0 {
		return
	}
	p.readShards()
	var asked sync.WaitGroup
	for _, key := range lost {
		asked.Go(func() { p.ask(p.command("EXISTS", key)) })
	}
	asked.Wait()
	if !p.isOut(p.nodesKey()) {
		p.renewLease() // it has perhaps ended meanwhile
	}
}

// retryFailed tries some again, and returns how many to try the next time.
func (p *Presence) retryFailed(most int) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.logTrouble()
	if p.trouble.failures > 0 {
		p.trouble.failures, most = 0, retryFewest
	}
	n := 0
	for c := range p.trouble.companies {
		if n++; n > most {
			break
		}
		p.wantCompany(c, later)
	}
	for u := range p.trouble.users {
		if n++; n > 2*most {
			break
		}
		p.wantUser(u, later)
	}
	if n == 0 {
		return retryFewest
	}
	return 2 * most
}

// logTrouble says once that Redis is away, and once that nothing is left of that. The lock is held, and given
// back while it is said.
func (p *Presence) logTrouble() {
	t := &p.trouble
	out := false
	for _, s := range p.shards.byName {
		out = out || s.out()
	}
	well := !out && t.failures == 0 && len(t.companies) == 0 && len(t.users) == 0
	if p.closed || t.warned != well {
		return
	}
	t.warned = !well
	cause := t.cause
	p.mu.Unlock()
	defer p.mu.Lock()
	switch {
	case well:
		p.log.Info("Redis answers again; who is online is known of all nodes")
	case !out && isMoving(cause):
		p.log.Warn("a slot of the cluster is moving; of who is online in its companies nothing is certain but what this node knows", "err", cause)
	default:
		p.log.Warn("Redis does not answer; of who is online nothing is certain but what this node knows", "err", cause)
	}
}
