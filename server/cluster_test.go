package server

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"belfry/auth"
	"belfry/engineio"
)

// A cluster is nodes that pass on to each other, each with a store of its own, and a balancer in front that gives every request to the
// next one.
type cluster struct {
	t        testing.TB
	nodes    []*fixture
	networks []*network // to the nodes
	direct   bool       // the nodes talk without these
	front    string
	turn     atomic.Uint32
}

var clusterNames = []string{"node-a", "node-b", "node-c"}

func startCluster(t testing.TB, n int, alter ...func(*Options)) *cluster {
	t.Helper()
	c := &cluster{t: t}
	for _, name := range clusterNames[:n] {
		hop := HopOptions{Node: name, Listen: "127.0.0.1:0", Secret: auth.Secret(strings.Repeat("n", auth.MinSecretBytes)), Address: c.address, patience: deadline}
		c.nodes = append(c.nodes, start(t, append([]func(*Options){func(o *Options) { o.Hop = hop }}, alter...)...))
	}
	for _, node := range c.nodes {
		c.networks = append(c.networks, newNetwork(t, node.HopAddr()))
	}
	balancer := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			next := c.nodes[int(c.turn.Add(1))%len(c.nodes)]
			r.Out.URL.Scheme, r.Out.URL.Host = "http", next.Addr()
			r.Out.Host = r.In.Host
		},
		Transport: &http.Transport{},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, err error) {
			http.Error(w, err.Error(), http.StatusBadGateway)
		},
	})
	t.Cleanup(balancer.CloseClientConnections)
	c.front = balancer.Listener.Addr().String()
	return c
}

// address finds the nodes for each other: they talk through networks that can be cut.
func (c *cluster) address(node string) (string, bool) {
	for i, name := range clusterNames[:len(c.networks)] {
		if name == node && c.direct {
			return c.nodes[i].HopAddr(), true
		}
		if name == node {
			return c.networks[i].Addr().String(), true
		}
	}
	return "", false
}

// owner returns the node that a session is at.
func (c *cluster) owner(sid string) *fixture {
	c.t.Helper()
	node, _ := engineio.NodeOf(sid)
	for i, name := range clusterNames[:len(c.nodes)] {
		if name == node {
			return c.nodes[i]
		}
	}
	c.t.Fatalf("no node has session %q", sid)
	return nil
}

// sid is the session of a client that polls.
func (c *client) sid() string {
	c.t.Helper()
	u, err := url.Parse(c.url)
	if err != nil {
		c.t.Fatal(err)
	}
	return u.Query().Get("sid")
}

// A network carries connections to one node, counts them, and can be cut.
type network struct {
	net.Listener
	made atomic.Int32

	mu    sync.Mutex
	conns []net.Conn
	isCut bool
}

func newNetwork(t testing.TB, to string) *network {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &network{Listener: l}
	t.Cleanup(n.cut)
	go func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			n.made.Add(1)
			far, err := net.Dial("tcp", to)
			if err != nil || !n.keep(near, far) {
				near.Close()
				continue
			}
			carry := func(to, from net.Conn) {
				io.Copy(to, from)
				to.(*net.TCPConn).CloseWrite()
			}
			go carry(near, far)
			go carry(far, near)
		}
	}()
	return n
}

func (n *network) keep(conns ...net.Conn) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conns = append(n.conns, conns...)
	return !n.isCut
}

// cut ends all connections, and there will be no more.
func (n *network) cut() {
	n.Close()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.isCut = true
	for _, c := range n.conns {
		c.Close()
	}
}

// waiting counts the GETs that wait in their handlers, as long as they are not parked.
func waiting() int {
	all := make([]byte, 4<<20)
	all = all[:runtime.Stack(all, true)]
	return strings.Count(string(all), "engineio.(*Session).serveGet(")
}

// A waitingPoll is a GET that is passed on to a node and waits there: in its handler, or parked after two seconds, which may be over
// before anybody has looked.
type waitingPoll struct {
	owner *fixture
	taken int32 // before
}

// willWait is called before the GET is sent.
func (f *fixture) willWait() waitingPoll {
	f.t.Helper()
	eventually(f.t, "no other poll waits", func() bool { return waiting() == 0 })
	return waitingPoll{f, f.taken.Load()}
}

func (w waitingPoll) wait() {
	w.owner.t.Helper()
	eventually(w.owner.t, "the poll waits", func() bool { return waiting() == 1 || w.isTaken() })
}

func (w waitingPoll) isTaken() bool { return w.owner.taken.Load() > w.taken }

func (w waitingPoll) waitParked() {
	w.owner.t.Helper()
	eventually(w.owner.t, "the poll is parked", func() bool { return w.isTaken() && waiting() == 0 })
}

// A rawAnswer is an answer with its whole body.
type rawAnswer struct {
	status int
	header http.Header
	body   string
}

// sendRaw sends one request to the Socket.IO path of a server.
func sendRaw(t testing.TB, method, addr, query, body string, header ...string) rawAnswer {
	t.Helper()
	r, err := http.NewRequest(method, "http://"+addr+"/socket.io/?"+query, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return rawAnswer{res.StatusCode, res.Header, string(got)}
}

// begin opens a session over polling, of revision 5, and returns its id.
func begin(t testing.TB, addr string) string {
	t.Helper()
	a := sendRaw(t, "GET", addr, "EIO=4&transport=polling", "")
	return sidIn(t, a.body)
}

func sidIn(t testing.TB, open string) string {
	t.Helper()
	_, rest, found := strings.Cut(strings.ReplaceAll(open, `\"`, `"`), `"sid":"`)
	sid, _, closed := strings.Cut(rest, `"`)
	if !found || !closed {
		t.Fatalf("no session in %q", open)
	}
	return sid
}

// A rawSocket is a WebSocket connection.
type rawSocket struct {
	t testing.TB
	net.Conn
	in *bufio.Reader
}

func dialSocket(t testing.TB, addr, query string) *rawSocket {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(deadline))
	io.WriteString(c, "GET /socket.io/?"+query+" HTTP/1.1\r\nHost: "+addr+"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	s := &rawSocket{t, c, bufio.NewReader(c)}
	res, err := http.ReadResponse(s.in, nil)
	if err != nil || res.StatusCode != http.StatusSwitchingProtocols || res.Header.Get("Sec-WebSocket-Accept") != "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" {
		t.Fatalf("answered %+v, %v", res, err)
	}
	return s
}

func (s *rawSocket) send(text string) {
	s.t.Helper()
	if _, err := s.Write(clientFrame(text)); err != nil {
		s.t.Fatal(err)
	}
}

// next returns the next message.
func (s *rawSocket) next() string {
	s.t.Helper()
	head := make([]byte, 2)
	_, err := io.ReadFull(s.in, head)
	n := int(head[1])
	if err == nil && n == 126 { // RFC 6455 section 5.2; longer ones do not occur here
		_, err = io.ReadFull(s.in, head)
		n = int(head[0])<<8 | int(head[1])
	}
	text := make([]byte, n)
	if err == nil {
		_, err = io.ReadFull(s.in, text)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return string(text)
}

// until returns the next message with this in it.
func (s *rawSocket) until(text string) string {
	s.t.Helper()
	for {
		if got := s.next(); strings.Contains(got, text) {
			return got
		}
	}
}
