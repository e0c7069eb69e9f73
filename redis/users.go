package redis

import (
	"encoding/json"
	"strconv"
	"time"

	"belfry"

	"github.com/redis/rueidis"
)

// pipelineUsers is how many users' pages are written in one go.
const pipelineUsers = 128

// A userRun is a run of a user's task.
type userRun struct {
	u      *user
	flight *flight
}

// syncUsers is a goroutine that keeps the pages of users in Redis as they are here.
func (p *Presence) syncUsers(s *shard) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		taken := s.users.take(p, pipelineUsers)
		if taken == nil {
			return
		}
		var runs []userRun
		for _, u := range taken {
			if !u.task.queued { // it was wanted twice
				continue
			}
			if f, try := u.task.begin(p, s); try {
				runs = append(runs, userRun{u, f})
			} else {
				p.endUser(u, f, errOut)
			}
		}
		if len(runs) == 0 {
			continue
		}
		err := p.writeUsers(runs)
		for _, r := range runs {
			p.endUser(r.u, r.flight, err)
		}
	}
}

// endUser ends the run of a user's task.
func (p *Presence) endUser(u *user, f *flight, err error) {
	if err != nil {
		p.trouble.users[u] = struct{}{}
	} else {
		delete(p.trouble.users, u)
	}
	urgent := urgency(u.task.soon)
	if u.task.end(f, err) {
		p.shardOf(p.userKey(u.id)).users.push(u, urgent)
	}
}

// writeUsers makes the pages of users in Redis what they are here. What it has written, others believe: they take no
// notice of the pages of a node that is not listed. The lock is held, and given back meanwhile.
func (p *Presence) writeUsers(runs []userRun) error {
	for range 3 {
		var calls []call
		for _, r := range runs {
			calls = append(calls, p.writePages(r.u)...)
		}
		n, checked := len(calls), !p.shardOf(p.nodesKey()).out()
		if checked {
			calls = append(calls, p.command("ZSCORE", p.nodesKey(), p.node))
		}
		p.mu.Unlock()
		results := p.ask(calls...)
		var failed error
		for _, r := range results[:n] {
			if err := r.Error(); err != nil {
				failed = err
			}
		}
		listed := !checked || isListed(results[n])
		p.mu.Lock()
		if failed != nil || listed && (!checked || time.Now().Before(p.nodes[p.node].until)) {
			return failed
		}
		p.mu.Unlock()
		err := p.renewLease()
		p.mu.Lock()
		if err != nil { // where the nodes are listed Redis is away, for all
			return nil
		}
	}
	return nil
}

// isListed reads the score of the node; that there was no answer is no sign that it has none.
func isListed(r rueidis.RedisResult) bool { return !rueidis.IsRedisNil(r.Error()) }

// writePages returns the commands that make the pages of a user what they are here. The lock is held.
func (p *Presence) writePages(u *user) []call {
	key := p.userKey(u.id)
	if len(u.pages) == 0 {
		return []call{p.command("HDEL", key, p.node)}
	}
	p.written++
	// Every turn has come before it expires; what a node has left behind does not stay for ever.
	return []call{
		p.command("HSET", key, p.node, encodePages(p.written, u.pages)),
		p.command("PEXPIRE", key, milliseconds(turns*p.lease)),
	}
}

// encodePages writes a number, so that no two values are equal, and then company, page, company, page, …
func encodePages(number uint64, pages []belfry.OpenPage) string {
	all := []string{strconv.FormatUint(number, 36)}
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
	for i := 1; i+1 < len(all); i += 2 {
		pages = append(pages, belfry.OpenPage{Company: belfry.CompanyID(all[i]), ID: all[i+1]})
	}
	return pages, nil
}
