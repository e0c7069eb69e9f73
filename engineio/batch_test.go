package engineio

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A book notes what is written to its pages, in order. The first write waits until the
// book is opened.
type book struct {
	opened chan struct{}
	mu     sync.Mutex
	lines  []bookLine
}

type bookLine struct {
	page int
	text string
}

type bookPage struct {
	book   *book
	number int
}

func (p bookPage) TryWrite(b []byte) (int, error) { return len(b), p.Write(b) }

func (p bookPage) Write(b []byte) error {
	<-p.book.opened
	p.book.mu.Lock()
	defer p.book.mu.Unlock()
	p.book.lines = append(p.book.lines, bookLine{p.number, string(b)})
	return nil
}

func (bookPage) Finish() error { return nil }
func (bookPage) Close() error  { return nil }

// openBook makes a server with one flusher and n sessions whose open packets are
// written; what is written from now on waits until the book is opened.
func openBook(t *testing.T, n int) (*Server, []*Session, *book) {
	return openBookWith(t, n, slow)
}

func openBookWith(t *testing.T, n int, o Options) (*Server, []*Session, *book) {
	engine := NewServer(o, func(*Session) Receiver { return deaf{} })
	engine.flushers = engine.flushers[:1]
	opened := make(chan struct{})
	close(opened)
	b := &book{opened: opened}
	sessions := make([]*Session, n)
	for i := range sessions {
		link, ok := engine.Attach(bookPage{b, i}, Protocol4, &Handshake{})
		if !ok {
			t.Fatal("refused")
		}
		sessions[i] = link.session
	}
	for _, s := range sessions {
		eventually(t, "the open packet is written", func() bool {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.turn == 0
		})
	}
	b.lines, b.opened = nil, make(chan struct{})
	t.Cleanup(func() { shutdown(t, engine) })
	return engine, sessions, b
}

// read opens the book and returns its lines when n have been written.
func (b *book) read(t *testing.T, n int) []bookLine {
	t.Helper()
	close(b.opened)
	var lines []bookLine
	eventually(t, "all is written", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		lines = slices.Clone(b.lines)
		return len(lines) >= n
	})
	return lines
}

func frameOf(text string) *Frame { return NewFrame(Protocol4, Message{Data: []byte(text)}) }

func TestOneSessionDoesNotWaitForABatch(t *testing.T) {
	const n = 5000
	engine, sessions, b := openBook(t, n)
	batch, news := engine.NewBatch(), frameOf("news")
	for _, s := range sessions[:n-1] {
		if !batch.Send(s, news) {
			t.Fatal("refused")
		}
	}
	batch.Flush()
	outside, inside := n-1, n-2 // of the batch
	sessions[outside].Send(frameOf("for you"))
	sessions[inside].Send(frameOf("for you too"))
	lines := b.read(t, n)
	for _, who := range []int{outside, inside} {
		// One run may be on its way, and those that were sent to before come first.
		if at := slices.IndexFunc(lines, func(l bookLine) bool { return l.page == who }); at > runSize+1 {
			t.Errorf("session %d is written to as the %d. of %d", who, at, n)
		}
	}
	if len(lines) != n {
		t.Errorf("%d writes, want one for each of %d sessions", len(lines), n)
	}
	for _, l := range lines {
		switch {
		case l.page == inside && strings.Index(l.text, "news") < strings.Index(l.text, "for you too"):
		case l.page == outside && strings.Contains(l.text, "for you"):
		case l.page < inside && strings.Contains(l.text, "news"):
		default:
			t.Errorf("session %d gets %q", l.page, l.text)
		}
	}
}

func TestBatchesTakeTurns(t *testing.T) {
	const large, small = 3000, 100
	engine, sessions, b := openBook(t, large+small)
	f := frameOf("x")
	for _, part := range [][]*Session{sessions[:large], sessions[large:]} {
		batch := engine.NewBatch()
		for _, s := range part {
			batch.Send(s, f)
		}
		batch.Flush()
	}
	lines := b.read(t, large+small)
	last := 0
	for i, l := range lines {
		if l.page >= large {
			last = i
		}
	}
	if most := 2*small + 3*runSize; last > most {
		t.Errorf("the small batch is done after %d writes, want at most %d", last, most)
	}
}

// Whatever way frames take, and however often a session is listed, each session gets
// all of its own once and in order.
func TestBatchesKeepTheOrderOfASession(t *testing.T) {
	const n, senders, rounds = 64, 4, 300
	engine, sessions, b := openBook(t, n)
	close(b.opened)
	var sending sync.WaitGroup
	for k := range senders { // each has sessions of its own
		sending.Go(func() {
			batch := engine.NewBatch()
			for i := range rounds {
				f := frameOf("<" + string(rune('a'+i%26)) + ">")
				for j := k; j < n; j += senders {
					if (i+j)%3 == 0 {
						sessions[j].Send(f)
					} else {
						batch.Send(sessions[j], f)
					}
				}
				batch.Flush()
			}
		})
	}
	sending.Wait()
	var want strings.Builder
	for i := range rounds {
		want.WriteString("<" + string(rune('a'+i%26)) + ">")
	}
	got := make([]string, n)
	eventually(t, "all is written", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		clear(got)
		for _, l := range b.lines {
			got[l.page] += l.text
		}
		for _, text := range got {
			if strings.Count(text, "<") < rounds {
				return false
			}
		}
		return true
	})
	for i, text := range got {
		text = strings.Map(func(r rune) rune {
			if r == '<' || r == '>' || r >= 'a' && r <= 'z' {
				return r
			}
			return -1
		}, text)
		if text != want.String() {
			t.Errorf("session %d got %q", i, text)
		}
	}
}

// However long the others take when the flusher breathes, it has half of the time.
func TestAFlusherWorksForAsLongAsItsBreathTook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var resting time.Duration
		f := newFlusher(0, &busyFlushers{all: 1}, nil)
		f.busy.count.Store(1)
		f.breath = func() {
			time.Sleep(7 * time.Millisecond)
			resting += 7 * time.Millisecond
		}
		start := time.Now()
		for range 10_000 {
			time.Sleep(10 * time.Microsecond) // a write
			f.breathe()
		}
		if took := time.Since(start); resting == 0 || resting > took/2+7*time.Millisecond {
			t.Errorf("it rested for %v of %v", resting, took)
		}
		// Where others have work for one of several processors, they need no breath.
		f.busy.count.Store(0)
		before := resting
		for range 10_000 {
			time.Sleep(10 * time.Microsecond)
			f.breathe()
		}
		if resting != before {
			t.Error("it rested although a processor was free")
		}
	})
}
