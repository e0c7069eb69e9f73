package sqlite

import (
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"belfry"
	"belfry/internal/transfer"
)

// Transfer returns the store as what a copy reads, or writes. The store is newly opened, and nothing else is asked of it
// until the copy has ended.
func (s *Store) Transfer() transfer.Store { return port{s} }

type port struct{ s *Store }

const (
	// The table is there while a copy into this store is not finished.
	sqlMakeProgress  = `CREATE TABLE IF NOT EXISTS transfer (progress TEXT NOT NULL) STRICT`
	sqlClearProgress = `DELETE FROM transfer`
	sqlAddProgress   = `INSERT INTO transfer (progress) VALUES (?)`
	sqlDropProgress  = `DROP TABLE IF EXISTS transfer`
	sqlHasProgress   = `SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = 'transfer'`
	sqlProgress      = `SELECT progress FROM transfer`

	sqlVersion   = `SELECT n FROM changes`
	sqlCountRows = `SELECT (SELECT count(*) FROM messages) + (SELECT count(*) FROM notices), (SELECT count(*) FROM activities)`
)

// A shelf is where records of a kind are.
type shelf struct {
	table   string
	key     []string // columns, in the order of the table's tree
	columns string   // that take reads
	where   string   // "" is all
	count   string   // "" is *
	query   string   // where it is not made of these; it binds the key and the limit

	take func(*sql.Rows, []transfer.Record) ([]transfer.Record, error) // appends a row
	at   func(transfer.Record) []any                                   // values of the key
	put  func(*batch, transfer.Record) error
}

// page returns the query for the records after a key, or the first ones.
func (f *shelf) page(first bool) string {
	if f.query != "" {
		return f.query
	}
	conditions := "1"
	if f.where != "" {
		conditions = f.where
	}
	key := strings.Join(f.key, ", ")
	if !first {
		conditions += " AND (" + key + ") > (?" + strings.Repeat(", ?", len(f.key)-1) + ")"
	}
	return "SELECT " + f.columns + " FROM " + f.table + " WHERE " + conditions + " ORDER BY " + key + " LIMIT ?"
}

// Name implements [transfer.Store].
func (p port) Name() string { return "sqlite:" + filepath.Dir(p.s.path) }

// State implements [transfer.Store].
func (p port) State(ctx context.Context) (st transfer.State, err error) {
	if st.Last, err = p.s.Last(ctx); err != nil {
		return st, err
	}
	err = p.s.read(ctx, sqlVersion, nil, func(rows *sql.Rows) error { return rows.Scan(&st.Version) })
	return st, err
}

// Count implements [transfer.Store].
func (p port) Count(ctx context.Context, kind transfer.Kind) (n int64, err error) {
	f := shelves[kind]
	what := "*"
	if f.count != "" {
		what = f.count
	}
	err = p.s.read(ctx, "SELECT count("+what+") FROM "+f.table, nil, func(rows *sql.Rows) error { return rows.Scan(&n) })
	return n, err
}

// Read implements [transfer.Store].
func (p port) Read(ctx context.Context, kind transfer.Kind, after string, limit int) (records []transfer.Record, next string, err error) {
	f := shelves[kind]
	var args []any
	switch {
	case after != "":
		if args, err = decodePlace(after); err != nil {
			return nil, "", err
		}
		if len(args) != len(f.key) {
			return nil, "", fmt.Errorf("the place %q is none among the %s", after, kind)
		}
	case f.query != "":
		args = []any{""}
	}
	err = p.s.read(ctx, f.page(after == ""), append(args, limit), func(rows *sql.Rows) (err error) {
		records, err = f.take(rows, records)
		return err
	})
	if err != nil || len(records) < limit {
		return records, "", err
	}
	next, err = encodePlace(f.at(records[len(records)-1]))
	return records, next, err
}

// encodePlace makes text of the values of a key. Those that are no text are told apart by their first letter.
func encodePlace(values []any) (string, error) {
	words := make([]string, len(values))
	for i, v := range values {
		switch v := v.(type) {
		case string:
			words[i] = "t" + v
		case belfry.ID:
			words[i] = "i" + v.String()
		case int64:
			words[i] = fmt.Sprintf("n%d", v)
		}
	}
	text, err := json.Marshal(words)
	return string(text), err
}

