package engineio

import (
	"io"
	"runtime"
	"sync/atomic"
	"testing"
)

// With one processor for Go, a goroutine that does nothing but breathe lets those run that wait
// for the network. A bound on the breaths is no bound on time: were they mere calls of
// Gosched, it would take hundreds of thousands. The system may take the reader's thread away for longer than all
// breaths take, but not every time.
func TestABreathLetsTheNetworkBeHeard(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	for range 10 {
		if heardWithin(t, 100) {
			return
		}
	}
	t.Error("after 100 breaths nobody has looked at the network")
}

// heardWithin reports whether a reader hears what is said before so many breaths have been taken.
func heardWithin(t *testing.T, breaths int) bool {
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
	for range breaths {
		if b.breathe(); heard.Load() {
			return true
		}
	}
	return false
}
