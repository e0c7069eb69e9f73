package engineio

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// parkAfter is how long a GET waits within net/http before its connection is parked. A page that is told
// something more often than that keeps what net/http has made for it.
const parkAfter = 2 * time.Second

// mayPark reports whether the connection of a GET can be taken from net/http while it waits, and given back when it is
// answered: nothing else may be expected on it.
func (s *Session) mayPark(r *http.Request) bool {
	return s.server.options.Resume != nil && r.ProtoMajor == 1 && r.ProtoMinor >= 1 && r.TLS == nil && !r.Close &&
		r.ContentLength == 0 && len(r.TransferEncoding) == 0
}

// headerLines returns a header as it is sent.
func headerLines(h http.Header) string {
	var lines bytes.Buffer
	h.Write(&lines) // a buffer takes everything
	return lines.String()
}

// A rawResponse is an answer that is written in one piece to a connection that net/http no longer
// has (RFC 9112 section 6).
type rawResponse struct {
	write  func(p []byte) error
	lines  string // of the header, set earlier
	header http.Header
	status int
	last   bool // no request is read after this one
	err    error
}

var _ http.ResponseWriter = (*rawResponse)(nil)

// Header implements [http.ResponseWriter].
func (r *rawResponse) Header() http.Header { return r.header }

// WriteHeader implements [http.ResponseWriter].
func (r *rawResponse) WriteHeader(status int) { r.status = status }

// Write implements [http.ResponseWriter]. It is called once, with the whole body.
func (r *rawResponse) Write(body []byte) (int, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "HTTP/1.1 %d %s\r\n%s", r.status, http.StatusText(r.status), r.lines)
	r.header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	r.header.Set("Content-Length", strconv.Itoa(len(body)))
	if r.last {
		r.header.Set("Connection", "close")
	}
	r.header.Write(&b)
	b.WriteString("\r\n")
	b.Write(body)
	if r.err = r.write(b.Bytes()); r.err != nil {
		return 0, r.err
	}
	return len(body), nil
}
