package redis

import (
	"context"
	"testing"
	"time"
)

func TestRepliesThatNobodyWaitsForAreForgotten(t *testing.T) {
	o := newOutbox()
	now := time.Now()
	for i := range uint64(maxOutgoing) {
		r := &reply{at: now, parts: []part{{handle: &handle{done: make(chan struct{})}, n: 1}}}
		if i%2 == 0 {
			r.at = now.Add(-time.Hour)
		}
		o.asked[i] = r
	}
	old := o.asked[0]
	o.forget(now.Add(-time.Minute))
	if len(o.asked) != maxOutgoing/2 {
		t.Errorf("%d are left", len(o.asked))
	}
	<-old.parts[0].handle.done
	if h := old.parts[0].handle; !h.failed || len(h.pages) != 1 {
		t.Errorf("it ends as %+v", h)
	}
	o.forget(now.Add(time.Minute))
	if len(o.asked) != maxOutgoing/2 {
		t.Error("few are forgotten, too")
	}
}

// TestAWaitEndsWhenItsTimeWasOverOnTheWayToRedis has the time of a call be over when what it sent is neither in the queue any more nor
// asked for yet, and nobody answer.
func TestAWaitEndsWhenItsTimeWasOverOnTheWayToRedis(t *testing.T) {
	b := &Broker{out: newOutbox(), patience: time.Millisecond}
	h := &handle{done: make(chan struct{})}
	failed := make(chan error)
	go func() {
		_, err := b.await(context.Background(), h, 1)
		failed <- err
	}()
	select {
	case err := <-failed:
		t.Fatalf("the wait ended before it was known what became of it: %v", err)
	case <-time.After(3 * hurried): // its time is over
	}
	b.out.mu.Lock()
	b.out.asked[1] = &reply{at: time.Now(), parts: []part{{handle: h, n: 1}}}
	b.out.mu.Unlock()
	if err := <-failed; err == nil {
		t.Error("it is said that all nodes have answered")
	}
}
