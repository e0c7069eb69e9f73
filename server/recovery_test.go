package server

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"belfry"
)

// A sessionAnswer is the answer to CONNECT.
type sessionAnswer struct{ SID, PID string }

func (c *client) session() sessionAnswer {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.connects) == 0 {
		c.t.Fatalf("refused: %s", c.refusals)
	}
	return parse[sessionAnswer](c.t, c.connects[0])
}

// nextArgs is next with all arguments.
func (c *client) nextArgs(name string) []json.RawMessage {
	c.t.Helper()
	var found []json.RawMessage
	c.wait("event "+name, func() bool {
		for i, e := range c.events {
			if e.name == name {
				found = e.args
				c.events = append(c.events[:i:i], c.events[i+1:]...)
				return true
			}
		}
		return false
	})
	return found
}

// offset waits for an event and returns the string at its end.
func (c *client) offset(name string) string {
	c.t.Helper()
	args := c.nextArgs(name)
	return parse[string](c.t, args[len(args)-1])
}

// forge changes a letter for another that a pid may have.
func forge(r rune) rune {
	if r == 'A' {
		return 'B'
	}
	return 'A'
}

// back connects as a client of 4.6 does that comes back.
func (f *fixture) back(uid, company, pid, offset string) *client {
	f.t.Helper()
	return dial(f.t, f.Addr(), dialing{auth: map[string]any{
		"token": f.tokenOf(uid, company, time.Hour), "format": "text", "pid": pid, "offset": offset,
	}})
}

func TestASessionGoesOnWhereItWasAndNobodyElsesDoes(t *testing.T) {
	f := start(t)
	page := f.back("1", "1", "", "")
	first := page.session()
	offset := page.offset("counts")
	if first.PID == "" || offset == "" {
		t.Fatalf("the session is %+v, its offset %q", first, offset)
	}
	f.message("1", "one")
	offset = page.offset("new_msg")
	page.vanish()
	f.message("1", "two")
	f.push("action", "dynamic", "companyID", "1", "title", "three")

	back := f.back("1", "1", first.PID, offset)
	if got := back.session(); got != first {
		t.Errorf("the session is %+v, want %+v", got, first)
	}
	if got := parse[messageOnWire](t, back.next("new_msg")); got.Title != "two" {
		t.Errorf("the page got %+v", got)
	}
	if got := parse[activityOnWire](t, back.next("update_dynamic")); got.Title != "three" {
		t.Errorf("the page got %+v", got)
	}
	for name, c := range map[string]*client{
		"another user":          f.back("2", "1", first.PID, offset),
		"another company":       f.back("1", "2", first.PID, offset),
		"a forged pid":          f.back("1", "1", strings.Map(forge, first.PID), offset),
		"a malformed offset":    f.back("1", "1", first.PID, "here"),
		"no offset":             f.back("1", "1", first.PID, ""),
		"a pid that is garbage": f.back("1", "1", "\x00", offset),
	} {
		if got := c.session(); got.PID == first.PID || got.SID == first.SID || got.PID == "" {
			t.Errorf("%s goes on with the session: %+v", name, got)
		}
	}
}

func TestASessionGoesOnWhereTheStoreWasAwayForAMoment(t *testing.T) {
	hooked := &hookedStore{}
	f := start(t, func(o *Options) {
		hooked.Store = o.Store
		o.Store = hooked
	})
	page := f.back("1", "1", "", "")
	first := page.session()
	offset := page.offset("counts")
	page.vanish()
	f.message("1", "one")
	var asked atomic.Bool
	hooked.set(func(h *hookedStore) {
		h.since = func() error {
			if asked.Swap(true) {
				return nil
			}
			return belfry.Errorf(belfry.ErrUnavailable, "the store is away")
		}
	})
	back := f.back("1", "1", first.PID, offset)
	if got := back.session(); got != first {
		t.Errorf("the session is %+v, want %+v", got, first)
	}
	if got := parse[messageOnWire](t, back.next("new_msg")); got.Title != "one" {
		t.Errorf("the page got %+v", got)
	}
}

func TestARecoveryNeedsALoginThatIsValidNow(t *testing.T) {
	f := start(t)
	page := f.back("1", "1", "", "")
	session, offset := page.session(), page.offset("counts")
	revoked := f.tokenOf("1", "1", time.Hour)
	if _, err := f.Service().Revoke(context.Background(), "1"); err != nil {
		t.Fatal(err)
	}
	page.gone()
	connect := func(token string) *client {
		return dial(t, f.Addr(), dialing{auth: map[string]string{"token": token, "pid": session.PID, "offset": offset}})
	}
	for name, token := range map[string]string{
		"a token of the second in which it was revoked": revoked,
		"an expired token": f.tokenOf("1", "1", -time.Hour),
		"no token":         "x",
	} {
		c := connect(token)
		if len(c.refusals) != 1 || len(c.connects) != 0 {
			t.Errorf("%s recovers the session: %s", name, c.connects)
		}
	}
}

