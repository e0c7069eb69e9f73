package redis

import "belfry"

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
