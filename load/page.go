package load

import (
	"encoding/json"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// A page is one browser page: it connects, logs in, listens, leaves, and comes back when it is
// disconnected.
type page struct {
	run      *run
	number   int
	company  *company
	user     *user
	polling  bool
	revision int // of Socket.IO: 4 or 5
	slow     bool
	token    string // empty where the server needs none
	tally    *tally

	mu       sync.Mutex
	state    pageState
	session  *session // while connected
	since    int64    // when the state began
	attempts int      // that failed, one after the other
	pinged   int64    // revision 4: when it sent its last ping
	witness  *witness // nil unless it verifies

	pid    string // of a session that can be resumed
	offset []byte // what it has been told up to
}

type pageState byte

const (
	pageAway       pageState = iota // it comes, or comes back
	pageConnecting                  // up to the answer to CONNECT
	pageLoggingIn
	pageOpen
	pageLeaving // when it has got what it is owed
	pageFailed  // it does not try any more
)

// maxAttempts is how often a page tries to log in, one failure after the other.
const maxAttempts = 5

// resumes reports whether the page asks for what it has missed.
func (p *page) resumes() bool {
	return p.run.o.Recover && len(p.offset) > 0 && (p.pid != "" || p.revision == 4)
}

// protocol is the revision of Engine.IO.
func (p *page) protocol() int { return p.revision - 1 }

func (p *page) enter(state pageState) { p.state, p.since = state, p.run.now() }

// connect opens a connection and begins the login. It is called by an opener, for a page that is
// away.
func (p *page) connect() {
	p.mu.Lock()
	p.enter(pageConnecting)
	p.mu.Unlock()
	conn, err := p.run.dial(&p.run.public, p.number)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil && p.run.stopped.Load() {
		conn.Close()
		p.run.release()
		return
	}
	if err != nil {
		p.failed("connecting: " + err.Error())
		return
	}
	if p.witness != nil {
		p.witness.login(p.resumes())
	}
	s := &session{page: p}
	p.session = s
	if p.slow {
		w := &connWire{Conn: conn}
		s.wire = w
		go readSlowly(w, s, p.run.pace)
	} else {
		s.wire = startReading(p.run.loops[p.number%len(p.run.loops)], conn, s)
	}
	if err := s.begin(); err != nil {
		p.failed("connecting: " + err.Error())
	}
}

// failed ends an attempt to log in; p.mu is held. The page tries again, later each time.
func (p *page) failed(why string) {
	p.run.count.loginFailures.Add(1)
	p.run.troubles.note(why)
	p.run.release()
	p.hangUp()
	if p.attempts++; p.attempts >= maxAttempts {
		p.enter(pageFailed)
		p.run.settled()
		return
	}
	p.comeBack(time.Duration(p.attempts) * 200 * time.Millisecond)
}

// comeBack has the page connect after some time; p.mu is held.
func (p *page) comeBack(after time.Duration) {
	p.enter(pageAway)
	time.AfterFunc(after, func() { p.run.enqueue(p) })
}

// hangUp ends the connection, if there is one; p.mu is held.
func (p *page) hangUp() {
	if p.session != nil {
		p.session.wire.Close()
		p.session = nil
	}
}

// connected takes the answer to CONNECT, and asks to log in where that did not happen in it.
func (p *page) connected(answer []byte) error {
	if p.state != pageConnecting {
		return errUnexpected
	}
	p.state = pageLoggingIn // since the connection began
	if p.revision == 4 {
		return p.session.send(append([]byte(`420["login",`), append(p.login(), ']')...))
	}
	var session struct{ PID string }
	if err := json.Unmarshal(answer, &session); err != nil {
		return errUnexpected
	}
	if p.resumes() {
		if session.PID == p.pid {
			p.run.count.resumed.Add(1)
		} else {
			p.notResumed()
		}
	}
	p.pid = session.PID
	return nil
}

func (p *page) notResumed() {
	p.run.count.notResumed.Add(1)
	if p.witness != nil {
		p.witness.fresh()
	}
}

// login is what the page shows to log in.
func (p *page) login() []byte {
	shown := make(map[string]string, 4)
	if p.token != "" {
		shown["token"] = p.token
	} else {
		shown["uid"], shown["companyID"] = p.user.name, p.company.name
	}
	switch {
	case p.revision == 4 && p.resumes():
		shown["cursor"] = string(p.offset)
	case p.resumes():
		shown["pid"], shown["offset"] = p.pid, string(p.offset)
	}
	b, err := json.Marshal(shown)
	if err != nil {
		panic(err) // strings
	}
	return b
}

// answered takes the answer to a login of revision 4.
func (p *page) answered(answer []byte) error {
	var welcomes []struct {
		OK    bool
		Reset bool
		Error struct{ Message string }
	}
	if json.Unmarshal(answer, &welcomes) != nil || len(welcomes) != 1 || p.state != pageLoggingIn {
		return errUnexpected
	}
	w := welcomes[0]
	if !w.OK {
		p.failed("login refused: " + w.Error.Message)
		return nil
	}
	if p.resumes() {
		if w.Reset {
			p.notResumed()
		} else {
			p.run.count.resumed.Add(1)
		}
	}
	p.welcome()
	return nil
}

// welcome makes the page open; p.mu is held.
func (p *page) welcome() {
	now := p.run.now()
	p.run.count.login.add(now - p.since)
	p.run.count.opened.Add(1)
	p.attempts = 0
	p.enter(pageOpen)
	if p.witness != nil {
		p.witness.welcome()
	}
	p.company.enter(p)
	p.run.release()
	p.run.settled()
}

// A company is a tenant with pages.
type company struct {
	name    string
	streams []*stream // of its activities
	callers []*caller // likewise
	open    atomic.Int64
}

// enter and leave count the pages that callers wait for: slow ones are not waited for.
func (c *company) enter(p *page) {
	if !p.slow {
		c.open.Add(1)
	}
}

func (c *company) leave(p *page) {
	if !p.slow {
		c.open.Add(-1)
	}
}

// A user has pages, and perhaps messages.
type user struct {
	name   string
	stream *stream // nil where nobody pushes messages
}

// event takes an event of the server.
func (p *page) event(name, packet []byte) error {
	switch string(name) {
	case "new_msg", "update_dynamic":
		p.publication(packet)
	case "counts":
		if p.state == pageLoggingIn && p.revision == 5 {
			p.welcome()
		}
	}
	if p.run.o.Recover {
		p.noteOffset(packet)
	}
	return nil
}

// publication takes a message or an activity. A page that waited for it to leave leaves.
func (p *page) publication(packet []byte) {
	p.judge(packet)
	if p.state == pageLeaving && p.witness.owed() == 0 {
		p.gone()
	}
}

// judge counts a publication and has it verified.
func (p *page) judge(packet []byte) {
	s, ok := findStamp(packet, p.run.marker)
	if !ok {
		return // of an earlier run, or not ours
	}
	p.tally.take(p, s.at)
	i := p.streamOf(s)
	if i < 0 {
		f := &p.run.faults
		f.note(&f.misdelivered, 1, "page %d of user %s got what was for %c%d", p.number, p.user.name, s.kind, s.target)
		return
	}
	if p.witness != nil {
		p.witness.take(i, s.seq)
	}
	if s.kind == 'c' && !p.slow {
		p.company.callers[i].arrive(s, p.company)
	}
}

// streamOf returns which of the page's streams a stamp is of, or -1 for none: those of its
// company come first.
func (p *page) streamOf(s stamp) int {
	switch {
	case s.kind == 'c' && s.target == p.number%p.run.o.Companies && s.lane < len(p.company.streams):
		return s.lane
	case s.kind == 'u' && s.target == p.number%len(p.run.users) && p.user.stream != nil:
		return len(p.company.streams)
	}
	return -1
}

// noteOffset keeps the string at the end of an event, as clients that can recover do.
func (p *page) noteOffset(packet []byte) {
	end := len(packet) - 2 // before "]
	if end < 1 || packet[end] != '"' || packet[end+1] != ']' {
		return
	}
	for start := end - 1; start > 0; start-- {
		if packet[start] == '"' {
			if packet[start-1] == ',' {
				p.offset = append(p.offset[:0], packet[start+1:end]...)
			}
			return
		}
	}
}

// cut says that the connection ended or the server ended the session; p.mu is held.
func (p *page) cut(why string) {
	switch p.state {
	case pageConnecting, pageLoggingIn:
		p.failed("logging in: " + why)
		return
	case pageOpen, pageLeaving:
	default:
		return
	}
	if p.slow {
		p.run.count.slowDisconnected.Add(1)
	} else {
		p.run.count.disconnected.Add(1)
		p.run.troubles.note("disconnected: " + why)
	}
	p.away()
	p.comeBack(p.run.shortly(p.number))
}

// leave makes an open page go. If it verifies and cannot ask for the rest later, it waits
// for what it is owed, unless it is slow: what it has not read yet is on its way, not lost. It reports
// whether the page was open.
func (p *page) leave() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.state != pageOpen {
		return false
	}
	if p.witness != nil && !p.run.o.Recover && !p.slow {
		p.witness.leave()
		if p.witness.owed() > 0 {
			p.enter(pageLeaving)
			return true
		}
	}
	p.gone()
	return true
}

