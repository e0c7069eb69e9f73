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
	"slices"
	"strings"
	"unicode/utf8"

	"belfry"
)

// maxPushBody bounds the body of a push and the query of its URL, in bytes.
const maxPushBody = 1 << 20

// fields are those of a push, in the order in which they came. Lists have several
// values of one name; of any other field the last value counts, as in PHP.
type fields []field

type field struct{ name, value string }

// get returns the value of a field, or "".
func (f fields) get(name string) string {
	for i := len(f) - 1; i >= 0; i-- {
		if f[i].name == name {
			return f[i].value
		}
	}
	return ""
}

func (f fields) has(name string) bool {
	return slices.ContainsFunc(f, func(other field) bool { return other.name == name })
}

// list returns all values of a field, also those joined by commas.
func (f fields) list(name string) []string {
	var all []string
	for _, one := range f {
		if one.name != name {
			continue
		}
		for part := range strings.SplitSeq(one.value, ",") {
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
	for _, one := range f {
		if key, ok := strings.CutPrefix(one.name, "extra["); ok && strings.HasSuffix(key, "]") {
			if extra == nil {
				extra = make(map[string]string)
			}
			extra[strings.TrimSuffix(key, "]")] = one.value
		}
	}
	return extra
}

// readFields merges the fields of the query and of the body, which is a form,
// multipart or JSON. A field of the body replaces one of the query.
func readFields(query, contentType string, body io.Reader) (fields, error) {
	if len(query) > maxPushBody {
		return nil, belfry.Errorf(belfry.ErrInvalid, "the query is larger than %d bytes", maxPushBody)
	}
	inQuery, err := formFields(query)
	if err != nil {
		return nil, &belfry.Error{Code: belfry.ErrInvalid, Message: "the query is malformed", Err: err}
	}
	inBody, err := bodyFields(contentType, body)
	if err != nil {
		return nil, bodyError(err)
	}
	inQuery = slices.DeleteFunc(inQuery, func(f field) bool { return inBody.has(f.name) })
	if len(inQuery) == 0 {
		return inBody, nil
	}
	return append(inQuery, inBody...), nil
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

func bodyFields(contentType string, body io.Reader) (fields, error) {
	media, params := contentType, map[string]string(nil)
	if media != mediaForm { // what nearly all send
		var err error
		if media, params, err = mime.ParseMediaType(contentType); err != nil && contentType != "" {
			return nil, belfry.Errorf(belfry.ErrInvalid, "the Content-Type is malformed")
		}
	}
	if media == "multipart/form-data" {
		return multipartFields(multipart.NewReader(body, params["boundary"]))
	}
	all, err := io.ReadAll(body)
	if err != nil || len(all) == 0 {
		return nil, err
	}
	switch media {
	case mediaForm, "":
		return formFields(string(all))
	case "application/json":
		return jsonFields(all)
	}
	return nil, belfry.Errorf(belfry.ErrInvalid, "the Content-Type must be a form, multipart/form-data or application/json")
}

const mediaForm = "application/x-www-form-urlencoded"

// formFields reads a form (WHATWG URL Standard, "application/x-www-form-urlencoded
// parsing"). As in PHP, only & separates fields; what curl -d sends is often not escaped.
func formFields(encoded string) (fields, error) {
	if encoded == "" {
		return nil, nil
	}
	all := make(fields, 0, 1+strings.Count(encoded, "&"))
	for part := range strings.SplitSeq(encoded, "&") {
		if part == "" {
			continue
		}
		name, value, _ := strings.Cut(part, "=")
		name, err := url.QueryUnescape(name)
		if err != nil {
			return nil, err
		}
		if value, err = url.QueryUnescape(value); err != nil {
			return nil, err
		}
		all = append(all, field{listName(name), value})
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
	var all fields
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
		all = append(all, field{listName(part.FormName()), string(value)})
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

func (f *fields) addJSON(name string, value any) error {
	switch v := value.(type) {
	case nil:
	case string:
		*f = append(*f, field{name, v})
	case json.Number:
		*f = append(*f, field{name, v.String()})
	case bool:
		*f = append(*f, field{name, map[bool]string{true: "1", false: "0"}[v]})
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
