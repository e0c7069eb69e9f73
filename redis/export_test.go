package redis

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
