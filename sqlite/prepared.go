package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"sync"
)

// A preparer is a pool of connections or one of them.
type preparer interface {
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
}

// prepared are the statements of a pool or a connection by their text. Each is
// prepared when it is first needed; on a pool, database/sql does so on each
// connection.
type prepared struct {
	on    preparer
	mu    sync.RWMutex
	stmts map[string]*sql.Stmt
}

func newPrepared(on preparer) *prepared {
	return &prepared{on: on, stmts: make(map[string]*sql.Stmt)}
}

func (p *prepared) get(ctx context.Context, query string) (*sql.Stmt, error) {
	p.mu.RLock()
	stmt := p.stmts[query]
	p.mu.RUnlock()
	if stmt != nil {
		return stmt, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if stmt := p.stmts[query]; stmt != nil {
		return stmt, nil
	}
	stmt, err := p.on.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	p.stmts[query] = stmt
	return stmt, nil
}

func (p *prepared) close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	for _, stmt := range p.stmts {
		errs = append(errs, stmt.Close())
	}
	clear(p.stmts)
	return errors.Join(errs...)
}

// each calls scan for each row that a statement returns.
func each(ctx context.Context, stmt *sql.Stmt, args []any, scan func(*sql.Rows) error) error {
	rows, err := stmt.QueryContext(ctx, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

// read runs a query of a reader, in a snapshot of its own.
func (s *Store) read(ctx context.Context, query string, args []any, scan func(*sql.Rows) error) error {
	stmt, err := s.queries.get(ctx, query)
	if err == nil {
		err = each(ctx, stmt, args, scan)
	}
	return portError(ctx, err)
}

// A snapshot is one state of the database, for what takes several queries.
type snapshot struct {
	ctx     context.Context
	queries map[string]*sql.Stmt
}

// snapshot runs f, which may use these queries, on one state of the database.
func (s *Store) snapshot(ctx context.Context, queries []string, f func(snapshot) error) error {
	at := snapshot{ctx: ctx, queries: make(map[string]*sql.Stmt, len(queries))}
	// Before it has a connection: to prepare a query may take another one.
	for _, query := range queries {
		stmt, err := s.queries.get(ctx, query)
		if err != nil {
			return portError(ctx, err)
		}
		at.queries[query] = stmt
	}
	tx, err := s.readers.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return portError(ctx, err)
	}
	defer tx.Rollback() // there is nothing to commit
	for query, stmt := range at.queries {
		at.queries[query] = tx.StmtContext(ctx, stmt)
	}
	return portError(ctx, f(at))
}

func (s snapshot) read(query string, args []any, scan func(*sql.Rows) error) error {
	return each(s.ctx, s.queries[query], args, scan)
}
