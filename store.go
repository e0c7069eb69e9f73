package belfry

import "context"

// A Store keeps messages and activities. It decides nothing: what is valid, who
// may see it and what counts is settled before it is called. Every method is
// safe for concurrent use and returns [ErrUnavailable] where the database
// cannot be reached.
//
// Queries name the identity or the company whose data they read. A user sees,
// of the messages whose Receiver it is, those that name no company and those
// that name the company of the identity.
type Store interface {
	MessageStore
	ActivityStore
}

// A MessageStore keeps the inboxes.
type MessageStore interface {
	// AddMessages stores all messages or none. It returns once they are
	// durable: they outlive a crash of the process and of the machine. Each is
	// undelivered until MarkDelivered names it.
	AddMessages(ctx context.Context, messages []Message) error

	// Undelivered returns the oldest limit messages that wait for the
	// identity, oldest first. Read messages do not wait.
	Undelivered(ctx context.Context, who Identity, limit int) ([]Message, error)

	// MarkDelivered says that pages got these messages of the receiver.
	// Undelivered sees it at once; it becomes durable soon after (within a second),
	// so that a crash may deliver again but never lose. Ids of other receivers
	// are ignored.
	MarkDelivered(ctx context.Context, receiver UserID, ids []ID) error

	// Inbox returns the identity's messages older than before, newest first;
	// the zero ID starts at the newest.
	Inbox(ctx context.Context, who Identity, before ID, limit int) ([]Message, error)

	// MarkRead marks the identity's messages read: those named by ids, or all
	// of them where ids is nil. Ids of other receivers are ignored. It returns the
	// counts after it.
	MarkRead(ctx context.Context, who Identity, ids []ID) (Counts, error)

	// MarkSeen says that the user has seen that there are messages up to and
	// including last. It returns the counts after it.
	MarkSeen(ctx context.Context, who Identity, last ID) (Counts, error)

	// Counts returns the identity's exact counts. Unread are the messages that
	// are not read; unseen are the unread ones newer than the last seen. Version
	// is higher than in any answer about an earlier state of the inbox.
	Counts(ctx context.Context, who Identity) (Counts, error)

	// PruneMessages deletes at most step of the oldest messages beyond the
	// limits, step being 1 to [MaxPruneStep], and returns how many. More
	// says that there may be others, also where none were deleted: it is to be
	// called until it says no. Counts know of it at once. What is stored while
	// it runs may wait for the next round of calls.
	PruneMessages(ctx context.Context, limits MessageLimits, step int) (deleted int, more bool, err error)
}

// An ActivityStore keeps the feeds.
type ActivityStore interface {
	// AddActivity stores one activity, durable when it returns.
	AddActivity(ctx context.Context, activity Activity) error

	// Feed returns the company's activities older than before, newest first;
	// the zero ID starts at the newest.
	Feed(ctx context.Context, company CompanyID, before ID, limit int) ([]Activity, error)

	// PruneActivities does with activities what PruneMessages does with
	// messages.
	PruneActivities(ctx context.Context, limits ActivityLimits, step int) (deleted int, more bool, err error)
}
