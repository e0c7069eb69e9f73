package sqlite

import (
	"context"
	"database/sql"

	"belfry"
)

// Of each kind of mark there is a statement for a message by its id, and one for
// a notice. They bind the identity and the id, change nothing where there is nothing
// to change, and return the company that the message names.
const (
	markOne = ` WHERE receiver = ?1 AND id = ?3 AND company IN ('', ?2) `

	sqlMarkRead      = `UPDATE messages` + byPrimaryKey + `SET is_read = 1` + markOne + `AND is_read = 0 RETURNING company`
	sqlMarkUnread    = `UPDATE messages` + byPrimaryKey + `SET is_read = 0` + markOne + `AND is_read = 1 AND archived = 0 RETURNING company`
	sqlMarkArchive   = `UPDATE messages` + byPrimaryKey + `SET is_read = 1, archived = 1` + markOne + `AND archived = 0 RETURNING company`
	sqlMarkUnarchive = `UPDATE messages` + byPrimaryKey + `SET archived = 0` + markOne + `AND archived = 1 RETURNING company`

	addMark = `INSERT INTO notice_marks (receiver, company, id, archived) `

	// That the notice is one of the identity's, of which only who had read it sees
	// a replaced one.
	oneNotice = ` FROM notices n INDEXED BY notices_age WHERE n.id = ?3 AND ` + seenByIdentity
	oneMark   = ` WHERE receiver = ?1 AND company IN ('', ?2) AND id = ?3 `

	sqlNoticeRead = addMark + `SELECT ?1, n.company, n.id, 0` + oneNotice + `AND n.replaced = 0
		ON CONFLICT DO NOTHING RETURNING company`
	// A replaced notice stays read: unread, nobody would see it.
	sqlNoticeUnread = `DELETE FROM notice_marks` + oneMark + `AND archived = 0
		AND EXISTS (SELECT 1` + oneNotice + `AND n.replaced = 0) RETURNING company`
	sqlNoticeArchive = addMark + `SELECT ?1, n.company, n.id, 1` + oneNotice + `AND (n.replaced = 0 OR EXISTS (
			SELECT 1 FROM notice_marks k WHERE k.receiver = ?1 AND k.company = n.company AND k.id = n.id))
		ON CONFLICT DO UPDATE SET archived = 1 WHERE archived = 0 RETURNING company`
	sqlNoticeUnarchive = `UPDATE notice_marks SET archived = 0` + oneMark + `AND archived = 1
		AND EXISTS (SELECT 1` + oneNotice + `) RETURNING company`
)

// For all messages there are such statements, too. They bind the identity, the
// place and the type, and return company and id.
var (
	// Without INDEXED BY it would walk through the whole inbox.
	sqlMarkAllRead = `UPDATE messages INDEXED BY messages_unread SET is_read = 1
		WHERE receiver = ?1 AND company IN ('', ?2) AND is_read = 0 AND id <= ?3 AND (?4 = 0 OR type = ?4)
		RETURNING company, id`
	sqlMarkAllArchived = `UPDATE messages SET is_read = 1, archived = 1
		WHERE receiver = ?1 AND company IN ('', ?2) AND archived = 0 AND id <= ?3 AND (?4 = 0 OR type = ?4)
		RETURNING company, id`

	allNotices = `n.id <= ?3 AND (?4 = 0 OR n.type = ?4)`

	sqlNoticesAllRead = addMark + noticeArms(`?1, n.company, n.id, 0`, unreadNotices, fromFirst, isUnread+` AND `+allNotices) + `
		ON CONFLICT DO NOTHING RETURNING company, id`
	sqlNoticesAllArchived = addMark + noticeArms(`?1, n.company, n.id, 1`,
		`notices n`+joinMark, fromFirst, `(n.replaced = 0 OR k.id IS NOT NULL) AND (k.archived IS NULL OR k.archived = 0) AND `+allNotices) + `
		ON CONFLICT DO UPDATE SET archived = 1 RETURNING company, id`
)

const sqlMarkSeen = `INSERT INTO seen (receiver, company, last) VALUES (?, ?, ?)
	ON CONFLICT DO UPDATE SET last = excluded.last WHERE excluded.last > last`

// A marking is how to carry out a kind of mark: on messages and on notices.
type marking struct{ one, all [2]string }

var markings = map[belfry.RevisionKind]marking{
	belfry.RevisionRead: {
		one: [2]string{sqlMarkRead, sqlNoticeRead}, all: [2]string{sqlMarkAllRead, sqlNoticesAllRead},
	},
	belfry.RevisionArchived: {
		one: [2]string{sqlMarkArchive, sqlNoticeArchive}, all: [2]string{sqlMarkAllArchived, sqlNoticesAllArchived},
	},
	belfry.RevisionUnread:     {one: [2]string{sqlMarkUnread, sqlNoticeUnread}},
	belfry.RevisionUnarchived: {one: [2]string{sqlMarkUnarchive, sqlNoticeUnarchive}},
}

