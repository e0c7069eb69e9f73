package belfry

import (
	"context"
	"time"
)

// A Store keeps all that outlives the process. It decides nothing: what is valid,
// who may see it and what counts is settled before it is called. Every method is
// safe for concurrent use and returns [ErrUnavailable] where the database
// cannot be reached.
//
// Queries name the identity or the company whose data they read. Of an identity are the
// messages whose Receiver is its user and that name no company or the identity's,
// and the notices that it sees: those to everybody and to its company, if
// they are for later members ([Message].Later) or newer than the identity's
// membership ([MemberStore]), and unless they are not Forced and a preference of
// the user that matches them is Off. A notice that a newer one has replaced by its
// collapse key is seen only by who had read it.
type Store interface {
	EntryStore
	MessageStore
	MarkStore
	ActivityStore
	MemberStore
	AgendaStore
	LogStore
	SettingStore
}

// An EntryStore takes in what is new.
type EntryStore interface {
	// Add stores all entries or none. It returns once they are durable: they
	// outlive a crash of the process and of the machine. Each message with a receiver is
	// undelivered until MarkDelivered names it.
	//
	// Of the messages that have the receiver, the company and the collapse key
	// of a new one and are unread and not archived, Add deletes those with a receiver and
	// marks the notices replaced. It keeps a [RevisionReplaced] at the place of the new one
	// and returns them.
	//
	// It fails with [ErrConflict] if an ID is taken, if a scheduled push that the
	// entries fulfil is not there, or if the request's key is taken.
	Add(ctx context.Context, entries Entries) ([]Replaced, error)

	// Request returns the request with this key that was made since the time
	// given, or [ErrNotFound].
	Request(ctx context.Context, key string, since time.Time) (Request, error)

	// AnswerRequest replaces the answer of a request. It may become durable
	// late, and be lost in a crash.
	AnswerRequest(ctx context.Context, key string, answer []byte) error

	// PruneRequests deletes at most step of the requests made before a time, and
	// returns how many.
	PruneRequests(ctx context.Context, before time.Time, step int) (deleted int, err error)
}

// Entries are what one call makes: stored together or not at all.
type Entries struct {
	Messages   []Message // with ID; notices have no Receiver
	Activities []Activity
	Scheduled  []Scheduled
	Fulfils    []ID // scheduled pushes that are hereby carried out, and deleted
	Request    *Request
	// Place, where set, gives e, which are these entries, the IDs of its messages and activities, as a [Placer] makes
	// places, and whatever else depends on them.
	Place func(after ID, e *Entries)
}

// A Placer makes the place of a change when it is the change's turn to be stored: higher than after, which
// is the highest place there is, or zero where the store has but one process. It does not wait. It may be
// called again where another process was first; then what it made last counts.
type Placer func(after ID) ID

// At is the Placer of a place that is settled.
func At(place ID) Placer { return func(ID) ID { return place } }

// A Replaced is a message whose place a newer one has taken.
type Replaced struct {
	ID ID
	By int // index of the newer one in Entries.Messages
}

// A Request is one call that creates something and that its caller may repeat.
// Key is unique for at least [RequestLifetime].
type Request struct {
	Key         string
	Fingerprint [32]byte // of all that was asked for
	Answer      []byte   // opaque to the store
	Made        time.Time
}

// A MessageStore keeps messages and notices.
type MessageStore interface {
	// Inbox returns the identity's messages that the query asks for, newest first.
	Inbox(ctx context.Context, who Identity, q InboxQuery) ([]Message, error)

	// Counts returns the identity's exact counts. Unread are the messages that
	// are not read; unseen are the unread ones newer than the last seen. Version
	// is higher than in any answer about an earlier state of the inbox.
	Counts(ctx context.Context, who Identity) (Counts, error)

	// Message returns a message or notice by its ID alone, as its receiver has it; a notice is unread
	// then. It fails with [ErrNotFound]. It is for backends: pages read their inbox.
	Message(ctx context.Context, id ID) (Message, error)

	// Edit replaces what a message says: all that the fields of m say but
	// ID, Receiver, Company, CollapseKey, Later and the states of its readers. It keeps a [RevisionEdited] at
	// place. It fails with [ErrNotFound].
	Edit(ctx context.Context, m Message, place Placer) error

	// Withdraw deletes a message or notice and returns it as it was. It keeps a
	// [RevisionWithdrawn] at place. It fails with [ErrNotFound].
	Withdraw(ctx context.Context, id ID, place Placer) (Message, error)

	// PruneMessages deletes at most step of the oldest messages and notices beyond the
	// limits, step being 1 to [MaxPruneStep]. Pruned.More
	// says that there may be others, also where none were deleted: it is to be
	// called until it says no. Counts know of it at once. What is stored while
	// it runs may wait for the next round of calls. The log then no longer
	// reaches back beyond what was deleted; see [LogStore].
	PruneMessages(ctx context.Context, limits MessageLimits, step int) (Pruned, error)
}

