package server

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
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
	ttl := 2 * time.Second
	login := func(uid string) (*client, time.Time) {
		t.Helper()
		for ; ttl <= 2*deadline; ttl *= 2 { // where a token expires before its page is there, the next one is good for longer
			token := f.tokenOf(uid, "1", ttl)
			var claims jwt.RegisteredClaims
			if _, _, err := jwt.NewParser().ParseUnverified(token, &claims); err != nil {
				t.Fatal(err)
			}
			page := dial(t, f.Addr(), dialing{auth: map[string]string{"token": token, "format": "text"}})
			if len(page.refusals) == 0 && time.Now().Before(claims.ExpiresAt.Time) {
				return page, claims.ExpiresAt.Time
			}
			page.vanish()
		}
		t.Fatal("no token is good for long enough")
		return nil, time.Time{}
	}
	wantAsked := func(page *client, expires time.Time) {
		t.Helper()
		asked := parse[struct {
			ExpiresAt time.Time
			Seconds   int
		}](t, page.next("token_expiring"))
		if left := int(time.Until(expires).Seconds()); !asked.ExpiresAt.Equal(expires) || asked.Seconds < left {
			t.Errorf("the page was asked %+v, with %d seconds left until %v", asked, left, expires)
		}
	}
	diligent, expires := login("2")
	wantAsked(diligent, expires)
	renew := func(token string) loginAnswer {
		t.Helper()
		return parse[loginAnswer](t, diligent.call("renew", fmt.Sprintf(`{"token":%q}`, token)))
	}
	// The rest has all the time that there is, as the page has a new token.
	if answer := renew(f.tokenOf("2", "1", time.Hour)); !answer.OK {
		t.Errorf("renew answered %+v", answer)
	}
	for _, bad := range []string{"", "x", f.tokenOf("1", "1", time.Hour)} {
		if answer := renew(bad); answer.OK || answer.Error.Code != "unauthorized" {
			t.Errorf("renewing with %q was answered %+v", bad, answer)
		}
	}
	if answer := renew(f.tokenOf("2", "1", time.Hour)); !answer.OK {
		t.Errorf("renew answered %+v after what was refused", answer)
	}
	lazy, expires := login("1") // who is ended later than the other would have been
	wantAsked(lazy, expires)
	lazy.gone()
	f.message("2", "still there")
	diligent.next("new_msg")
}