func decodePlace(text string) ([]any, error) {
	var words []string
	if err := json.Unmarshal([]byte(text), &words); err != nil {
		return nil, err
	}
	values := make([]any, len(words))
	for i, word := range words {
		var err error
		switch {
		case strings.HasPrefix(word, "t"):
			values[i] = word[1:]
		case strings.HasPrefix(word, "i"):
			values[i], err = hex.DecodeString(word[1:])
		default:
			var n int64
			_, err = fmt.Sscanf(word, "n%d", &n)
			values[i] = n
		}
		if err != nil {
			return nil, err
		}
	}
	return values, nil
}

// Progress implements [transfer.Store].
func (p port) Progress(ctx context.Context) (at transfer.Progress, unfinished bool, err error) {
	err = p.s.read(ctx, sqlHasProgress, nil, func(rows *sql.Rows) error { return rows.Scan(&unfinished) })
	if err != nil || !unfinished {
		return at, false, err
	}
	var text string
	if err := p.s.read(ctx, sqlProgress, nil, func(rows *sql.Rows) error { return rows.Scan(&text) }); err != nil {
		return at, false, err
	}
	return at, true, json.Unmarshal([]byte(text), &at)
}

// Write implements [transfer.Store]. Records and progress are one transaction.
func (p port) Write(ctx context.Context, kind transfer.Kind, records []transfer.Record, at transfer.Progress) error {
	text, err := json.Marshal(at)
	if err != nil {
		return err
	}
	f := shelves[kind]
	err = p.s.writer.do(ctx, len(records), func(b *batch) error {
		for _, r := range records {
			if err := f.put(b, r); err != nil {
				return err
			}
		}
		b.changedMany("")
		if _, err := b.exec(sqlMakeProgress); err != nil {
			return err
		}
		if _, err := b.exec(sqlClearProgress); err != nil {
			return err
		}
		_, err := b.exec(sqlAddProgress, string(text))
		return err
	})
	return portError(ctx, err)
}

// Settle implements [transfer.Store]. Up to where it is settled what waits is also a place that there was.
func (p port) Settle(ctx context.Context, source transfer.State) error {
	err := p.s.writer.do(ctx, 1, func(b *batch) error {
		b.state.settled = later(b.state.settled, source.Last)
		b.state.version = max(b.state.version, source.Version)
		b.changedMany("")
		return b.each(sqlCountRows, nil, func(rows *sql.Rows) error { return rows.Scan(&b.state.messages, &b.state.activities) })
	})
	return portError(ctx, err)
}

// Finish implements [transfer.Store].
func (p port) Finish(ctx context.Context) error {
	return portError(ctx, p.s.writer.do(ctx, 1, func(b *batch) error {
		_, err := b.exec(sqlDropProgress)
		return err
	}))
}

// orIgnore makes a statement leave alone what is there already.
func orIgnore(insert string) string {
	return strings.Replace(insert, "INSERT INTO", "INSERT OR IGNORE INTO", 1)
}

var (
	sqlCopyMessage   = orIgnore(sqlAddMessage)
	sqlCopyNotice    = orIgnore(sqlAddNotice)
	sqlCopyActivity  = orIgnore(sqlAddActivity)
	sqlCopyScheduled = orIgnore(sqlAddScheduled)
	sqlCopyPref      = orIgnore(sqlAddPreference)
)

const (
	sqlCopyReplaced = `UPDATE notices SET replaced = 1 WHERE company = ? AND later = ? AND id = ?`
	sqlCopyMark     = `INSERT OR IGNORE INTO notice_marks (receiver, company, id, archived) VALUES (?, ?, ?, ?)`
	sqlCopyMember   = `INSERT OR IGNORE INTO members (receiver, company, since, heard) VALUES (?, ?, ?, ?)`
	sqlCopySeen     = `INSERT OR IGNORE INTO seen (receiver, company, last) VALUES (?, ?, ?)`
	sqlCopyRevision = `INSERT OR IGNORE INTO revisions (owner, company, place, kind, type, ids) VALUES (?, ?, ?, ?, ?, ?)`
	sqlCopyFloor    = `INSERT OR IGNORE INTO floors (owner, place) VALUES (?, ?)`
	sqlCopyRequest  = `INSERT OR IGNORE INTO requests (key, fingerprint, answer, made) VALUES (?, ?, ?, ?)`
	sqlCopyRevoked  = `INSERT OR IGNORE INTO revoked (receiver, before) VALUES (?, ?)`
)

