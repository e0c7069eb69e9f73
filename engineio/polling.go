package engineio

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// bodyTimeout bounds how long a client may take to send the body of a POST.
const bodyTimeout = 20 * time.Second

// handlingTimeout is how long the answer to a POST waits until the messages in it
// are handled. The reference server waits for none. A handler that waits until its client has taken
// what was sent would wait forever where the client sends one request at a time.
const handlingTimeout = time.Second

// raceDelay is how long a GET that comes after a probe waits for the upgrade
// packet, which its client may have sent before it on the other connection.
const raceDelay = 10 * time.Millisecond

// A poll is a GET that waits for something to answer. Its fields are guarded by
// Session.mu.
type poll struct {
	ready  chan struct{} // capacity 1: look at the session again; nil once parked
	parked *parkedPoll   // who is to look instead
	last   *Frame        // set when the session has ended
	// late says that it came after a probe, held that raceDelay still runs.
	late, held bool
}

// signal has the session be looked at again. Session.mu is held.
func (p *poll) signal() {
	if p.parked != nil {
		p.parked.wake()
		return
	}
	select {
	case p.ready <- struct{}{}:
	default:
	}
}

// serveGet answers a GET with what is queued, or waits until something is.
func (s *Session) serveGet(w http.ResponseWriter, r *http.Request, form responseForm) {
	p := &poll{ready: make(chan struct{}, 1)}
	if err := s.startPoll(p); err != nil {
		writeError(w, err)
		return
	}
	var park <-chan time.Time
	mayPark := s.mayPark(r)
	for {
		frames, err := s.takeForPoll(p)
		if err != nil {
			writeError(w, err)
			return
		}
		if frames != nil {
			s.answerPoll(r.Context(), w, form, frames)
			return
		}
		if mayPark { // and it has to wait
			timer := time.NewTimer(s.server.waits.parkAfter)
			defer timer.Stop()
			park, mayPark = timer.C, false
		}
		select {
		case <-p.ready:
		case <-park:
			if s.park(w, r, p, form) {
				return
			}
			park = nil
		case <-r.Context().Done():
			s.abort(ReasonTransportError)
			return
		}
	}
}

// startPoll makes p the GET that waits. A second one ends the session (EIO4,
// "Receiving data": a client MUST NOT have more than one).
func (s *Session) startPoll(p *poll) *requestError {
	s.mu.Lock()
	switch {
	case s.state == stateClosed:
		s.mu.Unlock()
		return errUnknownSession
	case s.poll != nil:
		s.mu.Unlock()
		s.abort(ReasonTransportError)
		return errBadRequest
	}
	defer s.mu.Unlock()
	s.poll = p
	if s.probed {
		p.late, p.held = true, true
		time.AfterFunc(raceDelay, func() { s.release(p) })
	}
	return nil
}

// release lets a late poll be answered with nothing but a noop packet.
func (s *Session) release(p *poll) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.held = false
	p.signal()
}

// takeForPoll takes the frames that answer p; none when there is no answer yet.
func (s *Session) takeForPoll(p *poll) ([]*Frame, *requestError) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var frames []*Frame
	n := s.queue.upToAlone()
	switch {
	case p.last != nil:
		frames = []*Frame{p.last}
	case s.link != nil && p.late:
		s.poll = nil
		return nil, errBadRequest
	case s.link != nil, n == 0 && s.probed && !p.held:
		frames = []*Frame{frameNoop}
	default:
		for range n {
			frames = append(frames, s.queue.first)
			s.queue.pop()
		}
		if s.queue.first == nil {
			s.emptied()
		}
	}
	if frames != nil && s.poll == p {
		s.poll = nil
	}
	return frames, nil
}

func (s *Session) answerPoll(ctx context.Context, w http.ResponseWriter, form responseForm, frames []*Frame) {
	buf := payloadBuffers.Get().(*[]byte)
	defer payloadBuffers.Put(buf)
	body, octets := appendPayload((*buf)[:0], s.protocol, s.binary, frames)
	if cap(body) <= maxPooledPayload {
		*buf = body
	}
	err := form.write(w, body, octets)
	s.mu.Lock()
	done := s.state == stateClosing && s.queue.first == nil && s.link == nil
	reason := s.reason
	s.mu.Unlock()
	switch {
	case err != nil || ctx.Err() != nil:
		s.abort(ReasonTransportError)
	case done:
		s.end(reason)
	}
}