// gone closes the page, every other one without a word; p.mu is held.
func (p *page) gone() {
	p.run.count.left.Add(1)
	if p.run.count.left.Load()%2 == 0 {
		p.session.bye()
	}
	p.away()
	p.comeBack(p.run.shortly(p.number))
}

// away ends the connection of a page that was open; p.mu is held.
func (p *page) away() {
	p.hangUp()
	p.company.leave(p)
	if p.witness != nil {
		p.witness.cut()
	}
	p.run.returns()
}

// look does what is due with time: heartbeats of revision 4, and waiting that has been too
// long.
func (p *page) look(now int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	age := time.Duration(now - p.since)
	switch p.state {
	case pageConnecting, pageLoggingIn:
		if p.session != nil && age > loginTimeout {
			p.failed("logging in: no answer in " + strconv.Itoa(int(loginTimeout.Seconds())) + " s")
		}
	case pageLeaving:
		if age > p.run.o.leaving {
			p.witness.settle()
			p.gone()
			return
		}
		fallthrough
	case pageOpen:
		if p.revision == 4 && now-p.pinged > p.session.pingEvery {
			p.pinged = now
			p.session.ping()
		}
	}
}

// owes reports whether something is still to come to the page, or with itself the page.
func (p *page) owes(itself bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch p.state {
	case pageFailed:
		return false
	case pageOpen:
		return p.witness != nil && p.witness.owed() > 0
	}
	return itself
}

func (p *page) isOpen() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state == pageOpen
}

// finish ends the page for good.
func (p *page) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch p.state {
	case pageConnecting, pageLoggingIn:
		if p.session != nil { // or connect sees that the run has stopped
			p.run.release()
		}
	case pageOpen, pageLeaving:
		if p.witness != nil {
			p.witness.settle()
		}
		p.session.bye()
		p.company.leave(p)
	}
	p.hangUp()
	p.enter(pageFailed)
}
