package hop

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// patience bounds every wait of a test. It decides nothing in a run that is well.
const patience = 30 * time.Second

var (
	testKey = NewKey(strings.Repeat("s", 32))
	silent  = slog.New(slog.DiscardHandler)
)

func TestNodesProveTheSecretToEachOther(t *testing.T) {
	for _, c := range []struct {
		name        string
		key         Key
		node        string
		here, there error
	}{
		{"as it should be", testKey, "a", nil, nil},
		{"another secret", NewKey(strings.Repeat("x", 32)), "a", errNotOwner, io.EOF},
		{"another node", testKey, "b", errNotOwner, io.EOF},
	} {
		passer, owner := net.Pipe()
		received := make(chan error, 1)
		go func() { received <- testKey.receive(owner, "a") }()
		if err := c.key.introduce(passer, c.node); !errors.Is(err, c.here) {
			t.Errorf("%s: introduce: %v, want %v", c.name, err, c.here)
		}
		passer.Close()
		if err := <-received; !errors.Is(err, c.there) {
			t.Errorf("%s: receive: %v, want %v", c.name, err, c.there)
		}
	}
}

// A tape has what went over a connection each way.
type tape struct {
	net.Conn
	in, out bytes.Buffer
}

func (t *tape) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	t.in.Write(p[:n])
	return n, err
}

func (t *tape) Write(p []byte) (int, error) {
	t.out.Write(p)
	return t.Conn.Write(p)
}

func TestAGreetingThatWasOverheardIsWorthNothing(t *testing.T) {
	passer, owner := net.Pipe()
	heard := &tape{Conn: passer}
	received := make(chan error, 1)
	go func() { received <- testKey.receive(owner, "a") }()
	if err := testKey.introduce(heard, "a"); err != nil {
		t.Fatal(err)
	}
	if err := <-received; err != nil {
		t.Fatal(err)
	}
	// Said to the owner again.
	passer, owner = net.Pipe()
	go func() { received <- testKey.receive(owner, "a") }()
	go io.Copy(io.Discard, passer)
	passer.Write(heard.out.Bytes())
	if err := <-received; !errors.Is(err, errNoProof) {
		t.Errorf("a passer's proof again: %v", err)
	}
	passer.Close()
	// Said to a passer again.
	passer, owner = net.Pipe()
	go func() {
		io.CopyN(io.Discard, owner, int64(len(hello)+nonceSize))
		owner.Write(heard.in.Bytes())
	}()
	if err := testKey.introduce(passer, "a"); !errors.Is(err, errNotOwner) {
		t.Errorf("an owner's proof again: %v", err)
	}
	// A proof that the owner made is none of a passer.
	passer, owner = net.Pipe()
	go func() { received <- testKey.receive(owner, "a") }()
	io.WriteString(passer, hello+strings.Repeat("n", nonceSize))
	var answer [2 * nonceSize]byte
	if _, err := io.ReadFull(passer, answer[:]); err != nil {
		t.Fatal(err)
	}
	passer.Write(answer[nonceSize:])
	if err := <-received; !errors.Is(err, errNoProof) {
		t.Errorf("the owner's own proof: %v", err)
	}
}

func listen(t *testing.T, node string) *Listener {
	t.Helper()
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := Listen(inner, testKey, node, silent)
	t.Cleanup(func() { l.Close() })
	return l
}

func TestWhoeverIsNoNodeIsToldSo(t *testing.T) {
	l := listen(t, "a")
	accepted := make(chan error, 1)
	go func() {
		_, err := l.Accept()
		accepted <- err
	}()
	for name, sent := range map[string]string{
		"HTTP":             "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n" + AddressHeader + ": 127.0.0.1:1\r\n\r\n",
		"the shortest":     "GET / HTTP/1.1\r\n\r\n",
		"a POST":           "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 30000\r\n\r\n" + strings.Repeat("x", 30000),
		"a forged proof":   hello + strings.Repeat("n", nonceSize) + strings.Repeat("p", 32),
		"HTTP after hello": hello + "GET / HTTP/1.1\r\nHost: " + strings.Repeat("x", 100) + "\r\n\r\n",
	} {
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(patience))
		io.WriteString(c, sent)
		in := bufio.NewReader(c)
		if strings.HasPrefix(sent, hello) { // the owner proves itself first
			if _, err := in.Discard(2 * nonceSize); err != nil {
				t.Fatal(err)
			}
		}
		res, err := http.ReadResponse(in, nil)
		if err != nil || res.StatusCode != http.StatusForbidden {
			t.Errorf("%s: answered %+v, %v", name, res, err)
		}
		if _, err := in.ReadByte(); err != io.EOF {
			t.Errorf("%s: the connection goes on: %v", name, err)
		}
		c.Close()
	}
	l.Close()
	if err := <-accepted; !errors.Is(err, net.ErrClosed) {
		t.Errorf("accepted: %v", err)
	}
}

// A pipeListener accepts one end of each pipe.
type pipeListener struct {
	conns chan net.Conn
	done  chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}
func (l *pipeListener) Close() error   { close(l.done); return nil }
func (l *pipeListener) Addr() net.Addr { return nil }

// An addressed connection says that it was made to an address.
type addressed struct {
	net.Conn
	local net.Addr
}

func (a addressed) LocalAddr() net.Addr { return a.local }

func TestAConnectionThatDoesNotProveItselfInTimeIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &pipeListener{make(chan net.Conn), make(chan struct{})}
		h := Listen(l, testKey, "a", silent)
		defer h.Close()
		private := &net.TCPAddr{IP: net.IPv4(10, 0, 0, 5), Port: 2122}
		for name, said := range map[string]string{"nothing": "", "a part": hello} {
			here, there := net.Pipe()
			l.conns <- addressed{there, private}
			io.WriteString(here, said)
			begun := time.Now()
			if n, err := here.Read(make([]byte, 1)); n > 0 || err != io.EOF || time.Since(begun) != greetingTimeout {
				t.Errorf("%s was said: %d bytes, %v after %v", name, n, err, time.Since(begun))
			}
		}
	})
}

func TestAConnectionToAPublicAddressIsRefused(t *testing.T) {
	l := &pipeListener{make(chan net.Conn), make(chan struct{})}
	h := Listen(l, testKey, "a", silent)
	defer h.Close()
	here, there := net.Pipe()
	l.conns <- addressed{there, &net.TCPAddr{IP: net.IPv4(203, 0, 113, 5), Port: 2122}}
	res, err := http.ReadResponse(bufio.NewReader(here), nil)
	if err != nil || res.StatusCode != http.StatusForbidden {
		t.Errorf("answered %+v, %v", res, err)
	}
	here.Close()
}

func TestAddressesThatArePrivate(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1": true, "::1": true, "10.1.2.3": true, "172.16.0.1": true, "172.32.0.1": false, "192.168.1.1": true,
		"100.64.0.1": true, "100.128.0.1": false, "169.254.1.1": true, "fe80::1%eth0": true, "fd00::1": true,
		"::ffff:10.0.0.1": true, "::ffff:8.8.8.8": false, "8.8.8.8": false, "2001:db8::1": false, "0.0.0.0": false, "::": false,
	} {
		if got := Private(netip.MustParseAddr(address)); got != want {
			t.Errorf("%s: private %v, want %v", address, got, want)
		}
	}
}
