package sqlite

import (
	"context"
	"database/sql"

	"belfry"
)

// Add implements [belfry.EntryStore].
func (s *Store) Add(ctx context.Context, entries belfry.Entries) ([]belfry.Replaced, error) {
	rows := len(entries.Messages) + len(entries.Activities) + len(entries.Scheduled) + len(entries.Fulfils)
	if entries.Request != nil {
		rows++
	}
	if rows == 0 {
		return nil, nil
	}
	if entries.Place != nil {
		entries.Place(belfry.ID{}, &entries)
	}
	var replaced []belfry.Replaced
	err := s.writer.do(ctx, rows, func(b *batch) (err error) {
		replaced, err = b.add(&entries)
		return err
	})
	if err != nil {
		return nil, portError(ctx, err)
	}
	s.pruner.inboxes.Received(entries.Messages)
	return replaced, nil
}

func (b *batch) add(entries *belfry.Entries) (replaced []belfry.Replaced, err error) {
	// What makes all the rest needless comes first.
	if entries.Request != nil {
		if err := b.addRequest(entries.Request); err != nil {
			return nil, err
		}
	}
	for _, id := range entries.Fulfils {
		if err := b.cancel(id, belfry.ErrConflict); err != nil {
			return nil, err
		}
	}
	for i := 0; i < len(entries.Messages); i++ {
		m := &entries.Messages[i]
		if n := copies(entries.Messages[i:]); n > 1 {
			if err := b.addCopies(entries.Messages[i : i+n]); err != nil {
				return nil, err
			}
			i += n - 1
			continue
		}
		if m.CollapseKey != "" {
			ids, err := b.collapse(m)
			if err != nil {
				return nil, err
			}
			for _, id := range ids {
				replaced = append(replaced, belfry.Replaced{ID: id, By: i})
			}
		}
		if err := b.addOne(m); err != nil {
			return nil, err
		}
	}
	for i := range entries.Activities {
		if err := b.addActivity(&entries.Activities[i]); err != nil {
			return nil, err
		}
	}
	for i := range entries.Scheduled {
		if err := b.addScheduled(&entries.Scheduled[i]); err != nil {
			return nil, err
		}
	}
	return replaced, nil
}

func (b *batch) addOne(m *belfry.Message) error {
	add := b.addMessage
	if m.IsNotice() {
		add = b.addNotice
	}
	if err := add(m); err != nil {
		return err
	}
	return b.added(m)
}

// added says that a message or notice is in its table.
func (b *batch) added(m *belfry.Message) error {
	b.state.messages++
	b.changedBy(m)
	if m.IsNotice() || m.IsRead || m.IsArchived {
		return nil
	}
	return b.addFresh(m)
}

// changedBy says that a message or notice is new.
func (b *batch) changedBy(m *belfry.Message) {
	switch {
	case m.IsNotice():
		b.changedMany(m.Company)
	case m.IsRead || m.IsArchived || m.CollapseKey != "":
		b.changedOf(m.Receiver)
	default:
		b.change(change{user: m.Receiver, company: m.Company, added: true, messageType: m.Type, id: m.ID})
	}
}

// collapse removes what a new message replaces, also what came before it in the
// same call, and returns the ids.
func (b *batch) collapse(m *belfry.Message) (ids []belfry.ID, err error) {
	query, args := sqlCollapseMessages, []any{string(m.Receiver), string(m.Company), m.CollapseKey}
	if m.IsNotice() {
		query, args = sqlCollapseNotices, args[1:]
	}
	err = b.each(query, args, appendID(&ids))
	if err != nil || len(ids) == 0 {
		return nil, err
	}
	if !m.IsNotice() {
		b.state.messages -= int64(len(ids))
	}
	return ids, b.revise(revision{
		owner: m.Receiver, company: m.Company, place: m.ID, kind: belfry.RevisionReplaced, ids: ids,
	})
}

// appendID returns what appends a row's only column to ids.
func appendID(ids *[]belfry.ID) func(*sql.Rows) error {
	return func(rows *sql.Rows) error {
		var (
			column sql.RawBytes
			id     belfry.ID
		)
		if err := rows.Scan(&column); err != nil {
			return err
		}
		err := scanID(column, &id)
		*ids = append(*ids, id)
		return err
	}
}
