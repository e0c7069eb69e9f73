package redis

import (
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
