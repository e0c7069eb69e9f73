package belfry

import (
	"context"
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// A flight is what one change tells pages, between the moment its places are made
// and the moment it is published or given up.
type flight struct {
	line    *line
	places  []ID
	after   ID          // published before it; zero where there is but one process
	publish func(i int) // set once it is stored
	news    []News      // for other nodes
	next    int         // of places, to be published
	reach   Reach       // of other nodes
	gone    chan struct{}
}

// A line brings all that has a place in the log into one order: whatever the
// order of their commits, flights are published in the order of their places, each
// when it is stored and nothing before it is still being stored. Since everything goes through
// one line, a page that was told of one place has been told of all lower ones, and a
// single cursor says where it stands.
//
// Where several nodes share a log, each has a line, and their places are those of one order: the store's. A node's
// own flights and those of others ([line.arrive]) say after which place they come, and wait for that to be
// published here.
//
// Publishing queues pointers and waits for nobody, so the line moves as fast as
// the store commits.
type line struct {
	ids   *IDSource
	now   func() time.Time
	log   *slog.Logger
	share func(Unit) Reach // tells other nodes of a flight of this one; nil where there are none
	ended <-chan struct{}  // closed when nobody looks any more for what other nodes have stored; nil where there are none

	mu         sync.Mutex
	flights    []*flight     // of this node, by their places
	foreign    []*flight     // of others, by their places
	publishing bool          // a goroutine is in advance
	told       ID            // all up to and including this place is published or given up
	moved      chan struct{} // closed when told moves, or nil while nobody waits
}

const (
	// breatheEvery is after how many publications of one flight the line lets others,
	// logins above all, have a look at it.
	breatheEvery = 32
	// maxForeign bounds the flights of other nodes that wait for one which does not come. Beyond it they are
	// given up: what they tell is in the store.
	maxForeign = 10_000
)

// newLine makes a line whose places are higher than told.
func newLine(ids *IDSource, told ID, now func() time.Time, log *slog.Logger) *line {
	return &line{ids: ids, now: now, log: log, told: told}
}

// book makes a flight of n places. It is not in the line before it departs. Either land or drop must
// follow.
func (l *line) book(n int) *flight {
	f := &flight{line: l, places: make([]ID, n), gone: make(chan struct{})}
	if n == 0 {
		close(f.gone)
	}
	return f
}

// depart puts a flight into the line, with places that are higher than after and all before. A flight may depart
// again: another process was first. One without places is not in the line, and waits for nobody.
func (f *flight) depart(after ID) {
	if len(f.places) == 0 {
		return
	}
	l := f.line
	l.mu.Lock()
	defer l.mu.Unlock()
	if i := slices.Index(l.flights, f); i >= 0 {
		l.flights = slices.Delete(l.flights, i, i+1)
	}
	f.after = after
	l.ids.After(after, l.now(), len(f.places), f.places[:0])
	l.flights = append(l.flights, f)
	l.advance()
}

// place departs and returns the first place.
func (f *flight) place(after ID) ID {
	f.depart(after)
	return f.places[0]
}

// land publishes a flight as soon as those before it are gone, waits for that, and
// returns the sum of what publish returned. Publish is called once for every place, in their
// order, with the line locked, and perhaps in the goroutine of another flight. News are for other nodes. Where what is before it
// will not come any more, since the line has ended, nothing is published.
func (f *flight) land(publish func(i int) int, news []News) (pages int) {
	if len(f.places) == 0 {
		return 0
	}
	l := f.line
	l.mu.Lock()
	f.publish = func(i int) { pages += publish(i) }
	f.news = news
	l.advance()
	l.mu.Unlock()
	select {
	case <-f.gone:
	case <-l.ended:
		if !f.giveUp() {
			<-f.gone // its turn has come
		}
	}
	return pages
}

// giveUp takes a flight out whose turn has not come, and reports whether it has not.
func (f *flight) giveUp() bool {
	l := f.line
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.Index(l.flights, f)
	if i >= 0 {
		l.flights = slices.Delete(l.flights, i, i+1)
	}
	return i >= 0
}

// drop takes a flight out that has not landed; those behind it move up.
func (f *flight) drop() {
	l := f.line
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.Index(l.flights, f)
	if i < 0 || f.publish != nil {
		return // it has landed, or never departed
	}
	l.flights = slices.Delete(l.flights, i, i+1)
	l.advance()
}

// doubt says that an error hides whether what a flight was to tell is stored. Those behind it may be of the same
// commit: they come after it, so that it is looked up in the store before. Drop follows.
func (f *flight) doubt() {
	l := f.line
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.Index(l.flights, f)
	if i < 0 || l.share == nil { // where there is but one process, nobody looks
		return
	}
	for _, behind := range l.flights[i+1:] {
		if behind.after.Compare(f.last()) < 0 {
			behind.after = f.last()
		}
	}
}

// arrive has a flight of another node published when what is before it is, up to the place after. What the
// line has been told of it otherwise is left out. Gone is closed when that has been done, or the flight is given
// up.
func (l *line) arrive(after ID, places []ID, publish func(i int)) *flight {
	f := &flight{line: l, places: places, after: after, publish: publish, gone: make(chan struct{})}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.foreign) == maxForeign {
		l.log.Warn("other nodes tell of more than this one can place; it reads the store instead")
		for _, waiting := range l.foreign {
			close(waiting.gone)
		}
		l.foreign = nil
	}
	i, _ := slices.BinarySearchFunc(l.foreign, f, func(a, b *flight) int { return a.last().Compare(b.last()) })
	l.foreign = slices.Insert(l.foreign, i, f)
	l.advance()
	return f
}

