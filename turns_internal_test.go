package belfry

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// allTaken are turns of which none is left.
func allTaken(t *testing.T) *turns {
	t.Helper()
	var all turns
	for range maxArriving {
		if err := all.take(t.Context(), false); err != nil {
			t.Fatal(err)
		}
	}
	return &all
}

func TestWhoHasAskedBeforeComesFirstAndOfTheRestTheNewest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := allTaken(t)
		var order []int
		for i, begun := range []bool{false, true, false, true} {
			go func() {
				if all.take(t.Context(), begun) == nil {
					order = append(order, i)
				}
			}()
			synctest.Wait() // they wait in the order in which they came
		}
		for range 4 {
			all.give(0)
			synctest.Wait()
		}
		if want := []int{3, 1, 2, 0}; !slices.Equal(order, want) {
			t.Errorf("they had their turns in the order %v, want %v", order, want)
		}
		for range maxArriving {
			all.give(0)
		}
		if all.taken != 0 {
			t.Errorf("%d turns were not given back", all.taken)
		}
	})
}

func TestSlowTurnsLeaveFewerAtATimeAndQuickOnesMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := allTaken(t)
		const waiting = 100
		for range waiting {
			go all.take(t.Context(), false)
		}
		synctest.Wait()
		wantTaken := func(want int) {
			t.Helper()
			if synctest.Wait(); all.taken != want {
				t.Errorf("%d turns are taken, want %d", all.taken, want)
			}
		}
		for n := maxArriving; n > minArriving; n-- {
			wantTaken(n)
			all.give(slowTurn + 1)
		}
		all.give(slowTurn + 1)
		wantTaken(minArriving) // not fewer
		all.give(slowTurn)
		wantTaken(minArriving) // neither slow nor quick
		for n := minArriving; n < maxArriving; n++ {
			all.give(slowTurn/2 - 1)
			wantTaken(n + 1)
		}
		all.give(0)
		wantTaken(maxArriving) // not more
		for len(all.fresh) > 0 || all.taken > 0 {
			all.give(0)
			synctest.Wait()
		}
	})
}

func TestWhoseTimeIsOverTakesNoTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		all := allTaken(t)
		for _, begun := range []bool{false, true} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if err := all.take(ctx, begun); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("its time is over: %v", err)
			}
		}
		// A turn that comes as the time ends is taken or handed on.
		for range 1000 {
			ctx, cancel := context.WithCancel(t.Context())
			ended := make(chan error)
			go func() { ended <- all.take(ctx, false) }()
			synctest.Wait()
			go cancel()
			all.give(0)
			if <-ended != nil && all.take(t.Context(), false) != nil {
				t.Fatal("a turn is lost")
			}
			synctest.Wait()
		}
		if all.taken != maxArriving || len(all.begun) != 0 || len(all.fresh) != 0 {
			t.Errorf("%d turns are taken, want %d; %d wait", all.taken, maxArriving, len(all.begun)+len(all.fresh))
		}
	})
}

// TestATurnHasATimeOfItsOwn has the time for waiting be over as soon as the turn has come.
func TestATurnHasATimeOfItsOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Service{}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		turn, err := s.ask(ctx, false)
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if <-turn.ctx.Done(); time.Since(began) != turnTimeout {
			t.Errorf("the turn was over after %v, want %v", time.Since(began), turnTimeout)
		}
		turn.close()
		turn.close()
		if s.arriving.taken != 0 {
			t.Errorf("%d turns are taken", s.arriving.taken)
		}
	})
}
