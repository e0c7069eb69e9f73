package mongo

import (
	"context"
	"slices"

	"belfry"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// maxIDsPerOp bounds the documents that one op changes.
const maxIDsPerOp = 200

// Mark implements [belfry.MarkStore]. What is archived stays read, and so does a
// notice that was replaced: to mark it unread changes nothing. Of all it marks those
// up to its place.
func (s *Store) Mark(ctx context.Context, who belfry.Identity, mark belfry.Mark) (belfry.Marked, error) {
	if mark.Kind < belfry.RevisionRead || mark.Kind > belfry.RevisionUnarchived ||
		mark.IDs == nil && mark.Kind != belfry.RevisionRead && mark.Kind != belfry.RevisionArchived {
		return belfry.Marked{}, belfry.Errorf(belfry.ErrInvalid, "there is no mark of kind %d for these messages", mark.Kind)
	}
	var marked belfry.Marked
	err := s.writer.do(ctx, []string{touchUser(who.User)}, func(ctx context.Context, before state) (*changes, error) {
		m := marking{store: s, who: who, mark: mark, place: before.place(mark.Place)}
		err := m.prepare(ctx)
		marked = m.marked
		return &m.changes, err
	})
	if err != nil {
		return belfry.Marked{}, err
	}
	marked.Counts, err = s.Counts(ctx, who)
	return marked, err
}

// A marking is one Mark in the making.
type marking struct {
	store   *Store
	who     belfry.Identity
	mark    belfry.Mark
	place   belfry.ID
	viewer  viewer
	changes changes
	marked  belfry.Marked
	ids     []belfry.ID // of messages, as opposed to notices
}

func (m *marking) prepare(ctx context.Context) (err error) {
	if m.viewer, err = m.store.viewer(ctx, m.who); err != nil {
		return err
	}
	var messages, notices []messageDocument
	if m.mark.IDs != nil {
		messages, notices, err = m.listed(ctx)
	} else {
		messages, notices, err = m.all(ctx)
	}
	if err != nil {
		return err
	}
	m.markInOrder(messages, notices)
	set := bson.D{{Key: "isRead", Value: flag(m.mark.Kind != belfry.RevisionUnread)}}
	switch m.mark.Kind {
	case belfry.RevisionArchived:
		set = append(set, bson.E{Key: "isArchived", Value: int32(1)})
	case belfry.RevisionUnarchived:
		set = append(set, bson.E{Key: "isArchived", Value: int32(0)})
	}
	slices.SortFunc(m.ids, func(a, b belfry.ID) int { return a.Compare(b) })
	for ids := range slices.Chunk(m.ids, maxIDsPerOp) {
		m.changes.do(op{In: msgNotice, IDs: objectIDs(ids), Set: set})
	}
	m.revise()
	return nil
}

// markInOrder marks what the mark changes: of listed messages in the order of the list.
func (m *marking) markInOrder(messages, notices []messageDocument) {
	byID := make(map[belfry.ID]*messageDocument, len(messages)+len(notices))
	var order []belfry.ID
	for _, documents := range [][]messageDocument{messages, notices} {
		for i := range documents {
			id := belfry.ID(documents[i].ID)
			byID[id] = &documents[i]
			order = append(order, id)
		}
	}
	if m.mark.IDs != nil {
		order = m.mark.IDs
	}
	for _, id := range order {
		if d := byID[id]; d != nil && m.concerns(d) {
			m.add(d)
			delete(byID, id) // it may be listed twice
		}
	}
}

// concerns reports whether the mark changes a message or notice.
func (m *marking) concerns(d *messageDocument) bool {
	if d.ReceiverID == nil && d.Replaced != 0 && (d.IsRead == 0 || m.mark.Kind == belfry.RevisionUnread) {
		return false // not seen, or it would not be any more
	}
	switch m.mark.Kind {
	case belfry.RevisionRead:
		return d.IsRead == 0
	case belfry.RevisionUnread:
		return d.IsRead != 0 && d.IsArchived == 0
	case belfry.RevisionArchived:
		return d.IsArchived == 0
	}
	return d.IsArchived != 0
}

// add marks one, and lists it while there is room.
func (m *marking) add(d *messageDocument) {
	company := belfry.CompanyID(d.CompanyID)
	if d.ReceiverID != nil {
		m.ids = append(m.ids, belfry.ID(d.ID))
	} else {
		m.changes.do(markOp(m.who.User, company, belfry.ID(d.ID), m.mark.Kind != belfry.RevisionUnread, m.mark.Kind == belfry.RevisionArchived))
	}
	ids, n := &m.marked.Own, &m.marked.OwnRows
	if company == "" {
		ids, n = &m.marked.Shared, &m.marked.SharedRows
	}
	if *n++; *n <= belfry.MaxMarkIDs {
		*ids = append(*ids, belfry.ID(d.ID))
	}
}

// states are the fields that a mark needs.
var states = options.Find().SetProjection(bson.D{
	{Key: "receiverID", Value: 1}, {Key: "companyID", Value: 1}, {Key: "isRead", Value: 1}, {Key: "isArchived", Value: 1}, {Key: "replaced", Value: 1},
})

// listed returns the identity's messages and notices that the mark lists.
func (m *marking) listed(ctx context.Context) (messages, notices []messageDocument, err error) {
	if len(m.mark.IDs) == 0 {
		return nil, nil, nil
	}
	listed := bson.E{Key: "_id", Value: among(objectIDs(m.mark.IDs))}
	err = together(
		func() (err error) {
			messages, err = find[messageDocument](ctx, m.store.c.messages, own(m.who, listed), states)
			return err
		},
		func() (err error) {
			notices, err = m.noticesWithMarks(ctx, listed)
			return err
		},
	)
	return messages, notices, err
}

// all returns the identity's messages and notices that the mark may be about.
func (m *marking) all(ctx context.Context) (messages, notices []messageDocument, err error) {
	further := bson.D{{Key: "_id", Value: bson.D{{Key: "$lte", Value: objectID(m.place)}}}}
	if m.mark.Type != 0 {
		further = append(further, bson.E{Key: "typeID", Value: int32(m.mark.Type)})
	}
	state := notArchived
	if m.mark.Kind == belfry.RevisionRead {
		state = bson.E{Key: "isRead", Value: int32(0)}
	}
	err = together(
		func() (err error) {
			messages, err = find[messageDocument](ctx, m.store.c.messages, own(m.who, append(bson.D{state}, further...)...), states)
			return err
		},
		func() (err error) {
			notices, err = m.noticesWithMarks(ctx, further...)
			return err
		},
	)
	return messages, notices, err
}

func (m *marking) noticesWithMarks(ctx context.Context, further ...bson.E) ([]messageDocument, error) {
	notices, err := find[messageDocument](ctx, m.store.c.notices, m.viewer.sees(further...), states)
	if err != nil {
		return nil, err
	}
	marked, err := m.store.marksOn(ctx, m.who.User, notices)
	for i := range notices {
		mark, ok := marked[belfry.ID(notices[i].ID)]
		notices[i].IsRead, notices[i].IsArchived = flag(ok), mark.IsArchived
	}
	return notices, err
}

// revise keeps the revisions of a mark. They list the messages where these
// are not too many: the user may see other notices in another company, so that "all"
// is not the same there.
func (m *marking) revise() {
	for _, part := range []struct {
		company belfry.CompanyID
		ids     []belfry.ID
		rows    int
	}{{m.who.Company, m.marked.Own, m.marked.OwnRows}, {"", m.marked.Shared, m.marked.SharedRows}} {
		if part.rows == 0 {
			continue
		}
		r := revision{owner: m.who.User, company: part.company, place: m.place, kind: m.mark.Kind, ids: part.ids}
		if part.rows > len(part.ids) {
			r.ids, r.messageType = nil, m.mark.Type
		}
		m.changes.revise(r)
		m.changes.counts = true
	}
}

// MarkSeen implements [belfry.MarkStore].
func (s *Store) MarkSeen(ctx context.Context, who belfry.Identity, last belfry.ID) (belfry.Counts, error) {
	err := s.writer.do(ctx, []string{touchUser(who.User)}, func(ctx context.Context, _ state) (*changes, error) {
		d, _, err := findOne[readerDocument](ctx, s.c.readers, identityKey(who))
		if err != nil || d.Seen != nil && last.Compare(belfry.ID(*d.Seen)) <= 0 || last.IsZero() {
			return nil, err
		}
		c := &changes{counts: true}
		c.touch(touchUser(who.User))
		c.do(d.set(who, bson.E{Key: "seen", Value: objectID(last)}))
		return c, nil
	})
	if err != nil {
		return belfry.Counts{}, err
	}
	return s.Counts(ctx, who)
}
