package load

import (
	"bytes"
	"errors"
	"strconv"
)

// maxHead bounds the head of an answer, and a line between its chunks.
const maxHead = 32 << 10

var errResponse = errors.New("the server sent a malformed HTTP answer")

// A response is an answer of the server. It is valid during the call that hands it over.
type response struct {
	status int
	head   []byte // with the status line, up to the empty line
	body   []byte
	close  bool // the server closes the connection after it
}

// A responseSink gets answers. It returns false to stop the reading: what follows an upgrade is no
// HTTP.
type responseSink interface {
	response(r *response) (more bool, err error)
}

// A responseReader turns bytes into answers to GET and POST, however they are split.
type responseReader struct {
	state responseState
	buf   []byte // of a head, or of a line between chunks
	r     response
	left  int // bytes of the body, or of the chunk, to come
}

type responseState byte

const (
	readHead responseState = iota
	readBody
	readChunkSize
	readChunk
	readChunkEnd
	readTrailer
)

// feed consumes bytes until they are used up, or the sink stops it, and returns the
// rest. After an error the reader is not used again.
func (r *responseReader) feed(p []byte, sink responseSink) (rest []byte, err error) {
	for {
		done, n, err := r.step(p)
		if err != nil {
			return nil, err
		}
		p = p[n:]
		if done {
			more, err := sink.response(&r.r)
			r.r.body, r.r.head, r.buf, r.state = reset(r.r.body), nil, reset(r.buf), readHead
			if err != nil || !more {
				return p, err
			}
			continue
		}
		if len(p) == 0 {
			return nil, nil
		}
	}
}

// step consumes some bytes. It is done when an answer is complete.
func (r *responseReader) step(p []byte) (done bool, n int, err error) {
	switch r.state {
	case readHead:
		n, found, err := r.until(p, "\r\n\r\n")
		if err != nil || !found {
			return false, n, err
		}
		done, err = r.begin()
		return done, n, err
	case readBody, readChunk:
		n = min(r.left, len(p))
		r.r.body = append(r.r.body, p[:n]...)
		if r.left -= n; r.left > 0 {
			return false, n, nil
		}
		if r.state == readBody {
			return true, n, nil
		}
		r.state = readChunkEnd
		return false, n, nil
	}
	n, found, err := r.until(p, "\r\n")
	if err != nil || !found {
		return false, n, err
	}
	done, err = r.line(r.buf[len(r.r.head) : len(r.buf)-2])
	r.buf = r.buf[:len(r.r.head)]
	return done, n, err
}

// until collects bytes in buf up to an end.
func (r *responseReader) until(p []byte, end string) (n int, found bool, err error) {
	base := 0
	if r.state != readHead {
		base = len(r.r.head) // which stays in front
	}
	from := max(len(r.buf)-len(end)+1, base)
	r.buf = append(r.buf, p...)
	if i := bytes.Index(r.buf[from:], []byte(end)); i >= 0 {
		total := from + i + len(end)
		n = len(p) - (len(r.buf) - total)
		r.buf = r.buf[:total]
		return n, true, nil
	}
	if len(r.buf)-base > maxHead {
		return 0, false, errResponse
	}
	return len(p), false, nil
}

// begin reads a head. It is done where there is no body.
func (r *responseReader) begin() (done bool, err error) {
	head := r.buf
	r.r = response{head: head, body: r.r.body[:0]}
	if len(head) < len("HTTP/1.1 200") || !bytes.HasPrefix(head, []byte("HTTP/1.")) {
		return false, errResponse
	}
	status, err := strconv.Atoi(string(head[9:12]))
	if err != nil || status < 100 {
		return false, errResponse
	}
	r.r.status = status
	r.r.close = bytes.EqualFold(header(head, "Connection"), []byte("close"))
	if status == 101 || status == 204 || status == 304 {
		return true, nil
	}
	if status < 200 {
		r.buf = r.buf[:0] // another head follows
		return false, nil
	}
	if bytes.EqualFold(header(head, "Transfer-Encoding"), []byte("chunked")) {
		r.state = readChunkSize
		return false, nil
	}
	length := header(head, "Content-Length")
	n, err := strconv.Atoi(string(length))
	if err != nil || n < 0 {
		return false, errResponse
	}
	if n > maxMessage {
		return false, errTooBig
	}
	r.state, r.left = readBody, n
	return n == 0, nil
}

// line reads a line between chunks (RFC 9112 section 7.1).
func (r *responseReader) line(text []byte) (done bool, err error) {
	switch r.state {
	case readChunkEnd:
		if len(text) > 0 {
			return false, errResponse
		}
		r.state = readChunkSize
	case readChunkSize:
		digits, _, _ := bytes.Cut(text, []byte{';'})
		n, err := strconv.ParseUint(string(bytes.TrimSpace(digits)), 16, 32)
		if err != nil {
			return false, errResponse
		}
		if n > maxMessage-uint64(len(r.r.body)) {
			return false, errTooBig
		}
		r.state, r.left = readChunk, int(n)
		if n == 0 {
			r.state = readTrailer
		}
	case readTrailer:
		return len(text) == 0, nil
	}
	return false, nil
}

// header returns the value of a header field, or nil.
func header(head []byte, name string) []byte {
	for {
		_, rest, found := bytes.Cut(head, []byte("\r\n"))
		if !found {
			return nil
		}
		head = rest
		if len(head) > len(name) && head[len(name)] == ':' && bytes.EqualFold(head[:len(name)], []byte(name)) {
			value, _, _ := bytes.Cut(head[len(name)+1:], []byte("\r\n"))
			return bytes.TrimSpace(value)
		}
	}
}
