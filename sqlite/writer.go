package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"belfry"
	"belfry/internal/storage"
)

const (
	// maxBatch bounds the rows of one transaction, and with them how long the
	// first of a batch waits for the last. A single write may have more.
	maxBatch = 512
	// maxLate bounds those of a transaction that nobody waits for, of each kind.
	maxLate = 256
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
	log   *slog.Logger

	checkpointer *checkpointer
	wal          walGauge // the goroutine's

	late      *storage.Late
	unsettled *freshSet
	tally     *tally

	// The goroutine's:
	sweep   bool      // there may be marks of notices that are gone
	version int64     // of the counts, after the last transaction
	settled belfry.ID // likewise

	mu     sync.RWMutex // held for reading while a write is put into the queue
	closed bool
	queue  chan *write
	idle   chan struct{} // closed when the goroutine has ended

	lazyMu sync.Mutex
	lazy   []*write // which wait for a batch to go with
}

func newWriter(ctx context.Context, path string, s *Store) (*writer, error) {
	db, err := openSource(dataSource(path, "cache_size(-65536)") + "&vfs=" + joinedWAL)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	w := &writer{
		db: db, late: s.late, unsettled: s.unsettled, tally: s.tally, log: s.log, sweep: true,
		queue: make(chan *write, maxBatch), idle: make(chan struct{}),
	}
	if err := w.open(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if w.checkpointer, err = newCheckpointer(path, s.log); err != nil {
		return nil, errors.Join(err, w.conn.Close(), db.Close())
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
	if err = migrate(ctx, w.conn, scripts); err == nil {
		err = recoverWaiting(ctx, w.conn)
	}
	if err == nil {
		err = w.wal.watch(w.conn)
	}
	if err != nil {
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
	return errors.Join(w.checkpointer.close(), w.stmts.close(), w.conn.Close(), w.db.Close())
}

// loop is the goroutine. Batches form by themselves: while one is being
// committed, the next gathers in the queue.
func (w *writer) loop() {
	defer close(w.idle)
	flush := time.NewTicker(flushAfter)
	defer flush.Stop()
	batch := make([]*write, 0, maxBatch+1)
	for {
		op, ok := w.next(flush.C)
		if !ok {
			w.commit(w.takeLazy())
			w.flushAll()
			return
		}
		batch = batch[:0]
		if op != nil {
			runtime.Gosched() // who is about to write comes along
			batch = w.gather(append(batch, op))
		}
		batch = append(batch, w.takeLazy()...)
		w.commit(w.takeLate(batch))
		w.checkpoint()
	}
}

// next waits for a write, or for the time to do what can be done late; then it returns nil. Ok is false when
// the writer is to close.
func (w *writer) next(flush <-chan time.Time) (op *write, ok bool) {
	if w.late.Aging() || w.unsettled.aging() {
		select {
		case op, ok = <-w.queue:
			return op, ok
		default:
			return nil, true
		}
	}
	select {
	case op, ok = <-w.queue:
		return op, ok
	case <-flush:
		w.late.Age()
		w.unsettled.age()
		if w.sweep {
			op = w.sweepGone()
		}
		return op, true
	}
}

// takeLate adds some of what can be done late.
func (w *writer) takeLate(batch []*write) []*write {
	if op := w.writeLate(); op != nil {
		batch = append(batch, op)
	}
	if op := w.unsettled.write(maxLate, w.settled); op != nil {
		batch = append(batch, op)
	}
	return batch
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

// flushAll does what is late when the writer closes.
func (w *writer) flushAll() {
	for {
		batch := w.takeLate(nil)
		if len(batch) == 0 {
			w.late.Age()
			w.unsettled.age()
			batch = w.takeLate(nil)
		}
		if len(batch) == 0 {
			break
		}
		w.commit(batch)
		if w.late.Failed() || w.unsettled.hasFailed() {
			break
		}
	}
	if n := w.late.Len() + w.unsettled.len(); n > 0 {
		w.log.Warn("deliveries not recorded; the next logins repeat them", "messages", n)
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
	b := &batch{ctx: context.Background(), stmts: w.stmts, unsettled: w.unsettled}
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
	w.version, w.settled, w.sweep = b.state.version, b.state.settled, w.sweep || b.sweep
	w.tally.apply(b.changes, b.state.version)
	w.unsettled.add(b.fresh)
	return nil
}
