package belfry

import (
	"context"
	"slices"
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
		c.of(user, company)
	}
}

// of returns the identities of a user that are shown what names the company, or none, with counts that know of
// it. Who has come since prepare is counted now.
func (c *counting) of(user UserID, company CompanyID) []addressee {
	all := c.service.addressees(user, company)
	for i := range all {
		all[i].counts = c.count(all[i].who)
	}
	return all
}

func (c *counting) count(who Identity) *Counts {
	if counts, ok := c.known[who]; ok {
		return counts
	}
	counts := c.service.countsOf(c.ctx, who)
	c.known[who] = counts
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
