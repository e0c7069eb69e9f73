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
	state, setState         *sql.Stmt
	addMessage, addActivity *sql.Stmt
	markDelivered           *sql.Stmt
	markRead, markAllRead   *sql.Stmt
	markSeen, counts        *sql.Stmt
	deleteMessage           *sql.Stmt
	deleteActivity          *sql.Stmt
}

func (s *statements) prepare(ctx context.Context, conn *sql.Conn) error {
	for _, p := range []struct {
		stmt  **sql.Stmt
		query string
	}{
		{&s.begin, "BEGIN IMMEDIATE"},
		{&s.commit, "COMMIT"},
		{&s.rollback, "ROLLBACK"},
		{&s.state, "SELECT n, messages, activities FROM changes"},
		{&s.setState, "UPDATE changes SET n = ?, messages = ?, activities = ?"},
		{&s.addMessage, sqlAddMessage},
		{&s.addActivity, sqlAddActivity},
		{&s.markDelivered, sqlMarkDelivered},
		{&s.markRead, sqlMarkRead},
		{&s.markAllRead, sqlMarkAllRead},
		{&s.markSeen, sqlMarkSeen},
		{&s.counts, sqlCounts},
		{&s.deleteMessage, sqlDeleteMessage},
		{&s.deleteActivity, sqlDeleteActivity},
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

// A state is the row of the table changes.
type state struct {
	version              int64 // of the counts
	messages, activities int64 // how many rows there are
}

// A batch is one transaction of the writer.
//
// The state is read from the database when the batch starts and written back
// once. The version of the counts grows with every change, so that each answer
// within a batch has its own. It therefore never goes back, neither across
// restarts nor between processes.
type batch struct {
	ctx    context.Context
	stmts  *statements
	stored state // in the database
	state  state // after the writes so far
}

func (b *batch) start() error {
	err := b.stmts.state.QueryRowContext(b.ctx).Scan(&b.stored.version, &b.stored.messages, &b.stored.activities)
	b.state = b.stored
	return err
}

// changed says that a write has changed an inbox.
func (b *batch) changed() { b.state.version++ }

func (b *batch) finish() error {
	if b.state == b.stored {
		return nil
	}
	_, err := b.stmts.setState.ExecContext(b.ctx, b.state.version, b.state.messages, b.state.activities)
	return err
}
