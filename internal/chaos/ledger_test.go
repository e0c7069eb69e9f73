package chaos

import (
	"fmt"
	"sync"
	"time"
)

// An identity is a user in a company. Nobody here is in two.
type identity struct{ User, Company string }

// A pushKind is what is pushed.
type pushKind string

const (
	pushMessage  pushKind = "message"  // to one user
	pushList     pushKind = "list"     // a message to each of some users
	pushActivity pushKind = "activity" // to a company
	pushNotice   pushKind = "notice"   // to a company, with an idempotency key, and again until it is answered
	pushKeyed    pushKind = "keyed"    // a message to one user, likewise
)

var pushKinds = []pushKind{pushMessage, pushList, pushActivity, pushNotice, pushKeyed}

// An answer is what is known of a push.
type answer string

const (
	answerOK      answer = "ok"
	answerOffline answer = "offline"
	answerStored  answer = "stored"  // by the REST API
	answerRefused answer = "fail"    // nothing was stored or sent
	answerUnknown answer = "unknown" // none came: it may have been stored
)

// stored reports whether a receiver must see what was answered so.
func (a answer) stored() bool { return a == answerOK || a == answerOffline || a == answerStored }

// A push is one call of a backend.
type push struct {
	Title    string // unlike all others
	Lane     int    // who pushed it: a lane has one call at a time
	Kind     pushKind
	Users    []string `json:",omitempty"`
	Company  string
	Sent     time.Time
	Answered time.Time
	Node     int // that it went to, and went to last
	Attempts int
	Answer   answer
	Why      string `json:",omitempty"` // of a refusal, or of a call that had no answer
}

// reaches reports whether the push is for an identity.
func (p *push) reaches(who identity) bool {
	if p.Company != who.Company {
		return false
	}
	if len(p.Users) == 0 {
		return true
	}
	for _, user := range p.Users {
		if user == who.User {
			return true
		}
	}
	return false
}

func (p *push) String() string {
	to := "company " + p.Company
	if len(p.Users) > 0 {
		to = fmt.Sprint("users ", p.Users)
	}
	return fmt.Sprintf("%s %s to %s, sent %s to node %d in lane %d, %d attempts, answered %q at %s %s", p.Kind, p.Title, to,
		clock(p.Sent), p.Node, p.Lane, p.Attempts, p.Answer, clock(p.Answered), p.Why)
}

// clock writes a time as the logs of the nodes do.
func clock(t time.Time) string { return t.UTC().Format("15:04:05.000") }

// A ledger has all pushes whose calls are over, lane by lane in their order.
type ledger struct {
	mu     sync.Mutex
	pushes []*push
}

func (l *ledger) add(p *push) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pushes = append(l.pushes, p)
}

func (l *ledger) all() []*push {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.pushes[:len(l.pushes):len(l.pushes)]
}
