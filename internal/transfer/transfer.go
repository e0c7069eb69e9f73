// Package transfer copies all that one store keeps into another, whatever their databases are. A store takes
// part by showing what it keeps as records, in kinds that no database knows better than another.
package transfer

import (
	"context"

	"belfry"
)

// A Kind is a kind of records.
type Kind string

// What a store keeps. Marks of notices that are deleted already are no part of it.
const (
	Messages    Kind = "messages"
	Notices     Kind = "notices"
	Marks       Kind = "marks"
	Activities  Kind = "activities"
	Members     Kind = "members"
	Seen        Kind = "seen"
	Revisions   Kind = "revisions"
	Floors      Kind = "floors"
	Scheduled   Kind = "scheduled"
	Requests    Kind = "requests"
	Preferences Kind = "preferences"
	Revocations Kind = "revocations"
)

// Kinds are all of them, in the order in which they are copied.
var Kinds = []Kind{
	Messages, Notices, Marks, Activities, Members, Seen, Revisions, Floors, Scheduled, Requests, Preferences, Revocations,
}

// A Store is a database from which, or into which, records are copied. It is newly opened and nobody else uses it:
// what it keeps in memory alone is not seen. Its methods are called one after the other.
type Store interface {
	// Name tells databases apart. It holds no secret.
	Name() string

	// State returns what belongs to the store as a whole.
	State(ctx context.Context) (State, error)

	// Count returns about how many records of a kind there are; zero only if there are none.
	Count(ctx context.Context, kind Kind) (int64, error)

	// Read returns at least one and at most limit records of a kind, in an order of the store's own, and where the next
	// ones begin, which is "" after the last. It begins after such a place, or at the
	// beginning with "". Only the last answer may have no records.
	Read(ctx context.Context, kind Kind, after string, limit int) (records []Record, next string, err error)

	// Progress returns what the last Write has said, if the store is the target of a copy that is not
	// finished.
	Progress(ctx context.Context) (p Progress, unfinished bool, err error)

	// Write stores records, and then the progress, which outlives a crash with all that was written before it. A record that is
	// there already stays as it is.
	Write(ctx context.Context, kind Kind, records []Record, p Progress) error

	// Settle makes the numbers that the store keeps of its records right, its state no lower than
	// another, and the version of its counts higher.
	Settle(ctx context.Context, source State) error

	// Finish forgets the progress: the copy is finished.
	Finish(ctx context.Context) error
}

// A State is what a store as a whole has come to.
type State struct {
	Last    belfry.ID // the highest place that there ever was
	Version int64     // of the counts
}

// A Progress says how far a copy has come. It is kept in the target.
type Progress struct {
	Source string // its name
	State  State  // of the source
	Kind   Kind   // all kinds before it are copied
	After  string // and of this one all up to this place
}
