package belfry

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// noticePlaces remembers the last notice to each company, and under the empty company
// that to everybody, of those that this process has told pages of.
type noticePlaces struct {
	mu   sync.Mutex
	last map[CompanyID]ID
}

func (n *noticePlaces) note(company CompanyID, place ID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.last == nil {
		n.last = make(map[CompanyID]ID)
	}
	n.last[company] = place
}

// since reports whether members of the company were told of a notice after a place.
func (n *noticePlaces) since(company CompanyID, place ID) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.last[company].Compare(place) > 0 || n.last[""].Compare(place) > 0
}

// A teller tells the members of companies who have pages on this node their counts after something has changed for
// all of them. Each has counts of their own, so it takes a query for each who is
// online; it runs beside everything else and takes at most half of a processor.
type teller struct {
	wake chan struct{}

	mu        sync.Mutex
	companies []CompanyID           // to be told, each once; empty for everybody
	owed      map[Identity]struct{} // who could not be told, to be tried again
}

const (
	tellStep = 32                     // identities between two rests
	tellRest = 200 * time.Microsecond // the least of these rests
	oweRetry = time.Second            // the rest before who could not be told is tried again
)

func newTeller() teller { return teller{wake: make(chan struct{}, 1)} }

// add has the members of a company told.
func (t *teller) add(company CompanyID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !slices.Contains(t.companies, company) {
		t.companies = append(t.companies, company)
	}
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// owe has identities told as soon as that can be.
func (t *teller) owe(identities ...Identity) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.owed == nil {
		t.owed = make(map[Identity]struct{})
	}
	for _, who := range identities {
		t.owed[who] = struct{}{}
	}
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

func (t *teller) owes() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.owed) > 0
}

// takeOwed returns all who are owed.
func (t *teller) takeOwed() []Identity {
	t.mu.Lock()
	defer t.mu.Unlock()
	owed := slices.Collect(maps.Keys(t.owed))
	t.owed = nil
	return owed
}

func (t *teller) take() (CompanyID, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.companies) == 0 {
		return "", false
	}
	company := t.companies[0]
	t.companies = t.companies[1:]
	return company, true
}

// keepTelling is the goroutine of the teller.
func (s *Service) keepTelling() {
	var retry <-chan time.Time
	for {
		select {
		case <-s.teller.wake:
			if retry == nil && s.teller.owes() {
				retry = time.After(oweRetry)
			}
		case <-retry:
			retry = nil
			s.tellEach(s.background, s.teller.takeOwed())
			continue
		case <-s.background.Done():
			return
		}
		for {
			company, ok := s.teller.take()
			if !ok {
				break
			}
			s.tellEach(s.background, s.presence.Here(company))
		}
	}
}

// tellEach tells identities their counts. Where the store does not answer, those who are left are owed.
func (s *Service) tellEach(ctx context.Context, identities []Identity) {
	for step := range slices.Chunk(identities, tellStep) {
		began := time.Now()
		for i, who := range step {
			counts, err := s.store.Counts(ctx, who)
			if err != nil {
				if ctx.Err() == nil {
					s.log.Warn("counts are told later", "identities", len(identities), "err", err)
				}
				s.teller.owe(identities[i:]...)
				return
			}
			s.tellCounts(who, counts)
		}
		identities = identities[len(step):]
		if len(step) == tellStep && !rest(ctx, max(tellRest, time.Since(began))) {
			return
		}
	}
}

// tellCounts emits counts to the identity's pages on this node. What they count is
// stored by then, so a page that is not told learns it with its next answer.
func (s *Service) tellCounts(who Identity, counts Counts) {
	s.emit(Envelope{Rooms: []string{MemberRoom(who)}, Event: EventCounts, Args: []any{counts}})
}

// TellCounts tells the pages of owners their counts, after retention has taken
// messages from them; see [Pruned].
func (s *Service) TellCounts(ctx context.Context, owners []Identity) {
	if len(owners) > 0 {
		s.publish(ctx, Envelope{Recount: owners})
		s.recount(ctx, owners)
	}
}

// recount tells the pages of this node.
func (s *Service) recount(ctx context.Context, owners []Identity) {
	for _, owner := range owners {
		if owner.User == "" {
			s.teller.add(owner.Company)
			continue
		}
		for _, a := range s.addressees(owner.User, owner.Company) {
			if counts := s.countsOf(ctx, a.who); counts != nil {
				s.tellCounts(a.who, *counts)
			}
		}
	}
}
