package redis

import (
	"context"
	"errors"
	"slices"
	"time"

	"belfry"

	"github.com/redis/rueidis"
)

// A peer is a node that is alive.
type peer struct {
	until   time.Time // certainly, by the clock of this machine
	address string
}

// A listing is what Redis says of a node.
type listing struct {
	left    time.Duration // of its lease; less than 0 when it has ended
	address string
}

// keepLease renews the node's own lease.
func (p *Presence) keepLease(ctx context.Context) {
	ticker := time.NewTicker(p.lease / 3)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		p.readShards()
		p.renewLease()
	}
}

// beat renews the leases of companies, and writes the pages of users again in turns, so that what Redis has lost
// comes back.
func (p *Presence) beat(ctx context.Context) {
	ticker := time.NewTicker(p.lease / 3 / beatSlices)
	defer ticker.Stop()
	for turn := 0; ; turn = (turn + 1) % (turns * beatSlices) {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return
		}
		p.mu.Lock()
		for _, c := range p.companies[turn%beatSlices] {
			p.wantCompany(c, later)
		}
		for _, u := range p.users[turn] {
			if len(u.pages) > 0 {
				p.wantUser(u, later)
			}
			p.forgetUser(u)
		}
		p.mu.Unlock()
	}
}

// renewLease renews the lease of the node itself. A node that was not listed registers all that it has: others have perhaps
// taken it out. So does one that has missed a renewal, which may have come late and have listed it unnoticed.
func (p *Presence) renewLease() error {
	asked := time.Now()
	isNew, listed, err := p.askNodes(p.lease)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.missed = true
		return err
	}
	lost := isNew || p.missed || !asked.Before(p.nodes[p.node].until)
	p.missed = false
	if lost { // and the leases of others are perhaps too: they have a lease's time to come back
		p.there = asked
		for node, known := range p.nodes {
			p.nodes[node] = peer{asked.Add(p.lease), known.address}
		}
		p.registerAll()
	}
	p.noteNodes(asked, listed)
	for node := range p.nodes {
		if node != p.node && !p.isAlive(node) {
			delete(p.nodes, node)
			p.ended.push(node, soon)
		}
	}
	for node := range listed {
		if !p.isAlive(node) && !p.reaping[node] && !p.closed {
			p.reaping[node] = true
			p.running.Go(func() { p.reapNode(node) })
		}
	}
	return nil
}

// askNodes asks which nodes there are, and renews the own lease unless it is 0.
func (p *Presence) askNodes(lease time.Duration) (isNew bool, listed map[string]listing, err error) {
	answer, err := p.run(nodesScript, p.nodesKeys(), p.node, milliseconds(lease), p.address)
	if err != nil {
		return false, nil, err
	}
	first, err := integers(answer, 1)
	if err != nil {
		return false, nil, err
	}
	listed = make(map[string]listing)
	for entry := range slices.Chunk(answer[1:], 3) {
		node, left, address, err := readListing(entry)
		if err != nil {
			return false, nil, err
		}
		listed[node] = listing{left, address}
	}
	return first[0] == 1, listed, nil
}

func readListing(entry []rueidis.RedisMessage) (node string, left time.Duration, address string, err error) {
	if len(entry) < 3 {
		return "", 0, "", errors.New("redis: half a node is listed")
	}
	if node, err = entry[0].ToString(); err != nil {
		return "", 0, "", err
	}
	ms, err := entry[1].AsInt64()
	if err != nil {
		return "", 0, "", err
	}
	address, err = entry[2].ToString()
	return node, time.Duration(ms) * time.Millisecond, address, err
}

// noteNodes keeps which nodes are alive. The lock is held.
func (p *Presence) noteNodes(asked time.Time, listed map[string]listing) {
	for node, l := range listed {
		if l.left > 0 {
			until := asked.Add(l.left)
			if known := p.nodes[node].until; known.After(until) {
				until = known
			}
			p.nodes[node] = peer{until, l.address}
		}
	}
}

// isAlive says whether a node certainly is. The lock is held.
func (p *Presence) isAlive(node string) bool { return time.Now().Before(p.nodes[node].until) }

// tellGone is the goroutine that calls Gone.
func (p *Presence) tellGone() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		taken := p.ended.take(p, 1)
		if taken == nil {
			return
		}
		for _, node := range taken {
			p.mu.Unlock()
			p.gone(node)
			p.mu.Lock()
		}
	}
}

// alive says which of the nodes are, and asks once where that is not certain of all.
func (p *Presence) alive(nodes map[string]string) (map[string]bool, error) {
	found, certain := p.certain(nodes)
	if certain {
		return found, nil
	}
	p.mu.Lock()
	away := p.missed || !p.isAlive(p.node)
	p.mu.Unlock()
	if away { // perhaps the others were too, and have still to come back
		if err := p.renewLease(); err != nil {
			return found, err
		}
		if found, certain = p.certain(nodes); certain {
			return found, nil
		}
	}
	asked := time.Now()
	_, listed, err := p.askNodes(0)
	if err != nil {
		return found, err
	}
	p.mu.Lock()
	p.noteNodes(asked, listed)
	p.mu.Unlock()
	found, _ = p.certain(nodes)
	return found, nil
}

// certain says which of the nodes are certainly alive, and whether all are.
func (p *Presence) certain(nodes map[string]string) (map[string]bool, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	found, all := make(map[string]bool, len(nodes)), true
	for node := range nodes {
		found[node] = p.isAlive(node)
		all = all && found[node]
	}
	return found, all
}

// missRest is the least time between two questions for nodes that are not known: anybody may name one.
const missRest = 200 * time.Millisecond

// An inquiry is one question for nodes that are not known, on behalf of all who have named one before it is asked.
type inquiry struct {
	nodes    map[string]string // their names are the keys
	answered chan struct{}
}

// Address returns the address of a node that is alive. Of nodes that it knows it asks nobody. Whoever names another waits for
// the next question to Redis, which is asked at most every 200 ms, and for its answer, at most Patience.
func (p *Presence) Address(node string) (string, bool) {
	p.mu.Lock()
	if !p.isAlive(node) {
		p.inquire(node)
	}
	defer p.mu.Unlock()
	return p.nodes[node].address, p.isAlive(node)
}

// inquire returns when Redis has been asked which nodes there are. The lock is held, but not meanwhile.
func (p *Presence) inquire(node string) {
	if q := p.inquiry; q != nil {
		q.nodes[node] = ""
		p.mu.Unlock()
		<-q.answered
		p.mu.Lock()
		return
	}
	q := &inquiry{map[string]string{node: ""}, make(chan struct{})}
	defer close(q.answered)
	p.inquiry = q
	rest := missRest - time.Since(p.asked)
	p.mu.Unlock()
	time.Sleep(rest)
	p.mu.Lock()
	p.inquiry, p.asked = nil, time.Now()
	p.mu.Unlock()
	_, _ = p.alive(q.nodes) // what it finds, it notes
	p.mu.Lock()
}

// Nodes returns the nodes that are alive, by their leases, with this one. It asks Redis. It fails with
// [belfry.ErrUnavailable] if that does not answer within Patience, and then returns those of which it is certain.
func (p *Presence) Nodes(context.Context) ([]string, error) {
	asked := time.Now()
	_, listed, err := p.askNodes(0)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		p.noteNodes(asked, listed)
	} else {
		err = &belfry.Error{Code: belfry.ErrUnavailable, Message: "which nodes there are is not known now", Err: err}
	}
	all := []string{p.node}
	for node := range p.nodes {
		if node != p.node && p.isAlive(node) {
			all = append(all, node)
		}
	}
	return all, err
}
