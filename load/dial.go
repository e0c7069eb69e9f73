package load

import (
	"crypto/tls"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// portsPerAddress is how many connections share a source address, where there are several to
// choose from. Linux has 28,232 ephemeral ports; it first looks for one in half of them, and the longer the more of
// these are taken: beyond 10,000 the search became most of the time that a connection takes.
const portsPerAddress = 10_000

// dial connects to an endpoint. To a server on loopback the many connections of a run come from
// 127.0.0.1 and the addresses behind it, since one has too few ports.
func (r *run) dial(e *endpoint, number int) (net.Conn, error) {
	d := net.Dialer{Timeout: dialTimeout, KeepAlive: -1} // heartbeats do that
	if block := number / portsPerAddress; e.loopbackOnly && block > 0 {
		d.LocalAddr = &net.TCPAddr{IP: net.IPv4(127, 0, byte(block>>8), byte(1+block))}
	}
	conn, err := d.Dial("tcp", e.address)
	if err != nil {
		return nil, err
	}
	if e.secure {
		return secure(conn, &tls.Config{ServerName: e.name})
	}
	return conn, nil
}

// An errand posts single packets of polling pages, over a few connections that they share.
type errand struct {
	queue  chan errandPost
	client *http.Client
	done   sync.WaitGroup
}

type errandPost struct{ url, body string }

// errandWorkers is how many such posts can be under way.
const errandWorkers = 4

func newErrand() *errand {
	e := &errand{
		queue:  make(chan errandPost, 4096),
		client: &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: errandWorkers}},
	}
	for range errandWorkers {
		e.done.Go(e.work)
	}
	return e
}

func (e *errand) work() {
	for p := range e.queue {
		if res, err := e.client.Post(p.url, "text/plain; charset=UTF-8", strings.NewReader(p.body)); err == nil {
			res.Body.Close() // what became of it, the page's own connection tells
		}
	}
}

func (e *errand) close() {
	close(e.queue)
	e.done.Wait()
	e.client.CloseIdleConnections()
}
