package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"os"
	"strings"
	"syscall"
	"testing"

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
	t.Setenv("BELFRY_CLUSTER_LEASE", "2s")
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
	if again := b.page(userOne); strings.Contains(again.seen, "pushed") { // as when the page is loaded anew
		t.Errorf("what a page at one node has got is told again at the other: %s", again.seen)
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
	hash, err := client.Do(ctx, client.B().Hgetall().Key("socketio:company:1").Build()).AsStrMap()
	if err != nil || hash["uid:1"] != "1" {
		t.Errorf("the article's hash is %v (%v), want one page of uid:1", hash, err)
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
			if err := client.Do(ctx, client.B().Publish().Channel(message.Channel).Message(string(payload)).Build()).Error(); err != nil {
				t.Fatal(err)
			}
			sent++
		}
	}
	if sent == 0 {
		t.Fatal("nothing was published")
	}
	page.until(`42["note","hello",7]`)
}
