package sqlite

import (
	"context"
	"database/sql"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"belfry"

	"github.com/ncruces/go-sqlite3"
)

// journalName is the name of the journal's database in the data directory.
const journalName = "journal.db"

// journalGenerations is about how many generations there are when the journal is
// full. More make its bounds finer and looking up dearer.
const journalGenerations = 64

//go:embed journal/0001_generations.sql
var journalSchema string

var journalScripts = []string{journalSchema}

// errNewerJournal reports a file that a newer program has written.
var errNewerJournal = errors.New("a newer belfry has written it")

const (
	sqlAddBlock    = "INSERT INTO blocks (generation, first, body) VALUES (?, ?, ?)"
	sqlBlockBefore = "SELECT body FROM blocks WHERE generation = ? AND first < ? ORDER BY first DESC, id DESC LIMIT 1"
	sqlBlocksAt    = "SELECT body FROM blocks WHERE generation = ? AND first = ? ORDER BY id"
)

// journalBounds are what a journal keeps to.
type journalBounds struct {
	rows       int           // facts in all
	generation int           // facts in one generation
	age        time.Duration // for which a generation is kept once it is closed
	span       time.Duration // after which a generation is closed
}

func boundsOf(o JournalOptions) journalBounds {
	b := journalBounds{rows: o.Rows, age: o.Age}
	if b.rows <= 0 {
		b.rows = 1_000_000
	}
	if b.age <= 0 {
		b.age = 7 * 24 * time.Hour
	}
	b.generation = min(max(b.rows/journalGenerations, 1), maxQueued)
	b.span = max(b.age/journalGenerations, time.Millisecond)
	return b
}

// A generation is a number of facts that were noted one after the other.
type generation struct {
	id     int64
	facts  int
	closed time.Time
}

// journalContent is what a file holds.
type journalContent struct {
	generations []generation // the oldest first
	open        int          // facts in the generation that is not closed yet
	since       time.Time    // when the first of them was noted
}

func (c *journalContent) facts() int {
	n := c.open
	for _, g := range c.generations {
		n += g.facts
	}
	return n
}

// A journalFile is the open database. One goroutine uses it.
type journalFile struct {
	bounds      journalBounds
	db          *sql.DB
	conn        *sql.Conn
	addBlock    *sql.Stmt
	blockBefore *sql.Stmt
	blocksAt    *sql.Stmt
	content     journalContent
	encoder     factEncoder
}

