package plainhttp

import (
	"net/http"
	"strconv"
	"sync/atomic"
	"time"
)

// A Response is the answer to one request, with status 200.
type Response struct {
	header []byte
	body   []byte
	out    []byte
}

// Header adds a header. Name is in canonical form, value is printable ASCII.
func (w *Response) Header(name, value string) {
	w.header = append(append(w.header, name...), ": "...)
	w.header = append(append(w.header, value...), "\r\n"...)
}

// Body sets the body.
func (w *Response) Body(text string) { w.body = append(w.body[:0], text...) }

func (w *Response) reset() { w.header, w.body = w.header[:0], w.body[:0] }

// encode returns the answer as it is sent.
func (w *Response) encode(last bool) []byte {
	b := append(w.out[:0], "HTTP/1.1 200 OK\r\n"...)
	b = append(b, w.header...)
	b = append(append(append(b, "Date: "...), *date()...), "\r\nContent-Length: "...)
	b = strconv.AppendInt(b, int64(len(w.body)), 10)
	if last {
		b = append(b, "\r\nConnection: close"...)
	}
	b = append(append(b, "\r\n\r\n"...), w.body...)
	w.out = b
	return b
}

// The date of answers (RFC 9110 section 6.6.1) changes once a second.
var lastDate struct {
	second atomic.Int64
	text   atomic.Pointer[string]
}

func date() *string {
	now := time.Now()
	if second := now.Unix(); lastDate.second.Load() != second || lastDate.text.Load() == nil {
		text := now.UTC().Format(http.TimeFormat)
		lastDate.text.Store(&text)
		lastDate.second.Store(second)
	}
	return lastDate.text.Load()
}
