package sqlite

import (
	"strings"

	"belfry"
)

// Queries about the notices of an identity bind its user as ?1 and its company as
// ?2. In them, n is the notice and k the user's mark, which exists where he has
// read it.
const (
	// scanMessage reads them.
	noticeColumns       = `'', n.id, n.company, n.type, n.date, k.id IS NOT NULL, coalesce(k.archived, 0), ` + noticeContent
	unreadNoticeColumns = `'', n.id, n.company, n.type, n.date, 0, 0, ` + noticeContent
	noticeContent       = `n.later, n.forced, n.bare, n.expires,
		n.category, n.collapse, n.sender_id, n.sender, n.portrait, n.title, n.content, n.url, n.extra, n.data`

	// By the user first: his marks lie together.
	joinMark = ` LEFT JOIN notice_marks k INDEXED BY sqlite_autoindex_notice_marks_1 ON k.receiver = ?1 AND k.company = n.company AND k.id = n.id `

	// Bounds that all ids are within, and beyond.
	fromFirst = `x''`
	never     = `x'ffffffffffffffffffffffffff'`

	// Who is no member has been one since never.
	since = `coalesce((SELECT since FROM members WHERE receiver = ?1 AND company = ?2), ` + never + `)`

	// That no preference turns the notice off. Where the user has none, that is
	// found out once and not for each notice.
	wanted = ` (n.forced = 1
		OR NOT EXISTS (SELECT 1 FROM preferences WHERE receiver = ?1 AND off = 1)
		OR NOT EXISTS (SELECT 1 FROM preferences p WHERE p.receiver = ?1 AND p.off = 1
			AND (p.type = 0 OR p.type = n.type) AND (p.category = '' OR p.category = n.category))) `

	// That the identity sees a notice that was found by its id.
	seenByIdentity = ` n.company IN ('', ?2) AND (n.later = 1 OR n.id > ` + since + `) AND ` + wanted

	sqlAddNotice = `INSERT INTO notices
		(company, later, id, type, date, bare, forced, expires,
			category, collapse, sender_id, sender, portrait, title, content, url, extra, data)
		SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18
		WHERE NOT EXISTS (SELECT 1 FROM messages INDEXED BY messages_age WHERE id = ?3)`

	sqlEditNotice = `UPDATE notices INDEXED BY notices_age ` + setContent + `
		WHERE id = ?1 RETURNING '', company`

	sqlWithdrawNotice = `DELETE FROM notices INDEXED BY notices_age WHERE id = ?1 RETURNING ` + returnedNotice

	// RETURNING knows no alias.
	returnedNotice = `'', id, company, type, date, 0, 0, later, forced, bare, expires,
		category, collapse, sender_id, sender, portrait, title, content, url, extra, data`

	sqlCollapseNotices = `UPDATE notices INDEXED BY notices_collapse SET replaced = 1
		WHERE company = ? AND collapse = ? AND collapse <> '' AND replaced = 0 RETURNING id`
)

// noticeArms returns a query for each range of notices that an identity sees,
// joined by UNION ALL: those to everybody and to its company, for later members and not.
// Each range is in the order of the ids, so that SQLite merges them, and has ids
// greater than after. With an empty company, the second half is empty: it is no
// wildcard.
func noticeArms(columns, from, after, where string) string {
	var arms []string
	for _, company := range []string{`n.company = ''`, `n.company = ?2 AND ?2 <> ''`} {
		for _, later := range []string{`n.later = 1 AND n.id > ` + after, `n.later = 0 AND n.id > max(` + after + `, ` + since + `)`} {
			arms = append(arms, `SELECT `+columns+` FROM `+from+` WHERE `+company+` AND `+later+` AND `+where+` AND `+wanted)
		}
	}
	return strings.Join(arms, ` UNION ALL `)
}

// noticesInOrder are the arms of what lists notices, the replaced ones among them
// that the user had read.
func noticesInOrder(after, where string) string {
	return noticeArms(noticeColumns, `notices n`+joinMark, after, `(n.replaced = 0 OR k.id IS NOT NULL) AND `+where)
}

// What reads unread notices needs no more than this index, and the marks.
const (
	unreadNotices = `notices n INDEXED BY notices_counted` + joinMark
	isUnread      = `n.replaced = 0 AND k.id IS NULL`
)

func (b *batch) addNotice(m *belfry.Message) error {
	n, err := b.insertNotice(sqlAddNotice, m)
	if err == nil && n == 0 {
		err = belfry.Errorf(belfry.ErrConflict, "it is stored already")
	}
	return err
}

// insertNotice binds a notice, and returns how many rows that has added.
func (b *batch) insertNotice(query string, m *belfry.Message) (int64, error) {
	extra, err := encodeExtra(m.Extra)
	if err != nil {
		return 0, err
	}
	return b.exec(query,
		string(m.Company), m.Later, m.ID[:], int64(m.Type), m.Date.Unix(), m.Bare, m.Forced, encodeMillis(m.Expires),
		m.Category, m.CollapseKey, m.SenderID, m.Sender, m.Portrait, m.Title, m.Content, m.URL, extra, encodeData(m.Data))
}
