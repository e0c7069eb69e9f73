package belfry_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"belfry"
	"belfry/internal/porttest"
)

// A memStore is a Store for the tests of the rules. It can be told to fail.
type memStore struct {
	mu         sync.Mutex
	messages   map[belfry.UserID][]*memMessage // by id
	activities map[belfry.CompanyID][]belfry.Activity
	seen       map[belfry.Identity]belfry.ID
	version    int64
	// add, where set, runs before messages or activities are stored, without
	// the lock, and its error is the answer.
	add func(ctx context.Context) error
	// read, where set, runs after Undelivered has read, without the lock.
	read func()
	// fail, where set, is the answer of everything else.
	fail error
}

type memMessage struct {
	belfry.Message
	delivered bool
}

var _ belfry.Store = (*memStore)(nil)

func newMemStore() *memStore {
	return &memStore{
		messages:   make(map[belfry.UserID][]*memMessage),
		activities: make(map[belfry.CompanyID][]belfry.Activity),
		seen:       make(map[belfry.Identity]belfry.ID),
	}
}

func TestTheStoreOfTheseTestsKeepsTheContract(t *testing.T) {
	porttest.TestStore(t, func(*testing.T) belfry.Store { return newMemStore() })
}

func compareIDs(a, b belfry.ID) int { return slices.Compare(a[:], b[:]) }

func (s *memStore) begin(ctx context.Context) (end func(), err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	if s.fail != nil {
		s.mu.Unlock()
		return nil, s.fail
	}
	return s.mu.Unlock, nil
}

func (s *memStore) AddMessages(ctx context.Context, messages []belfry.Message) error {
	if s.add != nil {
		if err := s.add(ctx); err != nil {
			return err
		}
	}
	end, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	for _, m := range messages {
		if s.find(m.Receiver, m.ID) != nil {
			return belfry.Errorf(belfry.ErrConflict, "stored already")
		}
	}
	for _, m := range messages {
		inbox := s.messages[m.Receiver]
		i, _ := slices.BinarySearchFunc(inbox, m.ID, func(a *memMessage, id belfry.ID) int { return compareIDs(a.ID, id) })
		s.messages[m.Receiver] = slices.Insert(inbox, i, &memMessage{Message: m})
	}
	s.version++
	return nil
}

func (s *memStore) find(receiver belfry.UserID, id belfry.ID) *memMessage {
	inbox := s.messages[receiver]
	i, ok := slices.BinarySearchFunc(inbox, id, func(a *memMessage, id belfry.ID) int { return compareIDs(a.ID, id) })
	if !ok {
		return nil
	}
	return inbox[i]
}

// of returns the identity's messages that match, oldest first.
func (s *memStore) of(who belfry.Identity, match func(*memMessage) bool) []*memMessage {
	var found []*memMessage
	for _, m := range s.messages[who.User] {
		if (m.Company == "" || m.Company == who.Company) && match(m) {
			found = append(found, m)
		}
	}
	return found
}

func plain(messages []*memMessage, limit int) []belfry.Message {
	var out []belfry.Message
	for _, m := range messages[:min(limit, len(messages))] {
		out = append(out, m.Message)
	}
	return out
}

func (s *memStore) Undelivered(ctx context.Context, who belfry.Identity, limit int) ([]belfry.Message, error) {
	if s.read != nil {
		defer s.read()
	}
	end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	return plain(s.of(who, func(m *memMessage) bool { return !m.delivered && !m.IsRead }), limit), nil
}

func (s *memStore) MarkDelivered(ctx context.Context, receiver belfry.UserID, ids []belfry.ID) error {
	end, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	for _, id := range ids {
		if m := s.find(receiver, id); m != nil {
			m.delivered = true
		}
	}
	return nil
}

func (s *memStore) Inbox(ctx context.Context, who belfry.Identity, before belfry.ID, limit int) ([]belfry.Message, error) {
	end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	found := s.of(who, func(m *memMessage) bool { return before.IsZero() || compareIDs(m.ID, before) < 0 })
	slices.Reverse(found)
	return plain(found, limit), nil
}

func (s *memStore) MarkRead(ctx context.Context, who belfry.Identity, ids []belfry.ID) (belfry.Counts, error) {
	end, err := s.begin(ctx)
	if err != nil {
		return belfry.Counts{}, err
	}
	defer end()
	for _, m := range s.of(who, func(m *memMessage) bool { return ids == nil || slices.Contains(ids, m.ID) }) {
		m.IsRead = true
		s.version++
	}
	return s.count(who), nil
}

