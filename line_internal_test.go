package belfry

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

func newTestLine() *line {
	return newLine(NewIDSource(), ID{}, time.Now, slog.New(slog.DiscardHandler))
}

// departed returns a flight of n places that is in the line.
func departed(l *line, n int) *flight {
	f := l.book(n)
	f.depart(ID{})
	return f
}

func TestWhatIsDoubtfulIsLookedUpBeforeWhatIsBehindIt(t *testing.T) {
	l := newTestLine()
	l.share = func(Unit) Reach { return Reach{} }
	lost, behind := departed(l, 1), departed(l, 1) // of one commit: both come after the same
	landed := make(chan struct{})
	go func() {
		behind.land(func(int) int { return 0 }, nil)
		close(landed)
	}()
	lost.doubt() // it is stored, and the answer was lost
	lost.drop()
	from, to, is := l.gap(behind.last())
	if !is || from != (ID{}) || to != lost.last() {
		t.Errorf("from %v to %v is looked up: %v", from, to, is)
	}
	l.fill(to, func(ID) {})
	<-landed
	if told := l.told; told != behind.last() {
		t.Errorf("all is told up to %v, want %v", told, behind.last())
	}
}

func TestALinePublishesInTheOrderOfDeparture(t *testing.T) {
	l := newTestLine()
	var mu sync.Mutex
	var published []ID
	var work sync.WaitGroup
	for g := range 8 {
		work.Go(func() {
			for i := range 200 {
				f := departed(l, 1+(g+i)%3*40) // some of them breathe
				if (g+i)%7 == 0 {
					f.drop()
					continue
				}
				pages := f.land(func(i int) int {
					mu.Lock()
					defer mu.Unlock()
					published = append(published, f.places[i])
					return 1
				}, nil)
				if pages != len(f.places) {
					t.Errorf("landed with %d pages, want %d", pages, len(f.places))
				}
			}
		})
	}
	stop := make(chan struct{})
	var looking sync.WaitGroup
	looking.Go(func() {
		var last ID
		for {
			select {
			case <-stop:
				return
			default:
			}
			l.at(func(place ID) {
				mu.Lock()
				defer mu.Unlock()
				if n := len(published); n > 0 && published[n-1].Compare(place) > 0 || place.Compare(last) < 0 {
					t.Errorf("the line says %s after %s", place, last)
				}
				last = place
			})
		}
	})
	work.Wait()
	close(stop)
	looking.Wait()
	if !slices.IsSortedFunc(published, ID.Compare) {
		t.Error("published out of order")
	}
	if len(l.flights) != 0 {
		t.Errorf("%d flights are left", len(l.flights))
	}
}

func TestAFlightThatIsDroppedLetsThoseBehindItGo(t *testing.T) {
	l := newTestLine()
	first, second := departed(l, 1), departed(l, 2)
	told := make(chan string, 2)
	done := make(chan int)
	go func() {
		done <- second.land(func(i int) int { told <- fmt.Sprint(i); return 1 }, nil)
	}()
	first.drop()
	if pages := <-done; pages != 2 || <-told+<-told != "01" {
		t.Errorf("landed with %d pages", pages)
	}
	second.drop() // it has landed
	l.at(func(place ID) {
		if place != second.places[1] {
			t.Errorf("told up to %s, want %s", place, second.places[1])
		}
	})
}

func TestAFlightWithoutPlacesWaitsForNobody(t *testing.T) {
	l := newTestLine()
	departed(l, 1)
	if pages := departed(l, 0).land(func(int) int { panic("nothing to publish") }, nil); pages != 0 {
		t.Errorf("landed with %d pages", pages)
	}
}

func TestAPanicInAPublicationIsLoggedAndHoldsUpNobody(t *testing.T) {
	var log strings.Builder
	l := newLine(NewIDSource(), ID{}, time.Now, slog.New(slog.NewTextHandler(&log, nil)))
	if pages := departed(l, 2).land(func(i int) int {
		if i == 0 {
			panic("wild")
		}
		return 1
	}, nil); pages != 1 {
		t.Errorf("landed with %d pages, want those of the other publication", pages)
	}
	if !strings.Contains(log.String(), "wild") {
		t.Errorf("the log is %q", log.String())
	}
}

func BenchmarkLine(b *testing.B) {
	l := newTestLine()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			departed(l, 1).land(func(int) int { return 1 }, nil)
		}
	})
}

// A place that is n places after the beginning.
func placeAt(n byte) ID { return ID{0: 0x70, 11: n} }

// arriving has places of another node told, and notes them.
func arriving(l *line, told *[]ID, after byte, places ...byte) *flight {
	var ids []ID
	for _, n := range places {
		ids = append(ids, placeAt(n))
	}
	return l.arrive(placeAt(after), ids, func(i int) { *told = append(*told, ids[i]) })
}

