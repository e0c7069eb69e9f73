package sqlite

import (
	"context"
	"database/sql"
	"time"

	"belfry"
	"belfry/internal/storage"
)

const (
	sqlAddScheduled = `INSERT INTO scheduled (id, due, draft) VALUES (?, ?, ?)`
	sqlCancel       = `DELETE FROM scheduled WHERE id = ?`

	sqlNextDue = `SELECT min(at) FROM (
		SELECT * FROM (SELECT due AS at FROM scheduled INDEXED BY scheduled_due ORDER BY due LIMIT 1)
		UNION ALL
		SELECT * FROM (SELECT expires FROM messages INDEXED BY messages_expires WHERE expires > 0 ORDER BY expires LIMIT 1)
		UNION ALL
		SELECT * FROM (SELECT expires FROM notices INDEXED BY notices_expires WHERE expires > 0 ORDER BY expires LIMIT 1))`

	sqlDue = `SELECT id, due, draft FROM scheduled INDEXED BY scheduled_due WHERE due <= ? ORDER BY due, id LIMIT ?`

	sqlScheduledPush = `SELECT id, due, draft FROM scheduled WHERE id = ?`

	sqlExpired = `SELECT 0, id, expires FROM messages INDEXED BY messages_expires WHERE expires > 0 AND expires <= ?1
		UNION ALL
		SELECT 1, id, expires FROM notices INDEXED BY notices_expires WHERE expires > 0 AND expires <= ?1
		ORDER BY 3 LIMIT ?2`

	sqlExpireMessage = `DELETE FROM messages INDEXED BY messages_age
		WHERE id = ?1 AND expires > 0 AND expires <= ?2 RETURNING ` + messageColumns
	sqlExpireNotice = `DELETE FROM notices INDEXED BY notices_age
		WHERE id = ?1 AND expires > 0 AND expires <= ?2 RETURNING ` + returnedNotice
)

func (b *batch) addScheduled(p *belfry.Scheduled) error {
	draft, err := storage.EncodeDraft(p)
	if err != nil {
		return err
	}
	_, err = b.exec(sqlAddScheduled, p.ID[:], p.Due.UnixMilli(), draft)
	return err
}

// cancel deletes a scheduled push. It fails with the code if there is none.
func (b *batch) cancel(id belfry.ID, missing belfry.Code) error {
	n, err := b.exec(sqlCancel, id[:])
	if err == nil && n == 0 {
		err = belfry.Errorf(missing, "there is no such scheduled push")
	}
	return err
}

// Cancel implements [belfry.AgendaStore].
func (s *Store) Cancel(ctx context.Context, id belfry.ID) error {
	return portError(ctx, s.writer.do(ctx, 1, func(b *batch) error { return b.cancel(id, belfry.ErrNotFound) }))
}

// NextDue implements [belfry.AgendaStore].
func (s *Store) NextDue(ctx context.Context) (time.Time, error) {
	var at sql.NullInt64
	if err := s.read(ctx, sqlNextDue, nil, func(rows *sql.Rows) error { return rows.Scan(&at) }); err != nil || !at.Valid {
		return time.Time{}, err
	}
	return time.UnixMilli(at.Int64).UTC(), nil
}

// Due implements [belfry.AgendaStore].
func (s *Store) Due(ctx context.Context, now time.Time, limit int) ([]belfry.Scheduled, error) {
	return s.scheduled(ctx, sqlDue, now.UnixMilli(), limit)
}

// ScheduledPush implements [belfry.AgendaStore].
func (s *Store) ScheduledPush(ctx context.Context, id belfry.ID) (belfry.Scheduled, error) {
	found, err := s.scheduled(ctx, sqlScheduledPush, id[:])
	if err != nil {
		return belfry.Scheduled{}, err
	}
	if len(found) == 0 {
		return belfry.Scheduled{}, belfry.Errorf(belfry.ErrNotFound, "there is no such scheduled push")
	}
	return found[0], nil
}

func (s *Store) scheduled(ctx context.Context, query string, args ...any) ([]belfry.Scheduled, error) {
	var pushes []belfry.Scheduled
	err := s.read(ctx, query, args, func(rows *sql.Rows) error {
		var (
			id    sql.RawBytes
			due   int64
			draft string
		)
		if err := rows.Scan(&id, &due, &draft); err != nil {
			return err
		}
		p := belfry.Scheduled{Due: time.UnixMilli(due).UTC()}
		if err := storage.DecodeDraft(draft, &p); err != nil {
			return err
		}
		pushes = append(pushes, p)
		return scanID(id, &pushes[len(pushes)-1].ID)
	})
	return pushes, err
}

// Expire implements [belfry.AgendaStore]. What has expired is looked for by a reader.
func (s *Store) Expire(ctx context.Context, now time.Time, place belfry.Placer, step int) ([]belfry.Message, error) {
	type found struct {
		notice bool
		id     []byte
	}
	var candidates []found
	err := s.read(ctx, sqlExpired, []any{now.UnixMilli(), step}, func(rows *sql.Rows) error {
		var f found
		var expires int64
		err := rows.Scan(&f.notice, &f.id, &expires)
		candidates = append(candidates, f)
		return err
	})
	if err != nil || len(candidates) == 0 {
		return nil, err
	}
	at := place(belfry.ID{})
	var expired []belfry.Message
	err = s.writer.do(ctx, len(candidates), func(b *batch) error {
		expired = nil
		for _, f := range candidates {
			query := sqlExpireMessage
			if f.notice {
				query = sqlExpireNotice
			}
			taken, err := b.take(query, f.id, now.UnixMilli()) // unless it was edited meanwhile
			if err != nil {
				return err
			}
			expired = append(expired, taken...)
		}
		return b.reviseExpired(expired, at)
	})
	if err != nil {
		return nil, portError(ctx, err)
	}
	return expired, nil
}

// reviseExpired keeps a revision for each owner and company.
func (b *batch) reviseExpired(expired []belfry.Message, place belfry.ID) error {
	type owner struct {
		user    belfry.UserID
		company belfry.CompanyID
	}
	ids := make(map[owner][]belfry.ID)
	for _, m := range expired {
		o := owner{m.Receiver, m.Company}
		ids[o] = append(ids[o], m.ID)
	}
	for o, ids := range ids {
		err := b.revise(revision{owner: o.user, company: o.company, place: place, kind: belfry.RevisionExpired, ids: ids})
		if err != nil {
			return err
		}
	}
	return nil
}
