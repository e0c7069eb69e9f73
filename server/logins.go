package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"belfry"
	"belfry/auth"
	"belfry/engineio"
)

// An InsecureLogin says from where a page may log in by naming a user and a
// company without proof.
type InsecureLogin string

// The settings of insecure login.
const (
	InsecureOff      InsecureLogin = "off"
	InsecureLoopback InsecureLogin = "loopback" // from this machine, not through a proxy
	InsecureAnywhere InsecureLogin = "anywhere" // whoever reaches the port is whoever they say
)

// proxyHeaders are what proxies add: with one of them, the peer's address says
// nothing about where the page is.
var proxyHeaders = []string{"Forwarded", "X-Forwarded-For", "X-Real-Ip", "Via"}

// logins decides who a page is from what it shows.
type logins struct {
	tokens   *auth.Tokens
	insecure InsecureLogin
}

// A loginArg is what a page shows; uid and companyID come as strings or
// integers.
type loginArg struct {
	Token     string          `json:"token"`
	UID       json.RawMessage `json:"uid"`
	CompanyID json.RawMessage `json:"companyID"`
	Format    string          `json:"format"`
	Cursor    string          `json:"cursor"`
}

// A login is what a page is admitted as.
type login struct {
	who     belfry.Identity
	format  format
	expires time.Time // of its token; zero where it showed none
	topics  []string  // globs of those that it may join
	options belfry.LoginOptions
}

// anyTopic is what a page that logs in without a token may join: whoever may be anybody
// may hear anything.
var anyTopic = []string{"*"}

// saysWho reports whether the auth payload of a connection is meant as a login,
// a malformed one included: the page must learn that it is not logged in.
func saysWho(arg json.RawMessage) bool {
	var a struct {
		Token, UID json.RawMessage
	}
	if json.Unmarshal(arg, &a) != nil {
		return false
	}
	return says(a.Token) || says(a.UID)
}

func says(value json.RawMessage) bool {
	return len(value) > 0 && string(value) != "null" && string(value) != `""`
}

// maxLoginBytes bounds the argument of a login: a token and a little more.
const maxLoginBytes = auth.MaxTokenBytes + 1024

// check returns what the argument of a login makes the page. It fails with
// ErrInvalid or ErrUnauthorized; who a token that is refused was for is told if it is known.
func (l *logins) check(arg json.RawMessage, h *engineio.Handshake) (login, error) {
	if len(arg) > maxLoginBytes {
		return login{}, belfry.Errorf(belfry.ErrInvalid, "login takes at most %d bytes", maxLoginBytes)
	}
	var a loginArg
	if trimmed := bytes.TrimSpace(arg); len(trimmed) == 0 || trimmed[0] != '{' || json.Unmarshal(trimmed, &a) != nil {
		return login{}, belfry.Errorf(belfry.ErrInvalid, "login takes one object, {token} or {uid, companyID}")
	}
	result, err := l.identify(&a, h)
	if err != nil {
		return result, err
	}
	switch a.Format {
	case "", "html":
	case "text":
		result.format = formatText
	default:
		return login{}, belfry.Errorf(belfry.ErrInvalid, "format must be html or text")
	}
	if a.Cursor != "" {
		cursor, err := belfry.ParseCursor(a.Cursor)
		result.options.Cursor, result.options.Stale = cursor, err != nil
	}
	return result, nil
}

// identify settles who the page speaks for.
func (l *logins) identify(a *loginArg, h *engineio.Handshake) (login, error) {
	if a.Token != "" {
		claims, err := l.tokens.Verify(a.Token)
		return login{
			who: claims.Who, expires: claims.Expires, topics: claims.Topics,
			options: belfry.LoginOptions{Issued: claims.Issued},
		}, err
	}
	if !l.insecureAllowed(h) {
		return login{}, belfry.Errorf(belfry.ErrUnauthorized, "%s", l.needsToken())
	}
	uid, err := idArg("uid", a.UID)
	if err != nil {
		return login{}, err
	}
	company, err := idArg("companyID", a.CompanyID)
	if err != nil {
		return login{}, err
	}
	who, err := belfry.NewIdentity(uid, company)
	return login{who: who, topics: anyTopic, options: belfry.LoginOptions{Trusted: true}}, err
}

// needsToken says why a login without a token is refused.
func (l *logins) needsToken() string {
	if l.insecure == InsecureLoopback {
		return "login without a token works only from this machine, under localhost or its address; show a token that the application signed"
	}
	return "login needs a token that the application signed"
}

func (l *logins) insecureAllowed(h *engineio.Handshake) bool {
	switch l.insecure {
	case InsecureAnywhere:
		return true
	case InsecureLoopback:
		return isLoopback(h.Address) && len(h.Header) == 0
	}
	return false
}

// idArg reads an id that is a string or an integer.
func idArg(field string, raw json.RawMessage) (string, error) {
	var s string
	if len(raw) == 0 || string(raw) == "null" {
		return "", belfry.Errorf(belfry.ErrInvalid, "%s is missing", field)
	}
	if json.Unmarshal(raw, &s) == nil {
		return s, nil
	}
	var n int64
	if json.Unmarshal(raw, &n) != nil {
		return "", belfry.Errorf(belfry.ErrInvalid, "%s must be a string or an integer", field)
	}
	return fmt.Sprint(n), nil
}

// isLoopback reports whether a host:port or an address is this machine's.
func isLoopback(address string) bool {
	if host, _, err := net.SplitHostPort(address); err == nil {
		address = host
	}
	ip, err := netip.ParseAddr(strings.Trim(address, "[]"))
	return err == nil && ip.Unmap().IsLoopback()
}

// fromThisMachine reports whether a request was made on this machine, for this
// machine. One that a proxy passed on was not. Nor was one for another host
// name: any page can let a name of its own point here and then send requests
// that its browser takes for its own ("DNS rebinding").
func fromThisMachine(r *http.Request) bool {
	if !isLoopback(r.RemoteAddr) || !namesThisMachine(r.Host) {
		return false
	}
	for _, name := range proxyHeaders {
		if r.Header.Get(name) != "" {
			return false
		}
	}
	return true
}

// namesThisMachine reports whether a host[:port] is one that no stranger can
// let point here: an address, localhost, or a name that nobody can register,
// under localhost or test (RFC 6761, sections 6.2 and 6.3) or without a dot.
func namesThisMachine(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return true
	}
	top := strings.ToLower(host[strings.LastIndexByte(host, '.')+1:])
	return host != "" && (top == "localhost" || top == "test" || !strings.Contains(host, "."))
}

// markForeignHosts marks requests for another host name as passed on, because a
// handshake keeps no host.
func markForeignHosts(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !namesThisMachine(r.Host) {
			r.Header.Add("Forwarded", "host=unknown")
		}
		next.ServeHTTP(w, r)
	})
}
