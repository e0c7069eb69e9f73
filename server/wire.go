package server

import (
	"bytes"
	"encoding/json"
	"maps"
	"strings"
	"time"

	"belfry"
	"belfry/socketio"
)

// dateLayout is how a date looks to pages, in the configured zone.
const dateLayout = "2006-01-02 15:04:05"

// A format is what a page does with the text that it gets.
type format uint8

const (
	// formatHTML is for pages that put fields into HTML as they are, as the
	// pages of phpsocket.io did: every string is escaped, once, here.
	formatHTML format = iota
	// formatText is for pages that set text.
	formatText
)

// htmlSpecialChars replaces what PHP's htmlspecialchars with ENT_QUOTES does.
var htmlSpecialChars = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;", "'", "&#039;")

func (f format) text(s string) string {
	if f == formatHTML {
		return htmlSpecialChars.Replace(s)
	}
	return s
}

// url returns u as text, or nothing when following it could do more than open
// a page or a letter.
func (f format) url(u string) string {
	if !safeURL(u) {
		return ""
	}
	return f.text(u)
}

func (f format) extra(fields map[string]string) map[string]string {
	if f == formatText || len(fields) == 0 {
		return fields
	}
	escaped := make(map[string]string, len(fields))
	for k, v := range maps.All(fields) {
		escaped[f.text(k)] = f.text(v)
	}
	return escaped
}

// safeURL reports whether u has no scheme or a harmless one. Browsers drop
// control characters and spaces around a URL before they look for its scheme
// (WHATWG URL Standard, "basic URL parser"), so they are dropped here too.
func safeURL(u string) bool {
	u = strings.Map(func(r rune) rune {
		if r <= ' ' || r == 0x7f {
			return -1
		}
		return r
	}, u)
	end := strings.IndexAny(u, ":/?#\\")
	if end < 0 || u[end] != ':' {
		return true
	}
	switch strings.ToLower(u[:end]) {
	case "http", "https", "mailto":
		return true
	}
	return false
}

