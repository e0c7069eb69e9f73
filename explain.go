package belfry

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// An Explanation says what became of a message for one user.
type Explanation struct {
	Message ID
	User    UserID
	// Now is the message as the user has it, or nil if it is no more, or was
	// not for this user.
	Now *Message
	// Verdict says in a sentence where the message stands, and if it was not shown, why.
	Verdict string
	// Steps are what happened, in order.
	Steps []Fact
	// Partial says that this process has dropped facts, or is not the only one that notes them, so that the steps may
	// have gaps. Facts that are too old are missing, too.
	Partial bool
}

const (
	explainFacts = 200
	explainPages = 100
	// explainBefore is from how long before a message on the user's pages are of interest.
	explainBefore = time.Hour
)

// Explain tells the story of a message, a notice or a scheduled push for one user; of a message to one receiver
// the user may be empty. It fails with [ErrNotFound] if nothing is known of the message.
func (s *Service) Explain(ctx context.Context, id ID, user UserID) (Explanation, error) {
	e := Explanation{Message: id, User: user, Partial: s.shared || s.journal.Dropped() > 0}
	m, err := s.store.Message(ctx, id)
	found := err == nil
	if err != nil && ErrorCode(err) != ErrNotFound {
		return e, err
	}
	if e.User == "" && found {
		e.User = m.Receiver
	}
	if e.Steps, err = s.journal.Story(ctx, id, e.User, explainFacts); err != nil {
		return e, err
	}
	scheduled, err := s.store.ScheduledPush(ctx, id)
	if err != nil && ErrorCode(err) != ErrNotFound {
		return e, err
	}
	switch {
	case err == nil:
		e.Verdict = "it waits until " + scheduled.Due.UTC().Format(time.RFC3339)
		return e, nil
	case !found && len(e.Steps) == 0:
		return e, Errorf(ErrNotFound, "nothing is known of a message with this id")
	case found && !m.IsNotice() && m.Receiver != e.User:
		if e.Verdict = "it is not for this user, but for another one"; len(e.Steps) > 0 {
			e.Verdict = ended[e.Steps[len(e.Steps)-1].Kind] // it was to be for both
		}
		return e, nil
	case e.User == "":
		if e.Verdict = e.ending(); e.Verdict == "" {
			e.Verdict = "name the user whose story it is"
		}
		return e, nil
	}
	pages, err := s.pagesAround(ctx, e.User, id.Time())
	if err != nil {
		return e, err
	}
	e.Verdict = s.verdict(ctx, &e, found, &m, pages)
	pages = slices.DeleteFunc(pages, func(f Fact) bool { return f.At.Before(id.Time().Add(-explainBefore)) })
	e.addStored(found)
	e.Steps = slices.SortedStableFunc(slices.Values(append(e.Steps, pages...)), func(a, b Fact) int { return a.At.Compare(b.At) })
	if found {
		e.Now = &m
	}
	return e, nil
}

// pagesAround returns the last facts about a user's pages before a time, and the last since.
func (s *Service) pagesAround(ctx context.Context, user UserID, at time.Time) ([]Fact, error) {
	before, err := s.journal.Pages(ctx, user, time.Time{}, at, explainPages)
	if err != nil {
		return nil, err
	}
	since, err := s.journal.Pages(ctx, user, at, s.now().Add(time.Second), explainPages)
	return append(before, since...), err
}

// ended are the facts after which a message is no more, and what they mean.
var ended = map[FactKind]string{
	FactWithdrawn: "it was withdrawn",
	FactReplaced:  "a newer message with the same collapse key has replaced it",
	FactExpired:   "it has expired",
	FactCancelled: "it was cancelled before its time",
	FactFulfilled: "it was sent when its time came",
	FactOff:       "the user has turned such messages off",
}

