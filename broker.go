package belfry

import "context"

// The events that pages get.
const (
	EventMessage       = "new_msg"
	EventActivity      = "update_dynamic"
	EventOnlineCount   = "update_online_count"
	EventCounts        = "counts"
	EventRead          = "msg_read"
	EventChanged       = "msg_changed"
	EventReset         = "reset"
	EventTokenExpiring = "token_expiring"
)

// UserRoom names the room of all pages of a user.
func UserRoom(user UserID) string { return "uid:" + string(user) }

// CompanyRoom names the room of all pages of a company.
func CompanyRoom(company CompanyID) string { return "company:" + string(company) }

// MemberRoom names the room of a user's pages in one company. Messages that
// name a company go there, so that a page which the same user has open in another
// company does not get them.
func MemberRoom(who Identity) string {
	return "member:" + string(who.Company) + "\x00" + string(who.User)
}

// EverybodyRoom is the room of all pages that are logged in.
const EverybodyRoom = "everybody"

// TopicRoom names the room of an application's topic.
func TopicRoom(topic string) string { return "topic:" + topic }

// An Envelope is one event on its way to the pages in some rooms. It is
// immutable once published.
type Envelope struct {
	Rooms  []string // a page in any of them gets the event, once
	Except []string // a page in any of these does not
	Event  string
	// Args are what the event carries: a MessageEvent, an *Activity, a RevisionEvent,
	// Counts, or values that encoding/json writes as they should appear on the wire.
	Args []any
	// Cursor, where set, follows the arguments: the page that has got the event
	// has been told everything up to there.
	Cursor Cursor
	// Disconnect ends the pages in the rooms; there is no event then.
	Disconnect bool
}

// A MessageEvent is what EventMessage carries.
type MessageEvent struct {
	Message *Message
	// Counts are those of the page's identity after the message. Nil of a
	// notice, which all members share: their counts follow one by one.
	Counts *Counts
}

// A RevisionEvent is what EventRead and EventChanged carry. EventCounts follows.
type RevisionEvent struct {
	Revision
	// Message is as it is now, if it was edited; nil of a notice that not all may see.
	Message *Message
}

// EventOf returns the event that tells of revisions of a kind.
func EventOf(kind RevisionKind) string {
	if kind == RevisionRead || kind == RevisionUnread {
		return EventRead
	}
	return EventChanged
}

// A Broker carries envelopes to the emitters of all nodes. [MemoryBroker]
// serves one node.
type Broker interface {
	// Publish hands the envelope to every node and returns how many pages it
	// was queued for. Envelopes that one goroutine publishes reach a page in that
	// order. It never waits for a page.
	Publish(ctx context.Context, env Envelope) (pages int, err error)
	// Pace waits while so much that was published to many pages is still being
	// queued for them that more should not be added. It depends on no page. Who publishes calls
	// it when that is done and no lock held.
	Pace()
}

// An Emitter writes an envelope to the pages of its own node and returns how
// many it was queued for. It never waits for a page and is safe for concurrent use.
type Emitter interface {
	Emit(env Envelope) (pages int)
	// Pace is that of [Broker].
	Pace()
}

// A Page is one open browser page, as the rules see it.
type Page interface {
	// ID is unique among all pages; it also names a room that holds only this
	// page, for [Envelope.Except].
	ID() string
	// Join puts the page into rooms; Leave takes it out.
	Join(rooms ...string)
	Leave(rooms ...string)
	// Hold keeps back what is published to the page's rooms from now on, until
	// Release lets it go, in order and as fast as Pace allows, or Drop throws it away. Emit is not held back.
	Hold()
	Release()
	Drop()
	// Emit sends an event to this page alone. It never waits. It reports
	// whether the page still takes events.
	Emit(event string, cursor Cursor, args ...any) bool
	// Pace waits, where much has been emitted that the page has not taken yet, until
	// it has, for a bounded time: a page that does not is disconnected. It reports whether the page is
	// there. Who emits much to one page at once calls it before each.
	Pace() bool
}

// A MemoryBroker is the Broker of a single node.
type MemoryBroker struct{ emitter Emitter }

var _ Broker = (*MemoryBroker)(nil)

// NewMemoryBroker makes a broker that hands every envelope to emitter.
func NewMemoryBroker(emitter Emitter) *MemoryBroker { return &MemoryBroker{emitter} }

// Publish implements [Broker]. It fails only when ctx has ended.
func (b *MemoryBroker) Publish(ctx context.Context, env Envelope) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	return b.emitter.Emit(env), nil
}

// Pace implements [Broker].
func (b *MemoryBroker) Pace() { b.emitter.Pace() }
