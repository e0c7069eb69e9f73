package server

import (
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"belfry"
	"belfry/auth"
	"belfry/socketio"
)

// A page is a logged-in socket, as the rules see it.
type page struct {
	socket *socketio.Socket
	who    belfry.Identity
	format format
	zone   *time.Location
	since  belfry.Cursor // what its login told it up to; set before others see the page

	expiry pageExpiry

	mu       sync.Mutex
	token    pageToken     // that it has shown last
	topics   []string      // globs of those that it may join
	gone     string        // why the server ends it, if it does
	received *rate.Limiter // of what it may confirm; nil until it confirms something
}

// A pageToken says when a page's token was issued, if the page had to show one.
type pageToken struct {
	issued time.Time // zero where it does not say
	none   bool
}

// isVoid reports whether the page has a token that is void, those of its user having been made so at a time.
func (p *page) isVoid(revoked time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.token.none && belfry.TokenVoid(p.token.issued, revoked)
}

// renew notes when another token was issued.
func (p *page) renew(issued time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.token = pageToken{issued: issued}
}

// What a page may confirm, in messages: more than it can have got would only push
// the facts of others out of the delivery record.
const (
	receivedRate  = 20 // a second
	receivedBurst = 1000
)

// mayConfirm reports whether the page may confirm n messages now.
func (p *page) mayConfirm(n int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.received == nil {
		p.received = rate.NewLimiter(receivedRate, receivedBurst)
	}
	return p.received.AllowN(time.Now(), n)
}

var _ belfry.Page = (*page)(nil)

func newPage(s *socketio.Socket, l login, zone *time.Location) *page {
	return &page{
		socket: s, who: l.who, format: l.format, zone: zone,
		token: pageToken{l.options.Issued, l.options.Trusted}, topics: l.topics,
	}
}

// ID implements [belfry.Page].
func (p *page) ID() string { return p.socket.ID() }

// Join implements [belfry.Page]. A socket that has gone meanwhile joins nothing.
func (p *page) Join(rooms ...string) { p.socket.Join(p.format.roomsOf(rooms)...) }

// Leave implements [belfry.Page].
func (p *page) Leave(rooms ...string) { p.socket.Leave(p.format.roomsOf(rooms)...) }

// Hold implements [belfry.Page].
func (p *page) Hold() { p.socket.Hold() }

// Release implements [belfry.Page].
func (p *page) Release() { p.socket.ReleasePaced(paceTimeout) }

// Drop implements [belfry.Page].
func (p *page) Drop() { p.socket.Drop() }

// Emit implements [belfry.Page].
func (p *page) Emit(event string, cursor belfry.Cursor, args ...any) bool {
	return p.socket.Emit(event, eventArgs(args, cursor, p.format, p.zone)...) == nil
}

// paceTimeout is how long a page has to take what it has missed, each time that
// half of what may be queued for it is.
const paceTimeout = 10 * time.Second

// Pace implements [belfry.Page].
func (p *page) Pace() bool { return p.socket.Session().Pace(paceTimeout) }

// setTopics replaces the globs of the topics that the page may join. It leaves those that only the
// old ones list, and returns them; what neither lists, the application has allowed.
func (p *page) setTopics(topics []string) (left []string) {
	p.mu.Lock()
	old := p.topics
	p.topics = topics
	p.mu.Unlock()
	prefix := p.format.roomsOf([]string{belfry.TopicRoom("")})[0] // others may have it in their names
	for _, room := range p.socket.Rooms() {
		topic, found := strings.CutPrefix(room, prefix)
		if found && auth.TopicAllowed(old, topic) && !auth.TopicAllowed(topics, topic) {
			p.socket.Leave(room)
			left = append(left, topic)
		}
	}
	return left
}

// mayJoin reports whether the page's token lists a topic.
func (p *page) mayJoin(topic string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return auth.TopicAllowed(p.topics, topic)
}

// end disconnects the page. Official clients do not come back by themselves.
func (p *page) end(why string) {
	p.mu.Lock()
	p.gone = why
	p.mu.Unlock()
	p.socket.Disconnect(true)
}

// whyGone is why the page ended: as the server meant it, or as the connection says.
func (p *page) whyGone(reason socketio.Reason) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone != "" {
		return p.gone
	}
	return string(reason)
}
