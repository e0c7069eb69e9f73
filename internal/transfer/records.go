package transfer

import (
	"maps"
	"slices"
	"time"

	"belfry"
)

// A Record is one thing that a store keeps: a *Message, *Notice and so on, one type for each [Kind].
type Record interface {
	// encode writes all that a target has to keep, in one way whatever the store.
	encode(*encoder)
}

// A Message is a message with a receiver.
type Message struct {
	belfry.Message
	Delivered bool // pages got it; of what is read it need not be kept
}

// A Notice is a message to many.
type Notice struct {
	belfry.Message
	Replaced bool // only who had read it sees it
}

// An Activity is an entry of a feed.
type Activity struct{ belfry.Activity }

// A Mark says that a user has read a notice.
type Mark struct {
	Notice   belfry.ID
	User     belfry.UserID
	Company  belfry.CompanyID // the notice's
	Archived bool
}

// A Member says since when an identity is a member of its company, and up to where its pages got the notices.
type Member struct {
	Who          belfry.Identity
	Since, Heard belfry.ID
}

// A SeenPlace says up to where an identity has seen that there are messages.
type SeenPlace struct {
	Who  belfry.Identity
	Last belfry.ID
}

// A Revision is an entry of the log. Of notices, Owner is empty.
type Revision struct {
	Owner belfry.UserID
	belfry.Revision
}

// A Floor says back to where the log reaches, of a user or, where Owner is empty, of everybody.
type Floor struct {
	Owner belfry.UserID
	Place belfry.ID
}

// A ScheduledPush waits for its time. Draft is what package storage makes of it.
type ScheduledPush struct {
	ID    belfry.ID
	Due   time.Time
	Draft string
}

// A Request is the key of a call that may be repeated.
type Request struct{ belfry.Request }

// UserPreferences are those of a user, in their order. There is at least one.
type UserPreferences struct {
	User        belfry.UserID
	Preferences []belfry.Preference
}

// A Revocation says before when tokens of a user are void.
type Revocation struct {
	User   belfry.UserID
	Before time.Time
}

func (m *Message) encode(e *encoder) {
	e.message(&m.Message)
	e.flag(m.IsRead)
	e.flag(m.IsArchived)
	e.flag(m.Delivered || m.IsRead)
}

func (n *Notice) encode(e *encoder) {
	e.message(&n.Message)
	e.flag(n.Later)
	e.flag(n.Replaced)
}

func (a *Activity) encode(e *encoder) {
	e.id(a.ID)
	e.text(string(a.Company))
	for _, s := range []string{a.OperatorID, a.Operator, a.Receiver, a.Portrait, a.Title, a.Content, a.URL, a.ObjectID} {
		e.text(s)
	}
	e.number(a.Date.Unix())
	e.number(int64(a.ObjectType))
	e.number(int64(len(a.Changes)))
	for _, c := range a.Changes {
		e.text(c.Field)
		e.optional(c.Before)
		e.optional(c.After)
	}
	e.fields(a.Extra)
}

func (m *Mark) encode(e *encoder) {
	e.id(m.Notice)
	e.text(string(m.User))
	e.text(string(m.Company))
	e.flag(m.Archived)
}

func (m *Member) encode(e *encoder) {
	e.who(m.Who)
	e.id(m.Since)
	e.id(m.Heard)
}

func (s *SeenPlace) encode(e *encoder) {
	e.who(s.Who)
	e.id(s.Last)
}

func (r *Revision) encode(e *encoder) {
	e.text(string(r.Owner))
	e.text(string(r.Company))
	e.id(r.Place)
	e.number(int64(r.Kind))
	e.number(int64(r.Type))
	e.flag(r.IDs == nil)
	e.number(int64(len(r.IDs)))
	for _, id := range r.IDs {
		e.id(id)
	}
}

func (f *Floor) encode(e *encoder) {
	e.text(string(f.Owner))
	e.id(f.Place)
}

func (p *ScheduledPush) encode(e *encoder) {
	e.id(p.ID)
	e.number(p.Due.UnixMilli())
	e.text(p.Draft)
}

func (r *Request) encode(e *encoder) {
	e.text(r.Key)
	e.text(string(r.Fingerprint[:]))
	e.text(string(r.Answer))
	e.number(r.Made.UnixMilli())
}

func (p *UserPreferences) encode(e *encoder) {
	e.text(string(p.User))
	e.number(int64(len(p.Preferences)))
	for _, one := range p.Preferences {
		e.number(int64(one.Type))
		e.text(one.Category)
		e.flag(one.Off)
		e.moment(one.MuteUntil)
	}
}

func (r *Revocation) encode(e *encoder) {
	e.text(string(r.User))
	e.number(r.Before.Unix())
}

// message writes what messages and notices have in common.
func (e *encoder) message(m *belfry.Message) {
	e.id(m.ID)
	e.text(string(m.Receiver))
	e.text(string(m.Company))
	for _, s := range []string{m.SenderID, m.Sender, m.Portrait, m.Title, m.Content, m.URL, m.Category, m.CollapseKey} {
		e.text(s)
	}
	e.number(m.Date.Unix())
	e.number(int64(m.Type))
	e.moment(m.Expires)
	e.optional(m.Data)
	e.flag(m.Forced)
	e.flag(m.Bare)
	e.fields(m.Extra)
}

func (e *encoder) who(who belfry.Identity) {
	e.text(string(who.User))
	e.text(string(who.Company))
}

func (e *encoder) fields(fields map[string]string) {
	e.number(int64(len(fields)))
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		e.text(name)
		e.text(fields[name])
	}
}
