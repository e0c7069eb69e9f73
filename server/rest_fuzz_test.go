package server

import (
	"encoding/json"
	"strconv"
	"testing"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"belfry"
)

func FuzzRestID(f *testing.F) {
	for _, seed := range []string{`"1"`, `1`, `-1`, `1.0`, `1e3`, `true`, `null`, `""`, `"\u0000"`, `9223372036854775808`, `{}`, `[1]`, `"é"`} {
		f.Add([]byte(seed))
	}
	registry := huma.NewMapRegistry("#/", huma.DefaultSchemaNamer)
	schema := restID("").Schema(registry)
	schema.OneOf[0].PrecomputeMessages()
	f.Fuzz(func(t *testing.T, b []byte) {
		var id restID
		var value any
		if json.Unmarshal(b, &id) != nil || json.Unmarshal(b, &value) != nil {
			return
		}
		switch v := value.(type) {
		case string:
			if string(id) != v {
				t.Errorf("%s is read as %q", b, id)
			}
		case float64:
			if n, err := strconv.ParseInt(string(id), 10, 64); err != nil || float64(n) != v {
				t.Errorf("%s is read as %q", b, id)
			}
		default:
			t.Errorf("%s is read as %q", b, id)
		}
		var found huma.ValidateResult
		huma.Validate(registry, schema, huma.NewPathBuffer(nil, 0), huma.ModeWriteToServer, value, &found)
		if n := utf8.RuneCountInString(string(id)); (len(found.Errors) == 0) != (n >= 1 && n <= belfry.MaxIDBytes) {
			t.Errorf("%s: the schema says %v", b, found.Errors)
		}
	})
}

func FuzzListCursor(f *testing.F) {
	for _, seed := range []string{cursorAfter(belfry.ID{}), cursorAfter(belfry.ID{1, 2, 3}), belfry.Cursor{}.String(), "", "x", "TA", cursorAfter(belfry.ID{1}) + "\n"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		l := ListInput{Cursor: s}
		if len(l.Resolve(nil)) > 0 {
			if !l.before.IsZero() {
				t.Errorf("%q is refused and read", s)
			}
			return
		}
		if s != "" && cursorAfter(l.before) != s {
			t.Errorf("%q is taken for %q", s, cursorAfter(l.before))
		}
	})
}

func FuzzMessagePatch(f *testing.F) {
	for _, seed := range []string{`{}`, `{"title":"t","content":null}`, `{"typeID":2,"data":{"a":1},"extra":{"k":"v"},"expiresAt":"2200-01-01T00:00:00Z"}`, `{"senderID":7}`, `{"data":null,"data":{}}`, `null`, `7`, `{"title":{}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var patch messagePatch
		err := json.Unmarshal(b, &patch)
		at := huma.NewPathBuffer(nil, 0)
		at.Push("body")
		patch.Resolve(nil, at)
		edit, changes := patch.edit()
		if err != nil {
			return
		}
		var fields map[string]json.RawMessage
		if json.Unmarshal(b, &fields) != nil {
			t.Fatalf("%s is taken for a patch", b)
		}
		if changes && len(fields) == 0 {
			t.Errorf("%s changes something: %+v", b, edit)
		}
		if edit.Data != nil && len(*edit.Data) > 0 && (!json.Valid(*edit.Data)) {
			t.Errorf("%s: data becomes %s", b, *edit.Data)
		}
		if title, given := fields["title"]; given && edit.Title == nil {
			t.Errorf("%s: the title %s is lost", b, title)
		}
	})
}
