package load

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
)

// A witness judges what one page gets of its streams. It is for one goroutine at a time.
type witness struct {
	streams []*stream
	seen    []progress // of each stream
	gaps    []gap      // what has been passed over and may still come, out of order
	loginAt int        // how many gaps there were when the login began
	until   []uint32   // where the page leaves: what had been answered then
	faults  *faults
	page    int
}

// progress is how far a page has come in a stream.
type progress struct {
	last  uint32 // the last that came; what is not higher must not come
	floor uint32 // up to here publications need not come; open while that is not known
}

// open stands for a floor that is set by what comes next, or by the welcome.
const open = math.MaxUint32

// A gap is a range of publications that were passed over.
type gap struct {
	stream     int
	from, upTo uint32
}

// faults counts what witnesses have found, and keeps the first descriptions.
type faults struct {
	lost, doubled, reordered, misdelivered, unknown atomic.Uint64

	mu    sync.Mutex
	first []string
}

// maxFirst bounds the descriptions that are kept.
const maxFirst = 10

func (f *faults) note(count *atomic.Uint64, n uint64, format string, args ...any) {
	count.Add(n)
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.first) < maxFirst {
		f.first = append(f.first, fmt.Sprintf(format, args...))
	}
}

func (f *faults) total() uint64 {
	return f.lost.Load() + f.doubled.Load() + f.reordered.Load() + f.misdelivered.Load() + f.unknown.Load()
}

// maxGaps bounds the gaps of a page. Beyond them what has not come is lost, and doubled if
// it comes after all.
const maxGaps = 1000

func newWitness(page int, streams []*stream, f *faults) *witness {
	w := &witness{streams: streams, seen: make([]progress, len(streams)), faults: f, page: page}
	for i := range w.seen {
		w.seen[i].floor = open
	}
	return w
}

// login says that the page begins to log in, with resuming that it asks for what it has
// missed.
func (w *witness) login(resuming bool) {
	w.loginAt, w.until = len(w.gaps), nil
	for i, s := range w.streams {
		p := &w.seen[i]
		if resuming && s.stored {
			continue // it goes on where it was
		}
		p.floor = open
		if !s.replayed {
			p.last = max(p.last, s.answered.Load()) // too early for it
		}
	}
}

// fresh says that the server does not tell the page what it has missed though it asked.
func (w *witness) fresh() {
	w.gaps = w.gaps[:min(w.loginAt, len(w.gaps))]
	for i := range w.seen {
		w.seen[i].floor = open
	}
}

// welcome says that the page knows that it is logged in.
func (w *witness) welcome() {
	for i, s := range w.streams {
		if p := &w.seen[i]; p.floor == open {
			p.floor = s.sent.Load()
		}
	}
}

// take judges a publication that has come.
func (w *witness) take(i int, seq uint32) {
	s, p := w.streams[i], &w.seen[i]
	switch {
	case seq == 0 || seq > s.sent.Load():
		w.faults.note(&w.faults.unknown, 1, "page %d: stream %d: got %d, which nobody has pushed", w.page, i, seq)
		return
	case seq <= p.last && w.fill(i, seq):
		w.faults.note(&w.faults.reordered, 1, "page %d: stream %d: got %d after %d", w.page, i, seq, p.last)
		return
	case seq <= p.last:
		w.faults.note(&w.faults.doubled, 1, "page %d: stream %d: got %d again, or too late, after %d", w.page, i, seq, p.last)
		return
	}
	if p.floor == open {
		if !s.replayed {
			p.floor = seq // it is in the room: from here on all must come
		}
	} else if passed := max(p.last, p.floor); seq > passed+1 {
		w.pass(i, passed+1, seq-1)
	}
	p.last = seq
}

// pass notes publications that did not come in their turn.
func (w *witness) pass(i int, from, upTo uint32) {
	if len(w.gaps) >= maxGaps {
		w.cut()
	}
	if w.streams[i].sure(from-1, upTo) > 0 {
		w.gaps = append(w.gaps, gap{i, from, upTo})
	}
}

// fill takes a publication out of the gaps.
func (w *witness) fill(i int, seq uint32) bool {
	for k, g := range w.gaps {
		if g.stream != i || seq < g.from || seq > g.upTo {
			continue
		}
		w.gaps = append(w.gaps[:k], w.gaps[k+1:]...)
		if k < w.loginAt {
			w.loginAt--
		}
		if seq > g.from {
			w.gaps = append(w.gaps, gap{i, g.from, seq - 1})
		}
		if seq < g.upTo {
			w.gaps = append(w.gaps, gap{i, seq + 1, g.upTo})
		}
		return true
	}
	return false
}

// owed returns how many publications have been answered that the page should have and
// has not, gaps left aside.
func (w *witness) owed() (n uint64) {
	for i, s := range w.streams {
		n += s.sure(w.seen[i].passed(), w.due(i))
	}
	return n
}

// due is the last publication of a stream that the page should get.
func (w *witness) due(i int) uint32 {
	if w.until != nil {
		return w.until[i]
	}
	return w.streams[i].answered.Load()
}

// leave says that the page leaves: it is owed what has been answered up to now.
func (w *witness) leave() {
	w.until = make([]uint32, len(w.streams))
	for i, s := range w.streams {
		w.until[i] = s.answered.Load()
	}
}

func (p progress) passed() uint32 { return max(p.last, p.floor) }

// cut says that the page's connection has ended before it had all: what was passed over will not
// come any more.
func (w *witness) cut() {
	for _, g := range w.gaps {
		if n := w.streams[g.stream].sure(g.from-1, g.upTo); n > 0 {
			w.faults.note(&w.faults.lost, n, "page %d: stream %d: %d to %d did not come", w.page, g.stream, g.from, g.upTo)
		}
	}
	w.gaps, w.loginAt = w.gaps[:0], 0
}

// settle says that nothing follows: what the page is owed is lost.
func (w *witness) settle() {
	w.cut()
	for i, s := range w.streams {
		passed, answered := w.seen[i].passed(), w.due(i)
		if n := s.sure(passed, answered); n > 0 {
			w.faults.note(&w.faults.lost, n, "page %d: stream %d: %d of %d to %d did not come", w.page, i, n, passed+1, answered)
		}
		w.seen[i].floor = open // told once
	}
}