func (f *flight) last() ID { return f.places[len(f.places)-1] }

// at calls f at a moment when everything up to and including place has been
// published, and nothing after it.
func (l *line) at(f func(place ID)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(l.told)
}

// reach waits until everything up to and including a place has been published.
func (l *line) reach(ctx context.Context, place ID) error {
	for {
		l.mu.Lock()
		if l.told.Compare(place) >= 0 {
			l.mu.Unlock()
			return nil
		}
		if l.moved == nil {
			l.moved = make(chan struct{})
		}
		moved := l.moved
		l.mu.Unlock()
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// gap returns what is stored up to a place, last, and will not be published by this node's own flights, nor has
// another told of it yet. There is none while it is the turn of a flight of this node.
func (l *line) gap(last ID) (from, to ID, is bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	to = last
	if len(l.foreign) > 0 && l.foreign[0].after.Compare(to) < 0 {
		to = l.foreign[0].after
	}
	if len(l.flights) > 0 && l.flights[0].after.Compare(to) < 0 {
		to = l.flights[0].after
	}
	return l.told, to, to.Compare(l.told) > 0
}

// fill publishes what is stored up to a place, by a function that is called with the line locked and is given what is
// told already, unless what was missing has come.
func (l *line) fill(to ID, publish func(told ID)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.publishing || l.told.Compare(to) >= 0 {
		return
	}
	publish(l.told)
	l.told = to
	l.wakeWaiting()
	l.advance()
}

// wakeWaiting has those in reach look again. The line is locked.
func (l *line) wakeWaiting() {
	if l.moved != nil {
		close(l.moved)
		l.moved = nil
	}
}

// ready returns the flight whose turn it is. The line is locked.
//
// Nothing is stored between what a foreign flight says it comes after and its own places, so
// that a flight of this node with a lower place, which is not stored, never will be: it departs again.
func (l *line) ready() *flight {
	for len(l.foreign) > 0 {
		f := l.foreign[0]
		if f.last().Compare(l.told) > 0 {
			if f.after.Compare(l.told) <= 0 {
				l.foreign = l.foreign[1:]
				return f
			}
			break
		}
		l.foreign = l.foreign[1:]
		close(f.gone)
	}
	if len(l.flights) > 0 && l.flights[0].publish != nil && l.flights[0].after.Compare(l.told) <= 0 {
		f := l.flights[0]
		l.flights[0] = nil
		l.flights = l.flights[1:]
		return f
	}
	return nil
}

// advance publishes whatever may be. The line is locked.
func (l *line) advance() {
	if l.publishing {
		return
	}
	l.publishing = true
	defer func() { l.publishing = false }()
	for f := l.ready(); f != nil; f = l.ready() {
		before := l.told
		for f.next < len(f.places) {
			if f.places[f.next].Compare(l.told) > 0 {
				l.publishOne(f)
				l.told = f.places[f.next]
			}
			f.next++
			if f.next%breatheEvery == 0 {
				l.mu.Unlock()
				l.mu.Lock()
			}
		}
		if l.share != nil && f.news != nil {
			f.reach = l.share(Unit{After: before, Last: l.told, News: f.news})
		}
		close(f.gone)
		l.wakeWaiting()
	}
}

// publishOne keeps a panic to the publication that caused it: it may be another
// call's than the one whose goroutine this is, and those behind must not wait for ever.
func (l *line) publishOne(f *flight) {
	defer func() {
		if v := recover(); v != nil {
			l.log.Error("panic while publishing", "place", f.places[f.next], "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		}
	}()
	f.publish(f.next)
}