// maxPooledPayload keeps an exceptional payload from staying in the pool.
const maxPooledPayload = 64 << 10

var payloadBuffers = sync.Pool{New: func() any {
	b := make([]byte, 0, 4<<10)
	return &b
}}

// servePost reads the packets in a POST.
func (s *Session) servePost(w http.ResponseWriter, r *http.Request, form responseForm) {
	if err := s.startPost(r.Context()); err != nil {
		writeError(w, err)
		return
	}
	body, err := readBody(w, r, s.server.options.MaxPayload)
	if err != nil {
		defer s.endPost()
		var tooBig *http.MaxBytesError
		if errors.As(err, &tooBig) {
			w.Header().Set("Connection", "close")
			http.Error(w, "payload exceeds "+strconv.FormatInt(tooBig.Limit, 10)+" bytes", http.StatusRequestEntityTooLarge)
			return
		}
		s.abort(ReasonTransportError)
		writeError(w, errBadRequest)
		return
	}
	octets := mediaType(r) == "application/octet-stream"
	valid := make(chan bool, 1)
	go func() {
		ok := s.handlePost(body, octets, form)
		s.endPost() // before the answer: the client may send the next one then
		valid <- ok
	}()
	late := time.NewTimer(s.server.waits.handlingTimeout)
	defer late.Stop()
	select {
	case ok := <-valid:
		if !ok {
			writeError(w, errBadRequest)
			return
		}
	case <-late.C:
		s.postLate()
	}
	form.writeOK(w)
}

// handlePost hands over the packets of a POST. It reports false where they are malformed, which
// ends the session.
func (s *Session) handlePost(body []byte, octets bool, form responseForm) (valid bool) {
	defer s.recoverPanic()
	var err error
	if form.jsonp != "" {
		body, err = jsonpBody(body)
	} else if octets && s.protocol == Protocol4 {
		err = errPayload // protocol 4 has no binary payloads
	}
	if err == nil {
		err = decodePayload(s.protocol, body, octets, func(p packet) error {
			if !s.receive(p) {
				return errLinkDone
			}
			return nil
		})
	}
	if err != nil && !errors.Is(err, errLinkDone) {
		s.abort(ReasonParseError)
		return false
	}
	return true
}

// startPost refuses a second POST, which ends the session (EIO4, "Sending data":
// a client MUST NOT have more than one), and a POST that comes too late. One that follows on
// another that is answered and still being handled waits until that is done.
func (s *Session) startPost(ctx context.Context) *requestError {
	for {
		s.mu.Lock()
		switch {
		case s.state != stateOpen:
			s.mu.Unlock()
			return errUnknownSession
		case !s.posting:
			s.posting = true
			s.mu.Unlock()
			return nil
		}
		handled := s.handled
		s.mu.Unlock()
		if handled == nil {
			s.abort(ReasonTransportError)
			return errBadRequest
		}
		select {
		case <-handled:
		case <-ctx.Done():
			s.abort(ReasonTransportError)
			return errBadRequest
		}
	}
}

// postLate says that the POST is being answered though it is still being handled.
func (s *Session) postLate() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.posting {
		s.handled = make(chan struct{})
	}
}

func (s *Session) endPost() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.posting = false
	if s.handled != nil {
		close(s.handled)
		s.handled = nil
	}
}

// readBody reads a body of at most limit bytes, within [bodyTimeout].
func readBody(w http.ResponseWriter, r *http.Request, limit int) ([]byte, error) {
	if r.ContentLength > int64(limit) {
		return nil, &http.MaxBytesError{Limit: int64(limit)}
	}
	control := http.NewResponseController(w)
	if err := control.SetReadDeadline(time.Now().Add(bodyTimeout)); err == nil {
		defer control.SetReadDeadline(time.Time{})
	}
	return io.ReadAll(http.MaxBytesReader(w, r.Body, int64(limit)))
}
