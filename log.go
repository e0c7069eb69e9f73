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

// News is a thing at its place, on its way to the pages that are told of it: a message, an activity or a revision.
type News struct {
	LogEntry
	// Receiver is whose messages a revision is about; empty of notices.
	Receiver UserID
	// Muted says that pages are told only the counts after a message.
	Muted bool
}

// owner returns the user or the company who is told, or neither: everybody.
func (n *News) owner() Identity {
	switch {
	case n.Activity != nil:
		return Identity{Company: n.Activity.Company}
	case n.Message != nil && n.Message.IsNotice():
		return Identity{Company: n.Message.Company}
	case n.Message != nil:
		return Identity{User: n.Message.Receiver}
	case n.Receiver != "":
		return Identity{User: n.Receiver}
	}
	return Identity{Company: n.Revision.Company}
}

// Room returns the room of all pages that may be told, among others.
func (n *News) Room() string {
	switch owner := n.owner(); {
	case owner.User != "":
		return UserRoom(owner.User)
	case owner.Company != "":
		return CompanyRoom(owner.Company)
	}
	return EverybodyRoom
}

// A Unit is what one change has told the pages of a node, in the order of its places. Nothing else is in the log
// between After and Last.
type Unit struct {
	After, Last ID
	News        []News
}
