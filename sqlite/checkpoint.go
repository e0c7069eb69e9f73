package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/driver"
)

// SQLite moves what the write-ahead log has gathered into the database when a commit finds that it is long: meanwhile
// everybody waits, 20 ms and more. Here another connection does so beside the writer. It cannot keep up with a
// writer that never rests, so when the log is much longer, the writer moves the little that is left
// and begins the log anew, which also spares the disk: to write over a file is cheaper than to extend it.
type walLimits struct {
	checkpoint int // pages by which the log grows between two checkpoints
	restart    int // its length from which on it is begun anew
	retry      int // by how much it grows until that is tried again; a reader may have been in the way
	blocking   int // its length from which on the writer waits for the readers, and for a checkpoint that is being made
}

var defaultWALLimits = walLimits{checkpoint: 1000, restart: 8000, retry: 250, blocking: 32_000} // of 4 KiB

// A checkpointer has the goroutine that makes checkpoints beside the writer.
type checkpointer struct {
	db   *sql.DB
	log  *slog.Logger
	wake chan struct{}
	made atomic.Int64  // checkpoints, or attempts
	busy sync.Mutex    // held while one is being made
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
		c.busy.Lock()
		_, err := c.db.ExecContext(context.Background(), "PRAGMA wal_checkpoint(PASSIVE)")
		c.busy.Unlock()
		if err != nil {
			c.log.Warn("no checkpoint of the database; its log grows until one can be made", "err", err)
		}
		c.made.Add(1)
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
	limits     walLimits
	pages      int   // after the last commit
	checkpoint int   // the length at which the next checkpoint begins
	restart    int   // the length at which the log is begun anew
	after      int64 // and how many checkpoints must have been made by then, so that little is left to move
}

// watch has the gauge follow the commits of a connection, which then makes no checkpoints by itself.
func (g *walGauge) watch(conn *sql.Conn) error {
	g.limits = defaultWALLimits
	g.begin()
	return withSQLite(conn, func(c *sqlite3.Conn) error {
		c.WALHook(func(_ *sqlite3.Conn, _ string, pages int) error {
			if pages < g.pages { // it has begun anew
				g.begin()
			}
			g.pages = pages
			return nil
		})
		return nil
	})
}

// begin is for a log that has begun.
func (g *walGauge) begin() {
	g.checkpoint, g.restart, g.after = g.limits.checkpoint, g.limits.restart, 0
}

// checkpoint keeps the log short, after a commit.
func (w *writer) checkpoint() {
	g := &w.wal
	switch {
	case g.pages >= max(g.restart, g.limits.blocking):
		w.restartLog(sqlite3.CHECKPOINT_RESTART)
	case g.pages >= g.restart && g.after == 0:
		g.after = w.checkpointer.made.Load() + 1
		w.checkpointer.begin()
	case g.pages >= g.restart && w.checkpointer.made.Load() >= g.after:
		w.restartLog(sqlite3.CHECKPOINT_PASSIVE)
	case g.pages >= g.checkpoint:
		g.checkpoint = g.pages + g.limits.checkpoint
		w.checkpointer.begin()
	}
}

// restartLog moves what is left of the log, so that the next transaction can begin it anew.
func (w *writer) restartLog(mode sqlite3.CheckpointMode) {
	w.wal.restart, w.wal.after = w.wal.pages+w.wal.limits.retry, 0
	if mode == sqlite3.CHECKPOINT_RESTART { // it waits for readers, but not for another who is at it
		w.checkpointer.busy.Lock()
		defer w.checkpointer.busy.Unlock()
	}
	err := withSQLite(w.conn, func(c *sqlite3.Conn) error {
		_, _, err := c.WALCheckpoint("main", mode)
		return err
	})
	if err != nil && !errors.Is(err, sqlite3.BUSY) { // the checkpointer is at it, or a reader
		w.log.Warn("the log of the database was not begun anew; it grows until it can be", "pages", w.wal.pages, "err", err)
	}
}

// withSQLite gives f the connection of SQLite.
func withSQLite(conn *sql.Conn, f func(*sqlite3.Conn) error) error {
	return conn.Raw(func(c any) error { return f(c.(driver.Conn).Raw()) })
}
