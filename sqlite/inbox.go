package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"strings"

	"belfry"
)

// The lists of an inbox merge messages and notices by their ids. They bind the
// identity, the id to go back from, type, category and limit.
var (
	inboxFilter = ` AND (?4 = 0 OR type = ?4) AND (?5 = '' OR category = ?5)`
	noticeRange = `n.id < ?3 AND (?4 = 0 OR n.type = ?4) AND (?5 = '' OR n.category = ?5)`
	inboxOrder  = ` ORDER BY 2 DESC LIMIT ?6`

	sqlInbox = `SELECT ` + messageColumns + ` FROM messages
		WHERE receiver = ?1 AND company IN ('', ?2) AND id < ?3 AND archived = 0` + inboxFilter + `
		UNION ALL ` + noticesInOrder(fromFirst, noticeRange+` AND (k.archived IS NULL OR k.archived = 0)`) + inboxOrder

	// The index of the unread ones has them by type. The newest are picked there,
	// all of them only where the category is asked for, which it does not know.
	sqlInboxUnread = `SELECT ` + messageColumns + ` FROM messages
		WHERE receiver = ?1 AND id IN (
			SELECT id FROM messages INDEXED BY messages_unread
			WHERE receiver = ?1 AND company IN ('', ?2) AND is_read = 0 AND id < ?3 AND (?4 = 0 OR type = ?4)
			ORDER BY id DESC LIMIT CASE ?5 WHEN '' THEN ?6 ELSE -1 END)
			AND (?5 = '' OR category = ?5)
		UNION ALL ` + noticesInOrder(fromFirst, noticeRange+` AND n.replaced = 0 AND k.id IS NULL`) + inboxOrder

	sqlInboxArchived = `SELECT ` + messageColumns + ` FROM messages INDEXED BY messages_archived
		WHERE receiver = ?1 AND company IN ('', ?2) AND id < ?3 AND archived = 1` + inboxFilter + `
		UNION ALL ` + archivedNotices(`''`, ``) + `
		UNION ALL ` + archivedNotices(`?2`, ` AND ?2 <> ''`) + inboxOrder

	// The version and the last seen come as a row of type 0, which no message has, so that they are
	// read in the same snapshot.
	sqlCounts = `SELECT 0, n, 0, ` + seen + ` FROM changes
		UNION ALL
		SELECT type, count(*), count(*) FILTER (WHERE id > ` + seen + `), NULL
		FROM messages INDEXED BY messages_unread
		WHERE receiver = ?1 AND company IN ('', ?2) AND is_read = 0
		GROUP BY company, type
		UNION ALL
		SELECT type, count(*), count(*) FILTER (WHERE id > ` + seen + `), NULL
		FROM (` + noticeArms(`n.type, n.id`, unreadNotices, fromFirst, isUnread) + `)
		GROUP BY type`
)

const seen = `coalesce((SELECT last FROM seen WHERE receiver = ?1 AND company = ?2), x'')`

// archivedNotices goes from the marks to the notices: most users have archived few.
func archivedNotices(company, where string) string {
	// By its own index, SQLite knows that the marks are in the order of their ids.
	columns := strings.Replace(noticeColumns, `n.id, n.company`, `k.id, n.company`, 1)
	return `SELECT ` + columns + `
		FROM notice_marks k INDEXED BY notice_marks_archived
		CROSS JOIN notices n INDEXED BY notices_age ON n.id = k.id AND n.company = k.company
		WHERE k.receiver = ?1 AND k.company = ` + company + where + ` AND k.archived = 1 AND ` + noticeRange + ` AND ` + seenByIdentity
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

// Inbox implements [belfry.MessageStore].
func (s *Store) Inbox(ctx context.Context, who belfry.Identity, q belfry.InboxQuery) ([]belfry.Message, error) {
	query := sqlInbox
	switch {
	case q.Unread && q.Archived: // what is archived is read
		return nil, ctx.Err()
	case q.Unread:
		query = sqlInboxUnread
	case q.Archived:
		query = sqlInboxArchived
	}
	return s.messages(ctx, query, string(who.User), string(who.Company), upTo(q.Before), int64(q.Type), q.Category, q.Limit)
}

// Counts implements [belfry.MessageStore].
func (s *Store) Counts(ctx context.Context, who belfry.Identity) (belfry.Counts, error) {
	if err := ctx.Err(); err != nil {
		return belfry.Counts{}, err
	}
	counts, err := s.tally.of(ctx, who, func() (kept, error) {
		stmt, err := s.queries.get(ctx, sqlCounts)
		if err != nil {
			return kept{}, err
		}
		return queryCounts(ctx, stmt, who)
	})
	if err != nil {
		return belfry.Counts{}, portError(ctx, err)
	}
	return counts, nil
}

func queryCounts(ctx context.Context, stmt *sql.Stmt, who belfry.Identity) (kept, error) {
	var k kept
	err := each(ctx, stmt, []any{string(who.User), string(who.Company)}, func(rows *sql.Rows) error {
		var (
			messageType belfry.MessageType
			n           int64
			unseen      int
			seen        sql.RawBytes
		)
		if err := rows.Scan(&messageType, &n, &unseen, &seen); err != nil {
			return err
		}
		if messageType != 0 {
			k.add(messageType, int(n), unseen)
			return nil
		}
		k.version = n
		if len(seen) == 0 {
			return nil
		}
		return scanID(seen, &k.seen)
	})
	return k, err
}
