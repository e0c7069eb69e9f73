package chaos

import (
	"encoding/json"
	"fmt"
	"sync"
	"time"
)

// A told is one message or activity that a page was told of.
type told struct {
	ID, Title string
	Message   bool
	At        time.Time
	Since     time.Time // when the page's connection began
	Node      int       // that it goes to
}

// counts are those of an identity.
type counts struct {
	Unread  int
	Unseen  int
	ByType  map[string]int
	Version int64
}

// A page is what is known of a page, whoever drives it. It is safe for concurrent use.
type page struct {
	Name string
	Who  identity

	mu       sync.Mutex
	told     []told
	titles   map[string]bool
	read     map[string]bool // messages, as the page shows them
	counts   counts
	in       bool // logged in, and connected as far as it knows
	logins   int
	since    time.Time // when its connection began
	node     int       // that it goes to
	history  []string  // of connections
	fresh    []string  // why it had to load its lists anew, which it never should
	refusals int       // of logins
}

func newPage(name string, who identity) *page {
	return &page{Name: name, Who: who, titles: make(map[string]bool), read: make(map[string]bool)}
}

// take notes an event. It returns the ID of a message that is new.
func (p *page) take(event string, args []json.RawMessage) (id string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(args) == 0 {
		return "", nil
	}
	switch event {
	case "new_msg", "update_dynamic":
		var what struct {
			MessageID, ActivityID, Title string
			Counts                       *counts
		}
		if err := json.Unmarshal(args[0], &what); err != nil {
			return "", err
		}
		if what.Counts != nil {
			p.count(*what.Counts)
		}
		p.told = append(p.told, told{what.MessageID + what.ActivityID, what.Title, event == "new_msg", time.Now(), p.since, p.node})
		p.titles[what.Title] = true
		return what.MessageID, nil
	case "msg_read":
		var change struct {
			MessageIDs []string
			IsRead     int
		}
		if err := json.Unmarshal(args[0], &change); err != nil {
			return "", err
		}
		if len(change.MessageIDs) == 0 {
			return "", fmt.Errorf("msg_read without messages: %s", args[0])
		}
		for _, id := range change.MessageIDs {
			p.read[id] = change.IsRead == 1
		}
	case "counts":
		var now counts
		if err := json.Unmarshal(args[0], &now); err != nil {
			return "", err
		}
		p.count(now)
	case "reset":
		p.fresh = append(p.fresh, clock(time.Now())+" reset")
	}
	return "", nil
}

// count takes counts that are not older. The page is locked.
func (p *page) count(now counts) {
	if now.Version >= p.counts.Version {
		p.counts = now
	}
}

// loggedIn notes an answer to a login.
func (p *page) loggedIn(now counts) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.count(now)
	p.in = true
	p.logins++
	p.history = append(p.history, clock(time.Now())+" logged in")
}

// loadsAnew notes that the page has to load its lists anew.
func (p *page) loadsAnew(why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fresh = append(p.fresh, clock(time.Now())+" "+why)
}

// connects notes that a connection of the page begins.
func (p *page) connects(node int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.since, p.node = time.Now(), node
	p.history = append(p.history, fmt.Sprintf("%s connected to node %d", clock(p.since), node))
}

// leaves notes that the connection has ended, and why.
func (p *page) leaves(why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.in = false
	p.history = append(p.history, clock(time.Now())+" left: "+why)
}

func (p *page) refused() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refusals++
}

func (p *page) isIn() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.in
}

func (p *page) hasBeenIn() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.logins > 0
}

// misses returns those of the pushes that the page should have seen and has not, by now.
func (p *page) misses(pushes []*push) (missing []*push) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, push := range pushes {
		if push.Answer.stored() && push.reaches(p.Who) && !p.titles[push.Title] {
			missing = append(missing, push)
		}
	}
	return missing
}

// A view is what a page shows at a time.
type view struct {
	told   []told
	read   map[string]bool
	counts counts
	fresh  []string
}

func (p *page) view() view {
	p.mu.Lock()
	defer p.mu.Unlock()
	read := make(map[string]bool, len(p.read))
	for id, is := range p.read {
		read[id] = is
	}
	return view{p.told[:len(p.told):len(p.told)], read, p.counts, p.fresh}
}