// An InboxQuery says which messages of an inbox to list. Zero fields do not
// restrict, apart from Archived.
type InboxQuery struct {
	Before   ID // older than this one
	Type     MessageType
	Category string
	Unread   bool // only those
	Archived bool // those instead of the others
	Limit    int
}

// Pruned says what a step of retention did.
type Pruned struct {
	Deleted int
	More    bool
	// Unread are the users and, of notices, the companies who have lost
	// unread messages, without repetitions: of an owner that is a user Company
	// is empty and of one that is a company User is. Both are empty where
	// everybody has.
	Unread []Identity
}

// A MarkStore keeps what readers have done with messages.
type MarkStore interface {
	// Mark changes the state of messages of the identity. IDs that are not the
	// identity's are ignored. What has changed is kept as revisions at the place that mark.Place makes: one
	// for those that name no company, one for those that name the identity's.
	Mark(ctx context.Context, who Identity, mark Mark) (Marked, error)

	// MarkSeen says that the user has seen that there are messages up to and
	// including last. It returns the counts after it.
	MarkSeen(ctx context.Context, who Identity, last ID) (Counts, error)

	// MarkDelivered says that pages got these messages of the receiver.
	// Undelivered sees it at once; it becomes durable soon after (within a second),
	// so that a crash may deliver again but never lose. Ids of other receivers
	// are ignored.
	MarkDelivered(ctx context.Context, receiver UserID, ids []ID) error

	// RecordDelivered returns when what pages of a user got is durable, and other processes see it.
	RecordDelivered(ctx context.Context, user UserID) error

	// Undelivered returns the oldest limit messages that wait for the
	// identity, oldest first: messages that are undelivered, and notices newer than what a member
	// has heard ([MemberStore]). Read messages do not wait.
	Undelivered(ctx context.Context, who Identity, limit int) ([]Message, error)
}

// A Mark says what to do to the state of messages.
type Mark struct {
	// Kind is RevisionRead, RevisionUnread, RevisionArchived or
	// RevisionUnarchived. Archiving marks read; unarchived messages stay read.
	Kind RevisionKind
	// IDs are the messages; nil means all up to and including Place that are not archived, of Type where that is set,
	// which is for RevisionRead and RevisionArchived alone. What is archived or replaced stays read.
	IDs   []ID
	Type  MessageType
	Place Placer
}

// Marked says what a [Mark] has changed.
type Marked struct {
	Counts Counts // of the identity, after it
	// Own are the changed messages that name the identity's company, Shared
	// those that name none: the same user in other companies shows them, too.
	// Of a Mark of all they list at most [MaxMarkIDs]; the numbers are right.
	Own, Shared         []ID
	OwnRows, SharedRows int
}

// An ActivityStore keeps the feeds.
type ActivityStore interface {
	// Feed returns the company's activities that the query asks for, newest first.
	Feed(ctx context.Context, company CompanyID, q FeedQuery) ([]Activity, error)

	// PruneActivities does with activities what PruneMessages does with
	// messages.
	PruneActivities(ctx context.Context, limits ActivityLimits, step int) (Pruned, error)
}

// A MemberStore keeps who has been seen in which company.
type MemberStore interface {
	// AddMembers makes users members of a company since a place, all or none. Who is a member
	// already stays one since the lower of both places. They have heard everything up to since.
	AddMembers(ctx context.Context, company CompanyID, users []UserID, since ID) error

	// Enrol is AddMembers for one user who has come by himself, and need not wait: whoever sees
	// what is stored after the call sees the member, too, Profile does at once, and the member is durable no later than that. So a
	// crash can only forget a member to whom nothing has happened.
	Enrol(ctx context.Context, who Identity, since ID) error

	// MarkHeard says that pages of a member got all notices up to and including a place.
	// Undelivered sees it at once; it becomes durable soon after, as
	// MarkDelivered says. A lower place than before changes nothing.
	MarkHeard(ctx context.Context, who Identity, place ID) error
}

