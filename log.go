package belfry

// Everything that pages are told and that outlives a page has a place in the
// log: the ID of the message or the activity, or an ID made for the change. Places
// grow in the order in which pages are told. The log is not a table of its own: it is
// the messages, the activities and the revisions, merged by place.

// A RevisionKind says what happened to messages.
type RevisionKind int

// The kinds of revisions. Stores keep the numbers.
const (
	RevisionRead       RevisionKind = 1
	RevisionUnread     RevisionKind = 2
	RevisionArchived   RevisionKind = 3
	RevisionUnarchived RevisionKind = 4
	RevisionEdited     RevisionKind = 5
	RevisionWithdrawn  RevisionKind = 6
	RevisionReplaced   RevisionKind = 7 // by the message at its place, which has the same collapse key
	RevisionExpired    RevisionKind = 8
)

// A Revision is a change to messages that pages may show already.
type Revision struct {
	Place ID
	Kind  RevisionKind
	// Company is what the messages name, which decides who is told.
	Company CompanyID
	// IDs are the messages. Nil means all up to and including Place, of Type
	// where that is set.
	IDs  []ID
	Type MessageType
}

// A LogEntry is one thing at its place: exactly one of the pointers is set.
type LogEntry struct {
	Place    ID
	Message  *Message
	Activity *Activity
	Revision *Revision
	// Edited is the message as it is now, of a revision that edited it.
	Edited *Message
}
