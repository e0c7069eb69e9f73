package redis

import (
	"slices"

	"belfry"
)

// signOff takes all of this node out of Redis. Where that fails, the others do it when the lease has ended.
func (p *Presence) signOff() {
	if err := p.signOffAll(); err != nil {
		p.log.Warn("the node's pages are still in Redis; other nodes take them out when its lease has ended", "err", err)
	}
}

func (p *Presence) signOffAll() error {
	r, err := p.do(p.command("SMEMBERS", p.listKey(p.node))) // of some of them the last page may have left since Close began
	if err != nil {
		return err
	}
	ids, err := r.AsStrSlice()
	if err != nil {
		return err
	}
	for _, id := range ids {
		_, changed, err := p.reap(belfry.CompanyID(id), p.node, true)
		if err != nil {
			return err
		}
		if changed {
			p.publish(belfry.CompanyID(id))
		}
	}
	p.signOffUsers()
	_, err = p.do(p.command("DEL", p.listKey(p.node)))
	if err == nil {
		err = p.unlist(p.node)
	}
	return err
}

// signOffUsers deletes the pages of users, as well as it can: nobody believes those of a node that is not listed.
func (p *Presence) signOffUsers() {
	p.mu.Lock()
	var calls []call
	for _, some := range p.users {
		for id := range some {
			if key := p.userKey(id); !p.shardOf(key).out() {
				calls = append(calls, p.command("HDEL", key, p.node))
			}
		}
	}
	p.mu.Unlock()
	for some := range slices.Chunk(calls, pipelineUsers) {
		p.ask(some...)
	}
}

// forgetOthers leaves a closed presence with what this node counts by itself, and ends the grace periods.
func (p *Presence) forgetOthers() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, some := range p.companies {
		for _, c := range some {
			c.known = false
		}
	}
	for e := p.away.Front(); e != nil; e = p.away.Front() {
		a := p.away.Remove(e).(*awayUser)
		if c := p.company(a.who.Company); c != nil {
			p.remove(a.who.User, c)
		}
	}
}
