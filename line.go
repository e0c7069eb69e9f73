package belfry

import (
	"fmt"
	"log/slog"
	"runtime/debug"
	"slices"
	"sync"
	"time"
)

// A flight is what one call tells pages, between the moment its places are made
// and the moment it is published or given up.
type flight struct {
	places  []ID
	publish func(i int) // set once it is stored
	next    int         // of places, to be published
	gone    chan struct{}
}

// A line brings all that has a place in the log into one order: whatever the
// order of their commits, flights are published in the order of their places, each
// when it is stored and nothing before it is still being stored. Since everything goes through
// one line, a page that was told of one place has been told of all lower ones, and a
// single cursor says where it stands.
//
// Publishing queues pointers and waits for nobody, so the line moves as fast as
// the store commits.
type line struct {
	ids *IDSource
	now func() time.Time
	log *slog.Logger

	mu         sync.Mutex
	flights    []*flight
	publishing bool // a goroutine is in advance
	told       ID   // all up to and including this place is published or given up
}

// breatheEvery is after how many publications of one flight the line lets others,
// logins above all, have a look at it.
const breatheEvery = 32

// newLine makes a line whose places are higher than last.
func newLine(ids *IDSource, now func() time.Time, log *slog.Logger) *line {
	return &line{ids: ids, now: now, log: log, told: ids.New(now())}
}

// depart makes n places and puts a flight for them into the line. Either land or
// drop must follow. A flight without places is not in the line, and waits for nobody.
func (l *line) depart(n int) *flight {
	f := &flight{places: make([]ID, n), gone: make(chan struct{})}
	if n == 0 {
		close(f.gone)
		return f
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	for i := range f.places {
		f.places[i] = l.ids.New(now)
	}
	l.flights = append(l.flights, f)
	return f
}

// land publishes a flight as soon as those before it are gone, waits for that, and
// returns the sum of what publish returned. Publish is called once for every place, in their
// order, with the line locked, and perhaps in the goroutine of another flight.
func (l *line) land(f *flight, publish func(i int) int) (pages int) {
	if len(f.places) == 0 {
		return 0
	}
	l.mu.Lock()
	f.publish = func(i int) { pages += publish(i) }
	l.advance()
	l.mu.Unlock()
	<-f.gone
	return pages
}

// drop takes a flight out that has not landed; those behind it move up.
func (l *line) drop(f *flight) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.Index(l.flights, f)
	if i < 0 || f.publish != nil {
		return // it has landed
	}
	l.flights = slices.Delete(l.flights, i, i+1)
	l.advance()
}

// at calls f at a moment when everything up to and including place has been
// published, and nothing after it.
func (l *line) at(f func(place ID)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(l.told)
}

// advance publishes from the head as far as flights are stored. The line is locked.
func (l *line) advance() {
	if l.publishing {
		return
	}
	l.publishing = true
	defer func() { l.publishing = false }()
	for len(l.flights) > 0 && l.flights[0].publish != nil {
		f := l.flights[0]
		for f.next < len(f.places) {
			l.publishOne(f)
			l.told = f.places[f.next]
			f.next++
			if f.next%breatheEvery == 0 {
				l.mu.Unlock()
				l.mu.Lock()
			}
		}
		l.flights[0] = nil
		l.flights = l.flights[1:]
		close(f.gone)
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
