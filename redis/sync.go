package redis

import (
	"encoding/json"
	"strconv"
	"time"

	"belfry"

	"github.com/redis/rueidis"
)

const (
	// scriptUsers is how many users one run of a script takes: Redis does nothing else meanwhile.
	scriptUsers = 500
	// pipelineUsers is how many users' pages are written in one go.
	pipelineUsers = 128
)

// syncCompanies is a goroutine that keeps companies in Redis as they are here.
func (p *Presence) syncCompanies() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		taken := p.due.companies.take(p, 1)
		if taken == nil {
			return
		}
		c := taken[0]
		f, try := c.task.begin(p)
		err := errOut
		if try {
			p.mu.Unlock()
			err = p.syncCompany(c)
			p.mu.Lock()
		}
		if err != nil {
			p.trouble.companies[c] = struct{}{}
		} else {
			delete(p.trouble.companies, c)
		}
		if c.task.end(f, err) {
			c.task.queued = true
			p.due.companies.push(c)
		}
		p.noteAnswer(err)
		if n := c.number().Users; n != c.announced || c.publish {
			p.noteChange(c)
		}
		p.forget(c)
	}
}

// A batch is what Redis is to be told of a company, as it was at one moment.
type batch struct {
	pairs   []string // user, pages
	pages   int
	members int
}

// takeBatch takes all that is dirty.
func (c *company) takeBatch() batch {
	b := batch{pages: c.pages, members: len(c.members), pairs: make([]string, 0, 2*len(c.dirty))}
	for id := range c.dirty {
		pages := -1
		if m := c.members[id]; m != nil {
			pages = m.pages
		}
		b.pairs = append(b.pairs, string(id), strconv.Itoa(pages))
	}
	clear(c.dirty)
	return b
}

// putBack marks what has perhaps not arrived.
func (c *company) putBack(b batch) {
	for i := 0; i < len(b.pairs); i += 2 {
		c.dirty[belfry.UserID(b.pairs[i])] = struct{}{}
	}
}

// syncCompany tells Redis of what is dirty, and reads the company's numbers. It renews the lease.
func (p *Presence) syncCompany(c *company) error {
	for range 3 { // the second time for what the first has found to be wrong; more only where others go on meanwhile
		p.mu.Lock()
		b, listed := c.takeBatch(), c.listed
		p.mu.Unlock()
		again, err := p.syncBatch(c, b, listed)
		if err != nil {
			p.mu.Lock()
			c.putBack(b)
			p.mu.Unlock()
			return err
		}
		if !again {
			break
		}
	}
	return nil
}

