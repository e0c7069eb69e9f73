package sqlite

import (
	"context"
	"errors"
	"path/filepath"
	"time"

	"belfry"
)

// loop is the goroutine that has the file.
func (j *Journal) loop() {
	defer close(j.idle)
	defer j.gather.Stop()
	tidy := time.NewTicker(min(journalTidy, j.bounds.span))
	defer tidy.Stop()
	for {
		again, closed := j.turn()
		switch {
		case closed:
			return
		case again:
			continue
		}
		select {
		case <-j.wake:
		case <-j.gather.C:
		case <-tidy.C:
			j.shrink()
		}
	}
}

// shrink lets a slice go that a burst has made long, when there was no other burst
// since it was called last.
func (j *Journal) shrink() {
	if c := cap(j.spare); c > 2*journalBatch && j.most < c/4 {
		j.spare = nil
	}
	j.most = 0
}

// turn writes what is queued, answers what is asked and does a step of tidying. It
// reports whether there are more steps, and whether this was the last turn.
func (j *Journal) turn() (again, closed bool) {
	j.mu.Lock()
	facts, asked, closed := j.queued, j.asked, j.closed
	j.queued, j.asked, j.spare = j.spare, nil, nil
	j.mu.Unlock()

	j.reopen()
	j.write(facts)
	for _, q := range asked {
		q.answer <- j.search(q)
	}
	if !closed {
		again = j.tidy()
	}
	j.warn(closed)

	clear(facts)
	j.spare, j.most = facts[:0], max(j.most, len(facts))
	return again, closed
}

// write writes facts, a batch a transaction. A batch that fails is dropped: to try
// it again would only make the next ones wait for it.
func (j *Journal) write(facts []belfry.Fact) {
	size := min(journalBatch, j.bounds.generation)
	for len(facts) > 0 {
		batch := facts[:min(size, len(facts))]
		facts = facts[len(batch):]
		err := errNoFile
		if j.file != nil {
			err = j.file.write(batch, time.Now())
		}
		if err != nil {
			j.dropped.Add(int64(len(batch)))
			j.fail(err)
		}
	}
}

// search answers a question.
func (j *Journal) search(q *journalQuestion) error {
	switch {
	case q.ctx.Err() != nil:
		return q.ctx.Err()
	case j.file == nil:
		return errNoFile
	}
	err := j.file.search(q.ctx, &q.search)
	if err != nil && q.ctx.Err() == nil {
		j.fail(err)
	}
	return err
}

// tidy does a step of tidying and reports whether there may be another one.
func (j *Journal) tidy() bool {
	if j.file == nil {
		return false
	}
	did, err := j.file.tidy(time.Now())
	if err != nil {
		j.fail(err)
		return false
	}
	return did
}

// errNoFile stands in for why there is no file, of which a warning has told.
var errNoFile = errors.New("the delivery record could not be opened again")

// fail remembers an error for the next warning. A file that is beyond repair is
// closed, and another one begun.
func (j *Journal) fail(err error) {
	j.reason = err
	if j.file == nil || !beyondRepair(err) {
		return
	}
	_ = j.file.close() // it is damaged; that it does not close well is no news
	j.file = nil
	if j.file, err = j.renew(context.Background(), err); err != nil {
		j.reason = err
	}
}

// reopen opens the file if that has failed before, at most as often as a warning
// says so.
func (j *Journal) reopen() {
	now := time.Now()
	if j.file != nil || now.Sub(j.tried) < journalWarn {
		return
	}
	j.tried = now
	file, err := j.openFile(context.Background())
	if err != nil {
		j.reason = err
		return
	}
	j.file = file
}

// warn tells of facts that were dropped since the last warning.
func (j *Journal) warn(last bool) {
	now, dropped := time.Now(), j.dropped.Load()
	if dropped == j.told || !last && now.Sub(j.warned) < journalWarn {
		return
	}
	reason := j.reason
	if reason == nil {
		reason = errQueueFull
	}
	j.log.Warn("facts are missing from the delivery record", "facts", dropped-j.told, "error", reason)
	j.warned, j.told, j.reason = now, dropped, nil
}

// errQueueFull is the reason where no other is known.
var errQueueFull = errors.New("more were noted than can be written")

// openFile opens the file, and begins another one where it is beyond repair.
func (j *Journal) openFile(ctx context.Context) (*journalFile, error) {
	if _, err := prepareFile(filepath.Split(j.path)); err != nil {
		return nil, err
	}
	file, err := openJournalFile(ctx, j.path, j.bounds)
	if err != nil && beyondRepair(err) {
		return j.renew(ctx, err)
	}
	return file, err
}

// renew sets the file aside, which is closed, and begins another one.
func (j *Journal) renew(ctx context.Context, cause error) (*journalFile, error) {
	aside, err := setAside(j.path, time.Now())
	if err != nil {
		return nil, errors.Join(cause, err)
	}
	j.log.Warn("the delivery record begins anew, because its file is of no use", "error", cause, "kept", aside)
	if _, err := prepareFile(filepath.Split(j.path)); err != nil {
		return nil, err
	}
	return openJournalFile(ctx, j.path, j.bounds)
}
