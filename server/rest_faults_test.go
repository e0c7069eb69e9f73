package server

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"belfry"
)

// A brokenStore fails with what it is told to, whatever it is asked.
type brokenStore struct {
	belfry.Store
	fault atomic.Pointer[error]
}

func (s *brokenStore) breaks(err error) { s.fault.Store(&err) }

func (s *brokenStore) err() error {
	if err := s.fault.Load(); err != nil {
		return *err
	}
	return nil
}

func (s *brokenStore) Add(ctx context.Context, e belfry.Entries) ([]belfry.Replaced, error) {
	if err := s.err(); err != nil {
		return nil, err
	}
	return s.Store.Add(ctx, e)
}

func (s *brokenStore) Request(ctx context.Context, key string, since time.Time) (belfry.Request, error) {
	if err := s.err(); err != nil {
		return belfry.Request{}, err
	}
	return s.Store.Request(ctx, key, since)
}

func (s *brokenStore) Inbox(ctx context.Context, who belfry.Identity, q belfry.InboxQuery) ([]belfry.Message, error) {
	if err := s.err(); err != nil {
		return nil, err
	}
	return s.Store.Inbox(ctx, who, q)
}

func (s *brokenStore) Counts(ctx context.Context, who belfry.Identity) (belfry.Counts, error) {
	if err := s.err(); err != nil {
		return belfry.Counts{}, err
	}
	return s.Store.Counts(ctx, who)
}

func (s *brokenStore) Mark(ctx context.Context, who belfry.Identity, mark belfry.Mark) (belfry.Marked, error) {
	if err := s.err(); err != nil {
		return belfry.Marked{}, err
	}
	return s.Store.Mark(ctx, who, mark)
}

func (s *brokenStore) Feed(ctx context.Context, company belfry.CompanyID, q belfry.FeedQuery) ([]belfry.Activity, error) {
	if err := s.err(); err != nil {
		return nil, err
	}
	return s.Store.Feed(ctx, company, q)
}

func (s *brokenStore) Profile(ctx context.Context, who belfry.Identity) (belfry.Profile, error) {
	if err := s.err(); err != nil {
		return belfry.Profile{}, err
	}
	return s.Store.Profile(ctx, who)
}

func TestRestSaysWhenItsStoreIsAwayAndHidesItsFaults(t *testing.T) {
	store := &brokenStore{}
	f := start(t, func(o *Options) { store.Store, o.Store = o.Store, store })
	page := f.page("1", "1", "text")
	token := f.tokenOf("1", "1", time.Hour)
	const secret = "disk of the database"
	id := strings.Repeat("1", 24)
	backend, public := "http://"+f.PushAddr()+"/v1", "http://"+f.Addr()+"/v1"
	for _, fault := range []struct {
		err    error
		status int
		code   belfry.Code
	}{
		{&belfry.Error{Code: belfry.ErrUnavailable, Message: "the database is away", Err: errors.New(secret)}, 503, belfry.ErrUnavailable},
		{context.DeadlineExceeded, 503, belfry.ErrUnavailable},
		{errors.New(secret), 500, belfry.ErrInternal},
	} {
		store.breaks(fault.err)
		for _, c := range []struct{ method, url, credentials, body string }{
			{"POST", backend + "/messages", testKey, `{"receivers":[1],"title":"t"}`},
			{"POST", backend + "/messages/batch", testKey, `{"items":[{"receivers":[1],"title":"t"}]}`},
			{"POST", backend + "/activities", testKey, `{"companyID":1,"title":"t"}`},
			{"POST", backend + "/events", testKey, `{"event":"e","rooms":["uid:1"]}`},
			{"GET", backend + "/users/1/messages?companyID=1", testKey, ""},
			{"GET", backend + "/users/1/counts?companyID=1", testKey, ""},
			{"POST", backend + "/users/1/read", testKey, `{"companyID":1,"ids":["` + id + `"]}`},
			{"GET", backend + "/companies/1/activities", testKey, ""},
			{"GET", backend + "/companies/1/activities?group=true", testKey, ""},
			{"GET", public + "/me", token, ""},
		} {
			p := wantProblem(t, ask(t, c.method, c.url, c.credentials, c.body, keyHeader, "k"), fault.status)
			if p.Code != fault.code || strings.Contains(p.Detail, "disk") {
				t.Errorf("%s %s: %+v", c.method, c.url, p)
			}
		}
	}
	if got := page.settled("new_msg"); len(got) > 0 {
		t.Errorf("the page got what was not stored: %v", got)
	}
	store.fault.Store(nil)
	decoded[messageReceipt](t, ask(t, "POST", backend+"/messages", testKey, `{"receivers":[1],"title":"t"}`, keyHeader, "k"), 201)
	if got := f.log.String(); !strings.Contains(got, secret) {
		t.Error("the log does not say what it was")
	}
}

func TestRestLimitsWhatAnAddressMayAsk(t *testing.T) {
	f := start(t, func(o *Options) { o.Limits = Limits{Handshakes: 0.1} })
	token := f.tokenOf("1", "1", time.Hour)
	ask := func() *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", "/v1/me", nil)
		r.RemoteAddr = "203.0.113.7:1234"
		r.Header.Set("Authorization", "Bearer "+token)
		w := httptest.NewRecorder()
		f.publicRoutes().ServeHTTP(w, r)
		return w
	}
	if w := ask(); w.Code != http.StatusOK {
		t.Fatalf("the first is answered %d %s", w.Code, w.Body)
	}
	w := ask()
	p := wantProblem(t, restAnswer{w.Code, w.Header(), w.Body.String()}, 429)
	if p.Code != belfry.ErrLimited || w.Header().Get("Retry-After") == "" {
		t.Errorf("the second is answered %v %+v", w.Header(), p)
	}
}
