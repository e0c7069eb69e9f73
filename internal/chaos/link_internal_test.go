package chaos

import (
	"io"
	"net"
	"testing"
	"time"
)

// echo returns the address of a server that sends back what it gets.
func echo(t *testing.T) string {
	in, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { in.Close() })
	go func() {
		for {
			c, err := in.Accept()
			if err != nil {
				return
			}
			go io.Copy(c, c)
		}
	}()
	return in.Addr().String()
}

func TestALinkIsCutAndStalledAndWholeAgain(t *testing.T) {
	l, err := newLink(echo(t))
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", l.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	comesBack := func(c net.Conn, within time.Duration) error {
		c.SetDeadline(time.Now().Add(within))
		_, err := io.ReadFull(c, make([]byte, 2))
		return err
	}
	say := func(c net.Conn) {
		if _, err := c.Write([]byte("hi")); err != nil {
			t.Error(err)
		}
	}
	c := dial()
	say(c)
	if err := comesBack(c, patience); err != nil {
		t.Errorf("whole: %v", err)
	}
	l.set(linkStalled)
	say(c)
	if err := comesBack(c, 100*time.Millisecond); err == nil {
		t.Error("it comes through a link that is stalled")
	}
	l.set(linkWhole)
	if err := comesBack(c, patience); err != nil {
		t.Errorf("whole after it was stalled: %v", err)
	}
	l.set(linkCut)
	if err := comesBack(c, patience); err == nil || isTimeout(err) {
		t.Errorf("a connection through a link that is cut: %v", err)
	}
	if c, err := net.Dial("tcp", l.addr); err == nil { // else it was reset before it was there
		defer c.Close()
		if err := comesBack(c, patience); err == nil || isTimeout(err) {
			t.Errorf("a new one: %v", err)
		}
	}
	l.set(linkWhole)
	c = dial()
	say(c)
	if err := comesBack(c, patience); err != nil {
		t.Errorf("whole after it was cut: %v", err)
	}
}

// patience is more than anything takes on the loopback.
const patience = time.Minute

func isTimeout(err error) bool {
	timeout, is := err.(net.Error)
	return is && timeout.Timeout()
}
