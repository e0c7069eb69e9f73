package engineio

import (
	"runtime"
	"sync/atomic"
)

// idleWorkersPerProcessor bounds the goroutines that are kept for the next
// connection that has something to be read. Their stacks have grown to what
// handlers need.
const idleWorkersPerProcessor = 16

// The workers read what has arrived on connections and run what is to be done
// about it. Whatever they wait for holds up nobody else: where none is idle there is one more.
type workers struct {
	work    chan watched // not buffered: only who is idle takes from it
	idle    atomic.Int32
	maxIdle int32
	done    chan struct{}
}

func newWorkers() *workers {
	return &workers{
		work:    make(chan watched),
		maxIdle: int32(idleWorkersPerProcessor * runtime.GOMAXPROCS(0)),
		done:    make(chan struct{}),
	}
}

// serve has what has arrived on c read, at once.
func (w *workers) serve(c watched) {
	select {
	case w.work <- c:
	default:
		go w.run(c)
	}
}

func (w *workers) run(c watched) {
	for {
		c.serve()
		if w.idle.Add(1) > w.maxIdle {
			w.idle.Add(-1)
			return
		}
		select {
		case c = <-w.work:
			w.idle.Add(-1)
		case <-w.done:
			return
		}
	}
}

func (w *workers) stop() { close(w.done) }
