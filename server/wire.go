package server

import (
	"bytes"
	"encoding/json"
	"maps"
	"strings"
	"time"

	"belfry"
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

// messageFields are what pages get of a message. Those from Category on are
// belfry's own; times among them are RFC 3339.
type messageFields struct {
	MessageID   belfry.ID          `json:"messageID"`
	SenderID    string             `json:"senderID"`
	Sender      string             `json:"sender"`
	ReceiverID  string             `json:"receiverID"`
	CompanyID   string             `json:"companyID"`
	Portrait    string             `json:"portrait"`
	Title       string             `json:"title"`
	Content     string             `json:"content"`
	URL         string             `json:"url"`
	Date        string             `json:"date"`
	TypeID      belfry.MessageType `json:"typeID"`
	IsRead      *int               `json:"isRead,omitempty"`
	Category    string             `json:"category,omitempty"`
	CollapseKey string             `json:"collapseKey,omitempty"`
	ExpiresAt   time.Time          `json:"expiresAt,omitzero"`
	IsArchived  int                `json:"isArchived,omitempty"`
	Data        json.RawMessage    `json:"data,omitempty"`
	Extra       map[string]string  `json:"extra,omitempty"`
	Counts      *belfry.Counts     `json:"counts,omitempty"`
}

// MarshalJSON implements [json.Marshaler].
func (e messageEvent) MarshalJSON() ([]byte, error) {
	m, f := e.message, e.format
	if m.Bare {
		return marshal(f.text(m.Content))
	}
	data, err := f.json(m.Data)
	if err != nil {
		return nil, err
	}
	fields := messageFields{
		MessageID: m.ID, SenderID: f.text(m.SenderID), Sender: f.text(m.Sender),
		ReceiverID: f.text(string(m.Receiver)), CompanyID: f.text(string(m.Company)),
		Portrait: f.url(m.Portrait), Title: f.text(m.Title), Content: f.text(m.Content), URL: f.url(m.URL),
		Date: m.Date.In(e.zone).Format(dateLayout), TypeID: m.Type,
		Category: f.text(m.Category), CollapseKey: f.text(m.CollapseKey), ExpiresAt: m.Expires.UTC(),
		Data: data, Extra: f.extra(m.Extra), Counts: e.counts,
	}
	if m.Expires.IsZero() {
		fields.ExpiresAt = time.Time{}
	}
	if !e.stateless {
		read := flag(m.IsRead)
		fields.IsRead, fields.IsArchived = &read, flag(m.IsArchived)
	}
	return marshal(fields)
}

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

// MarshalJSON implements [json.Marshaler].
func (e activityEvent) MarshalJSON() ([]byte, error) {
	a, f := e.activity, e.format
	changes, err := f.changes(a.Changes)
	if err != nil {
		return nil, err
	}
	return marshal(struct {
		ActivityID belfry.ID            `json:"activityID"`
		OperatorID string               `json:"operatorID"`
		Operator   string               `json:"operator"`
		CompanyID  string               `json:"companyID"`
		Receiver   string               `json:"receiver"`
		Portrait   string               `json:"portrait"`
		Title      string               `json:"title"`
		Content    string               `json:"content"`
		URL        string               `json:"url"`
		Date       string               `json:"date"`
		ObjectType belfry.ObjectType    `json:"objectType"`
		ObjectID   string               `json:"objectID"`
		Changes    []belfry.FieldChange `json:"changes,omitempty"`
		Extra      map[string]string    `json:"extra,omitempty"`
	}{
		a.ID, f.text(a.OperatorID), f.text(a.Operator), f.text(string(a.Company)), f.text(a.Receiver),
		f.url(a.Portrait), f.text(a.Title), f.text(a.Content), f.url(a.URL),
		a.Date.In(e.zone).Format(dateLayout), a.ObjectType, f.text(a.ObjectID), changes, f.extra(a.Extra),
	})
}

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
