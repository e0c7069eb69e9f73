package sqlite

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"belfry"
)

const (
	sqlAddMessage = `INSERT INTO messages
		(receiver, id, company, type, date, is_read, bare, sender_id, sender, portrait, title, content, url, extra)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

	sqlMarkDelivered = `UPDATE messages SET delivered = 1 WHERE receiver = ? AND id = ? AND delivered = 0`

	sqlMarkRead = `UPDATE messages SET is_read = 1
		WHERE receiver = ? AND id = ? AND company IN ('', ?) AND is_read = 0`

	// Without INDEXED BY it would walk through the whole inbox.
	sqlMarkAllRead = `UPDATE messages INDEXED BY messages_unread SET is_read = 1
		WHERE receiver = ? AND company IN ('', ?) AND is_read = 0`

	sqlMarkSeen = `INSERT INTO seen (receiver, company, last) VALUES (?, ?, ?)
		ON CONFLICT DO UPDATE SET last = excluded.last WHERE excluded.last > last`
)

// AddMessages implements [belfry.MessageStore].
func (s *Store) AddMessages(ctx context.Context, messages []belfry.Message) error {
	if len(messages) == 0 {
		return nil
	}
	err := s.writer.do(ctx, len(messages), func(b *batch) error {
		for i := range messages {
			if err := b.addMessage(&messages[i]); err != nil {
				return err
			}
		}
		b.state.messages += int64(len(messages))
		b.changed()
		return nil
	})
	if err != nil {
		return portError(ctx, err)
	}
	s.pruner.inboxes.received(messages)
	return nil
}

func (b *batch) addMessage(m *belfry.Message) error {
	extra, err := encodeExtra(m.Extra)
	if err != nil {
		return err
	}
	_, err = b.stmts.addMessage.ExecContext(b.ctx,
		string(m.Receiver), m.ID[:], string(m.Company), int64(m.Type), m.Date.Unix(), m.IsRead, m.Bare,
		m.SenderID, m.Sender, m.Portrait, m.Title, m.Content, m.URL, extra)
	return err
}

// MarkDelivered implements [belfry.MessageStore]. The ids are kept in memory,
// where Undelivered finds them, until the writer records them with its next
// batch or after half a second.
func (s *Store) MarkDelivered(ctx context.Context, receiver belfry.UserID, ids []belfry.ID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if !s.delivered.add(receiver, ids) {
		return belfry.Errorf(belfry.ErrUnavailable, "too many deliveries wait to be recorded")
	}
	return nil
}

func (b *batch) markDelivered(deliveries []delivery) error {
	for _, d := range deliveries {
		if _, err := b.stmts.markDelivered.ExecContext(b.ctx, string(d.receiver), d.id[:]); err != nil {
			return err
		}
	}
	return nil
}

// MarkRead implements [belfry.MessageStore].
func (s *Store) MarkRead(ctx context.Context, who belfry.Identity, ids []belfry.ID) (belfry.Counts, error) {
	return s.mark(ctx, who, 1+len(ids), func(b *batch) (bool, error) {
		if ids == nil {
			return affected(b.stmts.markAllRead.ExecContext(b.ctx, string(who.User), string(who.Company)))
		}
		changed := false
		for _, id := range ids {
			one, err := affected(b.stmts.markRead.ExecContext(b.ctx, string(who.User), id[:], string(who.Company)))
			if err != nil {
				return false, err
			}
			changed = changed || one
		}
		return changed, nil
	})
}

// MarkSeen implements [belfry.MessageStore].
func (s *Store) MarkSeen(ctx context.Context, who belfry.Identity, last belfry.ID) (belfry.Counts, error) {
	return s.mark(ctx, who, 1, func(b *batch) (bool, error) {
		return affected(b.stmts.markSeen.ExecContext(b.ctx, string(who.User), string(who.Company), last[:]))
	})
}

// mark runs a change to an inbox and counts after it, in the same transaction.
func (s *Store) mark(ctx context.Context, who belfry.Identity, rows int, change func(*batch) (bool, error)) (belfry.Counts, error) {
	var counts belfry.Counts
	err := s.writer.do(ctx, rows, func(b *batch) error {
		changed, err := change(b)
		if err != nil {
			return err
		}
		if changed {
			b.changed()
		}
		counts, err = queryCounts(b.ctx, b.stmts.counts, who)
		counts.Version = b.state.version // the database learns it when the batch ends
		return err
	})
	if err != nil {
		return belfry.Counts{}, portError(ctx, err)
	}
	return counts, nil
}

// affected reports whether a statement changed anything.
func affected(result sql.Result, err error) (bool, error) {
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n > 0, err
}

// encodeExtra returns the JSON of extra fields, or nil where there are none.
func encodeExtra(extra map[string]string) (any, error) {
	if len(extra) == 0 {
		return nil, nil
	}
	b, err := json.Marshal(extra)
	return string(b), err
}

func decodeExtra(text sql.NullString) (map[string]string, error) {
	if !text.Valid {
		return nil, nil
	}
	var extra map[string]string
	if err := json.Unmarshal([]byte(text.String), &extra); err != nil {
		return nil, fmt.Errorf("extra fields: %w", err)
	}
	return extra, nil
}

// scanID copies an id out of a column.
func scanID(column []byte, id *belfry.ID) error {
	if len(column) != len(id) {
		return fmt.Errorf("an id of %d bytes in the database", len(column))
	}
	copy(id[:], column)
	return nil
}

func scanDate(seconds int64) time.Time { return time.Unix(seconds, 0).UTC() }