// copyMessage adds a message. Whether it waits is settled with it.
func (b *batch) copyMessage(m *transfer.Message) error {
	if err := b.insert(sqlCopyMessage, string(m.Receiver), m.ID[:], &m.Message); err != nil {
		return err
	}
	b.state.settled = later(b.state.settled, m.ID)
	if m.Delivered || m.IsRead {
		return nil
	}
	return b.wait(fresh{m.Receiver, m.ID})
}

func (b *batch) copyNotice(n *transfer.Notice) error {
	_, err := b.insertNotice(sqlCopyNotice, &n.Message)
	if err == nil && n.Replaced {
		_, err = b.exec(sqlCopyReplaced, string(n.Company), n.Later, n.ID[:])
	}
	return err
}

func (b *batch) copyRevision(r *transfer.Revision) error {
	var ids any
	if r.IDs != nil {
		ids = encodeIDs(r.IDs)
	}
	_, err := b.exec(sqlCopyRevision, string(r.Owner), string(r.Company), r.Place[:], int64(r.Kind), int64(r.Type), ids)
	return err
}

func (b *batch) copyPreferences(p *transfer.UserPreferences) error {
	for i, one := range p.Preferences {
		_, err := b.exec(sqlCopyPref, string(p.User), i, int64(one.Type), one.Category, one.Off, encodeMillis(one.MuteUntil))
		if err != nil {
			return err
		}
	}
	return nil
}

// What scanMessage reads of a message and has no use here says whether it waits; of a notice, whether it was replaced.
var (
	transferredMessage = strings.Replace(messageColumns, `archived, 0,`, `archived,
		EXISTS (SELECT 1 FROM waiting w WHERE w.receiver = messages.receiver AND w.id = messages.id),`, 1)
	transferredNotice = strings.Replace(returnedNotice, `date, 0,`, `date, replaced,`, 1)
)

func takeMessage(rows *sql.Rows, records []transfer.Record) ([]transfer.Record, error) {
	m := &transfer.Message{}
	err := scanMessage(rows, &m.Message)
	m.Delivered, m.Later = !m.Later, false
	return append(records, m), err
}

func takeNotice(rows *sql.Rows, records []transfer.Record) ([]transfer.Record, error) {
	n := &transfer.Notice{}
	err := scanMessage(rows, &n.Message)
	n.Replaced, n.IsRead = n.IsRead, false
	return append(records, n), err
}

func takeActivity(rows *sql.Rows, records []transfer.Record) ([]transfer.Record, error) {
	a := &transfer.Activity{}
	return append(records, a), scanActivity(rows, &a.Activity)
}

func takeMark(rows *sql.Rows, records []transfer.Record) ([]transfer.Record, error) {
	m := &transfer.Mark{}
	err := rows.Scan(&m.User, &m.Company, idColumn{&m.Notice}, &m.Archived)
	return append(records, m), err
}

func takeMember(rows *sql.Rows, records []transfer.Record) ([]transfer.Record, error) {
	m := &transfer.Member{}
	err := rows.Scan(&m.Who.User, &m.Who.Company, idColumn{&m.Since}, idColumn{&m.Heard})
	return append(records, m), err
}

func takeSeen(rows *sql.Rows, records []transfer.Record) ([]transfer.Record, error) {
	s := &transfer.SeenPlace{}
	err := rows.Scan(&s.Who.User, &s.Who.Company, idColumn{&s.Last})
	return append(records, s), err
}

func takeRevision(rows *sql.Rows, records []transfer.Record) ([]transfer.Record, error) {
	r := &transfer.Revision{}
	var ids []byte
	err := rows.Scan(&r.Owner, &r.Company, idColumn{&r.Place}, &r.Kind, &r.Type, &ids)
	if err == nil && ids != nil {
		r.IDs, err = decodeIDs(ids)
	}
	return append(records, r), err
}

