package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"belfry/auth"
	"belfry/internal/proctest"
	"belfry/internal/redistest"
)

// redisServer makes the processes that the test launches meet in a Redis of their own, with the options of a cluster.
func redisServer(t *testing.T) *redistest.Server {
	t.Helper()
	server, err := redistest.Launch()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	t.Setenv("BELFRY_REDIS_URL", server.URL)
	return server
}

// freeAddress is one that nothing listens on just now.
func freeAddress(t *testing.T) string {
	t.Helper()
	addr, err := proctest.FreeAddr()
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// TestTwoNodesAreOne has pages at two nodes and pushes at either, polls through the wrong node, and a node that is killed.
func TestTwoNodesAreOne(t *testing.T) {
	mongoStore(t)
	redisServer(t)
	t.Setenv("BELFRY_AUTH_TOKEN_SECRET", strings.Repeat("s", auth.MinSecretBytes))
	t.Setenv("BELFRY_CLUSTER_LEASE", "10s") // renewed every third of it: a node that stands still for a while keeps its own
	var nodes []*process
	for range 2 {
		nodes = append(nodes, launch(t, "serve", "--dev", "--data", t.TempDir(), "--cluster.listen", freeAddress(t)))
	}
	a, b := nodes[0], nodes[1]
	one, two := a.page(userOne), b.page(userTwo)
	one.until(`["update_online_count",2]`)
	two.url = strings.Replace(two.url, b.public, a.public, 1) // from now on it polls at the other node
	for i, p := range []*process{a, b} {
		title := []string{"pushed here", "pushed there"}[i]
		if got := p.message("1,2", title); got != "ok" {
			t.Errorf("%s: answer %q\n%s", title, got, p.log)
		}
		one.until(title)
		two.until(title)
	}
	// As when a page is loaded anew. A node that does not say in time that it has recorded what it has delivered is not waited for, so that
	// may fail now and then, but not again and again.
	repeated := 0
	for i := range 5 {
		uid := fmt.Sprint(10 + i)
		login := fmt.Sprintf(`{"uid":%s,"companyID":2}`, uid)
		page := a.page(login)
		if got := a.message(uid, "pushed to one"); got != "ok" {
			t.Errorf("answer %q\n%s", got, a.log)
		}
		page.until("pushed to one")
		if again := b.page(login); strings.Contains(again.seen, "pushed") {
			repeated++
		}
	}
	if repeated > 2 {
		t.Errorf("what a page at one node has got is told again at the other, %d times of 5", repeated)
	}
	one.until(`"unread":2,`)
	two.until(`"unread":2,`)
	two.emit(1, "read_all", "{}")
	two.until(`"unread":0,`)
	if got := a.message("3", "nobody"); got != "offline" {
		t.Errorf("a message for nobody is answered %q", got)
	}
	one.seen = "" // it was told of one before the other came
	b.end(syscall.SIGKILL)
	one.until(`["update_online_count",1]`) // when its lease has ended
	if got := a.message("2", "for one whose node is gone"); got != "offline" {
		t.Errorf("a message for one whose node is gone is answered %q", got)
	}
	back := a.page(userTwo)
	back.until("for one whose node is gone")
	back.until(`"unread":1,`)
}

// TestEmittersReachPages has what the emitter of npm publishes reach the page of a single node, and the article's hash kept up.
func TestEmittersReachPages(t *testing.T) {
	server := redisServer(t)
	p := launch(t, "serve", "--dev", "--data", t.TempDir(), "--redis.emitter-compat", "--redis.article-hash")
	page := p.page(userOne)
	client, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{server.Addr()}, DisableCache: true})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx := context.Background()
	hash := map[string]string{}
	for end := time.Now().Add(deadline); hash["uid:1"] != "1"; time.Sleep(10 * time.Millisecond) { // later than the page, where Redis is slow
		if hash, err = client.Do(ctx, client.B().Hgetall().Key("socketio:company:1").Build()).AsStrMap(); time.Now().After(end) {
			t.Fatalf("the article's hash is %v (%v), want one page of uid:1", hash, err)
		}
	}
	content, err := os.ReadFile("../../redis/emitters/testdata/emissions.json")
	if err != nil {
		t.Fatal(err)
	}
	var records []struct {
		Name      string
		Published []struct{ Channel, Payload string }
	}
	if err := json.Unmarshal(content, &records); err != nil {
		t.Fatal(err)
	}
	sent := 0
	for _, r := range records {
		if !strings.HasSuffix(r.Name, "to a room") {
			continue
		}
		for _, message := range r.Published {
			payload, err := base64.StdEncoding.DecodeString(message.Payload)
			if err != nil {
				t.Fatal(err)
			}
			for end := time.Now().Add(deadline); ; time.Sleep(10 * time.Millisecond) { // a page may be there before emitters are heard
				n, err := client.Do(ctx, client.B().Publish().Channel(message.Channel).Message(string(payload)).Build()).AsInt64()
				if err == nil && n > 0 {
					break
				}
				if time.Now().After(end) {
					t.Fatalf("nobody listens to %s: %v", message.Channel, err)
				}
			}
			sent++
		}
	}
	if sent == 0 {
		t.Fatal("nothing was published")
	}
	page.until(`42["note","hello",7]`)
}
