package redis

import (
	"strconv"
	"time"

	"belfry"

	"github.com/redis/rueidis"
)

const (
	// scriptUsers is how many users one run of a script takes: Redis does nothing else meanwhile.
	scriptUsers = 500
	// pipelineCompanies is how many companies are written in one go.
	pipelineCompanies = 64
)

// A companyRun is a run of a company's task: what Redis is to be told, as it was at one moment, and what it says.
type companyRun struct {
	c       *company
	flight  *flight
	pairs   []string // user, pages
	pages   int
	members int
	was     bool // among the node's companies, before
	listed  bool // among them now

	state state
	err   error
}

// A state is what Redis says of a company.
type state struct {
	users, pages     int
	changed, differs bool
	expired          string        // a node
	since            time.Duration // its lease has ended
}

// syncCompanies is a goroutine that keeps the companies of a shard in Redis as they are here.
func (p *Presence) syncCompanies(s *shard) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		taken := s.companies.take(p, pipelineCompanies)
		if taken == nil {
			return
		}
		var runs []*companyRun
		for _, c := range taken {
			if !c.task.queued { // it was wanted twice
				continue
			}
			if f, try := c.task.begin(p, s); try {
				r := &companyRun{c: c, flight: f}
				r.take()
				runs = append(runs, r)
			} else {
				p.endCompany(c, f, errOut)
			}
		}
		if len(runs) > 0 {
			p.syncRuns(runs)
		}
	}
}

// syncRuns tells Redis of what is dirty, and reads the numbers of companies. It renews their leases. The lock is
// held, and given back meanwhile.
func (p *Presence) syncRuns(runs []*companyRun) {
	p.mu.Unlock()
	p.write(runs)
	p.mu.Lock()
	var wrong []*companyRun
	for _, r := range runs {
		p.settle(r)
		if p.isWrong(r) {
			wrong = append(wrong, r)
		} else {
			p.endCompany(r.c, r.flight, r.err)
		}
	}
	for _, r := range wrong {
		p.mend(r)
		p.endCompany(r.c, r.flight, r.err)
	}
}

// endCompany ends the run of a company's task.
func (p *Presence) endCompany(c *company, f *flight, err error) {
	if err != nil {
		p.trouble.companies[c] = struct{}{}
	} else {
		delete(p.trouble.companies, c)
	}
	urgent := urgency(c.task.soon)
	if c.task.end(f, err) {
		p.shardOf(p.companyKey(c.id, "")).companies.push(c, urgent)
	}
	if n := c.number().Users; n != c.announced || c.publish {
		p.noteChange(c)
	}
	p.forget(c)
}

// take takes all that is dirty. The lock is held.
func (r *companyRun) take() {
	c := r.c
	r.pages, r.members, r.was, r.listed = c.pages, len(c.members), c.listed, c.listed
	r.pairs = make([]string, 0, 2*len(c.dirty))
	for id := range c.dirty {
		pages := -1
		if m := c.members[id]; m != nil {
			pages = m.pages
		}
		r.pairs = append(r.pairs, string(id), strconv.Itoa(pages))
	}
	clear(c.dirty)
	r.state, r.err = state{}, nil
}

// settle keeps what Redis has said, or marks what has perhaps not arrived. The lock is held.
func (p *Presence) settle(r *companyRun) {
	c := r.c
	if c.listed == r.was { // else it is to be listed again
		c.listed = r.listed
	}
	if r.err != nil {
		for i := 0; i < len(r.pairs); i += 2 {
			c.dirty[belfry.UserID(r.pairs[i])] = struct{}{}
		}
		return
	}
	c.known, c.all, c.others = true, r.state.users, r.state.pages-r.pages
	c.publish = c.publish || r.state.changed
}

// isWrong says whether Redis has others than it should. The lock is held.
func (p *Presence) isWrong(r *companyRun) bool {
	return r.err == nil && (r.state.differs || r.state.expired != "" && p.isOver(r.state.expired, r.state.since))
}

// mend repairs what was found to be wrong, and more often only where others go on meanwhile. The lock is held, and
// given back meanwhile.
func (p *Presence) mend(r *companyRun) {
	for tries := 0; tries < 2 && p.isWrong(r); tries++ {
		reap := r.state.expired != "" && p.isOver(r.state.expired, r.state.since)
		p.mu.Unlock()
		if r.state.differs {
			r.err = p.compare(r.c)
		}
		changed := false
		if reap && r.err == nil {
			_, changed, r.err = p.reap(r.c.id, r.state.expired, false)
		}
		p.mu.Lock()
		r.c.publish = r.c.publish || changed
		if r.err != nil {
			return
		}
		r.take()
		p.mu.Unlock()
		p.write([]*companyRun{r})
		p.mu.Lock()
		p.settle(r)
	}
}

// write sends companies together, those with many users in steps.
func (p *Presence) write(runs []*companyRun) {
	p.list(runs, "SADD", func(r *companyRun) bool { return r.members > 0 && !r.listed })
	todo := runs
	for begin := 0; len(todo) > 0; begin += 2 * scriptUsers {
		var more []*companyRun
		var steps []run
		for _, r := range todo {
			end, members := min(begin+2*scriptUsers, len(r.pairs)), -1
			if end == len(r.pairs) {
				members = r.members
			} else {
				more = append(more, r)
			}
			args := append([]string{p.node, milliseconds(p.lease), strconv.Itoa(r.pages), strconv.Itoa(members)}, r.pairs[begin:end]...)
			steps = append(steps, run{p.nodeKeys(r.c.id, p.node), args})
		}
		for i, answer := range p.runAll(syncScript, steps...) {
			todo[i].read(answer)
		}
		todo = more
	}
	p.list(runs, "SREM", func(r *companyRun) bool { return r.members == 0 && r.err == nil && !r.state.differs })
}

// read reads what a step was answered.
func (r *companyRun) read(result rueidis.RedisResult) {
	answer, err := result.ToArray()
	if err == nil {
		var n []int
		if n, err = integers(answer, 4); err == nil {
			r.state.users, r.state.pages = n[0], n[1]
			r.state.changed, r.state.differs = r.state.changed || n[2] == 1, n[3] == 1
			r.state.expired, r.state.since, err = readExpired(answer[4:])
		}
	}
	if err != nil {
		r.err = err
	}
}

// list adds companies to those of the node, or takes them out. Where that fails, the next run of
// their tasks does it.
func (p *Presence) list(runs []*companyRun, command string, which func(*companyRun) bool) {
	var some []*companyRun
	var ids []string
	for _, r := range runs {
		if which(r) {
			some = append(some, r)
			ids = append(ids, string(r.c.id))
		}
	}
	if len(some) == 0 {
		return
	}
	_, err := p.do(p.command(command, p.listKey(p.node), ids...))
	for _, r := range some {
		r.listed = (command == "SADD") == (err == nil)
	}
}

// compare finds what Redis has of this node's users in a company and should not have. All that it should
// have becomes dirty, and so do the pages of these users: another node may have taken them out.
func (p *Presence) compare(c *company) error {
	r, err := p.do(p.command("HKEYS", p.companyKey(c.id, "node:"+p.node)))
	if err != nil {
		return err
	}
	there, err := r.AsStrSlice()
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
			p.wantUser(u, later)
		}
	}
}

// registerAll has all that this node knows written again. The lock is held.
func (p *Presence) registerAll() {
	for _, some := range p.companies {
		for _, c := range some {
			p.register(c)
			p.wantCompany(c, later)
		}
	}
	for _, some := range p.users { // also those who have left
		for _, u := range some {
			p.wantUser(u, later)
		}
	}
}
