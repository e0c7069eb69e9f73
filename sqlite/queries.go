package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"slices"

	"belfry"
)

// INDEXED BY makes a query fail, rather than turn slow, should an index go.
// For the partial indexes, the conditions must stand as the index has them.
const (
	messageColumns = `receiver, id, company, type, date, is_read, bare,
		sender_id, sender, portrait, title, content, url, extra`

	sqlUndelivered = `SELECT ` + messageColumns + `
		FROM messages INDEXED BY messages_waiting
		WHERE receiver = ? AND company IN ('', ?) AND delivered = 0 AND is_read = 0
		ORDER BY id LIMIT ?`

	sqlInbox = `SELECT ` + messageColumns + `
		FROM messages
		WHERE receiver = ? AND company IN ('', ?) AND id < ?
		ORDER BY id DESC LIMIT ?`

	// The version comes as a row of type 0, which no message has, so that it is
	// read in the same snapshot.
	sqlCounts = `SELECT 0, n, 0 FROM changes
		UNION ALL
		SELECT type, count(*), count(*) FILTER (
			WHERE id > coalesce((SELECT last FROM seen WHERE receiver = ?1 AND company = ?2), x''))
		FROM messages INDEXED BY messages_unread
		WHERE receiver = ?1 AND company IN ('', ?2) AND is_read = 0
		GROUP BY company, type`

	sqlFeed = `SELECT company, id, date, operator_id, operator, receiver, portrait,
			title, content, url, object_type, object_id, extra
		FROM activities
		WHERE company = ? AND id < ?
		ORDER BY id DESC LIMIT ?`
)

// queries are what readers run. database/sql prepares them on each connection
// as it comes into use.
type queries struct {
	undelivered, inbox, counts, feed *sql.Stmt

	oldMessages, surplusMessages     *sql.Stmt
	surplusOfUser, nextUser          *sql.Stmt
	oldActivities, surplusActivities *sql.Stmt
	drift                            *sql.Stmt
}

func (q *queries) prepare(ctx context.Context, db *sql.DB) error {
	for _, p := range []struct {
		stmt  **sql.Stmt
		query string
	}{
		{&q.undelivered, sqlUndelivered},
		{&q.inbox, sqlInbox},
		{&q.counts, sqlCounts},
		{&q.feed, sqlFeed},
		{&q.oldMessages, sqlOldMessages},
		{&q.surplusMessages, sqlSurplusMessages},
		{&q.surplusOfUser, sqlSurplusOfUser},
		{&q.nextUser, sqlNextUser},
		{&q.oldActivities, sqlOldActivities},
		{&q.surplusActivities, sqlSurplusActivities},
		{&q.drift, sqlDrift},
	} {
		var err error
		if *p.stmt, err = db.PrepareContext(ctx, p.query); err != nil {
			return err
		}
	}
	return nil
}

// pastAll is greater than every id.
var pastAll = bytes.Repeat([]byte{0xff}, len(belfry.ID{})+1)

// upTo returns the bound of a list that goes back from an id, or from the newest.
func upTo(before belfry.ID) []byte {
	if before.IsZero() {
		return pastAll
	}
	return before[:]
}

// Undelivered implements [belfry.MessageStore].
func (s *Store) Undelivered(ctx context.Context, who belfry.Identity, limit int) ([]belfry.Message, error) {
	delivered := s.delivered.of(who.User) // before the query
	waiting, err := s.messages(ctx, s.queries.undelivered,
		string(who.User), string(who.Company), limit+len(delivered))
	if err != nil {
		return nil, err
	}
	if len(delivered) > 0 {
		known := make(map[belfry.ID]struct{}, len(delivered))
		for _, id := range delivered {
			known[id] = struct{}{}
		}
		waiting = slices.DeleteFunc(waiting, func(m belfry.Message) bool {
			_, ok := known[m.ID]
			return ok
		})
	}
	return waiting[:min(limit, len(waiting))], nil
}

// Inbox implements [belfry.MessageStore].
func (s *Store) Inbox(ctx context.Context, who belfry.Identity, before belfry.ID, limit int) ([]belfry.Message, error) {
	return s.messages(ctx, s.queries.inbox, string(who.User), string(who.Company), upTo(before), limit)
}

// messages runs a query that selects messageColumns.
func (s *Store) messages(ctx context.Context, stmt *sql.Stmt, args ...any) ([]belfry.Message, error) {
	rows, err := stmt.QueryContext(ctx, args...)
	if err != nil {
		return nil, portError(ctx, err)
	}
	defer rows.Close()
	var messages []belfry.Message
	for rows.Next() {
		var m belfry.Message
		if err := scanMessage(rows, &m); err != nil {
			return nil, portError(ctx, err)
		}
		messages = append(messages, m)
	}
	return messages, portError(ctx, rows.Err())
}

func scanMessage(rows *sql.Rows, m *belfry.Message) error {
	var (
		id    sql.RawBytes
		date  int64
		extra sql.NullString
	)
	err := rows.Scan((*string)(&m.Receiver), &id, (*string)(&m.Company), &m.Type, &date, &m.IsRead, &m.Bare,
		&m.SenderID, &m.Sender, &m.Portrait, &m.Title, &m.Content, &m.URL, &extra)
	if err != nil {
		return err
	}
	m.Date = scanDate(date)
	if m.Extra, err = decodeExtra(extra); err != nil {
		return err
	}
	return scanID(id, &m.ID)
}

// Counts implements [belfry.MessageStore].
func (s *Store) Counts(ctx context.Context, who belfry.Identity) (belfry.Counts, error) {
	counts, err := queryCounts(ctx, s.queries.counts, who)
	if err != nil {
		return belfry.Counts{}, portError(ctx, err)
	}
	return counts, nil
}

func queryCounts(ctx context.Context, stmt *sql.Stmt, who belfry.Identity) (belfry.Counts, error) {
	rows, err := stmt.QueryContext(ctx, string(who.User), string(who.Company))
	if err != nil {
		return belfry.Counts{}, err
	}
	defer rows.Close()
	counts := belfry.Counts{ByType: make(map[belfry.MessageType]int)}
	for rows.Next() {
		var (
			messageType belfry.MessageType
			n           int64
			unseen      int
		)
		if err := rows.Scan(&messageType, &n, &unseen); err != nil {
			return belfry.Counts{}, err
		}
		if messageType == 0 {
			counts.Version = n
			continue
		}
		counts.Unread += int(n)
		counts.Unseen += unseen
		counts.ByType[messageType] += int(n)
	}
	return counts, rows.Err()
}
