package redis

import (
	"container/list"
	"context"
	"hash/maphash"
	"time"

	"belfry"
)

// A company is what this node knows of one. It exists while the node has users of it, or
// Redis or the pages have still to be told. The presence's lock guards it.
type company struct {
	id      belfry.CompanyID
	members map[belfry.UserID]*member
	pages   int
	dirty   map[belfry.UserID]struct{} // what Redis has of them may be outdated
	task    task

	known  bool // what follows has been read
	all    int  // online users on all nodes
	others int  // pages on the other nodes
	listed bool // among the node's companies

	announced int
	told      bool // pages were told another number
	publish   bool // other nodes have to be told that the number has changed
	queued    bool // to be announced, or resting
}

// A member is a user in one company, on this node.
type member struct {
	pages int
	away  *list.Element // in Presence.away while there are no pages
}

// A user is one with pages on this node, or who had some not long ago. The presence's lock guards it.
type user struct {
	id    belfry.UserID
	pages []belfry.OpenPage // never changed in place
	left  time.Time         // when the last of them did
	task  task
}

type awayUser struct {
	who belfry.Identity
	due time.Time
}

// number is the company's count, as far as it is known.
func (c *company) number() belfry.OnlineCount {
	if c.known && !c.task.failed {
		return belfry.OnlineCount{Users: c.all, Pages: c.others + c.pages}
	}
	return belfry.OnlineCount{Users: len(c.members), Pages: c.pages}
}

func (p *Presence) companyOf(id belfry.CompanyID) *company {
	companies := p.companies[p.slice(id)]
	c := companies[id]
	if c == nil {
		c = &company{id: id, members: make(map[belfry.UserID]*member), dirty: make(map[belfry.UserID]struct{})}
		companies[id] = c
	}
	return c
}

// company returns what is known of a company, or nil.
func (p *Presence) company(id belfry.CompanyID) *company { return p.companies[p.slice(id)][id] }

// slice says in which part of a beat a company's lease is renewed.
func (p *Presence) slice(id belfry.CompanyID) int {
	return int(maphash.String(p.seed, string(id)) % beatSlices)
}

// turn says in which part of which beat a user's pages are written again.
func (p *Presence) turn(id belfry.UserID) int {
	return int(maphash.String(p.seed, string(id)) % (turns * beatSlices))
}

func (p *Presence) userOf(id belfry.UserID) *user {
	users := p.users[p.turn(id)]
	u := users[id]
	if u == nil {
		u = &user{id: id}
		users[id] = u
	}
	return u
}

// forget drops a company of which nothing is left to know or to tell.
func (p *Presence) forget(c *company) {
	if len(c.members) == 0 && (p.closed || len(c.dirty) == 0 && !c.listed && !c.queued && c.task.idle()) {
		delete(p.companies[p.slice(c.id)], c.id)
	}
}

// forgetUser drops a user who has had no pages for a turn of beats, and of whom Redis knows that. Before, a server may come back, or
// a replica take over, that has still the pages; they are then deleted again. The lock is held.
func (p *Presence) forgetUser(u *user) {
	if len(u.pages) == 0 && u.task.idle() && time.Since(u.left) > turns*p.lease/3 {
		delete(p.users[p.turn(u.id)], u.id)
	}
}

// startGrace lets a user whose last page on this node has left stay for a while.
func (p *Presence) startGrace(who belfry.Identity, c *company, m *member) {
	if p.grace < 0 || p.closed {
		p.remove(who.User, c)
		return
	}
	m.away = p.away.PushBack(&awayUser{who, time.Now().Add(p.grace)})
	if p.away.Len() == 1 {
		select {
		case p.roused <- struct{}{}:
		default:
		}
	}
}

// remove ends a user's presence on this node.
func (p *Presence) remove(id belfry.UserID, c *company) {
	delete(c.members, id)
	c.dirty[id] = struct{}{}
	p.noteChange(c)
	p.wantCompany(c, soon)
	p.forget(c)
}

// endGraces removes users who have not come back.
func (p *Presence) endGraces(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(p.endDueGraces(time.Now()))
		select {
		case <-timer.C:
		case <-p.roused:
		case <-ctx.Done():
			return
		}
	}
}

// endDueGraces returns the time until there is more to do.
func (p *Presence) endDueGraces(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		e := p.away.Front()
		if e == nil {
			return time.Hour
		}
		a := e.Value.(*awayUser)
		if wait := a.due.Sub(now); wait > 0 {
			return wait
		}
		p.away.Remove(e)
		if c := p.company(a.who.Company); c != nil {
			p.remove(a.who.User, c)
		}
	}
}

// here returns who has a page on this node, in a company or in all. The lock is held.
func (p *Presence) here(id belfry.CompanyID) []belfry.Identity {
	var all []belfry.Identity
	add := func(c *company) {
		for user, m := range c.members {
			if m.pages > 0 {
				all = append(all, belfry.Identity{User: user, Company: c.id})
			}
		}
	}
	if id != "" {
		if c := p.company(id); c != nil {
			add(c)
		}
		return all
	}
	for _, some := range p.companies {
		for _, c := range some {
			add(c)
		}
	}
	return all
}

// failWaiting lets go whoever waits for a run that will not be. The lock is held.
func (p *Presence) failWaiting() {
	for _, some := range p.companies {
		for _, c := range some {
			c.task.release()
		}
	}
	for _, some := range p.users {
		for _, u := range some {
			u.task.release()
		}
	}
}