// syncBatch reports true if it has to be done again.
func (p *Presence) syncBatch(c *company, b batch, listed bool) (again bool, err error) {
	if b.members > 0 && !listed {
		if _, err := p.do(p.command("SADD", p.listKey(p.node), string(c.id))); err != nil {
			return false, err
		}
	}
	s, err := p.send(c.id, b)
	if err != nil {
		return false, err
	}
	if s.differs {
		if err := p.compare(c); err != nil {
			return false, err
		}
		again = true
	}
	if s.expired != "" {
		_, changed, err := p.reap(c.id, s.expired, false)
		s.changed = s.changed || changed
		if err != nil {
			return false, err
		}
		again = true
	}
	if b.members == 0 && !again {
		if _, err := p.do(p.command("SREM", p.listKey(p.node), string(c.id))); err != nil {
			return false, err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	c.known, c.all, c.others = true, s.users, s.pages-b.pages
	c.listed = b.members > 0 || again
	c.publish = c.publish || s.changed
	return again, nil
}

// A state is what Redis says of a company.
type state struct {
	users, pages     int
	changed, differs bool
	expired          string
}

// send writes a batch in steps.
func (p *Presence) send(id belfry.CompanyID, b batch) (state, error) {
	var s state
	keys := p.nodeKeys(id, p.node)
	for begin, last := 0, false; !last; begin += 2 * scriptUsers {
		end, members := min(begin+2*scriptUsers, len(b.pairs)), -1
		if last = end == len(b.pairs); last {
			members = b.members
		}
		args := append([]string{p.node, milliseconds(p.lease), strconv.Itoa(b.pages), strconv.Itoa(members)}, b.pairs[begin:end]...)
		answer, err := p.run(syncScript, keys, args...)
		if err != nil {
			return s, err
		}
		n, err := integers(answer, 4)
		if err != nil {
			return s, err
		}
		s.users, s.pages, s.changed, s.differs = n[0], n[1], s.changed || n[2] == 1, n[3] == 1
		if s.expired, err = answer[4].ToString(); err != nil {
			return s, err
		}
	}
	return s, nil
}

func milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// compare finds what Redis has of this node's users in a company and should not have. All that it should
// have becomes dirty, and so do the pages of these users: another node may have taken them out.
func (p *Presence) compare(c *company) error {
	results, err := p.do(p.command("HKEYS", p.companyKey(c.id, "node:"+p.node)))
	if err != nil {
		return err
	}
	there, err := results[0].AsStrSlice()
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, id := range there {
		c.dirty[belfry.UserID(id)] = struct{}{}
	}
	p.register(c)
	return nil
}

// register has all that this node knows of a company written again. The lock is held.
func (p *Presence) register(c *company) {
	c.listed = false
	for id := range c.members {
		c.dirty[id] = struct{}{}
		if u := p.users[p.turn(id)][id]; u != nil {
			p.wantUser(u)
		}
	}
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
		if err != nil || expired == "" {
			return belfry.OnlineCount{Users: n[0], Pages: n[1]}, err
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

// syncUsers is a goroutine that keeps the pages of users in Redis as they are here.
func (p *Presence) syncUsers() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		taken := p.due.users.take(p, pipelineUsers)
		if taken == nil {
			return
		}
		var tried []*user
		var commands []rueidis.Completed
		flights := make([]*flight, len(taken))
		for i, u := range taken {
			f, try := u.task.begin(p)
			if flights[i] = f; try {
				tried = append(tried, u)
				commands = append(commands, p.writePages(u)...)
			}
		}
		var err error
		if len(tried) > 0 {
			p.mu.Unlock()
			_, err = p.do(commands...)
			p.mu.Lock()
		}
		for i, u := range taken {
			p.endUser(u, flights[i], err, len(tried) > 0 && tried[0] == u)
			if len(tried) > 0 && tried[0] == u {
				tried = tried[1:]
			}
		}
		p.noteAnswer(errOrOut(err, len(commands) > 0))
	}
}

// errOrOut is err, or that nothing was asked.
func errOrOut(err error, asked bool) error {
	if !asked {
		return errOut
	}
	return err
}

// endUser ends the run of a user's task, which has failed where it was not tried.
func (p *Presence) endUser(u *user, f *flight, err error, tried bool) {
	if !tried {
		err = errOut
	}
	if err != nil {
		p.trouble.users[u] = struct{}{}
	} else {
		delete(p.trouble.users, u)
	}
	if u.task.end(f, err) {
		u.task.queued = true
		p.due.users.push(u)
	}
	p.forgetUser(u)
}

// writePages returns the commands that make the pages of a user what they are here.
func (p *Presence) writePages(u *user) []rueidis.Completed {
	key := p.userKey(u.id)
	if len(u.pages) == 0 {
		return []rueidis.Completed{p.command("HDEL", key, p.node)}
	}
	// Every turn has come before it expires; what a node has left behind does not stay for ever.
	return []rueidis.Completed{
		p.command("HSET", key, p.node, encodePages(u.pages)),
		p.command("PEXPIRE", key, milliseconds(turns*p.lease)),
	}
}

// encodePages writes company, page, company, page, …
func encodePages(pages []belfry.OpenPage) string {
	var all []string
	for _, page := range pages {
		all = append(all, string(page.Company), page.ID)
	}
	encoded, _ := json.Marshal(all) // strings can always be written
	return string(encoded)
}

func decodePages(encoded string) ([]belfry.OpenPage, error) {
	var all []string
	if err := json.Unmarshal([]byte(encoded), &all); err != nil {
		return nil, err
	}
	var pages []belfry.OpenPage
	for i := 0; i+1 < len(all); i += 2 {
		pages = append(pages, belfry.OpenPage{Company: belfry.CompanyID(all[i]), ID: all[i+1]})
	}
	return pages, nil
}
