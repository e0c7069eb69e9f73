package belfry

import (
	"context"
	"encoding/json"
	"time"
)

// An Edit says what of a message to change. Nil fields stay as they are.
type Edit struct {
	SenderID, Sender, Portrait *string
	Title, Content, URL        *string
	Type                       *MessageType
	Category                   *string
	Expires                    *time.Time // the zero time: never
	Data                       *json.RawMessage
	Extra                      *map[string]string
}

func (e *Edit) apply(m *Message) {
	set(&m.SenderID, e.SenderID)
	set(&m.Sender, e.Sender)
	set(&m.Portrait, e.Portrait)
	set(&m.Title, e.Title)
	set(&m.Content, e.Content)
	set(&m.URL, e.URL)
	set(&m.Type, e.Type)
	set(&m.Category, e.Category)
	set(&m.Expires, e.Expires)
	set(&m.Data, e.Data)
	set(&m.Extra, e.Extra)
}

func set[T any](field *T, to *T) {
	if to != nil {
		*field = *to
	}
}

// EditMessage changes a message or a notice wherever it is: in the inbox, and in
// pages that are open ([EventChanged]). It returns the message as it is now. It fails
// with [ErrNotFound], and with [ErrInvalid] as [Service.PushMessage] does.
func (s *Service) EditMessage(ctx context.Context, id ID, edit Edit) (Message, error) {
	if err := s.edits.enter(ctx, id.String()); err != nil {
		return Message{}, err
	}
	defer s.edits.leave(id.String())
	old, err := s.store.Message(ctx, id)
	if err != nil {
		return Message{}, err
	}
	m := old
	edit.apply(&m)
	if m, err = s.checkMessage(m); err != nil {
		return Message{}, err
	}
	m.ID, m.Receiver, m.IsRead, m.IsArchived = old.ID, old.Receiver, old.IsRead, old.IsArchived
	f := s.line.depart(1)
	defer s.line.drop(f) // no-op once landed
	if err := s.store.Edit(ctx, m, f.places[0]); err != nil {
		return Message{}, err
	}
	ctx = context.WithoutCancel(ctx)
	s.agenda.rouse()
	s.journal.Note(Fact{At: s.now(), Kind: FactEdited, Message: m.ID, User: m.Receiver, Company: m.Company})
	r := Revision{Place: f.places[0], Kind: RevisionEdited, Company: m.Company, IDs: []ID{m.ID}}
	s.line.land(f, func(int) int {
		s.revise(ctx, m.Receiver, r, &m, Cursor(r.Place))
		return 0
	})
	return m, nil
}

// WithdrawMessage takes a message or a notice back everywhere: out of the inbox, the counts
// and pages that are open ([EventChanged]). A push that waits for its time is
// cancelled. It fails with [ErrNotFound].
func (s *Service) WithdrawMessage(ctx context.Context, id ID) error {
	f := s.line.depart(1)
	defer s.line.drop(f) // no-op once landed
	m, err := s.store.Withdraw(ctx, id, f.places[0])
	if ErrorCode(err) == ErrNotFound {
		return s.cancel(ctx, id)
	}
	if err != nil {
		return err
	}
	s.landRevisions(context.WithoutCancel(ctx), f, RevisionWithdrawn, []Message{m})
	s.journal.Note(Fact{At: s.now(), Kind: FactWithdrawn, Message: m.ID, Company: m.Company})
	return nil
}

func (s *Service) cancel(ctx context.Context, id ID) error {
	if err := s.store.Cancel(ctx, id); err != nil {
		return err
	}
	s.journal.Note(Fact{At: s.now(), Kind: FactCancelled, Message: id})
	return nil
}

// Message returns a message or notice by its ID alone, for backends. It fails with [ErrNotFound].
func (s *Service) Message(ctx context.Context, id ID) (Message, error) {
	return s.store.Message(ctx, id)
}

// landRevisions tells everybody concerned that messages are no more. All of
// this is at one place.
func (s *Service) landRevisions(ctx context.Context, f *flight, kind RevisionKind, messages []Message) {
	type owner struct {
		receiver UserID
		company  CompanyID
	}
	ids := make(map[owner][]ID)
	for i := range messages {
		o := owner{messages[i].Receiver, messages[i].Company}
		ids[o] = append(ids[o], messages[i].ID)
	}
	var owners []owner
	for o := range ids {
		owners = append(owners, o)
	}
	// Where pages may be told of several parts, none of these says that it is the last.
	var cursor Cursor
	if len(owners) == 1 {
		cursor = Cursor(f.places[0])
	}
	s.line.land(f, func(int) int {
		for _, o := range owners {
			r := Revision{Place: f.places[0], Kind: kind, Company: o.company, IDs: ids[o]}
			s.revise(ctx, o.receiver, r, nil, cursor)
		}
		return 0
	})
}

// revise tells all pages that may show the messages of a receiver, or notices, what has happened to
// them. The line is locked.
//
// A notice that is not for later members is told as edited without its text: pages of later members
// are in the room, too. Those that show it load it anew.
func (s *Service) revise(ctx context.Context, receiver UserID, r Revision, now *Message, cursor Cursor) {
	env := Envelope{Event: EventOf(r.Kind), Cursor: cursor}
	if receiver == "" {
		notice := Message{Company: r.Company}
		env.Rooms = []string{notice.room()}
		if now != nil {
			env.Except = s.exceptOf(now)
			if !now.Later {
				now = nil
			}
		}
		env.Args = []any{RevisionEvent{Revision: r, Message: now}}
		s.publish(ctx, env)
		s.teller.add(r.Company)
		return
	}
	for _, a := range s.addressees(ctx, receiver, r.Company) {
		env.Rooms = []string{MemberRoom(a.who)}
		env.Args = []any{RevisionEvent{Revision: r, Message: now}}
		s.publish(ctx, env)
		s.tellCountsOf(ctx, a.who)
	}
}
