package engineio

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// A requestError is a refusal with the code and body of the reference server
// (its docs name the codes 0 to 5).
type requestError struct {
	status  int
	code    int
	message string
}

var (
	errUnknownTransport   = &requestError{400, 0, "Transport unknown"}
	errUnknownSession     = &requestError{400, 1, "Session ID unknown"}
	errHandshakeMethod    = &requestError{400, 2, "Bad handshake method"}
	errBadRequest         = &requestError{400, 3, "Bad request"}
	errForbidden          = &requestError{403, 4, "Forbidden"}
	errUnsupportedVersion = &requestError{400, 5, "Unsupported protocol version"}
	errShuttingDown       = &requestError{503, 3, "Server is shutting down"}
)

func (e *requestError) Error() string { return "engineio: " + e.message }

func writeError(w http.ResponseWriter, e *requestError) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.status)
	fmt.Fprintf(w, `{"code":%d,"message":%q}`, e.code, e.message)
}

// allowCORS lets a page of the accepted origin read the answer, with
// credentials: sticky cookies of a balancer need them.
func allowCORS(w http.ResponseWriter, origin string) {
	h := w.Header()
	h.Add("Vary", "Origin")
	if origin != "" {
		h.Set("Access-Control-Allow-Origin", origin)
		h.Set("Access-Control-Allow-Credentials", "true")
	}
}

// servePreflight answers an OPTIONS request.
func servePreflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Methods", "GET, POST, OPTIONS")
	if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
		h.Set("Access-Control-Allow-Headers", asked)
	}
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
}

// A responseForm is how a polling client wants its answers.
type responseForm struct {
	jsonp string // the digits of the callback's index; "" for XHR
}

// formOf looks for the j parameter (EIO3, "JSONP"). Only its digits are used: the
// rest could be script.
func formOf(query url.Values) responseForm {
	if !query.Has("j") {
		return responseForm{}
	}
	digits := strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, query.Get("j"))
	if digits == "" {
		digits = "0"
	}
	return responseForm{jsonp: digits}
}

func (f responseForm) write(w http.ResponseWriter, payload []byte, octets bool) error {
	contentType := "text/plain; charset=UTF-8"
	switch {
	case f.jsonp != "":
		contentType = "text/javascript; charset=UTF-8"
		payload = jsonpCall(f.jsonp, payload)
	case octets:
		contentType = "application/octet-stream"
	}
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(payload)))
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	_, err := w.Write(payload)
	return err
}

// writeOK answers a POST. An iframe of a JSONP client shows it as a page.
func (f responseForm) writeOK(w http.ResponseWriter) {
	contentType := "text/plain; charset=UTF-8"
	if f.jsonp != "" {
		contentType = "text/html; charset=UTF-8"
	}
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Cache-Control", "no-store")
	w.Write([]byte("ok"))
}

// jsonpCall wraps a payload into a call of the client's callback. JSON's
// encoding also escapes U+2028, U+2029 and <, which a script could not hold.
func jsonpCall(index string, payload []byte) []byte {
	quoted, err := json.Marshal(string(payload))
	if err != nil {
		panic(err) // a string always encodes
	}
	out := append([]byte("___eio["+index+"]("), quoted...)
	return append(out, ");"...)
}

// jsonpBody takes the payload out of the form that a JSONP client posts. Its
// newlines are escaped once more, because browsers change them in forms (EIO3,
// "Posting data").
func jsonpBody(form []byte) ([]byte, error) {
	values, err := url.ParseQuery(string(form))
	if err != nil || !values.Has("d") {
		return nil, errPayload
	}
	return []byte(jsonpNewlines.Replace(values.Get("d"))), nil
}

// A client writes a newline as \n, and so what is \n already as \\n.
var jsonpNewlines = strings.NewReplacer(`\\n`, `\n`, `\n`, "\n")

func mediaType(r *http.Request) string {
	t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return ""
	}
	return t
}
