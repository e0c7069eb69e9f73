package belfry

import "context"

// Limits on the lists that pages and backends read.
const (
	DefaultListLimit = 20
	MaxListLimit     = 100
	MaxMarkIDs       = 1000 // ids of one mark
)

// ListLimit returns how many entries a list has for a caller who asks for limit:
// [DefaultListLimit] for less than 1, never more than [MaxListLimit].
func ListLimit(limit int) int {
	if limit <= 0 {
		return DefaultListLimit
	}
	return min(limit, MaxListLimit)
}

// Inbox returns the identity's messages that the query asks for, newest first. A limit
// below 1 means [DefaultListLimit]; more than [MaxListLimit] are never returned.
func (s *Service) Inbox(ctx context.Context, who Identity, q InboxQuery) ([]Message, error) {
	q.Limit = ListLimit(q.Limit)
	return s.store.Inbox(ctx, who, q)
}

// Counts returns the identity's exact counts.
func (s *Service) Counts(ctx context.Context, who Identity) (Counts, error) {
	return s.store.Counts(ctx, who)
}

// MarkSeen says that the identity has seen that there are messages up to and
// including last, and tells all its pages the counts after it ([EventCounts]).
func (s *Service) MarkSeen(ctx context.Context, who Identity, last ID) (Counts, error) {
	counts, err := s.store.MarkSeen(ctx, who, last)
	if err != nil {
		return Counts{}, err
	}
	s.publish(context.WithoutCancel(ctx), Envelope{Rooms: []string{MemberRoom(who)}, Event: EventCounts, Args: []any{counts}})
	s.journal.Note(Fact{At: s.now(), Kind: FactSeen, Message: last, User: who.User, Company: who.Company})
	return counts, nil
}

// Mark changes what the identity has done with its messages: those that mark.IDs names, or all of
// them, of mark.Type where that is set, if IDs is nil. All its pages are told ([EventRead] or
// [EventChanged]) and get the counts after it ([EventCounts]), also pages of the same user in other
// companies where they show the same messages. Ids that are not the identity's are ignored, so that nobody can mark
// another's. mark.Place is ignored. It fails with [ErrInvalid] for more than [MaxMarkIDs] ids.
func (s *Service) Mark(ctx context.Context, who Identity, mark Mark) (Counts, error) {
	if len(mark.IDs) > MaxMarkIDs {
		return Counts{}, invalidField("ids", "has %d entries; at most %d are allowed", len(mark.IDs), MaxMarkIDs)
	}
	if err := s.marks.enter(ctx, string(who.User)); err != nil {
		return Counts{}, err
	}
	defer s.marks.leave(string(who.User))
	f := s.line.book(1)
	defer f.drop() // no-op once landed
	mark.Place = f.place
	marked, err := s.store.Mark(ctx, who, mark)
	if err != nil {
		f.doubt()
		return Counts{}, err
	}
	if marked.OwnRows+marked.SharedRows == 0 {
		return marked.Counts, nil
	}
	counts := s.newCounting(context.WithoutCancel(ctx))
	counts.known[who] = &marked.Counts
	s.landRevisions(f, marked.news(who, mark, f.places[0]), counts)
	s.noteMarked(who, mark, &marked)
	return marked.Counts, nil
}

// news is what has been marked: the messages that name no company, and those of the identity's.
func (m *Marked) news(who Identity, mark Mark, place ID) []News {
	var news []News
	for _, part := range []struct {
		company CompanyID
		ids     []ID
		rows    int
	}{{"", m.Shared, m.SharedRows}, {who.Company, m.Own, m.OwnRows}} {
		if part.rows == 0 {
			continue
		}
		r := &Revision{Place: place, Kind: mark.Kind, Company: part.company, Type: mark.Type}
		if len(part.ids) == part.rows {
			r.IDs, r.Type = part.ids, 0
		}
		news = append(news, News{LogEntry: LogEntry{Place: place, Revision: r}, Receiver: who.User})
	}
	return news
}

// factOfMark is what the delivery record says of a mark.
var factOfMark = map[RevisionKind]FactKind{
	RevisionRead: FactRead, RevisionUnread: FactUnread,
	RevisionArchived: FactArchived, RevisionUnarchived: FactUnarchived,
}

func (s *Service) noteMarked(who Identity, mark Mark, marked *Marked) {
	now := s.now()
	for _, ids := range [][]ID{marked.Own, marked.Shared} {
		for _, id := range ids {
			s.journal.Note(Fact{At: now, Kind: factOfMark[mark.Kind], Message: id, User: who.User, Company: who.Company})
		}
	}
}

// Acknowledge notes in the delivery record that a page has confirmed messages.
func (s *Service) Acknowledge(who Identity, page string, ids []ID) error {
	if len(ids) > MaxMarkIDs {
		return invalidField("ids", "has %d entries; at most %d are allowed", len(ids), MaxMarkIDs)
	}
	now := s.now()
	for _, id := range ids {
		s.journal.Note(Fact{At: now, Kind: FactAcked, Message: id, User: who.User, Company: who.Company, Page: page})
	}
	return nil
}

// Online returns how many users and pages of a company are online.
func (s *Service) Online(ctx context.Context, company CompanyID) (OnlineCount, error) {
	return s.presence.Online(ctx, company)
}

// PagesOf returns the open pages of a user.
func (s *Service) PagesOf(ctx context.Context, user UserID) ([]OpenPage, error) {
	return s.presence.PagesOf(ctx, user)
}
