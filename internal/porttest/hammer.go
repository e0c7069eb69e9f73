package porttest

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"belfry"
)

// testHammer hammers, and in the end the counts are what a recount of the
// inbox says.
func testHammer(t *testing.T, f *fixture) {
	hammer(t, f)
	f.recount(ann)
	f.recount(annOther)
}

// hammer changes two inboxes of one user from many goroutines while others
// count. Every goroutine sees versions that never go back, and one version
// stands for one state.
func hammer(t *testing.T, f *fixture) {
	const writers, rounds = 8, 25
	seen := &observations{states: make(map[string]string)}
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			who := []belfry.Identity{ann, annOther}[w%2]
			if err := hammerOne(f, seen, who, w, rounds); err != nil {
				t.Error(err)
			}
		})
	}
	stop := make(chan struct{})
	var counting sync.WaitGroup
	for _, who := range []belfry.Identity{ann, annOther} {
		counting.Go(func() {
			var last int64
			for {
				select {
				case <-stop:
					return
				default:
				}
				c, err := f.Counts(context.Background(), who)
				if err == nil {
					err = seen.note(who, &last, c)
				}
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writing.Wait()
	close(stop)
	counting.Wait()
}

// hammerOne adds messages and marks some read and seen.
func hammerOne(f *fixture, seen *observations, who belfry.Identity, w, rounds int) error {
	ctx := context.Background()
	var last int64
	for i := range rounds {
		batch := []belfry.Message{
			f.message(who.User, who.Company, belfry.MessageType(1+w%3)),
			f.message(who.User, "", belfry.MessageType(1+i%3)),
		}
		if err := f.AddMessages(ctx, batch); err != nil {
			return err
		}
		if err := f.MarkDelivered(ctx, who.User, []belfry.ID{batch[0].ID}); err != nil {
			return err
		}
		if i%3 == 0 {
			continue
		}
		c, err := f.MarkRead(ctx, who, []belfry.ID{batch[i%2].ID})
		if err == nil {
			err = seen.note(who, &last, c)
		}
		if err != nil {
			return err
		}
		if i%5 == 1 {
			c, err = f.MarkSeen(ctx, who, batch[0].ID)
			if err == nil {
				err = seen.note(who, &last, c)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// observations are the counts that goroutines were told.
type observations struct {
	mu     sync.Mutex
	states map[string]string // by identity and version
}

// note checks counts against the version that the goroutine saw last and
// against what others saw under the same version.
func (o *observations) note(who belfry.Identity, last *int64, c belfry.Counts) error {
	if c.Version < *last {
		return fmt.Errorf("%v: the version went back from %d to %d", who, *last, c.Version)
	}
	*last = c.Version
	key, state := fmt.Sprint(who, c.Version), fmt.Sprint(c)
	o.mu.Lock()
	defer o.mu.Unlock()
	if other, ok := o.states[key]; ok && other != state {
		return fmt.Errorf("%v: version %d stands for %s and for %s", who, c.Version, other, state)
	}
	o.states[key] = state
	return nil
}

// recount compares the counts with the inbox itself.
func (f *fixture) recount(who belfry.Identity) {
	f.t.Helper()
	want := byType{}
	unread := 0
	var before belfry.ID
	for {
		page, err := f.Inbox(context.Background(), who, before, 100)
		if err != nil {
			f.t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		for _, m := range page {
			before = m.ID
			if !m.IsRead {
				unread++
				want[m.Type]++
			}
		}
	}
	got := f.counts(who)
	wantCounts(f.t, got, unread, got.Unseen, want)
	if got.Unread == 0 || got.Unseen > got.Unread {
		f.t.Errorf("counts are %+v", got)
	}
}
