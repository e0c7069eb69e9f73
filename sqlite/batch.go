package sqlite

import (
	"context"
	"database/sql"
	"errors"
)

// statements are what the writer runs, prepared on its connection.
type statements struct {
	all []*sql.Stmt

	begin, commit, rollback *sql.Stmt
	version, setVersion     *sql.Stmt
	addMessage, addActivity *sql.Stmt
	markDelivered           *sql.Stmt
	markRead, markAllRead   *sql.Stmt
	markSeen, counts        *sql.Stmt
}

func (s *statements) prepare(ctx context.Context, conn *sql.Conn) error {
	for _, p := range []struct {
		stmt  **sql.Stmt
		query string
	}{
		{&s.begin, "BEGIN IMMEDIATE"},
		{&s.commit, "COMMIT"},
		{&s.rollback, "ROLLBACK"},
		{&s.version, "SELECT n FROM changes"},
		{&s.setVersion, "UPDATE changes SET n = ?"},
		{&s.addMessage, sqlAddMessage},
		{&s.addActivity, sqlAddActivity},
		{&s.markDelivered, sqlMarkDelivered},
		{&s.markRead, sqlMarkRead},
		{&s.markAllRead, sqlMarkAllRead},
		{&s.markSeen, sqlMarkSeen},
		{&s.counts, sqlCounts},
	} {
		stmt, err := conn.PrepareContext(ctx, p.query)
		if err != nil {
			return err
		}
		*p.stmt = stmt
		s.all = append(s.all, stmt)
	}
	return nil
}

func (s *statements) close() error {
	var errs []error
	for _, stmt := range s.all {
		errs = append(errs, stmt.Close())
	}
	return errors.Join(errs...)
}

// A batch is one transaction of the writer.
//
// The version of the counts is read from the database when the batch starts,
// grows with every change, so that each answer within a batch has its own,
// and is written back once. It therefore never goes back, neither across restarts
// nor between processes.
type batch struct {
	ctx     context.Context
	stmts   *statements
	stored  int64 // the version in the database
	version int64 // the version after the writes so far
}

func (b *batch) start() error {
	if err := b.stmts.version.QueryRowContext(b.ctx).Scan(&b.stored); err != nil {
		return err
	}
	b.version = b.stored
	return nil
}

// changed says that a write has changed an inbox.
func (b *batch) changed() { b.version++ }

func (b *batch) finish() error {
	if b.version == b.stored {
		return nil
	}
	_, err := b.stmts.setVersion.ExecContext(b.ctx, b.version)
	return err
}
