package redis

import (
	"context"
	"strconv"
	"strings"
	"time"

	"belfry"

	"github.com/redis/rueidis"
)

// beat renews the node's leases, and writes the pages of users again in turns, so that what Redis has lost
// comes back.
func (p *Presence) beat(ctx context.Context) {
	ticker := time.NewTicker(p.lease / 3)
	defer ticker.Stop()
	for turn := 0; ; turn = (turn + 1) % turns {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		p.renewLease()
		p.mu.Lock()
		for _, c := range p.companies {
			p.wantCompany(c)
		}
		for _, u := range p.users[turn] {
			p.wantUser(u)
		}
		p.mu.Unlock()
	}
}

// retry tries again what has failed.
func (p *Presence) retry(ctx context.Context) {
	ticker := time.NewTicker(retryEvery)
	defer ticker.Stop()
	for most := retryFewest; ; {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		p.mu.Lock()
		out := p.trouble.out
		p.mu.Unlock()
		if out {
			p.renewLease()
		}
		most = p.retryFailed(most)
	}
}

// renewLease renews the lease of the node itself. A node that was not listed, or with a lease that had ended, registers all
// that it has: others have perhaps taken it out.
func (p *Presence) renewLease() {
	asked := time.Now()
	answer, err := p.run(nodesScript, []string{p.nodesKey()}, p.node, milliseconds(p.lease))
	var left map[string]time.Duration
	if err == nil {
		left, err = readLeases(answer)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.noteAnswer(err)
	if err != nil {
		return
	}
	p.noteNodes(asked, left)
	if isNew, err := answer[0].AsInt64(); err == nil && isNew == 1 {
		for _, c := range p.companies {
			p.register(c)
			p.wantCompany(c)
		}
	}
	for node, d := range left {
		if d < 0 && !p.reaping[node] && !p.closed {
			p.reaping[node] = true
			p.running.Go(func() { p.reapNode(node) })
		}
	}
}

// readLeases reads what the script says: how much is left of each node's lease.
func readLeases(answer []rueidis.RedisMessage) (map[string]time.Duration, error) {
	left := make(map[string]time.Duration)
	for i := 1; i+1 < len(answer); i += 2 {
		node, err := answer[i].ToString()
		if err != nil {
			return nil, err
		}
		ms, err := answer[i+1].AsInt64()
		if err != nil {
			return nil, err
		}
		left[node] = time.Duration(ms) * time.Millisecond
	}
	return left, nil
}

// noteNodes keeps until when nodes are certainly alive, by the clock of this machine. The lock is held.
func (p *Presence) noteNodes(asked time.Time, left map[string]time.Duration) {
	clear(p.nodes)
	for node, d := range left {
		if d > 0 {
			p.nodes[node] = asked.Add(d)
		}
	}
}

// alive says whether nodes are, and asks where that is not certain.
func (p *Presence) alive(nodes map[string]string) (map[string]bool, error) {
	found := make(map[string]bool)
	certain := true
	p.mu.Lock()
	for node := range nodes {
		found[node] = time.Now().Before(p.nodes[node])
		certain = certain && found[node]
	}
	p.mu.Unlock()
	if certain {
		return found, nil
	}
	asked := time.Now()
	answer, err := p.run(nodesScript, []string{p.nodesKey()}, p.node, "0")
	if err != nil {
		return nil, err
	}
	left, err := readLeases(answer)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.noteNodes(asked, left)
	for node := range nodes {
		found[node] = left[node] > 0
	}
	return found, nil
}

// reapNode takes a node that is gone out of all companies. The nodes that have users there do so too; this is for
// those where no other has any.
func (p *Presence) reapNode(node string) {
	err := p.reapCompanies(node)
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.reaping, node)
	p.noteAnswer(err)
}

func (p *Presence) reapCompanies(node string) error {
	results, err := p.do(p.command("SMEMBERS", p.listKey(node)))
	if err != nil {
		return err
	}
	ids, err := results[0].AsStrSlice()
	if err != nil {
		return err
	}
	for _, id := range ids {
		p.mu.Lock()
		closed := p.closed
		p.mu.Unlock()
		if closed {
			return nil
		}
		holds, changed, err := p.reap(belfry.CompanyID(id), node, false)
		if changed {
			p.publish(belfry.CompanyID(id))
			p.hint(belfry.CompanyID(id))
		}
		if err != nil || holds { // renewed a little later than the node's own; the next beat comes back to it
			return err
		}
	}
	// A node that has come back meanwhile is a new one at its next beat, and lists its companies again.
	_, err = p.do(p.command("DEL", p.listKey(node)), p.command("ZREM", p.nodesKey(), node))
	return err
}

