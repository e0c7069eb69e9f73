package belfry_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"belfry"
)

// missMuch logs ann in and out and then pushes n activities of five kilobytes, each with a message
// to her. It returns where she was, and what she has missed.
func missMuch(b *bench, n int) (at belfry.Cursor, missed string) {
	p, w := b.login(ann)
	b.logout(ann, p)
	filling := strings.Repeat("x", 5000)
	for i := range n {
		title := fmt.Sprint(i, "-")
		b.send(belfry.Push{Message: belfry.Message{Title: title, Company: "acme"}, Receivers: []belfry.UserID{"1"}})
		_, err := b.PushActivity(context.Background(), belfry.ActivityPush{Activity: belfry.Activity{Company: "acme", Title: title, Content: filling}}, nil)
		if err != nil {
			b.t.Fatal(err)
		}
		missed += title + " " + title + filling + " "
	}
	return w.Cursor, missed
}

// notKept fails the test if more than some kilobytes of what was missed were read at once, the
// first time left aside: then it must be known how much it is.
func notKept(t *testing.T, b *bench, steps *int) {
	const most = 70_000
	b.store.set(func(s *shakyStore) {
		s.since = func() (func([]belfry.LogEntry), error) {
			return func(entries []belfry.LogEntry) {
				size := 0
				for _, e := range entries {
					if e.Activity != nil {
						size += len(e.Activity.Content)
					}
				}
				if *steps++; *steps > 1 && size > most {
					t.Errorf("%d bytes were read at once", size)
				}
			}, nil
		}
	})
}

func TestAPageIsToldMuchInSteps(t *testing.T) {
	b := newBench(t)
	at, missed := missMuch(b, 40)
	steps := 0
	notKept(t, b, &steps)
	p, w := b.login(ann, from(at))
	b.record("live", "acme")
	wantTold(t, p, missed+"live ")
	if w.Replayed != 80 || w.Reset || steps < 4 {
		t.Errorf("it is welcomed with %+v after %d steps", w, steps)
	}
	seen := make(map[belfry.Cursor]bool)
	for _, e := range withPlaces(p.all()) {
		if seen[e.cursor] {
			t.Errorf("two events have the cursor %v", e.cursor)
		}
		seen[e.cursor] = true
	}
	// Nothing of it waits any more.
	b.store.set(func(s *shakyStore) { s.since = nil })
	b.logout(ann, p)
	if again, _ := b.login(ann); again.story() != "" {
		t.Errorf("it is told %q", again.story())
	}
}

func TestAPageThatTakesItsTimeIsNotHeldAndHoldsUpNoOtherOfItsUser(t *testing.T) {
	b := newBench(t)
	at, missed := missMuch(b, 40)
	slow := b.hub.newPage()
	waits, goOn := make(chan struct{}), make(chan struct{})
	told := 0
	slow.pace = func() bool {
		if told++; told == 40 {
			close(waits)
			<-goOn
		}
		return true
	}
	done := make(chan error, 1)
	login, tooLate := context.WithCancel(context.Background())
	go func() {
		_, err := b.Login(login, ann, slow, from(at))
		done <- err
	}()
	<-waits
	// What comes meanwhile has not to be kept, however much that is.
	b.hub.mu.Lock()
	if slow.held {
		t.Error("the page is held")
	}
	b.hub.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	other := b.hub.newPage()
	if _, err := b.Login(ctx, ann, other, from(at)); err != nil || other.story() != missed {
		t.Errorf("the other page is told %d bytes, %v", len(other.story()), err)
	}
	b.record("live", "acme")
	tooLate() // for a login that tells nothing
	close(goOn)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	wantTold(t, slow, missed+"live ")
}

func TestWhoIsLostOnTheWayGoesOnFromThere(t *testing.T) {
	for name, lose := range map[string]func(b *bench, p *page){
		"the page": func(_ *bench, p *page) {
			told := 0
			p.pace = func() bool { told++; return told < 40 }
		},
		"the log": func(b *bench, p *page) {
			steps := 0
			b.store.set(func(s *shakyStore) {
				s.since = func() (func([]belfry.LogEntry), error) {
					if steps++; steps > 3 {
						return nil, errors.New("no log")
					}
					b.record("live", "acme") // published while the page is held
					return func([]belfry.LogEntry) {}, nil
				}
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			at, missed := missMuch(b, 40)
			p := b.hub.newPage()
			lose(b, p)
			if _, err := b.Login(context.Background(), ann, p, from(at)); err == nil {
				t.Fatal("it is logged in")
			}
			p.close()
			b.store.set(func(s *shakyStore) { s.since = nil })
			first := p.story()
			if n := len(first); n == 0 || n >= len(missed) || !strings.HasPrefix(missed, first) {
				t.Fatalf("it is told %d bytes of %d: %q", n, len(missed), first)
			}
			back, _ := b.login(ann, from(p.cursor()))
			if got := strings.ReplaceAll(first+back.story(), "live ", ""); got != missed {
				t.Errorf("in both lives it is told %q", got)
			}
			if n, err := b.Online(context.Background(), "acme"); err != nil || n.Pages != 1 {
				t.Errorf("online are %+v, %v", n, err)
			}
		})
	}
}
