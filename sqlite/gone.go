package sqlite

import (
	"context"
	"database/sql"
)

// maxGone bounds the marks of deleted notices that are deleted at once.
const maxGone = 200

const (
	sqlAddGone    = `INSERT INTO gone_notices (id) VALUES (?) ON CONFLICT DO NOTHING`
	sqlNextGone   = `SELECT id FROM gone_notices LIMIT 1`
	sqlDeleteGone = `DELETE FROM gone_notices WHERE id = ?`

	sqlGoneMarks      = `SELECT receiver, company FROM notice_marks INDEXED BY notice_marks_notice WHERE id = ? LIMIT ?`
	sqlDeleteGoneMark = `DELETE FROM notice_marks WHERE receiver = ? AND company = ? AND id = ?`
)

// gone says that a notice was deleted, so that its marks are to go as well. They
// count for nothing without it: there may be a million, and the writer deletes them
// when it has nothing else to do.
func (b *batch) gone(id []byte) error {
	b.sweep = true
	_, err := b.exec(sqlAddGone, id)
	return err
}

// sweepGone returns a write that deletes some marks of notices that are gone.
func (w *writer) sweepGone() *write {
	more := false
	return &write{
		ctx:  context.Background(),
		rows: maxGone,
		run: func(b *batch) (err error) {
			more, err = b.sweepGone()
			return err
		},
		answer: func(err error) { w.sweep = w.sweep && (more || err != nil) },
	}
}

// sweepGone deletes some marks of a notice that is gone, and reports whether
// there may be more to do.
func (b *batch) sweepGone() (more bool, err error) {
	var id []byte
	err = b.each(sqlNextGone, nil, func(rows *sql.Rows) error { return rows.Scan(&id) })
	if err != nil || id == nil {
		return false, err
	}
	type mark struct{ receiver, company string }
	var marks []mark
	err = b.each(sqlGoneMarks, []any{id, maxGone}, func(rows *sql.Rows) error {
		var m mark
		err := rows.Scan(&m.receiver, &m.company)
		marks = append(marks, m)
		return err
	})
	if err != nil {
		return false, err
	}
	for _, m := range marks {
		if _, err := b.exec(sqlDeleteGoneMark, m.receiver, m.company, id); err != nil {
			return false, err
		}
	}
	if len(marks) < maxGone {
		_, err = b.exec(sqlDeleteGone, id)
	}
	return true, err
}
