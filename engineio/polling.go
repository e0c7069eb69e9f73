package engineio

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// bodyTimeout bounds how long a client may take to send the body of a POST.
const bodyTimeout = 20 * time.Second

// A poll is a GET that waits for something to answer.
type poll struct {
	ready chan struct{} // capacity 1: look at the session again
	last  *Frame        // set when the session has ended; guarded by Session.mu
}

func (p *poll) signal() {
	select {
	case p.ready <- struct{}{}:
	default:
	}
}

// finish answers the poll of a session that has ended: with a noop packet when
// the client asked for it, with a close packet otherwise (as the reference does).
func (p *poll) finish(s *Session, reason Reason) {
	s.mu.Lock()
	p.last = frameClose
	if reason == ReasonTransportClose {
		p.last = frameNoop
	}
	s.mu.Unlock()
	p.signal()
}

// serveGet answers a GET with what is queued, or waits until something is.
func (s *Session) serveGet(w http.ResponseWriter, r *http.Request, form responseForm) {
	p := &poll{ready: make(chan struct{}, 1)}
	s.mu.Lock()
	if s.poll != nil {
		// EIO4, "Receiving data": a client MUST NOT have more than one.
		s.mu.Unlock()
		s.abort(ReasonTransportError)
		writeError(w, errBadRequest)
		return
	}
	s.poll = p
	s.mu.Unlock()
	for {
		frames, answered := s.takeForPoll(p)
		if answered {
			s.answerPoll(w, r, form, frames)
			return
		}
		select {
		case <-p.ready:
		case <-r.Context().Done():
			s.abort(ReasonTransportError)
			return
		}
	}
}

// takeForPoll takes the frames that answer p, if there is an answer yet.
func (s *Session) takeForPoll(p *poll) (frames []*Frame, answered bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch n := s.queue.upToAlone(); {
	case p.last != nil:
		frames = []*Frame{p.last}
	case s.state == stateClosed:
		return nil, false // end will signal
	case s.link != nil, n == 0 && s.probed:
		frames = []*Frame{frameNoop}
	case n == 0:
		return nil, false
	default:
		for range n {
			frames = append(frames, s.queue.first)
			s.queue.pop()
		}
	}
	if s.poll == p {
		s.poll = nil
	}
	return frames, true
}

func (s *Session) answerPoll(w http.ResponseWriter, r *http.Request, form responseForm, frames []*Frame) {
	buf := payloadBuffers.Get().(*[]byte)
	defer payloadBuffers.Put(buf)
	binary := !s.base64 && form.jsonp == ""
	body, octets := appendPayload((*buf)[:0], s.protocol, binary, frames)
	if cap(body) <= maxPooledPayload {
		*buf = body
	}
	err := form.write(w, body, octets)
	s.mu.Lock()
	done := s.state == stateClosing && s.queue.first == nil && s.link == nil
	reason := s.reason
	s.mu.Unlock()
	switch {
	case err != nil || r.Context().Err() != nil:
		s.abort(ReasonTransportError)
	case done:
		s.end(reason, true)
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
	s.mu.Lock()
	if s.posting {
		// EIO4, "Sending data": a client MUST NOT have more than one.
		s.mu.Unlock()
		s.abort(ReasonTransportError)
		writeError(w, errBadRequest)
		return
	}
	s.posting = true
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.posting = false
		s.mu.Unlock()
	}()

	octets := mediaType(r) == "application/octet-stream"
	body, err := readBody(w, r, s.server.options.MaxPayload)
	if err != nil {
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
		writeError(w, errBadRequest)
		return
	}
	form.writeOK(w)
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
