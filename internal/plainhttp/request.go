package plainhttp

import (
	"bytes"
	"net/http"
)

// A Request is one plain request. Its slices are valid until the handler returns.
type Request struct {
	Method     string // GET or POST
	Query      []byte // of the target, without the question mark; escaped
	Host       []byte
	Body       []byte
	RemoteAddr string

	ContentType   []byte
	Authorization []byte
}

// The bounds of what is plain, in bytes.
const (
	maxHead = 16 << 10
	maxBody = 64 << 10
)

// A verdict says what the bytes that have arrived are.
type verdict uint8

const (
	plain   verdict = iota // a request, whole
	partial                // the beginning of one
	foreign                // something for net/http
)

// A header is one that a plain request may have.
type header uint8

const (
	headerHarmless header = 1 + iota // has no meaning here
	headerHost
	headerLength
	headerType
	headerAuthorization
	headerConnection
)

// known has the headers of plain requests, in lower case. All others may mean
// something to somebody.
var known = map[string]header{
	"host":            headerHost,
	"content-length":  headerLength,
	"content-type":    headerType,
	"authorization":   headerAuthorization,
	"connection":      headerConnection,
	"accept":          headerHarmless,
	"accept-charset":  headerHarmless,
	"accept-encoding": headerHarmless,
	"accept-language": headerHarmless,
	"cache-control":   headerHarmless,
	"keep-alive":      headerHarmless,
	"pragma":          headerHarmless,
	"traceparent":     headerHarmless,
	"tracestate":      headerHarmless,
	"user-agent":      headerHarmless,
	"x-request-id":    headerHarmless,
}

const maxNameLen = 15 // of the names in known

var (
	crlf       = []byte("\r\n")
	keepAlive  = []byte("keep-alive")
	methodGET  = []byte("GET /")
	methodPOST = []byte("POST /")
	protocol11 = []byte(" HTTP/1.1")
)

// parse reads the request at the beginning of b into r and returns its size.
func parse(b []byte, r *Request) (verdict, int) {
	head := bytes.Index(b, []byte("\r\n\r\n"))
	switch {
	case head > maxHead || head < 0 && len(b) > maxHead || !begins(b):
		return foreign, 0
	case head < 0:
		return partial, 0
	}
	line, rest, _ := bytes.Cut(b[:head+len(crlf)], crlf)
	if !r.parseLine(line) {
		return foreign, 0
	}
	length, ok := r.parseHeaders(rest)
	if !ok || length > maxBody {
		return foreign, 0
	}
	body := head + 2*len(crlf)
	if len(b) < body+length {
		return partial, 0
	}
	r.Body = b[body : body+length]
	return plain, body + length
}

// begins reports whether b may be the beginning of a plain request.
func begins(b []byte) bool {
	return agree(b, methodPOST) || agree(b, methodGET)
}

// agree reports whether the shorter of the two begins the other.
func agree(a, b []byte) bool {
	n := min(len(a), len(b))
	return bytes.Equal(a[:n], b[:n])
}

// parseLine reads the request line (RFC 9112 section 3). The path is /.
func (r *Request) parseLine(line []byte) bool {
	target, ok := bytes.CutSuffix(line, protocol11)
	if !ok {
		return false
	}
	if rest, post := bytes.CutPrefix(target, methodPOST); post {
		r.Method, target = http.MethodPost, rest
	} else if rest, get := bytes.CutPrefix(target, methodGET); get {
		r.Method, target = http.MethodGet, rest
	} else {
		return false
	}
	r.Query = nil
	if len(target) == 0 {
		return true
	}
	if target[0] != '?' {
		return false
	}
	r.Query = target[1:]
	for _, c := range r.Query {
		if c <= ' ' || c >= 0x7f || c == '#' {
			return false
		}
	}
	return true
}

// parseHeaders reads header lines, each of which ends with CRLF (RFC 9112
// section 5), and returns the length of the body.
func (r *Request) parseHeaders(lines []byte) (length int, ok bool) {
	var seen [headerConnection + 1]bool
	r.Host, r.ContentType, r.Authorization = nil, nil, nil
	for len(lines) > 0 {
		var line []byte
		line, lines, _ = bytes.Cut(lines, crlf)
		name, value, found := bytes.Cut(line, []byte(":"))
		h := kindOf(name)
		if !found || h == 0 || h != headerHarmless && seen[h] {
			return 0, false
		}
		seen[h] = true
		value = bytes.Trim(value, " \t")
		if !isValue(value) {
			return 0, false
		}
		switch h {
		case headerHost:
			r.Host = value
		case headerLength:
			if length, ok = parseLength(value); !ok {
				return 0, false
			}
		case headerType:
			r.ContentType = value
		case headerAuthorization:
			r.Authorization = value
		case headerConnection:
			if !bytes.EqualFold(value, keepAlive) {
				return 0, false
			}
		}
	}
	return length, isHost(r.Host)
}

func kindOf(name []byte) header {
	if len(name) > maxNameLen {
		return 0
	}
	var lower [maxNameLen]byte
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		lower[i] = c
	}
	return known[string(lower[:len(name)])]
}

// isValue reports whether a header value consists of visible ASCII, spaces and
// tabs.
func isValue(v []byte) bool {
	for _, c := range v {
		if c < ' ' && c != '\t' || c >= 0x7f {
			return false
		}
	}
	return true
}

// isHost reports whether v is made of what host names, addresses and ports are
// made of.
func isHost(v []byte) bool {
	for _, c := range v {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case c == '.', c == '-', c == '_', c == ':', c == '[', c == ']':
		default:
			return false
		}
	}
	return len(v) > 0
}

// parseLength reads a Content-Length of at most six digits.
func parseLength(v []byte) (n int, ok bool) {
	if len(v) == 0 || len(v) > 6 {
		return 0, false
	}
	for _, c := range v {
		if c < '0' || c > '9' {
			return 0, false
		}
		n = 10*n + int(c-'0')
	}
	return n, true
}
