package belfry

import (
	"context"
	"sync"
)

// A gate lets one goroutine at a time have a name, within this process. The zero
// gate is open.
type gate struct {
	mu   sync.Mutex
	busy map[string]chan struct{} // closed when the name is free
}

// enter waits until nobody else has the name. leave must follow, unless it fails
// because ctx has ended.
func (g *gate) enter(ctx context.Context, name string) error {
	for {
		g.mu.Lock()
		other, taken := g.busy[name]
		if !taken {
			if g.busy == nil {
				g.busy = make(map[string]chan struct{})
			}
			g.busy[name] = make(chan struct{})
			g.mu.Unlock()
			return nil
		}
		g.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (g *gate) leave(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.busy[name])
	delete(g.busy, name)
}
