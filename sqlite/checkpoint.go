package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/driver"
)

// SQLite moves what the write-ahead log has gathered into the database when a commit finds that it is long: meanwhile
// everybody waits, 20 ms and more. Here another connection does so beside the writer. It cannot keep up with a
// writer that never rests, so when the log is much longer, the writer moves the little that is left
// and begins the log anew, which also spares the disk: to write over a file is cheaper than to extend it.
const (
	// checkpointPages is by how many pages the log grows between two checkpoints.
	checkpointPages = 1000
	// restartPages is the length from which on the log is begun anew, 32 MiB.
	restartPages = 8000
	// retryPages is by how much it grows until that is tried again; a reader may have been in the way.
	retryPages = 250
	// blockingPages is the length from which on the writer waits for the readers.
	blockingPages = 4 * restartPages
)

// A checkpointer has the goroutine that makes checkpoints beside the writer.
type checkpointer struct {
	db   *sql.DB
	log  *slog.Logger
	wake chan struct{}
	idle chan struct{} // closed when the goroutine has ended
}

func newCheckpointer(path string, log *slog.Logger) (*checkpointer, error) {
	db, err := openPool(path, "cache_size(-64)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	c := &checkpointer{db: db, log: log, wake: make(chan struct{}, 1), idle: make(chan struct{})}
	go c.loop()
	return c, nil
}

// begin has a checkpoint made, unless there is one to be made already.
func (c *checkpointer) begin() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *checkpointer) loop() {
	defer close(c.idle)
	for range c.wake {
		// Passive: it waits for nobody, and does what it can.
		if _, err := c.db.ExecContext(context.Background(), "PRAGMA wal_checkpoint(PASSIVE)"); err != nil {
			c.log.Warn("no checkpoint of the database; its log grows until one can be made", "err", err)
		}
	}
}

// close waits for the checkpoint that is being made.
func (c *checkpointer) close() error {
	close(c.wake)
	<-c.idle
	return c.db.Close()
}

// A walGauge is what the writer knows of the log.
type walGauge struct {
	pages      int // after the last commit
	checkpoint int // the length at which the next checkpoint begins
	restart    int // the length at which the log is begun anew
}

// watch has the gauge follow the commits of a connection, which then makes no checkpoints by itself.
func (g *walGauge) watch(conn *sql.Conn) error {
	g.checkpoint, g.restart = checkpointPages, restartPages
	return withSQLite(conn, func(c *sqlite3.Conn) error {
		c.WALHook(func(_ *sqlite3.Conn, _ string, pages int) error {
			if pages < g.pages { // it has begun anew
				g.checkpoint, g.restart = checkpointPages, restartPages
			}
			g.pages = pages
			return nil
		})
		return nil
	})
}

// checkpoint keeps the log short, after a commit.
func (w *writer) checkpoint() {
	g := &w.wal
	switch {
	case g.pages >= g.restart:
		g.restart = g.pages + retryPages
		mode := sqlite3.CHECKPOINT_PASSIVE
		if g.pages >= blockingPages {
			mode = sqlite3.CHECKPOINT_RESTART
		}
		err := withSQLite(w.conn, func(c *sqlite3.Conn) error {
			_, _, err := c.WALCheckpoint("main", mode)
			return err
		})
		if err != nil && !errors.Is(err, sqlite3.BUSY) { // the checkpointer is at it
			w.log.Warn("the log of the database was not begun anew; it grows until it can be", "pages", g.pages, "err", err)
		}
	case g.pages >= g.checkpoint:
		g.checkpoint = g.pages + checkpointPages
		w.checkpointer.begin()
	}
}

// withSQLite gives f the connection of SQLite.
func withSQLite(conn *sql.Conn, f func(*sqlite3.Conn) error) error {
	return conn.Raw(func(c any) error { return f(c.(driver.Conn).Raw()) })
}
