package belfry

import (
	"context"
	"time"
)

// A FactKind says what a [Fact] reports.
type FactKind int

// The facts about a message and one of its receivers, and those about the pages of
// a user. Journals keep the numbers.
const (
	FactStored     FactKind = 1 // in the inbox; not noted but concluded
	FactSent       FactKind = 2 // queued for the page that Page names, or of a notice for Count pages
	FactNoPage     FactKind = 3 // stored, and no page was there
	FactReplayed   FactKind = 4 // sent at a login or in a recovery, to Page
	FactAcked      FactKind = 5 // Page has confirmed it
	FactSeen       FactKind = 6 // the bell was opened
	FactRead       FactKind = 7
	FactUnread     FactKind = 8
	FactArchived   FactKind = 9
	FactUnarchived FactKind = 10
	FactEdited     FactKind = 11
	FactWithdrawn  FactKind = 12
	FactReplaced   FactKind = 13 // Detail is the ID of the newer message
	FactExpired    FactKind = 14
	FactOff        FactKind = 15 // a preference keeps it out of the inbox
	FactMuted      FactKind = 16 // stored, and pages were not told of it
	FactScheduled  FactKind = 17 // waits for its time
	FactFulfilled  FactKind = 18 // a scheduled push was carried out; Detail lists the messages' IDs
	FactCancelled  FactKind = 19

	FactLogin   FactKind = 32 // Page came
	FactLogout  FactKind = 33 // Page went; Detail is why
	FactRefused FactKind = 34 // a page showed a token that was refused; Detail is why
	FactRevoked FactKind = 35 // the user's tokens were made void
)

// A Fact is one entry of the delivery record.
type Fact struct {
	At      time.Time // millisecond precision
	Kind    FactKind
	Message ID     // zero in facts about pages
	User    UserID // empty in facts that are true of every receiver
	Company CompanyID
	Page    string
	Count   int
	Detail  string // at most 256 bytes
}

// A Journal is the delivery record. It is kept apart from the stores: a push does
// not wait for it, and it is bounded. It is safe for concurrent use.
type Journal interface {
	// Note adds facts. It never waits: facts for which there is no room at the
	// moment are dropped, and counted.
	Note(facts ...Fact)

	// Story returns the facts about a message that are true of the user, oldest
	// first, at most limit. Facts that were noted before it was called are among them.
	Story(ctx context.Context, message ID, user UserID, limit int) ([]Fact, error)

	// Pages returns the newest limit facts about the user's pages from one time up to
	// another, oldest first.
	Pages(ctx context.Context, user UserID, from, until time.Time, limit int) ([]Fact, error)

	// Dropped returns how many facts were dropped since the process began.
	Dropped() int64
}

// noJournal is the journal of a service that has none.
type noJournal struct{}

var _ Journal = noJournal{}

func (noJournal) Note(...Fact) {}
func (noJournal) Story(context.Context, ID, UserID, int) ([]Fact, error) {
	return nil, Errorf(ErrUnavailable, "no delivery record is kept")
}
func (noJournal) Pages(context.Context, UserID, time.Time, time.Time, int) ([]Fact, error) {
	return nil, Errorf(ErrUnavailable, "no delivery record is kept")
}
func (noJournal) Dropped() int64 { return 0 }
