package redis

import "belfry"

// pagesElsewhere returns a user's pages on the other nodes: with an error those that are certain.
func (p *Presence) pagesElsewhere(id belfry.UserID) ([]belfry.OpenPage, error) {
	key := p.userKey(id)
	r, err := p.do(p.command("HGETALL", key))
	if err != nil {
		return nil, err
	}
	byNode, err := r.AsStrMap()
	if err != nil {
		return nil, err
	}
	delete(byNode, p.node)
	alive, err := p.alive(byNode)
	var pages []belfry.OpenPage
	for node, encoded := range byNode {
		switch {
		case alive[node]:
			there, err := decodePages(encoded)
			if err != nil {
				return pages, err
			}
			pages = append(pages, there...)
		case err == nil:
			p.run(dropScript, []string{key}, node, encoded) // or it expires
		}
	}
	return pages, err
}

// count counts a company in which this node has nobody.
func (p *Presence) count(id belfry.CompanyID) (belfry.OnlineCount, error) {
	for {
		answer, err := p.run(countScript, p.companyKeys(id))
		if err != nil {
			return belfry.OnlineCount{}, err
		}
		n, err := integers(answer, 2)
		if err != nil {
			return belfry.OnlineCount{}, err
		}
		expired, since, err := readExpired(answer[2:])
		if err != nil {
			return belfry.OnlineCount{}, err
		}
		p.mu.Lock()
		certain := expired == "" || !p.isOver(expired, since)
		p.mu.Unlock()
		if certain {
			return belfry.OnlineCount{Users: n[0], Pages: n[1]}, nil
		}
		_, changed, err := p.reap(id, expired, false)
		if changed {
			p.publish(id)
		}
		if err != nil {
			return belfry.OnlineCount{}, err
		}
	}
}
