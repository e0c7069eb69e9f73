package chaos

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"time"
)

// callers push at a steady rate, in lanes that have one call at a time each.
type callers struct {
	balancer *balancer
	ledger   *ledger
	users    []identity
	lanes    int
	rate     float64 // a second, of all lanes
	seed     uint64

	mu     sync.Mutex
	number int
}

const (
	callPatience = 10 * time.Second
	// retryPatience is how long a call with a key is made again. All is well again by then.
	retryPatience = 2 * time.Minute
	retryPause    = 200 * time.Millisecond
)

// run pushes until ctx ends, and returns when all calls are over.
func (c *callers) run(ctx context.Context) {
	var lanes sync.WaitGroup
	for lane := range c.lanes {
		rng := rand.New(rand.NewPCG(c.seed, uint64(lane)))
		lanes.Go(func() {
			ticker := time.NewTicker(time.Duration(float64(c.lanes) / c.rate * float64(time.Second)))
			defer ticker.Stop()
			for {
				select {
				case <-ticker.C:
				case <-ctx.Done():
					return
				}
				c.push(lane, rng)
			}
		})
	}
	lanes.Wait()
}

// push makes one call and notes it.
func (c *callers) push(lane int, rng *rand.Rand) {
	c.mu.Lock()
	c.number++
	number := c.number
	c.mu.Unlock()
	who := c.users[rng.IntN(len(c.users))]
	p := &push{Title: fmt.Sprintf("p%d", number), Lane: lane, Kind: pushKinds[rng.IntN(len(pushKinds))], Company: who.Company}
	switch p.Kind {
	case pushMessage, pushKeyed:
		p.Users = []string{who.User}
	case pushList:
		for _, i := range rng.Perm(len(c.users)) {
			if other := c.users[i]; other.Company == who.Company && len(p.Users) < 4 {
				p.Users = append(p.Users, other.User)
			}
		}
	}
	p.Sent = time.Now()
	if p.Kind == pushNotice || p.Kind == pushKeyed {
		c.keyed(p)
	} else {
		c.call(p, c.legacy(p))
	}
	p.Answered = time.Now()
	c.ledger.add(p)
}

// keyed makes a call until it is answered.
func (c *callers) keyed(p *push) {
	deadline := time.Now().Add(retryPatience)
	for {
		if c.call(p, c.rest(p)); p.Answer.stored() || time.Now().After(deadline) {
			return
		}
		p.Answer = answerUnknown // one of the calls may have arrived
		time.Sleep(retryPause)
	}
}

// legacy is the call of the article.
func (c *callers) legacy(p *push) *http.Request {
	fields := url.Values{"token": {pushKey}, "title": {p.Title}, "content": {"text"}, "companyID": {p.Company}}
	if p.Kind == pushActivity {
		fields.Set("action", "dynamic")
		fields.Set("operatorID", "1")
	} else {
		fields.Set("action", "message")
		fields.Set("receiverID", strings.Join(p.Users, ","))
	}
	req, _ := http.NewRequest(http.MethodPost, "http://"+c.balancer.addr+"/", strings.NewReader(fields.Encode())) // of a good URL
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return req
}

func (c *callers) rest(p *push) *http.Request {
	body := map[string]any{"title": p.Title, "companyID": p.Company}
	if p.Kind == pushNotice {
		body["audience"] = "company"
	} else {
		body["receivers"] = p.Users
	}
	req, _ := http.NewRequest(http.MethodPost, "http://"+c.balancer.addr+"/v1/messages", bytes.NewReader([]byte(encode(body)))) // of a good URL
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+pushKey)
	req.Header.Set("Idempotency-Key", p.Title)
	return req
}

// call makes one call and notes what it was answered and by whom.
func (c *callers) call(p *push, req *http.Request) {
	ctx, cancel := context.WithTimeout(context.Background(), callPatience)
	defer cancel()
	p.Attempts++
	p.Answer, p.Why = answerUnknown, ""
	var local string
	trace := &httptrace.ClientTrace{GotConn: func(got httptrace.GotConnInfo) { local = got.Conn.LocalAddr().String() }}
	defer func() { p.Node = c.balancer.node(local) }()
	res, err := lonely.Do(req.WithContext(httptrace.WithClientTrace(ctx, trace)))
	if err != nil {
		p.Why = err.Error()
		return
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		p.Why = err.Error()
		return
	}
	switch text := string(body); {
	case res.StatusCode == http.StatusCreated:
		p.Answer = answerStored
	case res.StatusCode != http.StatusOK:
		p.Why = res.Status + " " + text
	case text == "ok" || text == "offline":
		p.Answer = answer(text)
	case text == "fail":
		p.Answer, p.Why = answerRefused, res.Header.Get("X-Belfry-Error")
	default:
		p.Why = fmt.Sprintf("answered %q", text)
	}
}
