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