func TestAPageThatLogsInByEventCatchesUpByItsCursor(t *testing.T) {
	f := start(t, func(o *Options) { o.CatchUpLimit = 2 })
	for _, eio := range []int{3, 4} {
		uid := fmt.Sprint(eio)
		login := func(cursor string) (*client, welcome) {
			c := dial(t, f.Addr(), dialing{eio: eio})
			return c, parse[welcome](t, c.call("login", fmt.Sprintf(`{"uid":%s,"companyID":1,"format":"text","cursor":%q}`, uid, cursor)))
		}
		page, w := login("")
		if w.Cursor == "" || !w.OK || w.Reset {
			t.Fatalf("welcome %+v", w)
		}
		f.message(uid, "one")
		cursor := page.offset("new_msg")
		page.vanish()
		f.message(uid, "two")
		f.message(uid, "three")
		page, again := login(cursor)
		if again.Reset || again.Counts.Unread != 3 {
			t.Errorf("welcome %+v", again)
		}
		for _, want := range []string{"two", "three"} {
			if got := parse[messageOnWire](t, page.next("new_msg")); got.Title != want {
				t.Errorf("the page got %+v, want %s", got, want)
			}
		}
		if _, late := login(w.Cursor); !late.Reset || !late.OK {
			t.Errorf("who missed too much is welcomed with %+v", late)
		}
		if _, unread := login("from another time"); !unread.Reset || !unread.OK {
			t.Errorf("who shows what nobody can read is welcomed with %+v", unread)
		}
	}
}

func TestATextAtTheEndOfAnEventIsFollowedByACursor(t *testing.T) {
	f := start(t)
	page := f.page("1", "1", "text")
	f.push("type", "publish", "to", "", "content", "bare")
	if args := page.nextArgs("new_msg"); len(args) != 2 {
		t.Errorf("the page got %s", args)
	} else if _, err := belfry.ParseCursor(parse[string](t, args[1])); err != nil {
		t.Error(err)
	}
}

func TestAPageThatLogsInWhileConnectingIsToldToLoadItsListsAnew(t *testing.T) {
	f := start(t)
	page := dial(t, f.Addr(), dialing{auth: map[string]string{"token": f.tokenOf("1", "1", time.Hour), "cursor": "from another time"}})
	page.next("reset")
}

func TestAConnectionThatGoesOnTryingToLogInIsEnded(t *testing.T) {
	f := start(t)
	page := dial(t, f.Addr(), dialing{})
	for range maxFailedLogins - 1 {
		if got := parse[loginAnswer](t, page.call("login", `{"token":"x"}`)); got.OK {
			t.Fatalf("login answered %+v", got)
		}
	}
	page.emit("login", `{"token":"x"}`)
	page.gone()
}

// What a page has missed may be more than may be queued for it: it is sent as fast
// as the page takes it.
func TestAPageThatMissedMoreThanItsQueueHoldsGetsAllOfIt(t *testing.T) {
	const missed, size = 60, 2000
	for name, back := range map[string]func(f *fixture, pid, offset string) *client{
		"recovered": func(f *fixture, pid, offset string) *client {
			c := f.back("1", "1", pid, offset)
			if got := c.session(); got.PID != pid {
				t.Errorf("a new session: %+v", got)
			}
			return c
		},
		"by the cursor of a login": func(f *fixture, _, offset string) *client {
			c := dial(f.t, f.Addr(), dialing{eio: 3})
			c.call("login", fmt.Sprintf(`{"uid":"1","companyID":"1","format":"text","cursor":%q}`, offset))
			return c
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, func(o *Options) { o.MaxQueue = 16 << 10 })
			page := f.back("1", "1", "", "")
			pid, offset := page.session().PID, page.offset("counts")
			page.vanish()
			for i := range missed {
				f.push("action", "dynamic", "companyID", "1", "title", fmt.Sprint(i), "content", strings.Repeat("x", size))
			}
			c := back(f, pid, offset)
			for i := range missed {
				if got := parse[activityOnWire](t, c.next("update_dynamic")); got.Title != fmt.Sprint(i) {
					t.Fatalf("the page got %s, want %d", got.Title, i)
				}
			}
			// It is told what comes then.
			f.push("action", "dynamic", "companyID", "1", "title", "later")
			if got := parse[activityOnWire](t, c.next("update_dynamic")); got.Title != "later" {
				t.Errorf("the page got %s", got.Title)
			}
		})
	}
}
