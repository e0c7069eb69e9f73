package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"

	"belfry"
)

// INDEXED BY makes a query fail, rather than turn slow, should an index go.
// For the partial indexes, the conditions must stand as the index has them.
const (
	// The ids are unique, so that SQLite would rather go by them alone, and from
	// there to the row.
	byPrimaryKey = ` INDEXED BY sqlite_autoindex_messages_1 `

	// scanMessage reads them.
	messageColumns = `receiver, id, company, type, date, is_read, archived, 0, forced, bare, expires,
		category, collapse, sender_id, sender, portrait, title, content, url, extra, data`

	sqlAddMessage = `INSERT INTO messages
		(receiver, id, company, type, date, is_read, archived, forced, bare, expires,
			category, collapse, sender_id, sender, portrait, title, content, url, extra, data)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

	// The receivers are a JSON array, and the ids lie one behind the other. To fail in the middle leaves
	// what was added before, and SQLite need not keep what it was before: the whole transaction is undone anyway.
	sqlAddCopies = `INSERT OR FAIL INTO messages
		(receiver, id, company, type, date, is_read, archived, forced, bare, expires,
			category, collapse, sender_id, sender, portrait, title, content, url, extra, data)
		SELECT value, substr(?2, 1 + 12 * key, 12), ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,
			?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20 FROM json_each(?1)`

	sqlMessage = `SELECT ` + messageColumns + ` FROM messages INDEXED BY messages_age WHERE id = ?1
		UNION ALL
		SELECT ` + unreadNoticeColumns + ` FROM notices n INDEXED BY notices_age WHERE n.id = ?1
		LIMIT 1`

	setContent = `SET type = ?2, date = ?3, forced = ?4, bare = ?5, expires = ?6, category = ?7, sender_id = ?8,
		sender = ?9, portrait = ?10, title = ?11, content = ?12, url = ?13, extra = ?14, data = ?15`

	sqlEditMessage = `UPDATE messages INDEXED BY messages_age ` + setContent + `
		WHERE id = ?1 RETURNING receiver, company`

	sqlWithdrawMessage = `DELETE FROM messages INDEXED BY messages_age
		WHERE id = ?1 RETURNING ` + messageColumns

	sqlCollapseMessages = `DELETE FROM messages INDEXED BY messages_collapse
		WHERE receiver = ? AND company = ? AND collapse = ? AND collapse <> '' AND is_read = 0 RETURNING id`
)

func (b *batch) addMessage(m *belfry.Message) error {
	return b.insert(sqlAddMessage, string(m.Receiver), m.ID[:], m)
}

// copies returns how many of the messages, from the first on, differ in nothing but receiver and ID, or 1 where
// they are not such that they can be added together.
func copies(messages []belfry.Message) int {
	first := &messages[0]
	if first.IsNotice() || first.CollapseKey != "" || first.Extra != nil {
		return 1
	}
	n := 1
	for n < len(messages) && messages[n].Receiver != "" && sameContent(first, &messages[n]) {
		n++
	}
	return n
}

func sameContent(a, b *belfry.Message) bool {
	return a.Title == b.Title && a.Content == b.Content && a.Company == b.Company && a.Type == b.Type && a.Category == b.Category &&
		a.SenderID == b.SenderID && a.Sender == b.Sender && a.Portrait == b.Portrait && a.URL == b.URL && bytes.Equal(a.Data, b.Data) &&
		(a.Data == nil) == (b.Data == nil) && b.Extra == nil && b.CollapseKey == "" && a.Date.Equal(b.Date) && a.Expires.Equal(b.Expires) &&
		a.IsRead == b.IsRead && a.IsArchived == b.IsArchived && a.Forced == b.Forced && a.Bare == b.Bare
}

// addCopies adds messages of which copies has said that they can be added together: what
// is the same is bound once.
func (b *batch) addCopies(messages []belfry.Message) error {
	receivers := make([]belfry.UserID, len(messages))
	ids := make([]belfry.ID, len(messages))
	for i := range messages {
		receivers[i], ids[i] = messages[i].Receiver, messages[i].ID
	}
	list, err := json.Marshal(receivers)
	if err != nil {
		return err
	}
	if err := b.insert(sqlAddCopies, string(list), encodeIDs(ids), &messages[0]); err != nil {
		return err
	}
	for i := range messages {
		if err := b.added(&messages[i]); err != nil {
			return err
		}
	}
	return nil
}

// insert binds a message.
func (b *batch) insert(query, receiver string, id []byte, m *belfry.Message) error {
	extra, err := encodeExtra(m.Extra)
	if err != nil {
		return err
	}
	_, err = b.exec(query,
		receiver, id, string(m.Company), int64(m.Type), m.Date.Unix(), m.IsRead || m.IsArchived, m.IsArchived,
		m.Forced, m.Bare, encodeMillis(m.Expires), m.Category, m.CollapseKey,
		m.SenderID, m.Sender, m.Portrait, m.Title, m.Content, m.URL, extra, encodeData(m.Data))
	return err
}

// Message implements [belfry.MessageStore].
func (s *Store) Message(ctx context.Context, id belfry.ID) (belfry.Message, error) {
	found, err := s.messages(ctx, sqlMessage, id[:])
	if err != nil {
		return belfry.Message{}, err
	}
	if len(found) == 0 {
		return belfry.Message{}, errNoMessage
	}
	return found[0], nil
}

// Edit implements [belfry.MessageStore].
func (s *Store) Edit(ctx context.Context, m belfry.Message, place belfry.Placer) error {
	at := place(belfry.ID{})
	extra, err := encodeExtra(m.Extra)
	if err != nil {
		return err
	}
	args := []any{
		m.ID[:], int64(m.Type), m.Date.Unix(), m.Forced, m.Bare, encodeMillis(m.Expires), m.Category, m.SenderID,
		m.Sender, m.Portrait, m.Title, m.Content, m.URL, extra, encodeData(m.Data),
	}
	err = s.writer.do(ctx, 1, func(b *batch) error {
		for _, edit := range []string{sqlEditMessage, sqlEditNotice} {
			found := false
			r := revision{place: at, kind: belfry.RevisionEdited, ids: []belfry.ID{m.ID}}
			err := b.each(edit, args, func(rows *sql.Rows) error {
				found = true
				return rows.Scan((*string)(&r.owner), (*string)(&r.company))
			})
			if err != nil {
				return err
			}
			if found {
				b.changedMessage(r.owner, r.company)
				return b.revise(r)
			}
		}
		return errNoMessage
	})
	return portError(ctx, err)
}

// Withdraw implements [belfry.MessageStore].
func (s *Store) Withdraw(ctx context.Context, id belfry.ID, place belfry.Placer) (belfry.Message, error) {
	at := place(belfry.ID{})
	var withdrawn []belfry.Message
	err := s.writer.do(ctx, 1, func(b *batch) error {
		var err error
		if withdrawn, err = b.take(sqlWithdrawMessage, id[:]); err == nil && len(withdrawn) == 0 {
			withdrawn, err = b.take(sqlWithdrawNotice, id[:])
		}
		if err != nil {
			return err
		}
		if len(withdrawn) == 0 {
			return errNoMessage
		}
		return b.revise(revision{
			owner: withdrawn[0].Receiver, company: withdrawn[0].Company,
			place: at, kind: belfry.RevisionWithdrawn, ids: []belfry.ID{id},
		})
	})
	if err != nil {
		return belfry.Message{}, portError(ctx, err)
	}
	return withdrawn[0], nil
}

// take runs a statement that deletes messages or notices and returns them.
func (b *batch) take(query string, args ...any) ([]belfry.Message, error) {
	var taken []belfry.Message
	err := b.each(query, args, appendMessage(&taken))
	if err != nil || len(taken) == 0 {
		return nil, err
	}
	b.state.messages -= int64(len(taken))
	for i := range taken {
		b.changedMessage(taken[i].Receiver, taken[i].Company)
		if taken[i].IsNotice() {
			if err := b.gone(taken[i].ID[:]); err != nil {
				return nil, err
			}
		}
	}
	return taken, nil
}

var errNoMessage = belfry.Errorf(belfry.ErrNotFound, "there is no such message")

// messages runs a query that selects messages.
func (s *Store) messages(ctx context.Context, query string, args ...any) ([]belfry.Message, error) {
	var messages []belfry.Message
	err := s.read(ctx, query, args, appendMessage(&messages))
	return messages, err
}

// appendMessage returns what appends a row to messages.
func appendMessage(messages *[]belfry.Message) func(*sql.Rows) error {
	return func(rows *sql.Rows) error {
		*messages = append(*messages, belfry.Message{})
		return scanMessage(rows, &(*messages)[len(*messages)-1])
	}
}

func scanMessage(rows *sql.Rows, m *belfry.Message) error {
	var (
		id            sql.RawBytes
		date, expires int64
		extra, data   sql.NullString
	)
	err := rows.Scan((*string)(&m.Receiver), &id, (*string)(&m.Company), &m.Type, &date, &m.IsRead, &m.IsArchived, &m.Later,
		&m.Forced, &m.Bare, &expires, &m.Category, &m.CollapseKey,
		&m.SenderID, &m.Sender, &m.Portrait, &m.Title, &m.Content, &m.URL, &extra, &data)
	if err != nil {
		return err
	}
	m.Date, m.Expires = scanDate(date), scanMillis(expires)
	if data.Valid {
		m.Data = json.RawMessage(data.String)
	}
	if m.Extra, err = decodeExtra(extra); err != nil {
		return err
	}
	return scanID(id, &m.ID)
}