// An AgendaStore keeps what is to happen at a time.
type AgendaStore interface {
	// NextDue returns when the next scheduled push is due or the next message
	// expires, whichever is first; the zero time if there is nothing.
	NextDue(ctx context.Context) (time.Time, error)

	// Due returns at most limit of the scheduled pushes that are due, by their time.
	Due(ctx context.Context, now time.Time, limit int) ([]Scheduled, error)

	// ScheduledPush returns the scheduled push with this ID, or [ErrNotFound].
	ScheduledPush(ctx context.Context, id ID) (Scheduled, error)

	// Cancel deletes a scheduled push. It fails with [ErrNotFound].
	Cancel(ctx context.Context, id ID) error

	// Expire deletes at most step of the messages and notices that expire at or before now, and
	// returns them. It keeps revisions of the kind [RevisionExpired] at place.
	Expire(ctx context.Context, now time.Time, place Placer, step int) ([]Message, error)
}

// A Scheduled is a push that waits for its time.
type Scheduled struct {
	ID        ID
	Due       time.Time // millisecond precision
	Message   Message   // as checked; a notice where there are no receivers
	Receivers []UserID
}

// A LogStore reads the log; see [LogEntry].
type LogStore interface {
	// Since returns what pages of the identity were told after one place, up to and
	// including another, oldest first: its messages, the activities of its company, and
	// revisions. Of one place, revisions come first. Complete is false where that is more than limit, or where
	// the log no longer reaches back to after; then there are no entries. It may be false a little
	// early where edited messages are gone.
	//
	// Applied to an inbox as it was at after, the entries give the inbox at until, provided that
	// changes to one inbox are stored in the order of their places.
	Since(ctx context.Context, who Identity, after, until ID, limit int) (entries []LogEntry, complete bool, err error)

	// Last returns the highest place in the log, of all identities, or the zero ID. What is stored later has higher
	// places, whichever process stores it.
	Last(ctx context.Context) (ID, error)

	// Concerned returns whom what came after a place concerns, without repetitions: users, companies and, with
	// both fields empty, everybody; other processes have stored it or this one. Known is false where the store
	// no longer knows, or keeps no such list.
	Concerned(ctx context.Context, after ID) (owners []Identity, known bool, err error)

	// PruneRevisions deletes at most step of the revisions with lower places
	// than before. The log then reaches back to that place.
	PruneRevisions(ctx context.Context, before ID, step int) (deleted int, err error)
}

// A SettingStore keeps what is set for a user.
type SettingStore interface {
	// Preferences returns the preferences of those of the users who have any, in
	// the order in which they were set. It is asked before every push.
	Preferences(ctx context.Context, users []UserID) (map[UserID][]Preference, error)

	// SetPreferences replaces the user's preferences.
	SetPreferences(ctx context.Context, user UserID, preferences []Preference) error

	// Revoke says that tokens of the user that were issued before a time are void.
	// An earlier time than before changes nothing.
	Revoke(ctx context.Context, user UserID, before time.Time) error

	// Revoked returns the times that Revoke has set for those of the users who have one. Second precision.
	Revoked(ctx context.Context, users []UserID) (map[UserID]time.Time, error)

	// Profile returns what is known of an identity and its user. Every login asks for it.
	Profile(ctx context.Context, who Identity) (Profile, error)
}

// A Profile is what a login has to know of an identity.
type Profile struct {
	// Member says that the identity is a member of its company, and Since since when.
	Member bool
	Since  ID
	// Revoked is the time that Revoke has set for the user, or the zero time. Second precision.
	Revoked time.Time
	// Preferences are the user's, in the order in which they were set.
	Preferences []Preference
}

// A Preference turns a user's messages off, all those that it matches: of Type and of Category where
// those are set. What any preference of a user turns off is off.
type Preference struct {
	Type     MessageType
	Category string
	// Off keeps messages out of the inbox.
	Off bool
	// MuteUntil leaves messages in the inbox and in the counts, but pages are not
	// told of them until then.
	MuteUntil time.Time
}

// matches reports whether the preference is about such messages.
func (p Preference) matches(t MessageType, category string) bool {
	return (p.Type == 0 || p.Type == t) && (p.Category == "" || p.Category == category)
}
