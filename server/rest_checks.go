package server

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"belfry"
)

// A checker collects what is wrong with a body beyond what a schema can say, so
// that one answer names all of it. What passes is the rules' to judge.
type checker struct {
	at     *huma.PathBuffer
	broken map[string]bool // of readObject: a schema has named them
	errs   []error
}

func (c *checker) wrong(field, format string, args ...any) {
	if !c.broken[field] && !c.broken[wholeObject] {
		c.errs = append(c.errs, &huma.ErrorDetail{Location: c.at.String() + "." + field, Message: fmt.Sprintf(format, args...)})
	}
}

// text bounds a text in bytes. What has too many characters as well, a schema
// has named.
func (c *checker) text(field, value string, limit int) {
	if len(value) > limit && utf8.RuneCountInString(value) <= limit {
		c.wrong(field, "expected at most %d bytes", limit)
	}
}

// id checks an id; an empty one is missing, which a schema judges.
func (c *checker) id(field string, id restID) {
	if id == "" {
		return
	}
	if _, err := belfry.ParseID("", string(id)); err != nil {
		c.wrong(field, "%s", strings.TrimSpace(belfry.ErrorMessage(err)))
	}
}

func (c *checker) ids(field string, ids []restID) {
	for i, id := range ids {
		c.id(fmt.Sprintf("%s[%d]", field, i), id)
	}
}

func (c *checker) saysSomething(title, content string) {
	if strings.TrimSpace(title) == "" && strings.TrimSpace(content) == "" && !c.broken["content"] {
		c.wrong("title", "title or content is needed")
	}
}

func (c *checker) expires(at time.Time) {
	if !at.IsZero() && !at.After(time.Now()) {
		c.wrong("expiresAt", "is over already")
	}
}

// data bounds an object as it was written, which is never shorter than it is
// stored.
func (c *checker) data(data restObject) {
	if len(data) > belfry.MaxDataBytes {
		if encoded, err := json.Marshal(data); err == nil && len(encoded) > belfry.MaxDataBytes {
			c.wrong("data", "expected at most %d bytes", belfry.MaxDataBytes)
		}
	}
}

func (c *checker) extra(extra map[string]string) {
	size := 0
	for k, v := range extra {
		size += len(k) + len(v)
		if k == "" {
			c.wrong("extra", "expected every field to have a name")
		}
	}
	if len(extra) > belfry.MaxExtraFields || size > belfry.MaxExtraBytes {
		c.wrong("extra", "expected at most %d fields and %d bytes", belfry.MaxExtraFields, belfry.MaxExtraBytes)
	}
}

// wholeObject is the name of all that is read, as a field that cannot be.
const wholeObject = ""

// readObject reads an object into a struct. Where that fails it reads every field by
// itself, so that those that are right can be checked, and returns which are not.
func readObject(b []byte, into any) (broken map[string]bool, err error) {
	err = json.Unmarshal(b, into)
	if err == nil && string(b) != "null" {
		return nil, nil
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(b, &fields) != nil || fields == nil {
		return map[string]bool{wholeObject: true}, err
	}
	broken = make(map[string]bool)
	for name, value := range fields {
		alone, encodeErr := json.Marshal(map[string]json.RawMessage{name: value})
		if encodeErr != nil || json.Unmarshal(alone, into) != nil {
			broken[name] = true
		}
	}
	return broken, err
}