func wantTold(t *testing.T, l *line, told []ID, want ...byte) {
	t.Helper()
	var ids []ID
	for _, n := range want {
		ids = append(ids, placeAt(n))
	}
	if !slices.Equal(told, ids) {
		t.Errorf("told %v, want %v", told, ids)
	}
	l.at(func(place ID) {
		if len(ids) > 0 && place != ids[len(ids)-1] {
			t.Errorf("the line says %s, want %s", place, ids[len(ids)-1])
		}
	})
}

func gone(f *flight) bool {
	select {
	case <-f.gone:
		return true
	default:
		return false
	}
}

func TestFlightsOfOtherNodesWaitForWhatIsBeforeThem(t *testing.T) {
	l := newLine(NewIDSource(), placeAt(1), time.Now, slog.New(slog.DiscardHandler))
	var told []ID
	third := arriving(l, &told, 4, 5, 6)
	second := arriving(l, &told, 2, 3, 4)
	if gone(second) || gone(third) {
		t.Error("flights are published before what they come after")
	}
	arriving(l, &told, 1, 2)
	wantTold(t, l, told, 2, 3, 4, 5, 6)
	if !gone(second) || !gone(third) {
		t.Error("flights are published, and not gone")
	}
	if again := arriving(l, &told, 2, 3, 4); !gone(again) {
		t.Error("what was told already stays in the line")
	}
	arriving(l, &told, 4, 5, 6, 7) // of which a part is told
	wantTold(t, l, told, 2, 3, 4, 5, 6, 7)
}

func TestAGapIsWhatNobodyInTheLineWillTell(t *testing.T) {
	l := newLine(NewIDSource(), placeAt(1), time.Now, slog.New(slog.DiscardHandler))
	wantGap := func(last byte, want byte) {
		t.Helper()
		from, to, is := l.gap(placeAt(last))
		if is != (want > 0) || is && (from != placeAt(1) || to != placeAt(want)) {
			t.Errorf("up to %d the gap is %s to %s (%v), want up to %d", last, from, to, is, want)
		}
	}
	wantGap(1, 0)
	wantGap(5, 5)
	var told []ID
	arriving(l, &told, 4, 5)
	wantGap(5, 4)
	own := l.book(1)
	own.depart(placeAt(3))
	wantGap(5, 3)
	own.depart(placeAt(1)) // it is its turn, as soon as it is stored
	wantGap(5, 0)
	own.drop()
	wantGap(5, 4)
	l.fill(placeAt(4), func(after ID) {
		if told = append(told, placeAt(4)); after != placeAt(1) {
			t.Errorf("the gap is said to begin at %s", after)
		}
	})
	wantTold(t, l, told, 4, 5)
	l.fill(placeAt(4), func(ID) { t.Error("what is told is filled again") })
}

// TestAFlightThatWasOvertakenHoldsUpNobody has a flight with a low place, which another node was before: the other's flight
// follows what is told, so that the place of the first can never be stored.
func TestAFlightThatWasOvertakenHoldsUpNobody(t *testing.T) {
	l := newLine(NewIDSource(), placeAt(1), time.Now, slog.New(slog.DiscardHandler))
	own := l.book(1)
	own.depart(placeAt(1))
	stale := own.places[0]
	var told []ID
	if other := arriving(l, &told, 1, 2, 3); !gone(other) {
		t.Error("the other node's flight waits for one that was overtaken")
	}
	own.depart(placeAt(3))
	if own.places[0].Compare(stale) <= 0 || own.places[0].Compare(placeAt(3)) <= 0 {
		t.Errorf("it departs again at %s after %s", own.places[0], stale)
	}
	var units []Unit
	l.share = func(u Unit) Reach { units = append(units, u); return Reach{Here: 7} }
	news := []News{{LogEntry: LogEntry{Place: own.places[0]}}}
	own.land(func(int) int { return 1 }, news)
	if len(units) != 1 || units[0].After != placeAt(3) || units[0].Last != own.places[0] || own.reach.Here != 7 {
		t.Errorf("other nodes are told %+v", units)
	}
}

func TestOtherNodesFlightsAreGivenUpWhereTheyAreTooMany(t *testing.T) {
	l := newLine(NewIDSource(), placeAt(1), time.Now, slog.New(slog.DiscardHandler))
	var first *flight
	for i := range maxForeign + 1 {
		f := l.arrive(placeAt(2), []ID{{0: 0x71, 8: byte(i >> 8), 9: byte(i)}}, func(int) { t.Error("it is told") })
		if i == 0 {
			first = f
		}
	}
	if !gone(first) || len(l.foreign) != 1 {
		t.Errorf("%d wait", len(l.foreign))
	}
}
