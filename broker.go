package belfry

import (
	"context"
	"time"
)

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
	// Disconnect ends the pages in the rooms; there is no event then. Where Revoked is set, which is for Emit alone, it ends
	// those whose tokens are void by it ([TokenVoid]).
	Disconnect bool
	Revoked    time.Time
	// Recount, where set, names users and companies (see [Pruned]) whose counts have changed without an event that says so,
	// and Resettle that these users' settings have. There is no event then: each node looks them up for its own pages.
	Recount  []Identity
	Resettle bool
	// Record, where set, names a user. There is no event then: each node records what it has delivered to the user's pages
	// ([MarkStore]), and has received the envelope when that is done.
	Record UserID
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

// A Broker emits envelopes on this node and carries them to others. [MemoryBroker] is that of a single node.
// It is safe for concurrent use, and nothing but Watch waits for anything.
type Broker interface {
	// Serve tells who receives what other nodes send, from now on. It is called once, before all else. It reports
	// whether there are other nodes that store into the same log.
	Serve(r Receiver) (shared bool)
	// Emit hands the envelope to this node alone, and returns how many of its pages it was queued for. Envelopes that
	// one goroutine emits reach a page in that order.
	Emit(env Envelope) (pages int)
	// Publish hands an envelope that has no place in the log to every node. It may be lost on its way to others.
	Publish(ctx context.Context, env Envelope) (Reach, error)
	// Share tells other nodes of a unit. It is called in the order of the units.
	Share(u Unit) Reach
	// Watch has this node get what is for these rooms, for a page, and returns when it does, or when it is known that
	// nothing comes just now, which the receiver is told. It fails only when ctx has ended.
	Watch(ctx context.Context, page string, rooms []string) error
	// Unwatch ends that for a page, of some rooms or, where rooms is nil, of all. Others may watch them still.
	Unwatch(page string, rooms []string)
	// Pace waits while so much that was published to many pages is still being
	// queued for them that more should not be added. It depends on no page. Who publishes calls
	// it when that is done and no lock held.
	Pace()
}

// A Receiver takes what other nodes send.
type Receiver interface {
	// Receive takes a unit of another node, of which this node gets only what is in the rooms that it watches. Reached is
	// called when the unit has been published here, with the number of pages for each of the news. Receive
	// does not wait.
	Receive(u Unit, reached func(pages []int))
	// Deliver emits an envelope of another node on this one, and returns how many pages it was queued for. With
	// [Envelope].Record it waits for the store, otherwise for nothing.
	Deliver(env Envelope) (pages int)
	// Lost says that units may have been lost, or come no more until Found.
	Lost()
	Found()
}

// A Reach says how many pages something was queued for.
type Reach struct {
	Here int // on this node
	// Elsewhere waits for the other nodes to say how many there, of each envelope or of each of the news of a unit. It
	// fails, with what it knows, when ctx ends, or when nodes may not have got it or do not answer. It may be nil.
	Elsewhere func(ctx context.Context) ([]int, error)
}

// Pages returns how many pages in all. If it fails there may be more.
func (r Reach) Pages(ctx context.Context) (pages int, err error) {
	pages = r.Here
	if r.Elsewhere != nil {
		var elsewhere []int
		elsewhere, err = r.Elsewhere(ctx)
		for _, n := range elsewhere {
			pages += n
		}
	}
	return pages, err
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

// Serve implements [Broker].
func (b *MemoryBroker) Serve(Receiver) (shared bool) { return false }

// Emit implements [Broker].
func (b *MemoryBroker) Emit(env Envelope) (pages int) { return b.emitter.Emit(env) }

// Publish implements [Broker]. It fails only when ctx has ended.
func (b *MemoryBroker) Publish(ctx context.Context, env Envelope) (Reach, error) {
	if err := ctx.Err(); err != nil {
		return Reach{}, err
	}
	return Reach{Here: b.emitter.Emit(env)}, nil
}

// Share implements [Broker].
func (b *MemoryBroker) Share(Unit) Reach { return Reach{} }

// Watch implements [Broker].
func (b *MemoryBroker) Watch(context.Context, string, []string) error { return nil }

// Unwatch implements [Broker].
func (b *MemoryBroker) Unwatch(string, []string) {}

// Pace implements [Broker].
func (b *MemoryBroker) Pace() { b.emitter.Pace() }
