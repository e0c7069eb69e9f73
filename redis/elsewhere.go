package redis

import (
	"strconv"

	"belfry"
)

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

// presentElsewhere adds who has pages on the other nodes, in a company or in all, as far as Redis answers.
func (p *Presence) presentElsewhere(id belfry.CompanyID, found map[belfry.Identity]struct{}) {
	ids := []string{string(id)}
	if id == "" {
		ids = p.companiesElsewhere()
	}
	for _, id := range ids {
		p.membersElsewhere(belfry.CompanyID(id), found)
	}
}

// companiesElsewhere returns the companies of the other nodes.
func (p *Presence) companiesElsewhere() []string {
	r, err := p.do(p.command("ZRANGE", p.nodesKey(), "0", "-1"))
	if err != nil {
		return nil
	}
	nodes, err := r.AsStrSlice()
	if err != nil {
		return nil
	}
	keys := []string{p.listKey(p.node)} // there is at least one
	for _, node := range nodes {
		keys = append(keys, p.listKey(node))
	}
	if r, err = p.do(call{keys[0], p.c.r.B().Sunion().Key(keys...).Build()}); err != nil {
		return nil
	}
	ids, err := r.AsStrSlice()
	if err != nil {
		return nil
	}
	return ids
}

// membersElsewhere adds who has pages on the other nodes in a company, after taking out nodes that are gone.
func (p *Presence) membersElsewhere(id belfry.CompanyID, found map[belfry.Identity]struct{}) {
	if _, err := p.count(id); err != nil {
		return
	}
	r, err := p.do(p.command("ZRANGE", p.companyKey(id, "leases"), "0", "-1"))
	if err != nil {
		return
	}
	nodes, err := r.AsStrSlice()
	if err != nil {
		return
	}
	for _, node := range nodes {
		if node == p.node {
			continue
		}
		r, err := p.do(p.command("HGETALL", p.companyKey(id, "node:"+node)))
		if err != nil {
			return
		}
		users, err := r.AsStrMap()
		if err != nil {
			return
		}
		for user, pages := range users {
			if n, err := strconv.Atoi(pages); err == nil && n > 0 {
				found[belfry.Identity{User: belfry.UserID(user), Company: id}] = struct{}{}
			}
		}
	}
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
		expired, err := answer[2].ToString()
		if err != nil {
			return belfry.OnlineCount{}, err
		}
		p.mu.Lock()
		certain := expired == "" || p.isAlive(expired) // its lease here is renewed a little later than its own
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
