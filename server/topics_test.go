package server

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"belfry"
)

// topical opens a page whose token lists topics.
func (f *fixture) topical(uid string, topics ...string) *client {
	f.t.Helper()
	token, err := f.tokens.Sign(belfry.Identity{User: belfry.UserID(uid), Company: "1"}, time.Hour, topics...)
	if err != nil {
		f.t.Fatal(err)
	}
	return dial(f.t, f.Addr(), dialing{auth: map[string]string{"token": token, "format": "text"}})
}

func (c *client) join(topic string) string {
	answer := parse[loginAnswer](c.t, c.call("join", fmt.Sprintf(`{"topic":%q}`, topic)))
	if answer.OK {
		return "ok"
	}
	return answer.Error.Code
}

func TestAPageJoinsTheTopicsThatItsTokenLists(t *testing.T) {
	f := start(t)
	page, other := f.topical("1", "task.*", "news"), f.topical("2")
	for topic, want := range map[string]string{"task.7": "ok", "news": "ok", "newspaper": "unauthorized", "": "invalid", strings.Repeat("x", 200): "invalid"} {
		if got := page.join(topic); got != want {
			t.Errorf("joining %q: %s, want %s", topic, got, want)
		}
	}
	if got := other.join("task.7"); got != "unauthorized" {
		t.Errorf("another page joins: %s", got)
	}
	if got := dial(t, f.Addr(), dialing{}).join("news"); got != "unauthorized" {
		t.Errorf("a page that is nobody's joins: %s", got)
	}
	emit := func(data string) string {
		t.Helper()
		answer := f.backendAsks(t, "POST", "/v1/events", `{"event":"moved","rooms":["topic:task.7"],"data":`+data+`}`)
		return string(answer.body)
	}
	if got := emit(`{"x":1}`); !strings.Contains(got, `"pages":1`) {
		t.Errorf("the event was answered %s", got)
	}
	if got := string(page.next("moved")); got != `{"x":1}` {
		t.Errorf("the page got %s", got)
	}
	if got := parse[loginAnswer](t, page.call("leave", `{"topic":"task.7"}`)); !got.OK {
		t.Errorf("leave answered %+v", got)
	}
	if got := emit(`2`); !strings.Contains(got, `"pages":0`) {
		t.Errorf("the event was answered %s", got)
	}
}

func TestTheApplicationIsAskedAboutOtherTopics(t *testing.T) {
	const secret = "shared"
	asked := make(chan map[string]string, 10)
	status := func(topic string) int {
		switch topic {
		case "yes":
			return http.StatusNoContent
		case "no":
			return http.StatusForbidden
		case "away":
			return http.StatusFound
		}
		return http.StatusInternalServerError
	}
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(body)
		if want := "sha256=" + hex.EncodeToString(mac.Sum(nil)); err != nil || r.Header.Get("X-Belfry-Signature") != want {
			t.Errorf("the signature is %q, want %q", r.Header.Get("X-Belfry-Signature"), want)
		}
		var question map[string]string
		if err := json.Unmarshal(body, &question); err != nil {
			t.Error(err)
		}
		asked <- question
		w.Header().Set("Location", "http://127.0.0.1:1/")
		w.WriteHeader(status(question["topic"]))
	}))
	defer hook.Close()
	f := start(t, func(o *Options) { o.TopicHook = TopicHook{URL: hook.URL, Secret: secret} })
	page := f.topical("7", "listed")
	for topic, want := range map[string]string{"yes": "ok", "no": "unauthorized", "away": "unavailable", "broken": "unavailable"} {
		if got := page.join(topic); got != want {
			t.Errorf("joining %q: %s, want %s", topic, got, want)
		}
		if got := <-asked; got["uid"] != "7" || got["companyID"] != "1" || got["topic"] != topic {
			t.Errorf("the application was asked %v", got)
		}
	}
	if got := page.join("listed"); got != "ok" || len(asked) != 0 {
		t.Errorf("joining what the token lists: %s, asked %d times", got, len(asked))
	}
	hook.Close()
	if got := page.join("yes"); got != "unavailable" {
		t.Errorf("without the application: %s", got)
	}
}

func TestAUserWhoIsNamedLikeATopicStaysInHisRooms(t *testing.T) {
	f := start(t)
	const uid = "topic:news"
	page := f.topical(uid, "news")
	token, err := f.tokens.Sign(belfry.Identity{User: uid, Company: "1"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if got := parse[loginAnswer](t, page.call("renew", fmt.Sprintf(`{"token":%q}`, token))); !got.OK {
		t.Fatalf("renew answered %+v", got)
	}
	if got := f.push("action", "message", "receiverID", uid, "title", "t"); got != "ok" {
		t.Errorf("a message to him: %s", got)
	}
}

// A listening cluster is of one node, and counts what its pages watch.
type listening struct {
	alone
	broker *listeningBroker
}

func (l listening) Broker(e belfry.Emitter) Broker {
	l.broker.Broker = l.alone.Broker(e)
	return l.broker
}

type listeningBroker struct {
	Broker

	mu     sync.Mutex
	topics map[string]struct{}
}

func (b *listeningBroker) Watch(_ context.Context, _ string, rooms []string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, room := range rooms {
		if topic, is := strings.CutPrefix(room, belfry.TopicRoom("")); is {
			b.topics[topic] = struct{}{}
		}
	}
	return nil
}

func (b *listeningBroker) Unwatch(_ string, rooms []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, room := range rooms {
		delete(b.topics, strings.TrimPrefix(room, belfry.TopicRoom("")))
	}
}

func (b *listeningBroker) watched() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.topics)
}

func TestANodeListensToTheTopicsThatItsPagesAreIn(t *testing.T) {
	broker := &listeningBroker{topics: make(map[string]struct{})}
	f := start(t, func(o *Options) { o.Cluster = listening{broker: broker} })
	page := f.topical("1", "*")
	joined := 0
	for page.join(fmt.Sprint(joined)) == "ok" {
		joined++
	}
	for i := range 10 {
		if got := page.join(fmt.Sprint("more", i)); got != "limited" {
			t.Errorf("one more topic: %s", got)
		}
	}
	if n := broker.watched(); n != joined {
		t.Errorf("the node listens to %d topics for a page that is in %d", n, joined)
	}
	token, err := f.tokens.Sign(belfry.Identity{User: "1", Company: "1"}, time.Hour, "1*")
	if err != nil {
		t.Fatal(err)
	}
	if got := parse[loginAnswer](t, page.call("renew", fmt.Sprintf(`{"token":%q}`, token))); !got.OK {
		t.Fatalf("renew answered %+v", got)
	}
	left := 0
	for i := range joined {
		if !strings.HasPrefix(fmt.Sprint(i), "1") {
			left++
		}
	}
	if n := broker.watched(); n != joined-left {
		t.Errorf("the node listens to %d topics for a page that is in %d", n, joined-left)
	}
}
