package mongo

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"belfry"

	"go.mongodb.org/mongo-driver/v2/bson"
)

const (
	// maxBatch bounds the writes of one commit. Their preparations run at the same time.
	maxBatch = 128
	// maxTouchBytes bounds the names of those whom a commit of several writes concerns. They are in one document, beside at
	// most maxInlineBytes of ops.
	maxTouchBytes = 4 << 20
	// maxTries is how often a batch is prepared anew because another process was first.
	maxTries = 50
	// lateAfter is how long deliveries wait to be recorded.
	lateAfter = 500 * time.Millisecond
	// sweepPause is the rest when no notice was gone.
	sweepPause = 30 * time.Second
)

// A write is what one call asks for.
type write struct {
	ctx context.Context
	// names are what it reads or changes and another write may change: those that share
	// one are not in the same commit. Nil stands for everything.
	names []string
	// prepare reads what it needs and returns what to change, in the state after a commit. It
	// may run several times.
	prepare func(ctx context.Context, at state) (*changes, error)
	done    func(err error)

	changes *changes
	err     error
}

// changes are what a write does.
type changes struct {
	ops                  []op
	touches              []string
	counts               bool // they may change somebody's counts
	messages, activities int64
	last                 bson.ObjectID
}

func (c *changes) do(ops ...op) { c.ops = append(c.ops, ops...) }

func (c *changes) touch(touches ...string) { c.touches = append(c.touches, touches...) }

func (c *changes) at(place belfry.ID) { c.last = later(c.last, objectID(place)) }

// A writer brings the writes of this process into the history, many with one commit.
type writer struct {
	store *Store
	wake  chan struct{}
	ended chan struct{}

	// The goroutine's:
	sweepAt   time.Time   // when to look for notices that are gone
	unapplied atomic.Bool // a commit was made and could not be applied

	mu     sync.Mutex
	queue  []*write
	closed bool
}

func newWriter(s *Store) *writer {
	w := &writer{store: s, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	go w.loop()
	return w
}

// do has a write carried out, and waits for it. A write whose context ends before its
// turn is not done.
func (w *writer) do(ctx context.Context, names []string, prepare func(context.Context, state) (*changes, error)) error {
	done := make(chan error, 1)
	op := &write{ctx: ctx, names: names, prepare: prepare, done: func(err error) { done <- err }}
	if err := w.enqueue(op); err != nil {
		return portError(ctx, err)
	}
	select {
	case err := <-done:
		return portError(ctx, err)
	case <-ctx.Done():
		if w.withdraw(op) {
			return ctx.Err()
		}
		return portError(context.WithoutCancel(ctx), <-done)
	}
}

func (w *writer) enqueue(op *write) error {
	if err := op.ctx.Err(); err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return errClosed
	}
	w.queue = append(w.queue, op)
	w.nudge()
	return nil
}

// withdraw takes a write out that has not had its turn.
func (w *writer) withdraw(op *write) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := slices.Index(w.queue, op)
	if i >= 0 {
		w.queue = slices.Delete(w.queue, i, i+1)
	}
	return i >= 0
}

func (w *writer) nudge() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// close carries out what is waiting and ends the writer.
func (w *writer) close() {
	w.mu.Lock()
	w.closed = true
	w.nudge()
	w.mu.Unlock()
	<-w.ended
}

func (w *writer) loop() {
	defer close(w.ended)
	ticks := time.NewTicker(lateAfter)
	defer ticks.Stop()
	for {
		select {
		case <-w.wake:
		case <-ticks.C:
			w.idle()
		}
		for {
			batch, closed := w.take()
			if len(batch) > 0 {
				w.run(batch)
				select {
				case <-ticks.C: // also when there is always something to write
					w.idle()
				default:
				}
				continue
			}
			if !closed {
				break
			}
			if late := w.writeLate(); late != nil && !w.store.late.Failed() {
				w.run([]*write{late})
				continue
			}
			return
		}
	}
}

// idle does what may wait: it makes up for a commit that could not be applied, records deliveries, and deletes
// marks of notices that are gone, here and in other processes.
func (w *writer) idle() {
	if w.unapplied.Load() {
		w.makeUp()
	}
	if late := w.writeLate(); late != nil {
		w.run([]*write{late})
	}
	if time.Now().Before(w.sweepAt) {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), opTimeout)
	defer cancel()
	if more, err := w.store.sweepGone(ctx); !more || err != nil {
		w.sweepAt = time.Now().Add(sweepPause)
	}
}

// take removes writes from the queue that can share a commit, in their order. One that
// cannot holds up those behind it with which it shares a name.
func (w *writer) take() (batch []*write, closed bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	names := make(map[string]struct{})
	rest := w.queue[:0]
	blocked := false
	for i, op := range w.queue {
		free := !blocked && len(batch) < maxBatch
		for _, name := range op.names {
			_, taken := names[name]
			free = free && !taken
		}
		for _, name := range op.names {
			names[name] = struct{}{}
		}
		if op.names == nil { // alone
			free, blocked = i == 0, true
		}
		if free {
			batch = append(batch, op)
		} else {
			rest = append(rest, op)
		}
	}
	clear(w.queue[len(rest):])
	w.queue = rest
	return batch, w.closed
}