func (s *memStore) MarkSeen(ctx context.Context, who belfry.Identity, last belfry.ID) (belfry.Counts, error) {
	end, err := s.begin(ctx)
	if err != nil {
		return belfry.Counts{}, err
	}
	defer end()
	if compareIDs(last, s.seen[who]) > 0 {
		s.seen[who] = last
		s.version++
	}
	return s.count(who), nil
}

func (s *memStore) Counts(ctx context.Context, who belfry.Identity) (belfry.Counts, error) {
	end, err := s.begin(ctx)
	if err != nil {
		return belfry.Counts{}, err
	}
	defer end()
	return s.count(who), nil
}

func (s *memStore) count(who belfry.Identity) belfry.Counts {
	c := belfry.Counts{ByType: make(map[belfry.MessageType]int), Version: s.version}
	for _, m := range s.of(who, func(m *memMessage) bool { return !m.IsRead }) {
		c.Unread++
		c.ByType[m.Type]++
		if compareIDs(m.ID, s.seen[who]) > 0 {
			c.Unseen++
		}
	}
	return c
}

func (s *memStore) AddActivity(ctx context.Context, a belfry.Activity) error {
	if s.add != nil {
		if err := s.add(ctx); err != nil {
			return err
		}
	}
	end, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	feed := s.activities[a.Company]
	i, ok := slices.BinarySearchFunc(feed, a.ID, func(b belfry.Activity, id belfry.ID) int { return compareIDs(b.ID, id) })
	if ok {
		return belfry.Errorf(belfry.ErrConflict, "stored already")
	}
	s.activities[a.Company] = slices.Insert(feed, i, a)
	return nil
}

func (s *memStore) Feed(ctx context.Context, company belfry.CompanyID, before belfry.ID, limit int) ([]belfry.Activity, error) {
	end, err := s.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	var out []belfry.Activity
	for _, a := range slices.Backward(s.activities[company]) {
		if len(out) < limit && (before.IsZero() || compareIDs(a.ID, before) < 0) {
			out = append(out, a)
		}
	}
	return out, nil
}

func (s *memStore) PruneMessages(ctx context.Context, limits belfry.MessageLimits, step int) (deleted int, more bool, err error) {
	end, err := s.begin(ctx)
	if err != nil {
		return 0, false, err
	}
	defer end()
	type row struct {
		*memMessage
		newer int // of the same receiver
	}
	var rows []row
	for _, inbox := range s.messages {
		for i, m := range inbox {
			rows = append(rows, row{m, len(inbox) - 1 - i})
		}
	}
	slices.SortFunc(rows, func(a, b row) int { return compareIDs(a.ID, b.ID) })
	for i, r := range rows {
		old := compareIDs(r.ID, limits.Since) < 0
		tooMany := limits.Rows > 0 && i < len(rows)-limits.Rows
		tooManyOfUser := limits.RowsPerUser > 0 && r.newer >= limits.RowsPerUser
		if !old && !tooMany && !tooManyOfUser {
			continue
		}
		if deleted == step {
			return deleted, true, nil
		}
		s.messages[r.Receiver] = slices.DeleteFunc(s.messages[r.Receiver], func(m *memMessage) bool { return m.ID == r.ID })
		s.version++
		deleted++
	}
	return deleted, false, nil
}

func (s *memStore) PruneActivities(ctx context.Context, limits belfry.ActivityLimits, step int) (deleted int, more bool, err error) {
	end, err := s.begin(ctx)
	if err != nil {
		return 0, false, err
	}
	defer end()
	var all []belfry.Activity
	for _, feed := range s.activities {
		all = append(all, feed...)
	}
	slices.SortFunc(all, func(a, b belfry.Activity) int { return compareIDs(a.ID, b.ID) })
	for i, a := range all {
		if compareIDs(a.ID, limits.Since) >= 0 && (limits.Rows == 0 || i >= len(all)-limits.Rows) {
			break
		}
		if deleted == step {
			return deleted, true, nil
		}
		s.activities[a.Company] = slices.DeleteFunc(s.activities[a.Company], func(b belfry.Activity) bool { return b.ID == a.ID })
		deleted++
	}
	return deleted, false, nil
}
