package server

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func TestPagesAreAskedForATokenAndEndedInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		said := make(map[*page]string)
		e := newExpiry(
			func(p *page, expires time.Time) { said[p] += fmt.Sprintf("warned at %v ", time.Since(start)) },
			func(p *page) { said[p] += fmt.Sprintf("ended at %v ", time.Since(start)) },
		)
		defer e.close()
		in := func(d time.Duration) time.Time { return start.Add(d) }
		long, short, renewed, gone, never := &page{}, &page{}, &page{}, &page{}, &page{}
		e.watch(long, in(time.Hour))
		e.watch(short, in(40*time.Second))
		e.watch(renewed, in(10*time.Minute))
		e.watch(gone, in(10*time.Minute))
		e.watch(never, time.Time{})
		time.Sleep(9*time.Minute + 30*time.Second)
		e.watch(renewed, in(2*time.Hour))
		e.forget(gone)
		e.forget(gone)
		e.forget(never)
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		for p, want := range map[*page]string{
			long:    "warned at 59m0s ended at 1h0m5s ",
			short:   "warned at 20s ended at 45s ",
			renewed: "warned at 9m0s warned at 1h59m0s ended at 2h0m5s ",
			gone:    "warned at 9m0s ",
			never:   "",
		} {
			if said[p] != want {
				t.Errorf("it was %q, want %q", said[p], want)
			}
		}
		if len(e.queue) != 0 {
			t.Errorf("%d pages are left", len(e.queue))
		}
	})
}

func TestEveryPageIsEndedOnceWhateverTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		ended := make(map[*page]int)
		e := newExpiry(func(*page, time.Time) {}, func(p *page) {
			mu.Lock()
			defer mu.Unlock()
			ended[p]++
		})
		defer e.close()
		var pages []*page
		for range 500 {
			p := &page{}
			pages = append(pages, p)
			e.watch(p, time.Now().Add(time.Duration(1+rand.IntN(10_000))*time.Second))
		}
		forgotten := 0
		for i := range 2000 {
			p := pages[rand.IntN(len(pages))]
			mu.Lock()
			done := ended[p] != 0
			mu.Unlock()
			switch {
			case done:
			case i%10 == 0:
				e.forget(p)
				mu.Lock()
				ended[p], forgotten = -1, forgotten+1
				mu.Unlock()
			default:
				e.watch(p, time.Now().Add(time.Duration(1+rand.IntN(10_000))*time.Second))
			}
		}
		time.Sleep(20_000 * time.Second)
		synctest.Wait()
		for _, p := range pages {
			if n := ended[p]; n != 1 && n != -1 {
				t.Errorf("a page was ended %d times", n)
			}
		}
		if forgotten == 0 {
			t.Error("nothing was tried")
		}
	})
}

func TestAPageThatShowsNoNewTokenIsEndedAndOneThatDoesStays(t *testing.T) {
	f := start(t)
	login := func(uid string) *client {
		return dial(t, f.Addr(), dialing{auth: map[string]string{"token": f.tokenOf(uid, "1", 2*time.Second), "format": "text"}})
	}
	lazy, diligent := login("1"), login("2")
	var asked struct {
		ExpiresAt time.Time
		Seconds   int
	}
	for _, page := range []*client{lazy, diligent} {
		if asked = parse[struct {
			ExpiresAt time.Time
			Seconds   int
		}](t, page.next("token_expiring")); asked.ExpiresAt.Before(time.Now()) {
			t.Errorf("the page was asked %+v", asked)
		}
	}
	for _, bad := range []string{`{}`, `{"token":"x"}`, fmt.Sprintf(`{"token":%q}`, f.tokenOf("1", "1", time.Hour))} {
		if answer := parse[loginAnswer](t, diligent.call("renew", bad)); answer.OK || answer.Error.Code != "unauthorized" {
			t.Errorf("%s was answered %+v", bad, answer)
		}
	}
	if answer := parse[loginAnswer](t, diligent.call("renew", fmt.Sprintf(`{"token":%q}`, f.tokenOf("2", "1", time.Hour)))); !answer.OK {
		t.Errorf("renew answered %+v", answer)
	}
	lazy.gone()
	f.message("2", "still there")
	diligent.next("new_msg")
}
