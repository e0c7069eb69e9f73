package belfry

import (
	"context"
	"slices"
	"sync"
	"time"
)

const (
	// maxArriving bounds the logins that ask the store at the same time: where pages come back faster than it answers, some are
	// let in and the others wait, instead of all taking longer than they have.
	maxArriving = 16
	// turnTimeout bounds what a login asks in one turn, from when it has it: a store that is slow lets fewer in, but what it was
	// asked for is not in vain because others were before.
	turnTimeout = 15 * time.Second
)

// turns are those of logins to ask the store. Who has asked before comes first: otherwise it would have asked in vain where its time is over
// while it waits. It is safe for concurrent use.
type turns struct {
	mu    sync.Mutex
	taken int
	begun []chan struct{} // who waits, in order: those who have asked before,
	fresh []chan struct{} // and those who have not
}

// take waits for a turn, at most as long as ctx allows. Give must follow, unless it fails.
func (t *turns) take(ctx context.Context, begun bool) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t.mu.Lock()
	if t.taken < maxArriving {
		t.taken++
		t.mu.Unlock()
		return nil
	}
	line := &t.fresh
	if begun {
		line = &t.begun
	}
	mine := make(chan struct{})
	*line = append(*line, mine)
	t.mu.Unlock()
	select {
	case <-mine:
		return nil
	case <-ctx.Done():
	}
	t.mu.Lock()
	i := slices.Index(*line, mine)
	if i >= 0 {
		*line = slices.Delete(*line, i, i+1)
	}
	t.mu.Unlock()
	if i < 0 { // its turn came just then
		t.give()
	}
	return ctx.Err()
}

// give hands a turn on.
func (t *turns) give() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, line := range []*[]chan struct{}{&t.begun, &t.fresh} {
		if len(*line) > 0 {
			close((*line)[0])
			*line = slices.Delete(*line, 0, 1)
			return
		}
	}
	t.taken--
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
	t := &turn{end: sync.OnceFunc(s.arriving.give)}
	t.ctx, t.cancel = context.WithTimeout(context.WithoutCancel(ctx), turnTimeout)
	return t, nil
}
