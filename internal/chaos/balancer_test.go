package chaos

import (
	"io"
	"net"
	"sync"
	"time"
)

// A balancer hands each new connection to the next node that takes it.
type balancer struct {
	addr  string
	in    net.Listener
	nodes []string // their addresses

	mu     sync.Mutex
	next   int
	routes map[string]int // by the address of a client's connection, its node
}

// dialPatience is how long a node may take to accept a connection, which a stopped one does, too.
const dialPatience = time.Second

// newBalancer makes a balancer of nodes, until close.
func newBalancer(nodes []string) (*balancer, error) {
	in, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	b := &balancer{addr: in.Addr().String(), in: in, nodes: nodes, routes: make(map[string]int)}
	go b.serve()
	return b, nil
}

func (b *balancer) close() { b.in.Close() }

func (b *balancer) serve() {
	for {
		c, err := b.in.Accept()
		if err != nil {
			return
		}
		go b.forward(c)
	}
}

func (b *balancer) forward(near net.Conn) {
	defer near.Close()
	far := b.dial(near.RemoteAddr().String())
	if far == nil {
		reset(near)
		return
	}
	defer far.Close()
	done := make(chan struct{}, 2)
	carry := func(to, from net.Conn) {
		io.Copy(to, from) // whichever way it ends, the connection has
		done <- struct{}{}
	}
	go carry(far, near)
	go carry(near, far)
	<-done
}

// dial connects to the next node that accepts, and notes which for a client.
func (b *balancer) dial(client string) net.Conn {
	for range b.nodes {
		b.mu.Lock()
		node := b.next % len(b.nodes)
		b.next++
		b.routes[client] = node
		b.mu.Unlock()
		if far, err := net.DialTimeout("tcp", b.nodes[node], dialPatience); err == nil {
			return far
		}
	}
	return nil
}

// node returns the number of the node that a client's connection went to last, and -1 if it went to none.
func (b *balancer) node(client string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	if node, is := b.routes[client]; is {
		return node
	}
	return -1
}