// addStored adds that the message was stored, which comes right before the fact about its delivery.
func (e *Explanation) addStored(found bool) {
	stored := Fact{At: e.Message.Time(), Kind: FactStored, Message: e.Message}
	i := slices.IndexFunc(e.Steps, func(f Fact) bool { return isDelivery[f.Kind] })
	switch {
	case i >= 0:
		stored.At = e.Steps[i].At
		e.Steps = slices.Insert(e.Steps, i, stored)
	case found:
		e.Steps = slices.Insert(e.Steps, 0, stored)
	}
}

// isDelivery says of which facts follows that the message was stored.
var isDelivery = map[FactKind]bool{FactSent: true, FactNoPage: true, FactMuted: true}

// reached are the facts that say how far a message came, the furthest first.
var reached = []struct {
	kind FactKind
	says string
}{
	{FactArchived, "the user has archived it"},
	{FactRead, "the user has read it"},
	{FactAcked, "a page has confirmed it"},
	{FactReplayed, "it was sent to a page that logged in later"},
	{FactSent, "it was sent to open pages"},
	{FactMuted, "it is in the inbox; the user has muted such messages, so pages were not told"},
}

// ending says why a message is no more, or nothing.
func (e *Explanation) ending() string {
	for _, f := range slices.Backward(e.Steps) {
		if says, ok := ended[f.Kind]; ok {
			return says
		}
	}
	return ""
}

// verdict says where a message stands.
func (s *Service) verdict(ctx context.Context, e *Explanation, found bool, m *Message, pages []Fact) string {
	if says := e.ending(); says != "" {
		return says
	}
	if !found {
		return "it was stored and is no more: retention has deleted it"
	}
	if m.IsNotice() {
		if why := s.hidden(ctx, e.User, m); why != "" {
			return why
		}
	}
	for _, r := range reached {
		i := slices.IndexFunc(e.Steps, func(f Fact) bool { return f.Kind == r.kind && (f.Kind != FactSent || f.Count > 0) })
		if i >= 0 && (e.Steps[i].User != "" || online(pages, m.Company, e.Steps[i].At)) {
			return r.says
		}
	}
	return "it is in the inbox and no page has been told: " + absence(pages)
}

// hidden says why a user does not see a notice, or nothing if the user does.
func (s *Service) hidden(ctx context.Context, user UserID, m *Message) string {
	preferences, err := s.preferencesOf(ctx, user)
	if err != nil {
		return ""
	}
	if off, _ := judge(preferences, m, s.now()); off && !m.Forced {
		return "the user has turned such messages off"
	}
	if m.Company == "" || m.Later {
		return ""
	}
	profile, err := s.store.Profile(ctx, Identity{user, m.Company})
	switch {
	case err == nil && !profile.Member:
		return "the user is not known as a member of the company, and the notice is not for later ones"
	case err == nil && profile.Since.Compare(m.ID) >= 0:
		return "the user became a member after the notice, which is not for later ones"
	}
	return ""
}

// online reports whether facts about a user's pages say that one was open at a time, in a company where
// that is set.
func online(pages []Fact, company CompanyID, at time.Time) bool {
	open := make(map[string]bool)
	for _, f := range pages {
		if f.At.After(at) {
			break
		}
		if company == "" || f.Company == company {
			open[f.Page] = f.Kind == FactLogin
		}
	}
	for _, is := range open {
		if is {
			return true
		}
	}
	return false
}

// absence says why a user had no page, as far as it is known.
func absence(pages []Fact) string {
	if len(pages) == 0 {
		return "the user has not logged in since, nor shortly before"
	}
	switch last := pages[len(pages)-1]; last.Kind {
	case FactRefused:
		return "a page was refused: " + last.Detail
	case FactLogout:
		return fmt.Sprintf("the last page left at %s (%s)", last.At.UTC().Format(time.RFC3339), last.Detail)
	case FactRevoked:
		return "the user's tokens were made void"
	}
	return "the user has logged in since, and will find it in the inbox"
}
