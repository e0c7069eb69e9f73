package belfry

import "context"

// Limits on the lists that pages and backends read.
const (
	DefaultListLimit = 20
	MaxListLimit     = 100
	MaxMarkIDs       = 1000 // ids of one MarkRead
)

// ListLimit returns how many entries a list has for a caller who asks for limit:
// [DefaultListLimit] for less than 1, never more than [MaxListLimit].
func ListLimit(limit int) int {
	if limit <= 0 {
		return DefaultListLimit
	}
	return min(limit, MaxListLimit)
}

// Inbox returns the identity's messages older than before, newest first. The
// zero ID starts at the newest. A limit below 1 means [DefaultListLimit]; more
// than [MaxListLimit] are never returned.
func (s *Service) Inbox(ctx context.Context, who Identity, before ID, limit int) ([]Message, error) {
	return s.store.Inbox(ctx, who, before, ListLimit(limit))
}

// Feed returns the activities of the identity's company older than before,
// newest first, within the limits of [Service.Inbox].
func (s *Service) Feed(ctx context.Context, who Identity, before ID, limit int) ([]Activity, error) {
	return s.store.Feed(ctx, who.Company, before, ListLimit(limit))
}

// Counts returns the identity's exact counts.
func (s *Service) Counts(ctx context.Context, who Identity) (Counts, error) {
	return s.store.Counts(ctx, who)
}

// MarkRead marks messages of the identity read, those that ids names or all of
// them where ids is nil, and tells all its pages the counts after it
// ([EventCounts]). Ids that are not the identity's are ignored, so that nobody can mark
// another's. More than [MaxMarkIDs] ids are [ErrInvalid].
func (s *Service) MarkRead(ctx context.Context, who Identity, ids []ID) (Counts, error) {
	if len(ids) > MaxMarkIDs {
		return Counts{}, Errorf(ErrInvalid, "ids has %d entries; at most %d are allowed", len(ids), MaxMarkIDs)
	}
	counts, err := s.store.MarkRead(ctx, who, ids)
	if err != nil {
		return Counts{}, err
	}
	s.tellCounts(ctx, who, counts)
	return counts, nil
}

// MarkSeen says that the identity has seen that there are messages up to and
// including last, and tells all its pages the counts after it ([EventCounts]).
func (s *Service) MarkSeen(ctx context.Context, who Identity, last ID) (Counts, error) {
	counts, err := s.store.MarkSeen(ctx, who, last)
	if err != nil {
		return Counts{}, err
	}
	s.tellCounts(ctx, who, counts)
	return counts, nil
}

// tellCounts publishes counts to the identity's pages. What they count is
// stored by then, so a page that is not told learns it with its next answer.
func (s *Service) tellCounts(ctx context.Context, who Identity, counts Counts) {
	_, err := s.broker.Publish(context.WithoutCancel(ctx), Envelope{
		Rooms: []string{MemberRoom(who)},
		Event: EventCounts,
		Args:  []any{counts},
	})
	if err != nil {
		s.log.WarnContext(ctx, "counts not published", "user", who.User, "err", err)
	}
}

// Online returns how many users and pages of a company are online.
func (s *Service) Online(ctx context.Context, company CompanyID) (OnlineCount, error) {
	return s.presence.Online(ctx, company)
}