func takeFloor(rows *sql.Rows, records []transfer.Record) ([]transfer.Record, error) {
	f := &transfer.Floor{}
	err := rows.Scan(&f.Owner, idColumn{&f.Place})
	return append(records, f), err
}

func takeScheduled(rows *sql.Rows, records []transfer.Record) ([]transfer.Record, error) {
	p := &transfer.ScheduledPush{}
	var due int64
	err := rows.Scan(idColumn{&p.ID}, &due, &p.Draft)
	p.Due = time.UnixMilli(due).UTC()
	return append(records, p), err
}

func takeRequest(rows *sql.Rows, records []transfer.Record) ([]transfer.Record, error) {
	r := &transfer.Request{}
	var fingerprint []byte
	var made int64
	err := rows.Scan(&r.Key, &fingerprint, &r.Answer, &made)
	copy(r.Fingerprint[:], fingerprint)
	r.Made = time.UnixMilli(made).UTC()
	return append(records, r), err
}

// takePreference adds a row to the record of its user.
func takePreference(rows *sql.Rows, records []transfer.Record) ([]transfer.Record, error) {
	var (
		user      belfry.UserID
		one       belfry.Preference
		muteUntil int64
	)
	err := rows.Scan(&user, &one.Type, &one.Category, &one.Off, &muteUntil)
	one.MuteUntil = scanMillis(muteUntil)
	if len(records) > 0 {
		if last := records[len(records)-1].(*transfer.UserPreferences); last.User == user {
			last.Preferences = append(last.Preferences, one)
			return records, err
		}
	}
	return append(records, &transfer.UserPreferences{User: user, Preferences: []belfry.Preference{one}}), err
}

func takeRevocation(rows *sql.Rows, records []transfer.Record) ([]transfer.Record, error) {
	r := &transfer.Revocation{}
	var before int64
	err := rows.Scan(&r.User, &before)
	r.Before = scanDate(before)
	return append(records, r), err
}

// An idColumn scans an id.
type idColumn struct{ id *belfry.ID }

// Scan implements [sql.Scanner].
func (c idColumn) Scan(v any) error {
	column, ok := v.([]byte)
	if !ok {
		return fmt.Errorf("an id that is a %T in the database", v)
	}
	return scanID(column, c.id)
}

