package belfry

import (
	"context"
	"slices"
	"time"
)

// A counting finds the counts that go with what has been stored: those of the
// identities that have pages on this node, which are all that anybody looks at here. They are
// counted before the pages are told, so that the line need not wait.
type counting struct {
	ctx     context.Context // of one call; it ends before the call does
	service *Service
	known   map[Identity]*Counts
}

func (s *Service) newCounting(ctx context.Context) *counting {
	return &counting{ctx: ctx, service: s, known: make(map[Identity]*Counts)}
}

// An addressee is an identity that has pages on this node.
type addressee struct {
	who    Identity
	pages  []string
	counts *Counts // nil where they could not be counted
}

// prepare counts for whoever has pages now.
func (c *counting) prepare(user UserID, company CompanyID) {
	if user != "" {
		c.all(user, company, c.service.countsOf)
	}
}

// of returns the identities of a user that are shown what names the company, or none, with counts that know of
// it. Who has come since prepare is counted now. The line is locked.
func (c *counting) of(user UserID, company CompanyID) []addressee {
	return c.all(user, company, c.service.countsInLine)
}

func (c *counting) all(user UserID, company CompanyID, count func(context.Context, Identity) *Counts) []addressee {
	all := c.service.addressees(user, company)
	for i := range all {
		counts, ok := c.known[all[i].who]
		if !ok {
			counts = count(c.ctx, all[i].who)
			c.known[all[i].who] = counts
		}
		all[i].counts = counts
	}
	return all
}

// inLineTimeout bounds a question to the store with the line locked.
const inLineTimeout = 100 * time.Millisecond

// countsInLine is countsOf with the line locked. All that is told waits for the answer, and the store may wait itself: for
// places of what it is storing. So it has little time, and where that was not enough nobody is counted like this for a while.
func (s *Service) countsInLine(ctx context.Context, who Identity) *Counts {
	if time.Since(s.slowInLine) < oweRetry {
		s.teller.owe(who)
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.inLine)
	defer cancel()
	counts := s.countsOf(ctx, who)
	if ctx.Err() != nil {
		s.slowInLine = time.Now()
	}
	return counts
}

// countsOf returns counts that go with an event, or nil where the store is away:
// the event is worth more than its counts, which are told when the store is back.
func (s *Service) countsOf(ctx context.Context, who Identity) *Counts {
	counts, err := s.store.Counts(ctx, who)
	if err != nil {
		s.log.WarnContext(ctx, "not counted yet", "user", who.User, "err", err)
		s.teller.owe(who)
		return nil
	}
	return &counts
}

// addressees returns the identities of a user that have pages on this node and are shown messages that
// name the company, or none.
func (s *Service) addressees(user UserID, company CompanyID) []addressee {
	var all []addressee
	for _, page := range s.presence.PagesHere(user) {
		if company != "" && page.Company != company {
			continue
		}
		who := Identity{user, page.Company}
		i := slices.IndexFunc(all, func(a addressee) bool { return a.who == who })
		if i < 0 {
			all = append(all, addressee{who: who})
			i = len(all) - 1
		}
		all[i].pages = append(all[i].pages, page.ID)
	}
	return all
}
