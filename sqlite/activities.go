package sqlite

import (
	"context"
	"database/sql"

	"belfry"
)

const sqlAddActivity = `INSERT INTO activities
	(company, id, date, operator_id, operator, receiver, portrait, title, content, url, object_type, object_id, extra)
	VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

// AddActivity implements [belfry.ActivityStore].
func (s *Store) AddActivity(ctx context.Context, a belfry.Activity) error {
	err := s.writer.do(ctx, 1, func(b *batch) error {
		extra, err := encodeExtra(a.Extra)
		if err != nil {
			return err
		}
		_, err = b.stmts.addActivity.ExecContext(b.ctx,
			string(a.Company), a.ID[:], a.Date.Unix(), a.OperatorID, a.Operator, a.Receiver, a.Portrait,
			a.Title, a.Content, a.URL, int64(a.ObjectType), a.ObjectID, extra)
		if err != nil {
			return err
		}
		b.state.activities++
		return nil
	})
	return portError(ctx, err)
}

// Feed implements [belfry.ActivityStore].
func (s *Store) Feed(ctx context.Context, company belfry.CompanyID, before belfry.ID, limit int) ([]belfry.Activity, error) {
	rows, err := s.queries.feed.QueryContext(ctx, string(company), upTo(before), limit)
	if err != nil {
		return nil, portError(ctx, err)
	}
	defer rows.Close()
	var activities []belfry.Activity
	for rows.Next() {
		var a belfry.Activity
		if err := scanActivity(rows, &a); err != nil {
			return nil, portError(ctx, err)
		}
		activities = append(activities, a)
	}
	return activities, portError(ctx, rows.Err())
}

func scanActivity(rows *sql.Rows, a *belfry.Activity) error {
	var (
		id    sql.RawBytes
		date  int64
		extra sql.NullString
	)
	err := rows.Scan((*string)(&a.Company), &id, &date, &a.OperatorID, &a.Operator, &a.Receiver, &a.Portrait,
		&a.Title, &a.Content, &a.URL, &a.ObjectType, &a.ObjectID, &extra)
	if err != nil {
		return err
	}
	a.Date = scanDate(date)
	if a.Extra, err = decodeExtra(extra); err != nil {
		return err
	}
	return scanID(id, &a.ID)
}
