package server

import (
	"encoding/json"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"belfry"
)

// A messagePatch changes a message as a merge patch does (RFC 7396), one level deep:
// a field that is missing stays, one that is null is emptied, and data
// and extra are replaced as a whole.
type messagePatch struct {
	SenderID  patched[restID]            `json:"senderID,omitzero"`
	Sender    patched[string]            `json:"sender,omitzero" maxLength:"256"`
	Portrait  patched[string]            `json:"portrait,omitzero" maxLength:"2048"`
	Title     patched[string]            `json:"title,omitzero" maxLength:"1024" doc:"Title or content must be there afterwards"`
	Content   patched[string]            `json:"content,omitzero" maxLength:"65536"`
	URL       patched[string]            `json:"url,omitzero" maxLength:"2048"`
	TypeID    patched[int]               `json:"typeID,omitzero" minimum:"1" maximum:"2147483647" doc:"Null makes it 1"`
	Category  patched[string]            `json:"category,omitzero" maxLength:"128"`
	ExpiresAt patched[time.Time]         `json:"expiresAt,omitzero" doc:"Null: never"`
	Data      patched[restObject]        `json:"data,omitzero"`
	Extra     patched[map[string]string] `json:"extra,omitzero"`

	broken map[string]bool
}

// A patched is a field of a patch: missing, null, which leaves the zero value, or a value.
type patched[T any] struct {
	given bool
	value T
}

// UnmarshalJSON implements [json.Unmarshaler].
func (p *patched[T]) UnmarshalJSON(b []byte) error {
	p.given = true
	if string(b) == "null" {
		return nil
	}
	return json.Unmarshal(b, &p.value)
}

// Schema implements [huma.SchemaProvider].
func (patched[T]) Schema(r huma.Registry) *huma.Schema {
	s := *huma.SchemaFromType(r, reflect.TypeFor[T]())
	if len(s.OneOf) > 0 {
		s.OneOf = append(s.OneOf, &huma.Schema{Type: "null", Enum: []any{nil}})
		return &s
	}
	s.Nullable = true
	return &s
}

// change returns what an [belfry.Edit] takes: nil if the field is missing.
func (p *patched[T]) change() *T {
	if !p.given {
		return nil
	}
	return &p.value
}

// UnmarshalJSON implements [json.Unmarshaler].
func (p *messagePatch) UnmarshalJSON(b []byte) (err error) {
	type plain messagePatch
	p.broken, err = readObject(b, (*plain)(p))
	return err
}

// Resolve implements [huma.ResolverWithPath].
func (p *messagePatch) Resolve(_ huma.Context, at *huma.PathBuffer) []error {
	c := checker{at: at, broken: p.broken}
	c.id("senderID", p.SenderID.value)
	c.text("sender", p.Sender.value, belfry.MaxNameBytes)
	c.text("portrait", p.Portrait.value, belfry.MaxURLBytes)
	c.text("title", p.Title.value, belfry.MaxTitleBytes)
	c.text("content", p.Content.value, belfry.MaxContentBytes)
	c.text("url", p.URL.value, belfry.MaxURLBytes)
	c.id("category", restID(p.Category.value))
	c.expires(p.ExpiresAt.value)
	c.data(p.Data.value)
	c.extra(p.Extra.value)
	if p.Title.given && p.Content.given {
		c.saysSomething(p.Title.value, p.Content.value)
	}
	return c.errs
}

// edit is what the patch asks of the rules. It reports whether that is anything.
func (p *messagePatch) edit() (edit belfry.Edit, changes bool) {
	edit = belfry.Edit{
		SenderID: (*string)(p.SenderID.change()), Sender: p.Sender.change(), Portrait: p.Portrait.change(),
		Title: p.Title.change(), Content: p.Content.change(), URL: p.URL.change(),
		Category: p.Category.change(), Expires: p.ExpiresAt.change(),
		Data: (*json.RawMessage)(p.Data.change()), Extra: p.Extra.change(),
	}
	if p.TypeID.given {
		typ := belfry.MessageType(p.TypeID.value)
		edit.Type = &typ
	}
	return edit, edit != belfry.Edit{}
}
