package belfry

import (
	"context"
	"encoding/json"
	"slices"
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
	f := s.line.book(1)
	defer f.drop() // no-op once landed
	if err := s.store.Edit(ctx, m, f.place); err != nil {
		return Message{}, err
	}
	s.agenda.rouse()
	s.journal.Note(Fact{At: s.now(), Kind: FactEdited, Message: m.ID, User: m.Receiver, Company: m.Company})
	r := &Revision{Place: f.places[0], Kind: RevisionEdited, Company: m.Company, IDs: []ID{m.ID}}
	news := []News{{LogEntry: LogEntry{Place: r.Place, Revision: r, Edited: &m}, Receiver: m.Receiver}}
	s.landRevisions(f, news, s.newCounting(context.WithoutCancel(ctx)))
	return m, nil
}

// WithdrawMessage takes a message or a notice back everywhere: out of the inbox, the counts
// and pages that are open ([EventChanged]). A push that waits for its time is
// cancelled. It fails with [ErrNotFound].
func (s *Service) WithdrawMessage(ctx context.Context, id ID) error {
	f := s.line.book(1)
	defer f.drop() // no-op once landed
	m, err := s.store.Withdraw(ctx, id, f.place)
	if ErrorCode(err) == ErrNotFound {
		return s.cancel(ctx, id)
	}
	if err != nil {
		return err
	}
	s.landRevisions(f, goneNews(f.places[0], RevisionWithdrawn, []Message{m}), s.newCounting(context.WithoutCancel(ctx)))
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

// goneNews says that messages are no more, to everybody concerned. All of this is at one place.
func goneNews(place ID, kind RevisionKind, messages []Message) []News {
	var news []News
	for i := range messages {
		m := &messages[i]
		at := slices.IndexFunc(news, func(n News) bool { return n.Receiver == m.Receiver && n.Revision.Company == m.Company })
		if at < 0 {
			at = len(news)
			r := &Revision{Place: place, Kind: kind, Company: m.Company}
			news = append(news, News{LogEntry: LogEntry{Place: place, Revision: r}, Receiver: m.Receiver})
		}
		news[at].Revision.IDs = append(news[at].Revision.IDs, m.ID)
	}
	return news
}

// landRevisions tells pages of revisions that are stored, on every node.
func (s *Service) landRevisions(f *flight, news []News, counts *counting) {
	for i := range news {
		counts.prepare(news[i].Receiver, "")
	}
	f.land(func(int) int {
		s.tellRevisions(news, counts)
		return 0
	}, news)
}
