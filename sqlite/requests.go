package sqlite

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"belfry"
)

const (
	sqlAddRequest = `INSERT INTO requests (key, fingerprint, answer, made) VALUES (?1, ?2, ?3, ?4)
		ON CONFLICT DO UPDATE SET fingerprint = excluded.fingerprint, answer = excluded.answer, made = excluded.made
		WHERE made < excluded.made - ?5`

	sqlAnswerRequest = `UPDATE requests SET answer = ? WHERE key = ?`

	sqlRequest = `SELECT fingerprint, answer, made FROM requests WHERE key = ? AND made >= ?`

	sqlOldRequests   = `SELECT key FROM requests INDEXED BY requests_made WHERE made < ? ORDER BY made LIMIT ?`
	sqlDeleteRequest = `DELETE FROM requests WHERE key = ? AND made < ?`
)

func (b *batch) addRequest(r *belfry.Request) error {
	n, err := b.exec(sqlAddRequest, r.Key, r.Fingerprint[:], r.Answer, r.Made.UnixMilli(), belfry.RequestLifetime.Milliseconds())
	if err == nil && n == 0 {
		err = belfry.Errorf(belfry.ErrConflict, "the request was made already")
	}
	return err
}

// Request implements [belfry.EntryStore]. Times have millisecond precision.
func (s *Store) Request(ctx context.Context, key string, since time.Time) (belfry.Request, error) {
	pending := s.answers.Of(key) // before the query
	r, found := belfry.Request{Key: key}, false
	err := s.read(ctx, sqlRequest, []any{key, since.UnixMilli()}, func(rows *sql.Rows) error {
		var fingerprint []byte
		var made int64
		err := rows.Scan(&fingerprint, &r.Answer, &made)
		copy(r.Fingerprint[:], fingerprint)
		r.Made, found = time.UnixMilli(made).UTC(), true
		return err
	})
	if err != nil {
		return belfry.Request{}, err
	}
	if !found {
		return belfry.Request{}, belfry.Errorf(belfry.ErrNotFound, "there is no such request")
	}
	if pending != nil {
		r.Answer = slices.Clone(*pending)
	}
	return r, nil
}

// AnswerRequest implements [belfry.EntryStore]. It does not wait for the writer;
// until that has stored the answer, Request finds it in memory.
func (s *Store) AnswerRequest(ctx context.Context, key string, answer []byte) error {
	answer = slices.Clone(answer)
	s.answers.Put(key, &answer)
	op := &write{
		ctx:  context.WithoutCancel(ctx),
		rows: 1,
		run: func(b *batch) error {
			_, err := b.exec(sqlAnswerRequest, answer, key)
			return err
		},
		answer: func(error) { s.answers.Settle(key, &answer) },
	}
	err := ctx.Err()
	if err == nil {
		err = s.writer.enqueue(op)
	}
	if err != nil {
		s.answers.Settle(key, &answer)
	}
	return portError(ctx, err)
}

// PruneRequests implements [belfry.EntryStore].
func (s *Store) PruneRequests(ctx context.Context, before time.Time, step int) (deleted int, err error) {
	var keys []string
	err = s.read(ctx, sqlOldRequests, []any{before.UnixMilli(), step}, func(rows *sql.Rows) error {
		var key string
		err := rows.Scan(&key)
		keys = append(keys, key)
		return err
	})
	if err != nil || len(keys) == 0 {
		return 0, err
	}
	err = s.writer.do(ctx, len(keys), func(b *batch) error {
		deleted = 0
		for _, key := range keys {
			n, err := b.exec(sqlDeleteRequest, key, before.UnixMilli()) // it may have been taken anew
			if err != nil {
				return err
			}
			deleted += int(n)
		}
		return nil
	})
	if err != nil {
		return 0, portError(ctx, err)
	}
	return deleted, nil
}
