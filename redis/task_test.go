package redis

import (
	"slices"
	"sync"
	"testing"
)

func TestWhatIsWantedSoonComesFirstAndTheRestHasItsTurn(t *testing.T) {
	p := &Presence{}
	q := queue[int]{some: sync.NewCond(&p.mu)}
	for i := range 100 {
		q.push(-i, later)
	}
	for i := range 20 {
		q.push(i+1, soon)
	}
	if got, want := q.take(p, 8), []int{1, 2, 3, 4, 5, 6, 7, 8, 0, -1}; !slices.Equal(got, want) {
		t.Errorf("took %v, want %v", got, want)
	}
	q.take(p, 8)
	if got, want := q.take(p, 8), []int{17, 18, 19, 20, -4, -5, -6, -7}; !slices.Equal(got, want) {
		t.Errorf("took %v, want %v", got, want)
	}
}
