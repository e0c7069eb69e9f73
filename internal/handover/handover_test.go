package handover

import (
	"errors"
	"io"
	"net"
	"testing"
)

func TestWhatWasReadComesFirst(t *testing.T) {
	l := Listen(&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80})
	if got := l.Addr().String(); got != "127.0.0.1:80" {
		t.Errorf("it listens at %s", got)
	}
	ours, theirs := net.Pipe()
	go func() {
		theirs.Write([]byte(" and the rest"))
		theirs.Close()
	}()
	handed := make(chan bool, 1)
	go func() { handed <- l.Hand(ours, []byte("the beginning")) }()
	c, err := l.Accept()
	if err != nil || !<-handed {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(c); err != nil || string(got) != "the beginning and the rest" {
		t.Errorf("read %q, %v", got, err)
	}
	go l.Hand(theirs, nil)
	if c, err := l.Accept(); err != nil || c != theirs {
		t.Errorf("a connection of which nothing was read is %v, %v", c, err)
	}
}

func TestNobodyTakesAConnectionOfAClosedListener(t *testing.T) {
	l := Listen(nil)
	refused := make(chan bool, 1)
	go func() { refused <- !l.Hand(nil, nil) }() // before and after
	for range 2 {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if !<-refused || l.Hand(nil, nil) {
		t.Error("it takes a connection")
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept says %v", err)
	}
}
