package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"sync"
	"time"
)

const (
	// maxBatch bounds the rows of one transaction, and with them how long the
	// first of a batch waits for the last. A single write may have more.
	maxBatch = 512
	// flushAfter is how long deliveries and lazy writes wait for a batch to go with
	// before they get one of their own.
	flushAfter = 500 * time.Millisecond
)

// A write is one caller's change to the database.
type write struct {
	ctx    context.Context
	rows   int                  // about how many it changes
	run    func(b *batch) error // may run again after a rollback
	answer func(err error)      // called once; never waits
}

// A writer owns the one connection that writes, and the goroutine that uses it.
type writer struct {
	db    *sql.DB
	conn  *sql.Conn
	stmts *prepared
	late  *lateSet
	tally *tally
	log   *slog.Logger

	// The goroutine's:
	sweep   bool  // there may be marks of notices that are gone
	version int64 // of the counts, after the last transaction

	mu     sync.RWMutex // held for reading while a write is put into the queue
	closed bool
	queue  chan *write
	idle   chan struct{} // closed when the goroutine has ended

	lazyMu sync.Mutex
	lazy   []*write // which wait for a batch to go with
}

func newWriter(ctx context.Context, path string, late *lateSet, tally *tally, log *slog.Logger) (*writer, error) {
	db, err := openPool(path, "cache_size(-65536)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	w := &writer{
		db: db, late: late, tally: tally, log: log, sweep: true,
		queue: make(chan *write, maxBatch), idle: make(chan struct{}),
	}
	if err := w.open(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	go w.loop()
	return w, nil
}

func (w *writer) open(ctx context.Context) error {
	var err error
	if w.conn, err = w.db.Conn(ctx); err != nil {
		return err
	}
	scripts, err := migrations()
	if err != nil {
		return err
	}
	if err := migrate(ctx, w.conn, scripts); err != nil {
		return errors.Join(err, w.conn.Close())
	}
	w.stmts = newPrepared(w.conn)
	return nil
}

// do runs a write in a transaction and returns when that is durable. A write
// whose ctx ended before it began is skipped; one that has begun is finished.
func (w *writer) do(ctx context.Context, rows int, run func(*batch) error) error {
	done := make(chan error, 1)
	op := &write{ctx: ctx, rows: rows, run: run, answer: func(err error) { done <- err }}
	if err := w.enqueue(op); err != nil {
		return err
	}
	return <-done
}

func (w *writer) enqueue(op *write) error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		return errClosed
	}
	select {
	case w.queue <- op:
		return nil
	case <-op.ctx.Done():
		return op.ctx.Err()
	}
}

// enqueueLazy queues a write that goes with the next batch, or after half a second. Whatever is
// queued after the call is not durable before it.
func (w *writer) enqueueLazy(op *write) error {
	w.mu.RLock()
	defer w.mu.RUnlock()
	if w.closed {
		return errClosed
	}
	w.lazyMu.Lock()
	w.lazy = append(w.lazy, op)
	full := len(w.lazy)%maxBatch == 0
	w.lazyMu.Unlock()
	if full {
		w.queue <- &write{ctx: context.Background(), run: func(*batch) error { return nil }, answer: func(error) {}}
	}
	return nil
}

func (w *writer) takeLazy() []*write {
	w.lazyMu.Lock()
	defer w.lazyMu.Unlock()
	ops := w.lazy
	w.lazy = nil
	return ops
}

// close finishes what is queued.
func (w *writer) close() error {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		<-w.idle
		return nil
	}
	w.closed = true
	close(w.queue)
	w.mu.Unlock()
	<-w.idle
	return errors.Join(w.stmts.close(), w.conn.Close(), w.db.Close())
}

// loop is the goroutine. Batches form by themselves: while one is being
// committed, the next gathers in the queue.
func (w *writer) loop() {
	defer close(w.idle)
	flush := time.NewTicker(flushAfter)
	defer flush.Stop()
	batch := make([]*write, 0, maxBatch+1)
	for {
		batch = batch[:0]
		select {
		case op, ok := <-w.queue:
			if !ok {
				w.commit(w.takeLazy())
				w.flushAll()
				return
			}
			batch = w.gather(append(batch, op))
		case <-flush.C:
			if w.sweep {
				batch = append(batch, w.sweepGone())
			}
		}
		batch = append(batch, w.takeLazy()...)
		if op := w.late.write(maxBatch); op != nil {
			batch = append(batch, op)
		}
		w.commit(batch)
	}
}

// gather adds what is queued already to the batch.
func (w *writer) gather(batch []*write) []*write {
	for rows := batch[0].rows; rows < maxBatch; {
		select {
		case op, ok := <-w.queue:
			if !ok {
				return batch
			}
			batch = append(batch, op)
			rows += op.rows
		default:
			return batch
		}
	}
	return batch
}

// flushAll records the deliveries that are left when the writer closes.
func (w *writer) flushAll() {
	for {
		op := w.late.write(maxBatch)
		if op == nil {
			return
		}
		if w.commit([]*write{op}); w.late.failed() {
			w.log.Warn("deliveries not recorded; the next logins repeat them", "messages", w.late.len())
			return
		}
	}
}

// commit runs a batch in one transaction and answers it. If a write fails, all
// is rolled back and each gets a transaction of its own: that is rare, and
// spares savepoints where all is well.
func (w *writer) commit(ops []*write) {
	live := ops[:0]
	for _, op := range ops {
		if err := op.ctx.Err(); err != nil {
			op.answer(err)
			continue
		}
		live = append(live, op)
	}
	if len(live) == 0 {
		return
	}
	err := w.transact(live)
	if err != nil && len(live) > 1 {
		for _, op := range live {
			op.answer(w.transact([]*write{op}))
		}
		return
	}
	for _, op := range live {
		op.answer(err)
	}
}

// transact runs writes in one transaction: all or none.
func (w *writer) transact(ops []*write) (err error) {
	// The work is not to be stopped half way by any one caller.
	b := &batch{ctx: context.Background(), stmts: w.stmts}
	if _, err := b.exec(sqlBegin); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			// The database may have rolled back by itself; then this fails
			// and there is nothing left to do.
			_, _ = b.exec(sqlRollback)
			w.tally.clear() // a commit that fails may have been one nevertheless
		}
	}()
	if err := b.start(); err != nil {
		return err
	}
	if b.stored.version != w.version {
		w.tally.clear() // another process has written
	}
	for _, op := range ops {
		if err := op.run(b); err != nil {
			return err
		}
	}
	if err := b.finish(); err != nil {
		return err
	}
	if _, err := b.exec(sqlCommit); err != nil {
		return err
	}
	w.version, w.sweep = b.state.version, w.sweep || b.sweep
	w.tally.apply(b.changes, b.state.version)
	return nil
}