// json returns JSON of the application's own with every string in it as text.
func (f format) json(raw json.RawMessage) (json.RawMessage, error) {
	if f == formatText || len(raw) == 0 {
		return raw, nil
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	return marshal(f.value(v))
}

// value is json for a decoded value.
func (f format) value(v any) any {
	switch v := v.(type) {
	case string:
		return f.text(v)
	case []any:
		for i := range v {
			v[i] = f.value(v[i])
		}
	case map[string]any:
		escaped := make(map[string]any, len(v))
		for name, member := range v {
			escaped[f.text(name)] = f.value(member)
		}
		return escaped
	}
	return v
}

// A messageEvent is a message on its way to pages of one format.
type messageEvent struct {
	message *belfry.Message
	counts  *belfry.Counts // after it, or nil
	format  format
	zone    *time.Location
	// stateless leaves out what the reader has done with it: of a notice that was edited, each
	// page knows that for itself.
	stateless bool
}

var _ socketio.Appender = messageEvent{}

// AppendJSON implements [socketio.Appender]. The members from category on are
// belfry's own; times among them are RFC 3339.
func (e messageEvent) AppendJSON(b []byte) ([]byte, error) {
	m, f := e.message, e.format
	if m.Bare {
		return socketio.AppendString(b, f.text(m.Content)), nil
	}
	o := object{b: b}
	o.id("messageID", m.ID)
	o.text("senderID", f.text(m.SenderID))
	o.text("sender", f.text(m.Sender))
	o.text("receiverID", f.text(string(m.Receiver)))
	o.text("companyID", f.text(string(m.Company)))
	o.text("portrait", f.url(m.Portrait))
	o.text("title", f.text(m.Title))
	o.text("content", f.text(m.Content))
	o.text("url", f.url(m.URL))
	o.date("date", m.Date.In(e.zone))
	o.number("typeID", int(m.Type))
	if !e.stateless {
		o.number("isRead", flag(m.IsRead))
	}
	o.textIf("category", f.text(m.Category))
	o.textIf("collapseKey", f.text(m.CollapseKey))
	if !m.Expires.IsZero() {
		o.any("expiresAt", m.Expires.UTC())
	}
	if !e.stateless && m.IsArchived {
		o.number("isArchived", 1)
	}
	if len(m.Data) > 0 {
		data, err := f.json(m.Data)
		o.raw("data", data, err)
	}
	if len(m.Extra) > 0 {
		o.any("extra", f.extra(m.Extra))
	}
	if e.counts != nil {
		o.counts("counts", e.counts)
	}
	return o.close(), o.err
}

// MarshalJSON implements [json.Marshaler].
func (e messageEvent) MarshalJSON() ([]byte, error) { return e.AppendJSON(nil) }

// flag is how a bool looks to pages.
func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

// An activityEvent is an activity on its way to pages of one format.
type activityEvent struct {
	activity *belfry.Activity
	format   format
	zone     *time.Location
}

var _ socketio.Appender = activityEvent{}

// AppendJSON implements [socketio.Appender].
func (e activityEvent) AppendJSON(b []byte) ([]byte, error) {
	a, f := e.activity, e.format
	o := object{b: b}
	o.id("activityID", a.ID)
	o.text("operatorID", f.text(a.OperatorID))
	o.text("operator", f.text(a.Operator))
	o.text("companyID", f.text(string(a.Company)))
	o.text("receiver", f.text(a.Receiver))
	o.text("portrait", f.url(a.Portrait))
	o.text("title", f.text(a.Title))
	o.text("content", f.text(a.Content))
	o.text("url", f.url(a.URL))
	o.date("date", a.Date.In(e.zone))
	o.number("objectType", int(a.ObjectType))
	o.text("objectID", f.text(a.ObjectID))
	if len(a.Changes) > 0 {
		changes, err := f.changes(a.Changes)
		if err != nil {
			return b, err
		}
		o.any("changes", changes)
	}
	if len(a.Extra) > 0 {
		o.any("extra", f.extra(a.Extra))
	}
	return o.close(), o.err
}

// MarshalJSON implements [json.Marshaler].
func (e activityEvent) MarshalJSON() ([]byte, error) { return e.AppendJSON(nil) }

func (f format) changes(changes []belfry.FieldChange) ([]belfry.FieldChange, error) {
	if f == formatText || len(changes) == 0 {
		return changes, nil
	}
	escaped := make([]belfry.FieldChange, len(changes))
	for i, c := range changes {
		before, err := f.json(c.Before)
		if err != nil {
			return nil, err
		}
		after, err := f.json(c.After)
		if err != nil {
			return nil, err
		}
		escaped[i] = belfry.FieldChange{Field: f.text(c.Field), Before: before, After: after}
	}
	return escaped, nil
}

// A revisionEvent tells pages of one format what has happened to messages that
// they may show.
type revisionEvent struct {
	event  belfry.RevisionEvent
	format format
	zone   *time.Location
}

// revisionWords say what has happened.
var revisionWords = map[belfry.RevisionKind]string{
	belfry.RevisionRead:       "read",
	belfry.RevisionUnread:     "unread",
	belfry.RevisionArchived:   "archived",
	belfry.RevisionUnarchived: "unarchived",
	belfry.RevisionEdited:     "edited",
	belfry.RevisionWithdrawn:  "withdrawn",
	belfry.RevisionReplaced:   "replaced",
	belfry.RevisionExpired:    "expired",
}

// MarshalJSON implements [json.Marshaler].
func (e revisionEvent) MarshalJSON() ([]byte, error) {
	r := e.event
	fields := struct {
		Change     string             `json:"change"`
		MessageIDs []belfry.ID        `json:"messageIDs,omitempty"`
		UpTo       belfry.ID          `json:"upTo,omitzero"` // all up to this one, where no ids are given
		TypeID     belfry.MessageType `json:"typeID,omitempty"`
		CompanyID  string             `json:"companyID"` // what the messages name
		IsRead     *int               `json:"isRead,omitempty"`
		ReplacedBy belfry.ID          `json:"replacedBy,omitzero"`
		Message    *messageEvent      `json:"message,omitempty"` // as it is now
	}{
		Change: revisionWords[r.Kind], MessageIDs: r.IDs, TypeID: r.Type, CompanyID: e.format.text(string(r.Company)),
	}
	if r.IDs == nil {
		fields.UpTo = r.Place
	}
	if belfry.EventOf(r.Kind) == belfry.EventRead {
		read := flag(r.Kind == belfry.RevisionRead)
		fields.IsRead = &read
	}
	if r.Kind == belfry.RevisionReplaced {
		fields.ReplacedBy = r.Place
	}
	if m := r.Message; m != nil {
		object := *m
		object.Bare = false
		fields.Message = &messageEvent{message: &object, format: e.format, zone: e.zone, stateless: m.IsNotice()}
	}
	return marshal(fields)
}

// marshal encodes without escaping < and > as \u003c: what is not HTML needs
// no such thing, and what is has been escaped.
func marshal(v any) ([]byte, error) {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return []byte(strings.TrimSuffix(b.String(), "\n")), nil
}

// eventArgs puts the arguments of an event into the form for pages of one
// format, followed by the cursor, if there is one.
func eventArgs(args []any, cursor belfry.Cursor, f format, zone *time.Location) []any {
	out := make([]any, len(args), len(args)+1)
	for i, arg := range args {
		switch v := arg.(type) {
		case belfry.MessageEvent:
			out[i] = messageEvent{message: v.Message, counts: v.Counts, format: f, zone: zone}
		case *belfry.Activity:
			out[i] = activityEvent{v, f, zone}
		case belfry.RevisionEvent:
			out[i] = revisionEvent{v, f, zone}
		default:
			out[i] = arg
		}
	}
	if cursor != (belfry.Cursor{}) {
		out = append(out, cursor.String())
	}
	return out
}