// Mark implements [belfry.MarkStore]. What is archived stays read, and so does a
// notice that was replaced: to mark it unread changes nothing. Of all it marks those
// up to its place.
func (s *Store) Mark(ctx context.Context, who belfry.Identity, mark belfry.Mark) (belfry.Marked, error) {
	how, ok := markings[mark.Kind]
	if !ok || mark.IDs == nil && how.all[0] == "" {
		return belfry.Marked{}, belfry.Errorf(belfry.ErrInvalid, "there is no mark of kind %d for these messages", mark.Kind)
	}
	place := mark.Place(belfry.ID{})
	var marked belfry.Marked
	err := s.writer.do(ctx, 1+len(mark.IDs), func(b *batch) (err error) {
		marked = belfry.Marked{}
		if mark.IDs == nil {
			err = b.markAll(who, mark, place, how, &marked)
		} else {
			err = b.markEach(who, mark, how, &marked)
		}
		if err == nil {
			err = b.reviseMarked(who, mark, place, &marked)
		}
		if err == nil {
			marked.Counts, err = b.counts(who)
		}
		return err
	})
	if err != nil {
		return belfry.Marked{}, portError(ctx, err)
	}
	return marked, nil
}

func (b *batch) markEach(who belfry.Identity, mark belfry.Mark, how marking, marked *belfry.Marked) error {
	for i := range mark.IDs {
		id := mark.IDs[i]
		args := []any{string(who.User), string(who.Company), id[:]}
		before := marked.OwnRows + marked.SharedRows
		for _, query := range how.one {
			err := b.each(query, args, func(rows *sql.Rows) error {
				var company belfry.CompanyID
				err := rows.Scan((*string)(&company))
				add(marked, company, id)
				return err
			})
			if err != nil {
				return err
			}
			if marked.OwnRows+marked.SharedRows > before {
				break
			}
		}
	}
	return nil
}

func (b *batch) markAll(who belfry.Identity, mark belfry.Mark, place belfry.ID, how marking, marked *belfry.Marked) error {
	args := []any{string(who.User), string(who.Company), place[:], int64(mark.Type)}
	for _, query := range how.all {
		err := b.each(query, args, func(rows *sql.Rows) error {
			var (
				company belfry.CompanyID
				column  sql.RawBytes
				id      belfry.ID
			)
			if err := rows.Scan((*string)(&company), &column); err != nil {
				return err
			}
			err := scanID(column, &id)
			add(marked, company, id)
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// add lists a message that was marked, while there is room.
func add(marked *belfry.Marked, company belfry.CompanyID, id belfry.ID) {
	ids, n := &marked.Own, &marked.OwnRows
	if company == "" {
		ids, n = &marked.Shared, &marked.SharedRows
	}
	if *n++; *n <= belfry.MaxMarkIDs {
		*ids = append(*ids, id)
	}
}

// reviseMarked keeps the revisions of a mark. They list the messages where these
// are not too many: the user may see other notices in another company, so that "all"
// is not the same there.
func (b *batch) reviseMarked(who belfry.Identity, mark belfry.Mark, place belfry.ID, marked *belfry.Marked) error {
	if marked.OwnRows+marked.SharedRows == 0 {
		return nil
	}
	b.changedOf(who.User)
	for _, part := range []struct {
		company belfry.CompanyID
		ids     []belfry.ID
		rows    int
	}{{who.Company, marked.Own, marked.OwnRows}, {"", marked.Shared, marked.SharedRows}} {
		if part.rows == 0 {
			continue
		}
		r := revision{owner: who.User, company: part.company, place: place, kind: mark.Kind, ids: part.ids}
		if part.rows > len(part.ids) {
			r.ids, r.messageType = nil, mark.Type
		}
		if err := b.revise(r); err != nil {
			return err
		}
	}
	return nil
}

// MarkSeen implements [belfry.MarkStore].
func (s *Store) MarkSeen(ctx context.Context, who belfry.Identity, last belfry.ID) (belfry.Counts, error) {
	var counts belfry.Counts
	err := s.writer.do(ctx, 1, func(b *batch) error {
		n, err := b.exec(sqlMarkSeen, string(who.User), string(who.Company), last[:])
		if err != nil {
			return err
		}
		if n > 0 {
			b.changedOf(who.User)
		}
		counts, err = b.counts(who)
		return err
	})
	if err != nil {
		return belfry.Counts{}, portError(ctx, err)
	}
	return counts, nil
}

// counts counts after the writes so far.
func (b *batch) counts(who belfry.Identity) (belfry.Counts, error) {
	stmt, err := b.stmts.get(b.ctx, sqlCounts)
	if err != nil {
		return belfry.Counts{}, err
	}
	k, err := queryCounts(b.ctx, stmt, who)
	k.version = b.state.version // the database learns it when the batch ends
	if err == nil {
		b.changes = append(b.changes, change{user: who.User, company: who.Company, counted: &k})
	}
	return k.counts(), err
}
