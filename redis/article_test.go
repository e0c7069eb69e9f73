package redis_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"

	"belfry/internal/redistest"
	"belfry/redis"

	"github.com/redis/rueidis"
)

func TestTheArticlesHashCountsThePagesOfAllNodes(t *testing.T) {
	own, err := redistest.Launch() // the hash has no prefix
	if err != nil {
		t.Fatal(err)
	}
	defer own.Stop()
	reader, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{own.Addr()}, DisableCache: true})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	want := func(want map[string]int64) {
		t.Helper()
		eventually(t, func() string {
			got, err := reader.Do(context.Background(), reader.B().Hgetall().Key("socketio:company:7").Build()).AsIntMap()
			if err != nil || !maps.Equal(got, want) {
				return fmt.Sprintf("the hash is %v (%v), want %v", got, err, want)
			}
			return ""
		})
	}
	article := func(o *redis.PresenceOptions) { o.ArticleHash = true }
	a, b := open(t, own.URL, "x", article), open(t, own.URL, "x", article)
	a.join("1", "7", "p")
	a.join("1", "7", "q")
	b.join("1", "7", "r")
	b.join("2", "7", "s")
	want(map[string]int64{"uid:1": 3, "uid:2": 1})
	a.leave("1", "7", "p")
	want(map[string]int64{"uid:1": 2, "uid:2": 1})
	b.Vanish()
	want(map[string]int64{"uid:1": 1})
	a.leave("1", "7", "q")
	want(map[string]int64{})
}

func TestTheArticlesHashIsRefusedOnACluster(t *testing.T) {
	c := connect(t, redis.Options{URL: cluster.URL}, bound)
	defer c.Close()
	if p, err := redis.NewPresence(c, redis.PresenceOptions{ArticleHash: true}); err == nil || !strings.Contains(err.Error(), "cluster") {
		t.Errorf("got %v", err)
		if p != nil {
			p.Close()
		}
	}
}