// openJournalFile opens the database, and makes it where it is missing.
func openJournalFile(ctx context.Context, path string, bounds journalBounds) (*journalFile, error) {
	// In WAL mode synchronous=NORMAL syncs only when the log is copied into the
	// database: seldom, so that the store has the disk for itself, and what a
	// failing machine leaves is sound.
	db, err := openPool(path, "synchronous(normal)", "cache_size(-4096)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	f := &journalFile{bounds: bounds, db: db}
	if err := f.open(ctx, path); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

func (f *journalFile) open(ctx context.Context, path string) (err error) {
	if f.conn, err = f.db.Conn(ctx); err != nil {
		return err
	}
	var version int
	if err := f.conn.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	if version > len(journalScripts) {
		return errNewerJournal
	}
	if err := migrate(ctx, f.conn, journalScripts); err != nil {
		return err
	}
	if err := restrict(path); err != nil {
		return err
	}
	for _, p := range []struct {
		stmt  **sql.Stmt
		query string
	}{{&f.addBlock, sqlAddBlock}, {&f.blockBefore, sqlBlockBefore}, {&f.blocksAt, sqlBlocksAt}} {
		if *p.stmt, err = f.conn.PrepareContext(ctx, p.query); err != nil {
			return err
		}
	}
	return f.load(ctx)
}

// load reads what the file holds.
func (f *journalFile) load(ctx context.Context) error {
	var since int64
	err := f.conn.QueryRowContext(ctx, "SELECT coalesce(sum(facts), 0), coalesce(min(noted), 0) FROM batches").
		Scan(&f.content.open, &since)
	if err != nil {
		return err
	}
	f.content.since = time.UnixMilli(since)
	rows, err := f.conn.QueryContext(ctx, "SELECT id, facts, closed FROM generations ORDER BY id")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var g generation
		var closed int64
		if err := rows.Scan(&g.id, &g.facts, &closed); err != nil {
			return err
		}
		g.closed = time.UnixMilli(closed)
		f.content.generations = append(f.content.generations, g)
	}
	return rows.Err()
}

func (f *journalFile) close() error {
	var errs []error
	for _, stmt := range []*sql.Stmt{f.addBlock, f.blockBefore, f.blocksAt} {
		if stmt != nil {
			errs = append(errs, stmt.Close())
		}
	}
	if f.conn != nil {
		errs = append(errs, f.conn.Close())
	}
	return errors.Join(append(errs, f.db.Close())...)
}

// beyondRepair reports whether an error means that the file is of no more use to
// this program, and not that the file cannot be got at.
func beyondRepair(err error) bool {
	return errors.Is(err, errDamaged) || errors.Is(err, errNewerJournal) ||
		errors.Is(err, sqlite3.CORRUPT) || errors.Is(err, sqlite3.NOTADB) ||
		errors.Is(err, sqlite3.ERROR) // other tables than it should have
}

// setAside renames the database. Its log goes first: SQLite would replay it into
// the next database of that name.
func setAside(path string, now time.Time) (aside string, err error) {
	aside = fmt.Sprintf("%s.corrupt-%d", path, now.Unix())
	if err := os.Rename(path+"-wal", aside+"-wal"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	if err := os.Remove(path + "-shm"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	return aside, os.Rename(path, aside)
}

// transact runs a change in a transaction, on a copy of content that takes its
// place when all is committed.
func (f *journalFile) transact(change func(ctx context.Context, c *journalContent) error) error {
	ctx := context.Background() // what is noted is nobody's in particular
	if _, err := f.conn.ExecContext(ctx, "BEGIN IMMEDIATE"); err != nil {
		return err
	}
	next := f.content
	next.generations = slices.Clone(f.content.generations)
	err := change(ctx, &next)
	if err == nil {
		_, err = f.conn.ExecContext(ctx, "COMMIT")
	}
	if err != nil {
		// It may have been rolled back already; then this fails and nothing is
		// left to do.
		_, _ = f.conn.ExecContext(ctx, "ROLLBACK")
		return err
	}
	f.content = next
	return nil
}

// write adds facts, no more than a generation has, and makes room for them.
func (f *journalFile) write(facts []belfry.Fact, now time.Time) error {
	return f.transact(func(ctx context.Context, c *journalContent) error {
		if c.open > 0 && c.open+len(facts) > f.bounds.generation {
			if err := f.closeGeneration(ctx, c, now); err != nil {
				return err
			}
		}
		for len(c.generations) > 0 && c.facts()+len(facts) > f.bounds.rows {
			if err := f.dropOldest(ctx, c); err != nil {
				return err
			}
		}
		f.encoder.body = f.encoder.body[:0]
		for i := range facts {
			f.encoder.add(&facts[i], c.open+i)
		}
		_, err := f.conn.ExecContext(ctx, "INSERT INTO batches (noted, facts, body) VALUES (?, ?, ?)",
			now.UnixMilli(), len(facts), f.encoder.body)
		if err != nil {
			return err
		}
		if c.open == 0 {
			c.since = now
		}
		c.open += len(facts)
		return nil
	})
}

// tidy does one step of what time and the bounds ask for, and reports whether there
// was anything to do.
func (f *journalFile) tidy(now time.Time) (did bool, err error) {
	switch c := &f.content; {
	case c.open > 0 && now.Sub(c.since) >= f.bounds.span:
		return true, f.transact(func(ctx context.Context, c *journalContent) error {
			return f.closeGeneration(ctx, c, now)
		})
	case len(c.generations) > 0 && (now.Sub(c.generations[0].closed) > f.bounds.age || c.facts() > f.bounds.rows):
		return true, f.transact(f.dropOldest)
	}
	return false, nil
}

// closeGeneration turns the batches into blocks.
func (f *journalFile) closeGeneration(ctx context.Context, c *journalContent, now time.Time) error {
	entries := make([]entry, 0, c.open)
	err := f.eachBatch(ctx, func(body []byte) error {
		// The entries outlive the row.
		return eachEntry(slices.Clone(body), func(e entry) error {
			entries = append(entries, e)
			return nil
		})
	})
	if err != nil {
		return err
	}
	g := generation{id: 1, facts: len(entries), closed: now}
	if n := len(c.generations); n > 0 {
		g.id = c.generations[n-1].id + 1
	}
	err = cutBlocks(entries, func(first key, body []byte) error {
		_, err := f.addBlock.ExecContext(ctx, g.id, []byte(first), body)
		return err
	})
	if err != nil {
		return err
	}
	_, err = f.conn.ExecContext(ctx, "INSERT INTO generations (id, closed, facts) VALUES (?, ?, ?)", g.id, now.UnixMilli(), g.facts)
	if err != nil {
		return err
	}
	if _, err := f.conn.ExecContext(ctx, "DELETE FROM batches"); err != nil {
		return err
	}
	c.generations, c.open = append(c.generations, g), 0
	return nil
}

func (f *journalFile) dropOldest(ctx context.Context, c *journalContent) error {
	id := c.generations[0].id
	if _, err := f.conn.ExecContext(ctx, "DELETE FROM blocks WHERE generation = ?", id); err != nil {
		return err
	}
	if _, err := f.conn.ExecContext(ctx, "DELETE FROM generations WHERE id = ?", id); err != nil {
		return err
	}
	c.generations = c.generations[1:]
	return nil
}
