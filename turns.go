package belfry

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// maxArriving bounds the logins that ask the store at the same time: where pages come back faster than it answers, some are
	// let in and the others wait, instead of all taking longer than they have. Where their turns take longer than slowTurn there are
	// fewer at a time, at least minArriving, until they are quick again.
	maxArriving = 16
	minArriving = 2
	slowTurn    = 2 * time.Second
	// turnTimeout bounds what a login asks in one turn, from when it has it: a store that is slow lets fewer in, but what it was
	// asked for is not in vain because others were before.
	turnTimeout = 15 * time.Second
)

// turns are those of logins to ask the store. Who has asked before comes first: otherwise it would have asked in vain where its time is over
// while it waits. Of the rest the newest does: who has waited for long has perhaps gone, and comes again. It is safe for concurrent use.
type turns struct {
	mu     sync.Mutex
	taken  int
	narrow int             // by how many fewer than maxArriving there may be
	begun  []chan struct{} // who waits: those who have asked before,
	fresh  []chan struct{} // and those who have not
}

// take waits for a turn, at most as long as ctx allows. Give must follow, unless it fails.
func (t *turns) take(ctx context.Context, begun bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t.mu.Lock()
	line := &t.fresh
	if begun {
		line = &t.begun
	}
	mine := make(chan struct{})
	*line = append(*line, mine)
	t.next()
	t.mu.Unlock()
	select {
	case <-mine:
		return nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := slices.Index(*line, mine); i >= 0 {
		*line = slices.Delete(*line, i, i+1)
	} else { // its turn came just then
		t.taken--
		t.next()
	}
	return ctx.Err()
}

// give hands a turn on that took so long.
func (t *turns) give(took time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case took > slowTurn:
		t.narrow = min(t.narrow+1, maxArriving-minArriving)
	case took < slowTurn/2:
		t.narrow = max(t.narrow-1, 0)
	}
	t.taken--
	t.next()
}

// next lets those in whose turn it is. The lock is held.
func (t *turns) next() {
	for t.taken < maxArriving-t.narrow {
		line := &t.begun
		if len(*line) == 0 {
			line = &t.fresh
		}
		last := len(*line) - 1
		if last < 0 {
			return
		}
		close((*line)[last])
		(*line)[last] = nil
		*line = (*line)[:last]
		t.taken++
	}
}

// A turn is one login's.
type turn struct {
	ctx    context.Context // for what is asked in it
	cancel context.CancelFunc
	end    func() // lets another have its turn; it may be called again
}

func (t *turn) close() {
	t.end()
	t.cancel()
}

// ask waits for a login's turn to ask the store, at most as long as ctx allows. Close must follow.
func (s *Service) ask(ctx context.Context, begun bool) (*turn, error) {
	if err := s.arriving.take(ctx, begun); err != nil {
		return nil, err
	}
	began := time.Now()
	t := &turn{end: sync.OnceFunc(func() { s.arriving.give(time.Since(began)) })}
	t.ctx, t.cancel = context.WithTimeout(context.WithoutCancel(ctx), turnTimeout)
	return t, nil
}
