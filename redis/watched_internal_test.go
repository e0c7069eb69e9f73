package redis

import (
	"context"
	"errors"
	"slices"
	"testing"
)

// While a connection is new, what was watched before is not confirmed yet, and who asks for it again may not wait for that.
func TestAPageThatAsksAgainInVainWatchesWhatItDid(t *testing.T) {
	b := &Broker{watched: newWatched()}
	w := b.watched
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if err := b.Watch(context.Background(), "page", []string{"topic:a"}); err != nil { // there is no connection to wait for
		t.Fatal(err)
	}
	w.setConnected(true)
	if err := b.Watch(ended, "page", []string{"topic:a", "topic:b"}); !errors.Is(err, context.Canceled) {
		t.Fatalf("it has waited: %v", err)
	}
	if subscribe, _ := w.take(make(map[string]struct{})); !slices.Equal(subscribe, []string{"t:a"}) || !slices.Equal(w.pages["page"], []string{"t:a"}) {
		t.Errorf("the page watches %v, and to %v is subscribed, want a alone", w.pages["page"], subscribe)
	}
	b.Unwatch("page", nil)
	if len(w.pages)+len(w.channels) != 0 {
		t.Errorf("%v and %v are kept", w.pages, w.channels)
	}
}