var shelves = map[transfer.Kind]shelf{
	transfer.Messages: {
		table: "messages", key: []string{"receiver", "id"}, columns: transferredMessage, take: takeMessage,
		at:  func(r transfer.Record) []any { m := r.(*transfer.Message); return []any{string(m.Receiver), m.ID} },
		put: func(b *batch, r transfer.Record) error { return b.copyMessage(r.(*transfer.Message)) },
	},
	transfer.Notices: {
		table: "notices", key: []string{"company", "later", "id"}, columns: transferredNotice, take: takeNotice,
		at: func(r transfer.Record) []any {
			n := r.(*transfer.Notice)
			later := int64(0)
			if n.Later {
				later = 1
			}
			return []any{string(n.Company), later, n.ID}
		},
		put: func(b *batch, r transfer.Record) error { return b.copyNotice(r.(*transfer.Notice)) },
	},
	transfer.Marks: {
		table: "notice_marks", key: []string{"receiver", "company", "id"}, columns: "receiver, company, id, archived", take: takeMark,
		where: "EXISTS (SELECT 1 FROM notices n INDEXED BY notices_age WHERE n.id = notice_marks.id)",
		at: func(r transfer.Record) []any {
			m := r.(*transfer.Mark)
			return []any{string(m.User), string(m.Company), m.Notice}
		},
		put: func(b *batch, r transfer.Record) error {
			m := r.(*transfer.Mark)
			_, err := b.exec(sqlCopyMark, string(m.User), string(m.Company), m.Notice[:], m.Archived)
			return err
		},
	},
	transfer.Activities: {
		table: "activities", key: []string{"company", "id"}, columns: activityColumns, take: takeActivity,
		at: func(r transfer.Record) []any { a := r.(*transfer.Activity); return []any{string(a.Company), a.ID} },
		put: func(b *batch, r transfer.Record) error {
			return b.insertActivity(sqlCopyActivity, &r.(*transfer.Activity).Activity)
		},
	},
	transfer.Members: {
		table: "members", key: []string{"receiver", "company"}, columns: "receiver, company, since, heard", take: takeMember,
		at: func(r transfer.Record) []any { return placeOf(r.(*transfer.Member).Who) },
		put: func(b *batch, r transfer.Record) error {
			m := r.(*transfer.Member)
			_, err := b.exec(sqlCopyMember, string(m.Who.User), string(m.Who.Company), m.Since[:], m.Heard[:])
			return err
		},
	},
	transfer.Seen: {
		table: "seen", key: []string{"receiver", "company"}, columns: "receiver, company, last", take: takeSeen,
		at: func(r transfer.Record) []any { return placeOf(r.(*transfer.SeenPlace).Who) },
		put: func(b *batch, r transfer.Record) error {
			s := r.(*transfer.SeenPlace)
			_, err := b.exec(sqlCopySeen, string(s.Who.User), string(s.Who.Company), s.Last[:])
			return err
		},
	},
	transfer.Revisions: {
		table: "revisions", key: []string{"owner", "company", "place", "kind"}, columns: "owner, company, place, kind, type, ids", take: takeRevision,
		at: func(r transfer.Record) []any {
			v := r.(*transfer.Revision)
			return []any{string(v.Owner), string(v.Company), v.Place, int64(v.Kind)}
		},
		put: func(b *batch, r transfer.Record) error { return b.copyRevision(r.(*transfer.Revision)) },
	},
	transfer.Floors: {
		table: "floors", key: []string{"owner"}, columns: "owner, place", take: takeFloor,
		at: func(r transfer.Record) []any { return []any{string(r.(*transfer.Floor).Owner)} },
		put: func(b *batch, r transfer.Record) error {
			f := r.(*transfer.Floor)
			_, err := b.exec(sqlCopyFloor, string(f.Owner), f.Place[:])
			return err
		},
	},
	transfer.Scheduled: {
		table: "scheduled", key: []string{"id"}, columns: "id, due, draft", take: takeScheduled,
		at: func(r transfer.Record) []any { return []any{r.(*transfer.ScheduledPush).ID} },
		put: func(b *batch, r transfer.Record) error {
			p := r.(*transfer.ScheduledPush)
			_, err := b.exec(sqlCopyScheduled, p.ID[:], p.Due.UnixMilli(), p.Draft)
			return err
		},
	},
	transfer.Requests: {
		table: "requests", key: []string{"key"}, columns: "key, fingerprint, answer, made", take: takeRequest,
		at: func(r transfer.Record) []any { return []any{r.(*transfer.Request).Key} },
		put: func(b *batch, r transfer.Record) error {
			q := r.(*transfer.Request)
			_, err := b.exec(sqlCopyRequest, q.Key, q.Fingerprint[:], q.Answer, q.Made.UnixMilli())
			return err
		},
	},
	transfer.Preferences: {
		table: "preferences", key: []string{"receiver"}, count: "DISTINCT receiver", take: takePreference,
		query: `SELECT receiver, type, category, off, mute_until FROM preferences WHERE receiver IN (
			SELECT DISTINCT receiver FROM preferences WHERE receiver > ? ORDER BY receiver LIMIT ?) ORDER BY receiver, n`,
		at:  func(r transfer.Record) []any { return []any{string(r.(*transfer.UserPreferences).User)} },
		put: func(b *batch, r transfer.Record) error { return b.copyPreferences(r.(*transfer.UserPreferences)) },
	},
	transfer.Revocations: {
		table: "revoked", key: []string{"receiver"}, columns: "receiver, before", take: takeRevocation,
		at: func(r transfer.Record) []any { return []any{string(r.(*transfer.Revocation).User)} },
		put: func(b *batch, r transfer.Record) error {
			v := r.(*transfer.Revocation)
			_, err := b.exec(sqlCopyRevoked, string(v.User), v.Before.Unix())
			return err
		},
	},
}

func placeOf(who belfry.Identity) []any { return []any{string(who.User), string(who.Company)} }
