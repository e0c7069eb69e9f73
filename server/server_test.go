package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"belfry"
	"belfry/auth"
	"belfry/sqlite"
)

const testKey = "the-key-of-the-backends"

// A fixture is a running server with what the tests look at beside its ports.
type fixture struct {
	*Server
	t      testing.TB
	store  belfry.Store // as the server sees it
	tokens *auth.Tokens
	log    *lockedBuffer

	taken atomic.Int32 // connections of other nodes that net/http no longer has: GETs that were parked, and WebSockets
}

// A lockedBuffer collects a log.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// start starts a server on a new database. Pages may log in without a token;
// backends need the key.
func start(t testing.TB, alter ...func(*Options)) *fixture {
	t.Helper()
	tokens, err := auth.NewTokens(auth.TokenOptions{Secret: auth.Secret(strings.Repeat("s", auth.MinSecretBytes))})
	if err != nil {
		t.Fatal(err)
	}
	log := &lockedBuffer{}
	logger := slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	store, err := sqlite.Open(context.Background(), t.TempDir(), sqlite.Options{Logger: logger})
	if err != nil {
		t.Fatal(err)
	}
	options := Options{
		Listen: "127.0.0.1:0", PushListen: "127.0.0.1:0",
		Store: store, Tokens: tokens, PushKey: auth.NewKey(testKey),
		InsecureLogin: InsecureLoopback, Grace: -1, Logger: logger,
	}
	for _, f := range alter {
		f(&options)
	}
	s, err := New(context.Background(), options)
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{Server: s, t: t, store: options.Store, tokens: tokens, log: log}
	if s.hop != nil {
		note := s.hop.server.ConnState
		s.hop.server.ConnState = func(c net.Conn, state http.ConnState) {
			if state == http.StateHijacked {
				f.taken.Add(1)
			}
			note(c, state)
		}
	}
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Errorf("Stop: %v", err)
		}
		if err := store.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return f
}

// page opens a page and logs it in; format is "html" or "text".
func (f *fixture) page(uid, company, format string) *client {
	f.t.Helper()
	c := dial(f.t, f.Addr(), dialing{})
	f.login(c, uid, company, format)
	return c
}

func (f *fixture) login(c *client, uid, company, format string) loginAnswer {
	f.t.Helper()
	answer := parse[loginAnswer](f.t, c.call("login", fmt.Sprintf(`{"uid":%q,"companyID":%q,"format":%q}`, uid, company, format)))
	if !answer.OK || answer.UID != uid || answer.CompanyID != company {
		f.t.Fatalf("login answered %+v", answer)
	}
	return answer
}

// A loginAnswer is the answer to login, or to any other event.
type loginAnswer struct {
	OK        bool
	UID       string
	CompanyID string
	Online    int
	Counts    belfry.Counts
	Cursor    string
	Error     struct{ Code, Message string }
}

// A messageOnWire is a new_msg.
type messageOnWire struct {
	MessageID, SenderID, Sender, ReceiverID, CompanyID string
	Portrait, Title, Content, URL, Date                string
	TypeID, IsRead                                     int
	Extra                                              map[string]string
}

// An activityOnWire is an update_dynamic.
type activityOnWire struct {
	ActivityID, OperatorID, Operator, CompanyID, Receiver string
	Portrait, Title, Content, URL, Date, ObjectID         string
	ObjectType                                            int
	Extra                                                 map[string]string
}

func parse[T any](t testing.TB, raw json.RawMessage) T {
	t.Helper()
	var v T
	if err := json.Unmarshal(raw, &v); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
	return v
}

// An answer is what the push endpoint says.
type answer struct{ word, reason string }

// send sends a request to the push endpoint. Whatever it says, the status is 200.
func (f *fixture) send(req *http.Request) answer {
	f.t.Helper()
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		f.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		f.t.Errorf("status %d; callers expect 200 whatever happens", res.StatusCode)
	}
	a := answer{string(body), res.Header.Get(errorHeader)}
	if (a.word == pushFail) != (a.reason != "") {
		f.t.Errorf("answer %+v: a refusal, and nothing else, says why", a)
	}
	return a
}

// push pushes a form with the key and returns the answer, which must be no
// refusal.
func (f *fixture) push(fields ...string) string {
	f.t.Helper()
	values := url.Values{"token": {testKey}}
	for i := 0; i < len(fields); i += 2 {
		values.Add(fields[i], fields[i+1])
	}
	req, err := http.NewRequest(http.MethodPost, "http://"+f.PushAddr()+"/", strings.NewReader(values.Encode()))
	if err != nil {
		f.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	a := f.send(req)
	if a.word == pushFail {
		f.t.Fatalf("push of %v failed: %s", fields, a.reason)
	}
	return a.word
}

// message pushes a message with this title to a user.
func (f *fixture) message(uid, title string) string {
	f.t.Helper()
	return f.push("action", "message", "receiverID", uid, "title", title, "content", "about "+title)
}

// inbox returns what is stored for a user.
func (f *fixture) inbox(uid, company string) []belfry.Message {
	f.t.Helper()
	messages, err := f.store.Inbox(context.Background(), belfry.Identity{User: belfry.UserID(uid), Company: belfry.CompanyID(company)}, belfry.InboxQuery{Limit: 1000})
	if err != nil {
		f.t.Fatal(err)
	}
	return messages
}

func (f *fixture) feed(company string) []belfry.Activity {
	f.t.Helper()
	activities, err := f.store.Feed(context.Background(), belfry.CompanyID(company), belfry.FeedQuery{Limit: 1000})
	if err != nil {
		f.t.Fatal(err)
	}
	return activities
}

// eventually waits for a condition that nothing announces.
func eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	timeout := time.After(deadline)
	for !condition() {
		select {
		case <-ticker.C:
		case <-timeout:
			t.Fatalf("%s: not so after %v", what, deadline)
		}
	}
}

// online returns how many users of a company are online.
func (f *fixture) online(company string) int {
	f.t.Helper()
	count, err := f.Service().Online(context.Background(), belfry.CompanyID(company))
	if err != nil {
		f.t.Fatal(err)
	}
	return count.Users
}
