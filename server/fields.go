package server

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"

	"belfry"
)

// maxPushBody bounds the body of a push and the query of its URL, in bytes.
const maxPushBody = 1 << 20

// fields are those of a push, by name. Lists have several values; of any other
// field the last value counts, as in PHP.
type fields map[string][]string

// get returns the value of a field, or "".
func (f fields) get(name string) string {
	if values := f[name]; len(values) > 0 {
		return values[len(values)-1]
	}
	return ""
}

// list returns all values of a field, also those joined by commas.
func (f fields) list(name string) []string {
	var all []string
	for _, value := range f[name] {
		for part := range strings.SplitSeq(value, ",") {
			if part = strings.TrimSpace(part); part != "" {
				all = append(all, part)
			}
		}
	}
	return all
}

// extra returns the fields under extra[...].
func (f fields) extra() map[string]string {
	var extra map[string]string
	for name := range f {
		if key, ok := strings.CutPrefix(name, "extra["); ok && strings.HasSuffix(key, "]") {
			if extra == nil {
				extra = make(map[string]string)
			}
			extra[strings.TrimSuffix(key, "]")] = f.get(name)
		}
	}
	return extra
}

// readFields merges the fields of the query and of the body, which is a form,
// multipart or JSON. A field of the body replaces one of the query.
func readFields(w http.ResponseWriter, r *http.Request) (fields, error) {
	if len(r.URL.RawQuery) > maxPushBody {
		return nil, belfry.Errorf(belfry.ErrInvalid, "the query is larger than %d bytes", maxPushBody)
	}
	all, err := formFields(r.URL.RawQuery)
	if err != nil {
		return nil, &belfry.Error{Code: belfry.ErrInvalid, Message: "the query is malformed", Err: err}
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxPushBody)
	body, err := bodyFields(r)
	if err != nil {
		return nil, bodyError(err)
	}
	for name, values := range body {
		all[name] = values
	}
	return all, nil
}

func bodyError(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return belfry.Errorf(belfry.ErrInvalid, "the body is larger than %d bytes", maxPushBody)
	}
	if _, ok := errors.AsType[*belfry.Error](err); ok {
		return err
	}
	return &belfry.Error{Code: belfry.ErrInvalid, Message: "the body is malformed", Err: err}
}

func bodyFields(r *http.Request) (fields, error) {
	contentType := r.Header.Get("Content-Type")
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil && contentType != "" {
		return nil, belfry.Errorf(belfry.ErrInvalid, "the Content-Type is malformed")
	}
	if media == "multipart/form-data" {
		return multipartFields(multipart.NewReader(r.Body, params["boundary"]))
	}
	body, err := io.ReadAll(r.Body)
	if err != nil || len(body) == 0 {
		return nil, err
	}
	switch media {
	case "application/x-www-form-urlencoded", "":
		return formFields(string(body))
	case "application/json":
		return jsonFields(body)
	}
	return nil, belfry.Errorf(belfry.ErrInvalid, "the Content-Type must be a form, multipart/form-data or application/json")
}

func formFields(encoded string) (fields, error) {
	// PHP separates fields by & alone; what curl -d sends is often not escaped.
	values, err := url.ParseQuery(strings.ReplaceAll(encoded, ";", "%3B"))
	if err != nil {
		return nil, err
	}
	all := make(fields, len(values))
	for name, v := range values {
		name = listName(name)
		all[name] = append(all[name], v...)
	}
	return all, nil
}

// listName returns the name of a list that is written in PHP's way:
// receiverID[] or receiverID[0].
func listName(name string) string {
	base, index, found := strings.Cut(name, "[")
	if found && base != "extra" && phpIndex.MatchString(index) {
		return base
	}
	return name
}

var phpIndex = regexp.MustCompile(`^[0-9]*\]$`)

func multipartFields(parts *multipart.Reader) (fields, error) {
	all := fields{}
	for {
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		if part.FileName() != "" {
			return nil, belfry.Errorf(belfry.ErrInvalid, "files are not accepted")
		}
		value, err := io.ReadAll(part)
		if err != nil {
			return nil, err
		}
		name := listName(part.FormName())
		all[name] = append(all[name], string(value))
	}
}

// jsonFields reads an object of scalars, lists of scalars, and extra as an
// object of scalars.
func jsonFields(body []byte) (fields, error) {
	if !utf8.Valid(body) { // encoding/json would replace what is not
		return nil, belfry.Errorf(belfry.ErrInvalid, "the body is not valid UTF-8")
	}
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.UseNumber()
	var object map[string]any
	if err := dec.Decode(&object); err != nil {
		return nil, err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, belfry.Errorf(belfry.ErrInvalid, "something follows the JSON object")
	}
	all := make(fields, len(object))
	for name, value := range object {
		nested, isObject := value.(map[string]any)
		if !isObject {
			if err := all.addJSON(listName(name), value); err != nil {
				return nil, err
			}
			continue
		}
		if name != "extra" {
			return nil, belfry.Errorf(belfry.ErrInvalid, "only extra may be an object")
		}
		for key, value := range nested {
			if err := all.addJSON("extra["+key+"]", value); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

func (f fields) addJSON(name string, value any) error {
	switch v := value.(type) {
	case nil:
	case string:
		f[name] = append(f[name], v)
	case json.Number:
		f[name] = append(f[name], v.String())
	case bool:
		f[name] = append(f[name], map[bool]string{true: "1", false: "0"}[v])
	case []any:
		for _, element := range v {
			if _, list := element.([]any); list {
				return belfry.Errorf(belfry.ErrInvalid, "a field of the body is nested too deeply")
			}
			if err := f.addJSON(name, element); err != nil {
				return err
			}
		}
	default:
		return belfry.Errorf(belfry.ErrInvalid, "a field of the body is nested too deeply")
	}
	return nil
}