// pagesElsewhere returns a user's pages on the other nodes.
func (p *Presence) pagesElsewhere(id belfry.UserID) ([]belfry.OpenPage, error) {
	key := p.userKey(id)
	results, err := p.do(p.command("HGETALL", key))
	if err != nil {
		return nil, err
	}
	byNode, err := results[0].AsStrMap()
	if err != nil {
		return nil, err
	}
	delete(byNode, p.node)
	alive, err := p.alive(byNode)
	if err != nil {
		return nil, err
	}
	var pages []belfry.OpenPage
	for node, encoded := range byNode {
		if !alive[node] {
			if _, err := p.do(p.command("HDEL", key, node)); err != nil {
				return nil, err
			}
			continue
		}
		there, err := decodePages(encoded)
		if err != nil {
			return nil, err
		}
		pages = append(pages, there...)
	}
	return pages, nil
}

// presentElsewhere adds who has pages on the other nodes, in a company or in all.
func (p *Presence) presentElsewhere(id belfry.CompanyID, found map[belfry.Identity]struct{}) error {
	ids := []string{string(id)}
	if id == "" {
		var err error
		if ids, err = p.companiesElsewhere(); err != nil {
			return err
		}
	}
	for _, id := range ids {
		if err := p.membersElsewhere(belfry.CompanyID(id), found); err != nil {
			return err
		}
	}
	return nil
}

// companiesElsewhere returns the companies of the other nodes.
func (p *Presence) companiesElsewhere() ([]string, error) {
	results, err := p.do(p.command("ZRANGE", p.nodesKey(), "0", "-1"))
	if err != nil {
		return nil, err
	}
	nodes, err := results[0].AsStrSlice()
	if err != nil {
		return nil, err
	}
	keys := []string{p.listKey(p.node)} // there is at least one
	for _, node := range nodes {
		keys = append(keys, p.listKey(node))
	}
	if results, err = p.do(p.c.r.B().Sunion().Key(keys...).Build()); err != nil {
		return nil, err
	}
	return results[0].AsStrSlice()
}

// membersElsewhere adds who has pages on the other nodes in a company, after taking out nodes that are gone.
func (p *Presence) membersElsewhere(id belfry.CompanyID, found map[belfry.Identity]struct{}) error {
	if _, err := p.count(id); err != nil {
		return err
	}
	results, err := p.do(p.command("ZRANGE", p.companyKey(id, "leases"), "0", "-1"))
	if err != nil {
		return err
	}
	nodes, err := results[0].AsStrSlice()
	if err != nil {
		return err
	}
	for _, node := range nodes {
		if node == p.node {
			continue
		}
		results, err := p.do(p.command("HGETALL", p.companyKey(id, "node:"+node)))
		if err != nil {
			return err
		}
		users, err := results[0].AsStrMap()
		if err != nil {
			return err
		}
		for user, pages := range users {
			if n, err := strconv.Atoi(pages); err == nil && n > 0 {
				found[belfry.Identity{User: belfry.UserID(user), Company: id}] = struct{}{}
			}
		}
	}
	return nil
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
	if c := p.companies[id]; c != nil {
		p.wantCompany(c)
	}
}

// signOff takes all of this node out of Redis. Where that fails, the others do it when the lease has ended.
func (p *Presence) signOff() {
	p.mu.Lock()
	var users []belfry.UserID
	for _, some := range p.users {
		for id := range some {
			users = append(users, id)
		}
	}
	p.mu.Unlock()
	if err := p.signOffWith(users); err != nil {
		p.log.Warn("the node's pages are still in Redis; other nodes take them out when its lease has ended", "err", err)
	}
}

func (p *Presence) signOffWith(users []belfry.UserID) error {
	results, err := p.do(p.command("SMEMBERS", p.listKey(p.node))) // of some of them the last page may have left since Close began
	if err != nil {
		return err
	}
	ids, err := results[0].AsStrSlice()
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
	for len(users) > 0 {
		n := min(pipelineUsers, len(users))
		var commands []rueidis.Completed
		for _, id := range users[:n] {
			commands = append(commands, p.command("HDEL", p.userKey(id), p.node))
		}
		if _, err := p.do(commands...); err != nil {
			return err
		}
		users = users[n:]
	}
	_, err = p.do(p.command("DEL", p.listKey(p.node)), p.command("ZREM", p.nodesKey(), p.node))
	return err
}

// forgetOthers leaves a closed presence with what this node counts by itself, and ends the grace periods.
func (p *Presence) forgetOthers() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.companies {
		c.known = false
	}
	for e := p.away.Front(); e != nil; e = p.away.Front() {
		a := p.away.Remove(e).(*awayUser)
		if c := p.companies[a.who.Company]; c != nil {
			p.remove(a.who.User, c)
		}
	}
}