// errTooMuch says that a batch of several writes does not fit into one commit.
var errTooMuch = errors.New("the writes do not fit into one commit")

// run carries out a batch and answers. What does not fit into one commit it divides.
func (w *writer) run(batch []*write) {
	s := w.store
	s.turn <- struct{}{}
	err := w.commit(batch)
	<-s.turn
	if errors.Is(err, errTooMuch) {
		half := len(batch) / 2
		w.run(batch[:half])
		w.run(batch[half:])
		return
	}
	for _, op := range batch {
		if op.err == nil {
			op.err = err
		}
		op.done(op.err)
	}
}

// commit prepares a batch and makes a commit of it, again where another process was first.
func (w *writer) commit(batch []*write) error {
	s := w.store
	for range maxTries {
		ctx, cancel := context.WithTimeout(context.Background(), opTimeout)
		err := w.try(ctx, batch)
		cancel()
		if !errors.Is(err, errOvertaken) {
			return err
		}
		ctx, cancel = context.WithTimeout(context.Background(), opTimeout+2*s.patience)
		err = s.advance(ctx)
		cancel()
		if err != nil {
			return err
		}
	}
	return belfry.Errorf(belfry.ErrUnavailable, "too many processes write to the database")
}

func (w *writer) try(ctx context.Context, batch []*write) error {
	s := w.store
	at, err := s.current(ctx)
	if err != nil {
		return err
	}
	var preparing sync.WaitGroup
	for _, op := range batch {
		preparing.Go(func() {
			op.changes, op.err = op.prepare(ctx, at)
			op.err = portError(ctx, op.err)
		})
	}
	preparing.Wait()
	c := commit{
		State: state{N: at.N + 1, Version: at.Version, Last: at.Last, Messages: at.Messages, Activities: at.Activities},
		Token: bson.NewObjectID(), At: time.Now(), Touches: []string{},
	}
	counts := false
	for _, op := range batch {
		if op.err != nil || op.changes == nil || len(op.changes.ops) == 0 {
			continue
		}
		c.Ops = append(c.Ops, op.changes.ops...)
		c.Touches = append(c.Touches, op.changes.touches...)
		counts = counts || op.changes.counts
		c.State.Messages += op.changes.messages
		c.State.Activities += op.changes.activities
		c.State.Last = later(c.State.Last, op.changes.last)
	}
	if counts {
		c.State.Version++
	}
	if s.capped {
		moved, err := s.moveHeads(ctx, c.Ops)
		if err != nil {
			return err
		}
		c.Ops = append(c.Ops, moved.ops...)
	}
	if len(c.Ops) == 0 {
		// What they have read must have been true all the same.
		overtaken, err := s.touchedSince(ctx, at.N, nil)
		if err == nil && overtaken {
			err = errOvertaken
		}
		return err
	}
	slices.Sort(c.Touches)
	c.Touches = slices.Compact(c.Touches)
	if len(batch) > 1 && sizeOf(c.Touches) > maxTouchBytes {
		return errTooMuch
	}
	if err := s.record(ctx, &c); err != nil {
		return err
	}
	w.settle(&c)
	return nil
}

// sizeOf returns how many bytes names have in a document, about.
func sizeOf(names []string) (bytes int) {
	for _, name := range names {
		bytes += len(name) + 12 // their type, index and length
	}
	return bytes
}

// makeUp has a commit applied that could not be when it was made, though nobody may need it to be: lists that are read
// by one query would not show what is in it.
func (w *writer) makeUp() {
	s := w.store
	ctx, cancel := context.WithTimeout(context.Background(), opTimeout+2*s.patience)
	defer cancel()
	s.turn <- struct{}{}
	defer func() { <-s.turn }()
	w.unapplied.Store(s.advance(ctx) != nil)
}

// settle applies a commit that this process has made. It stands, also where that fails:
// whoever needs it first applies it then.
func (w *writer) settle(c *commit) {
	s := w.store
	ctx, cancel := context.WithTimeout(context.Background(), s.patience)
	defer cancel()
	err := s.apply(ctx, c) // also where the time is over, of which it then tells
	for err != nil && ctx.Err() == nil {
		err = s.apply(ctx, c)
	}
	if err == nil {
		c.State.Applied = true
		s.head.set(c.State)
	}
	if err == nil && c.State.N%trimEvery == 0 {
		err = s.trim(ctx, c.State.N)
	}
	if err != nil {
		if !c.State.Applied {
			w.unapplied.Store(true)
		}
		s.log.Warn("a commit is durable and could not be applied; that is made up for", "commit", c.State.N, "err", err)
	}
}
