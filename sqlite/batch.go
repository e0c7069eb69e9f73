package sqlite

import (
	"context"
	"database/sql"

	"belfry"
)

const (
	sqlBegin    = "BEGIN IMMEDIATE"
	sqlCommit   = "COMMIT"
	sqlRollback = "ROLLBACK"
	sqlState    = "SELECT n, messages, activities, settled FROM changes"
	sqlSetState = "UPDATE changes SET n = ?, messages = ?, activities = ?, settled = ?"
)

// A state is the row of the table changes.
type state struct {
	version    int64 // of the counts
	messages   int64 // how many rows there are, notices among them
	activities int64
	settled    belfry.ID // of messages with lower ids it is settled whether they wait; see waiting.go
}

// A batch is one transaction of the writer.
//
// The state is read from the database when the batch starts and written back
// once. The version of the counts grows with every change, so that each answer
// within a batch has its own. It therefore never goes back, neither across
// restarts nor between processes.
type batch struct {
	ctx    context.Context
	stmts  *prepared
	stored state // in the database
	state  state // after the writes so far
	sweep  bool  // notices have gone; see gone.go

	changes []change // of counts

	unsettled *freshSet
	fresh     []fresh // that are stored
}

func (b *batch) start() error {
	err := b.each(sqlState, nil, func(rows *sql.Rows) error {
		var settled sql.RawBytes
		err := rows.Scan(&b.stored.version, &b.stored.messages, &b.stored.activities, &settled)
		copy(b.stored.settled[:], settled)
		return err
	})
	b.state = b.stored
	return err
}

// changedOf says that a write has changed inboxes of a user.
func (b *batch) changedOf(user belfry.UserID) { b.change(change{user: user}) }

// changedMany says that a write has changed inboxes of a company's members, or of everybody.
func (b *batch) changedMany(company belfry.CompanyID) { b.change(change{company: company, many: true}) }

func (b *batch) change(c change) {
	b.state.version++
	c.version = b.state.version
	b.changes = append(b.changes, c)
}

// changedMessage is changedOf or changedMany for a message or notice.
func (b *batch) changedMessage(receiver belfry.UserID, company belfry.CompanyID) {
	if receiver == "" {
		b.changedMany(company)
		return
	}
	b.changedOf(receiver)
}

func (b *batch) finish() error {
	if b.state == b.stored {
		return nil
	}
	_, err := b.exec(sqlSetState, b.state.version, b.state.messages, b.state.activities, b.state.settled[:])
	return err
}

// exec runs a statement and returns how many rows it changed.
func (b *batch) exec(query string, args ...any) (int64, error) {
	stmt, err := b.stmts.get(b.ctx, query)
	if err != nil {
		return 0, err
	}
	result, err := stmt.ExecContext(b.ctx, args...)
	if err != nil {
		return 0, err
	}
	return result.RowsAffected()
}

// each calls scan for each row that a statement returns. All rows are changed
// before the first call.
func (b *batch) each(query string, args []any, scan func(*sql.Rows) error) error {
	stmt, err := b.stmts.get(b.ctx, query)
	if err != nil {
		return err
	}
	return each(b.ctx, stmt, args, scan)
}
