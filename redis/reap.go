package redis

import (
	"errors"
	"strconv"
	"time"

	"belfry"

	"github.com/redis/rueidis"
)

// isOver says whether a node whose lease in a company has ended so long ago is to be taken out of it. One that is alive renews
// that lease a little later than its own. Where it does not for another lease's time, although Redis was there, it has nobody
// there and Redis has forgotten that, as a replica has that took over before it had heard of it. The lock is held.
func (p *Presence) isOver(node string, since time.Duration) bool {
	return !p.isAlive(node) || min(since, time.Since(p.there)) > p.lease
}

// readExpired reads what a script says of a lease that has ended.
func readExpired(answer []rueidis.RedisMessage) (node string, since time.Duration, err error) {
	if len(answer) < 2 {
		return "", 0, errors.New("redis: half a lease is answered")
	}
	if node, err = answer[0].ToString(); err != nil {
		return "", 0, err
	}
	ms, err := answer[1].AsInt64()
	return node, time.Duration(ms) * time.Millisecond, err
}

// reapNode takes a node that is gone out of all companies. The nodes that have users there do so too; this is for
// those where no other has any. Where it fails, or a company's lease still holds, the next beat comes back to it.
func (p *Presence) reapNode(node string) {
	if held, err := p.reapCompanies(node); err == nil && !held {
		// A node that has come back meanwhile is a new one at its next beat, and lists its companies again.
		if _, err := p.do(p.command("DEL", p.listKey(node))); err == nil {
			p.unlist(node)
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.reaping, node)
}

// reapCompanies reports whether a lease of the node holds.
func (p *Presence) reapCompanies(node string) (held bool, err error) {
	r, err := p.do(p.command("SMEMBERS", p.listKey(node)))
	if err != nil {
		return false, err
	}
	ids, err := r.AsStrSlice()
	if err != nil {
		return false, err
	}
	for _, id := range ids {
		p.mu.Lock()
		closed := p.closed
		p.mu.Unlock()
		if closed {
			return true, nil
		}
		holds, changed, failed := p.reap(belfry.CompanyID(id), node, false)
		if changed {
			p.publish(belfry.CompanyID(id))
			p.hint(belfry.CompanyID(id))
		}
		held = held || holds
		if failed != nil { // others may be on shards that are well
			err = failed
		}
	}
	return held, err
}

// unlist takes a node out of the nodes.
func (p *Presence) unlist(node string) error {
	keys := p.nodesKeys()
	if _, err := p.do(p.command("HDEL", keys[1], node)); err != nil {
		return err
	}
	_, err := p.do(p.command("ZREM", keys[0], node))
	return err
}

// reap takes a node's users out of a company if its lease has ended, or in any case. It reports whether the
// lease holds, and whether the company's number has changed.
func (p *Presence) reap(id belfry.CompanyID, node string, always bool) (holds, changed bool, err error) {
	flag := "0"
	if always {
		flag = "1"
	}
	for {
		answer, err := p.run(reapScript, p.nodeKeys(id, node), node, strconv.Itoa(scriptUsers), flag)
		if err != nil {
			return false, changed, err
		}
		n, err := integers(answer, 3)
		if err != nil {
			return false, changed, err
		}
		changed = changed || n[1] == 1
		if n[0] == 0 {
			return n[2] == 1, changed, nil
		}
	}
}
