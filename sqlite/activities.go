package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"math"
	"time"

	"belfry"
)

const (
	activityColumns = `company, id, date, operator_id, operator, receiver, portrait,
		title, content, url, object_type, object_id, extra, changes`

	sqlAddActivity = `INSERT INTO activities (` + activityColumns + `)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

	// Four feeds, each with an index of its own. The conditions that the index
	// does not know are last.
	feedRange       = ` WHERE company = ?1 AND id >= ?2 AND id < ?3 `
	feedOrder       = ` ORDER BY id DESC LIMIT ?4`
	sqlFeed         = `SELECT ` + activityColumns + ` FROM activities` + feedRange + feedOrder
	sqlFeedOperator = `SELECT ` + activityColumns + ` FROM activities INDEXED BY activities_operator` + feedRange +
		`AND operator_id = ?5 AND operator_id <> '' AND (?6 = 0 OR object_type = ?6)` + feedOrder
	sqlFeedType = `SELECT ` + activityColumns + ` FROM activities INDEXED BY activities_type` + feedRange +
		`AND object_type = ?6 AND object_type <> 0` + feedOrder
	sqlFeedObject = `SELECT ` + activityColumns + ` FROM activities INDEXED BY activities_object` + feedRange +
		`AND object_type = ?6 AND object_id = ?7 AND (?5 = '' OR operator_id = ?5)` + feedOrder
)

func (b *batch) addActivity(a *belfry.Activity) error {
	err := b.insertActivity(sqlAddActivity, a)
	if err == nil {
		b.state.activities++
	}
	return err
}

// insertActivity binds an activity.
func (b *batch) insertActivity(query string, a *belfry.Activity) error {
	extra, err := encodeExtra(a.Extra)
	if err != nil {
		return err
	}
	changes, err := encodeChanges(a.Changes)
	if err != nil {
		return err
	}
	_, err = b.exec(query,
		string(a.Company), a.ID[:], a.Date.Unix(), a.OperatorID, a.Operator, a.Receiver, a.Portrait,
		a.Title, a.Content, a.URL, int64(a.ObjectType), a.ObjectID, extra, changes)
	return err
}

// Feed implements [belfry.ActivityStore].
func (s *Store) Feed(ctx context.Context, company belfry.CompanyID, q belfry.FeedQuery) ([]belfry.Activity, error) {
	until := upTo(q.Before)
	if !q.Until.IsZero() {
		if end := firstOf(q.Until); bytes.Compare(end, until) < 0 {
			until = end
		}
	}
	from := []byte{}
	if !q.From.IsZero() {
		from = firstOf(q.From)
	}
	args := []any{string(company), from, until, q.Limit, q.OperatorID, int64(q.ObjectType), q.ObjectID}
	query := sqlFeed
	switch {
	case q.ObjectType != 0 && q.ObjectID != "":
		query = sqlFeedObject
	case q.OperatorID != "":
		query, args = sqlFeedOperator, args[:6]
	case q.ObjectType != 0:
		query, args = sqlFeedType, args[:6]
	default:
		args = args[:4]
	}
	var activities []belfry.Activity
	err := s.read(ctx, query, args, appendActivity(&activities))
	return activities, err
}

// firstOf returns what is not greater than any id of the second, and greater than
// all before it.
func firstOf(t time.Time) []byte {
	seconds := t.Unix()
	switch {
	case seconds <= 0:
		return []byte{}
	case seconds > math.MaxUint32:
		return pastAll
	}
	return binary.BigEndian.AppendUint32(nil, uint32(seconds))
}

// appendActivity returns what appends a row to activities.
func appendActivity(activities *[]belfry.Activity) func(*sql.Rows) error {
	return func(rows *sql.Rows) error {
		*activities = append(*activities, belfry.Activity{})
		return scanActivity(rows, &(*activities)[len(*activities)-1])
	}
}

func scanActivity(rows *sql.Rows, a *belfry.Activity) error {
	var (
		id             sql.RawBytes
		date           int64
		extra, changes sql.NullString
	)
	err := rows.Scan((*string)(&a.Company), &id, &date, &a.OperatorID, &a.Operator, &a.Receiver, &a.Portrait,
		&a.Title, &a.Content, &a.URL, &a.ObjectType, &a.ObjectID, &extra, &changes)
	if err != nil {
		return err
	}
	a.Date = scanDate(date)
	if a.Extra, err = decodeExtra(extra); err != nil {
		return err
	}
	if a.Changes, err = decodeChanges(changes); err != nil {
		return err
	}
	return scanID(id, &a.ID)
}
