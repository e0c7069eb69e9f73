package engineio

import (
	"io"
	"runtime"
	"sync/atomic"
	"testing"
)

// With one processor for Go, a goroutine that does nothing but breathe lets those run that wait
// for the network. A bound on the breaths is no bound on time: were they mere calls of
// Gosched, it would take hundreds of thousands.
func TestABreathLetsTheNetworkBeHeard(t *testing.T) {
	fds := socketPair(t)
	near, far := connOf(t, fds[0]), connOf(t, fds[1])
	defer near.Close()
	defer far.Close()
	var heard atomic.Bool
	reading := make(chan struct{})
	go func() {
		close(reading)
		io.ReadFull(far, make([]byte, 1))
		heard.Store(true)
	}()
	<-reading
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var b breather
	defer b.close()
	for range 10 {
		b.breathe() // the reader waits for the network now
	}
	if heard.Load() {
		t.Fatal("heard what nobody said")
	}
	if _, err := near.Write([]byte{1}); err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if b.breathe(); heard.Load() {
			return
		}
	}
	t.Error("after 100 breaths nobody has looked at the network")
}
