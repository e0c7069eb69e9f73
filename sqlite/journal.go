package sqlite

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"belfry"
)

const (
	// maxQueued bounds the facts that wait to be written: what a busy server notes
	// in about a second, and some 20 MB with what they name.
	maxQueued = 1 << 16
	// journalBatch bounds the facts of one transaction. As many do not wait for
	// company.
	journalBatch = 2000
	// journalWait is how long fewer wait, unless somebody wants to read.
	journalWait = 100 * time.Millisecond
	// journalTidy is how often at least the age of what is kept is looked at.
	journalTidy = time.Minute
	// journalWarn is how often at most a warning says that facts were dropped.
	journalWarn = time.Minute
)

// JournalOptions alters a [Journal]. The zero value is useful.
type JournalOptions struct {
	Rows   int           // bounds the facts that are kept; 0 means 1,000,000
	Age    time.Duration // for which facts are kept, up to 2 % longer; 0 means 7 days
	Logger *slog.Logger  // nil means slog.Default()
}

// A Journal keeps the delivery record in a file of its own, journal.db, so that
// nothing that a push waits for waits for it. When its bounds are reached a 64th of
// it goes at a time, the oldest. It is safe for concurrent use.
//
// What [Journal.Note] takes is written within about 100 ms. The end of the process
// loses what was not, the end of the machine the last moments before it.
type Journal struct {
	log     *slog.Logger
	path    string
	bounds  journalBounds
	dropped atomic.Int64

	mu     sync.Mutex
	queued []belfry.Fact
	asked  []*journalQuestion
	closed bool

	gather *time.Timer   // runs while fewer than a batch are queued
	wake   chan struct{} // has one while more are, or something is asked, or it is closed
	idle   chan struct{} // closed when the goroutine has ended

	// Only the goroutine has these.
	file   *journalFile  // nil where it could not be opened again
	tried  time.Time     // when that was tried last
	spare  []belfry.Fact // takes turns with queued
	most   int           // facts that one turn has had lately
	warned time.Time
	told   int64 // how many dropped facts warnings have told of
	reason error // of the next warning; nil where there was no room
}

var _ belfry.Journal = (*Journal)(nil)

// A journalQuestion is a read that waits for its turn.
type journalQuestion struct {
	ctx    context.Context
	search factSearch
	answer chan error // has room for one
}

// OpenJournal opens the journal in the directory dir, and makes both where they are
// missing (modes 0700 and 0600). A file that is damaged, or that a newer program has
// written, is renamed to journal.db.corrupt-<Unix time> with a warning, and a new
// one begun. Close ends it.
func OpenJournal(ctx context.Context, dir string, o JournalOptions) (*Journal, error) {
	return openJournal(ctx, dir, boundsOf(o), o.Logger)
}

func openJournal(ctx context.Context, dir string, bounds journalBounds, log *slog.Logger) (*Journal, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	path := filepath.Join(dir, journalName)
	j := &Journal{
		log: log, path: path, bounds: bounds,
		gather: time.NewTimer(journalWait), wake: make(chan struct{}, 1), idle: make(chan struct{}),
	}
	if j.log == nil {
		j.log = slog.Default()
	}
	if j.file, err = j.openFile(ctx); err != nil {
		return nil, fmt.Errorf("sqlite: %s: %w", path, err)
	}
	go j.loop()
	return j, nil
}

// Close writes what is queued and closes the file. What is noted later is dropped,
// and whoever asks later gets [belfry.ErrUnavailable].
func (j *Journal) Close() error {
	j.mu.Lock()
	again := j.closed
	j.closed = true
	j.mu.Unlock()
	j.nudge()
	<-j.idle
	if again || j.file == nil {
		return nil
	}
	return j.file.close()
}

// Dropped implements [belfry.Journal].
func (j *Journal) Dropped() int64 { return j.dropped.Load() }

// Note implements [belfry.Journal]. It does not keep the slice. A page's name is cut
// as a detail is.
func (j *Journal) Note(facts ...belfry.Fact) {
	j.mu.Lock()
	before := len(j.queued)
	fit := min(len(facts), maxQueued-before)
	if j.closed {
		fit = 0
	}
	j.queued = append(j.queued, facts[:fit]...)
	after := len(j.queued)
	j.mu.Unlock()
	if fit < len(facts) {
		j.dropped.Add(int64(len(facts) - fit))
	}
	switch {
	case before < journalBatch && after >= journalBatch:
		j.nudge()
	case before == 0 && after > 0:
		j.gather.Reset(journalWait)
	}
}

// nudge wakes the goroutine.
func (j *Journal) nudge() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// Story implements [belfry.Journal].
func (j *Journal) Story(ctx context.Context, message belfry.ID, user belfry.UserID, limit int) ([]belfry.Fact, error) {
	if message.IsZero() { // it names nothing; facts about pages have it
		return nil, nil
	}
	keys := []key{appendKey(nil, message, "")}
	if user != "" {
		keys = append(keys, appendKey(nil, message, user))
	}
	return j.ask(ctx, factSearch{keys: keys, limit: limit})
}

// Pages implements [belfry.Journal].
func (j *Journal) Pages(ctx context.Context, user belfry.UserID, from, until time.Time, limit int) ([]belfry.Fact, error) {
	return j.ask(ctx, factSearch{
		keys: []key{appendKey(nil, belfry.ID{}, user)}, limit: limit, newest: true,
		timed: true, from: from.Truncate(time.Millisecond), until: until, // as precise as facts are
	})
}

// ask has the goroutine search, after it has written what is queued by now. That
// needs neither another connection nor anybody's patience but the asker's.
func (j *Journal) ask(ctx context.Context, search factSearch) ([]belfry.Fact, error) {
	if search.limit <= 0 {
		return nil, nil
	}
	q := &journalQuestion{ctx: ctx, search: search, answer: make(chan error, 1)}
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return nil, errClosed
	}
	j.asked = append(j.asked, q)
	j.mu.Unlock()
	j.nudge()
	select {
	case err := <-q.answer:
		if err != nil {
			return nil, portError(ctx, err)
		}
		return q.search.facts(), nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
