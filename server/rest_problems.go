package server

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"

	"belfry"
)

// A problem is a problem document (RFC 9457). Its type is always about:blank, so
// that title is the phrase of the status; code says which kind of failure it is.
type problem struct {
	Title  string       `json:"title" doc:"The phrase of the status"`
	Status int          `json:"status" doc:"The status of the answer"`
	Code   belfry.Code  `json:"code" doc:"The kind of failure, for programs" enum:"invalid,unauthorized,not_found,conflict,limited,unavailable,internal"`
	Detail string       `json:"detail" doc:"What is wrong, for people"`
	Errors []wrongField `json:"errors,omitempty" nullable:"false" doc:"Every field that is wrong"`
}

// A wrongField names a field by its place, such as body.receivers[1].
type wrongField struct {
	Location string `json:"location,omitempty" doc:"Where it is, such as body.receivers[1]"`
	Message  string `json:"message" doc:"What is wrong with it"`
}

// Error implements [huma.StatusError].
func (p *problem) Error() string { return p.Detail }

// GetStatus implements [huma.StatusError].
func (p *problem) GetStatus() int { return p.Status }

// ContentType implements [huma.ContentTypeFilter].
func (p *problem) ContentType(string) string { return problemType }

const problemType = "application/problem+json"

// Huma makes its own errors, those of validation above all, by this variable; it
// has no other place to say what they look like.
func init() {
	huma.NewError = func(status int, detail string, errs ...error) huma.StatusError {
		return newProblem(status, detail, errs...)
	}
}

// newProblem makes a problem that names each field in errs once. Values are not
// repeated, and a fault of belfry's own says nothing of its inside.
func newProblem(status int, detail string, errs ...error) *problem {
	p := &problem{Title: http.StatusText(status), Status: status, Code: codeOf(status), Detail: detail}
	if status == http.StatusInternalServerError {
		p.Detail = belfry.ErrorMessage(errors.New(detail))
		return p
	}
	for _, err := range errs {
		if detailed, ok := err.(huma.ErrorDetailer); ok {
			d := detailed.ErrorDetail()
			p.name(wrongField{Location: d.Location, Message: d.Message})
		}
	}
	return p
}

// name adds a field, unless it is named already: schemas speak before checks, and
// an embedded part is resolved with its whole, too.
func (p *problem) name(field wrongField) {
	if missing := missingProperty.FindStringSubmatch(field.Message); missing != nil {
		field = wrongField{Location: field.Location + "." + missing[1], Message: "is missing"}
	}
	if !slices.ContainsFunc(p.Errors, func(f wrongField) bool { return f.Location == field.Location }) {
		p.Errors = append(p.Errors, field)
	}
}

// missingProperty is how huma names a property that is not there: at its object.
var missingProperty = regexp.MustCompile("^" + fmt.Sprintf(validation.MsgExpectedRequiredProperty, "(.+)") + "$")

// fieldPlaces says where an operation takes the fields that the rules name.
type fieldPlaces struct {
	parameters []*huma.Param
	in         string // what goes before the fields that are no parameters
}

// restNames are the fields that REST calls otherwise than the rules do.
var restNames = map[string]string{"receiverID": "receivers", "the idempotency key": keyHeader}

// problemOf is the problem of an error of the rules; without places it names no fields.
func problemOf(err error, places *fieldPlaces) *problem {
	code := belfry.ErrorCode(err)
	status := statusOf(code)
	p := &problem{Title: http.StatusText(status), Status: status, Code: code, Detail: belfry.ErrorMessage(err)}
	if fields := belfry.ErrorFields(err); places != nil && len(fields) > 0 {
		messages := make([]string, len(fields))
		for i, f := range fields {
			message := f.Message
			if name, ok := restNames[f.Field]; ok {
				message = name + strings.TrimPrefix(message, f.Field)
				f.Field = name
			}
			messages[i] = message
			p.name(wrongField{Location: places.of(f.Field), Message: message})
		}
		p.Detail = strings.Join(messages, "; ")
	}
	return p
}

func (f *fieldPlaces) of(field string) string {
	for _, p := range f.parameters {
		if p.Name == field {
			return p.In + "." + field
		}
	}
	return f.in + field
}

// GetHeaders implements [huma.HeadersError].
func (p *problem) GetHeaders() http.Header {
	h := http.Header{}
	switch p.Status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Bearer realm="belfry"`)
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		h.Set("Retry-After", "1")
	}
	return h
}

// writeProblem answers with a problem.
func writeProblem(w http.ResponseWriter, p *problem) {
	body, err := marshal(p)
	if err != nil { // it holds strings and a number
		panic(err)
	}
	maps.Copy(w.Header(), p.GetHeaders())
	w.Header().Set("Content-Type", problemType)
	w.WriteHeader(p.Status)
	w.Write(body)
}

// orProblem answers what the routes do not know, or not by this method, with a
// problem.
func orProblem(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		refusal, pattern := mux.Handler(r)
		if pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		answer := statusOnly{header: http.Header{}}
		refusal.ServeHTTP(&answer, r)
		if answer.status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", answer.header.Get("Allow"))
			writeProblem(w, newProblem(answer.status, "this path takes "+answer.header.Get("Allow")))
			return
		}
		writeProblem(w, newProblem(http.StatusNotFound, "there is no such path; /docs lists those that there are"))
	})
}

// statusOnly takes the status and the header of an answer and drops the body.
type statusOnly struct {
	header http.Header
	status int
}

func (s *statusOnly) Header() http.Header         { return s.header }
func (s *statusOnly) WriteHeader(status int)      { s.status = status }
func (s *statusOnly) Write(b []byte) (int, error) { return len(b), nil }
