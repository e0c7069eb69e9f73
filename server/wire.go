package server

import (
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

// A messageEvent is a message on its way to pages of one format.
type messageEvent struct {
	message *belfry.Message
	format  format
	zone    *time.Location
}

// MarshalJSON implements [json.Marshaler].
func (e messageEvent) MarshalJSON() ([]byte, error) {
	m, f := e.message, e.format
	if m.Bare {
		return marshal(f.text(m.Content))
	}
	read := 0
	if m.IsRead {
		read = 1
	}
	return marshal(struct {
		MessageID  belfry.ID          `json:"messageID"`
		SenderID   string             `json:"senderID"`
		Sender     string             `json:"sender"`
		ReceiverID string             `json:"receiverID"`
		CompanyID  string             `json:"companyID"`
		Portrait   string             `json:"portrait"`
		Title      string             `json:"title"`
		Content    string             `json:"content"`
		URL        string             `json:"url"`
		Date       string             `json:"date"`
		TypeID     belfry.MessageType `json:"typeID"`
		IsRead     int                `json:"isRead"`
		Extra      map[string]string  `json:"extra,omitempty"`
	}{
		m.ID, f.text(m.SenderID), f.text(m.Sender), f.text(string(m.Receiver)), f.text(string(m.Company)),
		f.url(m.Portrait), f.text(m.Title), f.text(m.Content), f.url(m.URL),
		m.Date.In(e.zone).Format(dateLayout), m.Type, read, f.extra(m.Extra),
	})
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
	return marshal(struct {
		ActivityID belfry.ID         `json:"activityID"`
		OperatorID string            `json:"operatorID"`
		Operator   string            `json:"operator"`
		CompanyID  string            `json:"companyID"`
		Receiver   string            `json:"receiver"`
		Portrait   string            `json:"portrait"`
		Title      string            `json:"title"`
		Content    string            `json:"content"`
		URL        string            `json:"url"`
		Date       string            `json:"date"`
		ObjectType belfry.ObjectType `json:"objectType"`
		ObjectID   string            `json:"objectID"`
		Extra      map[string]string `json:"extra,omitempty"`
	}{
		a.ID, f.text(a.OperatorID), f.text(a.Operator), f.text(string(a.Company)), f.text(a.Receiver),
		f.url(a.Portrait), f.text(a.Title), f.text(a.Content), f.url(a.URL),
		a.Date.In(e.zone).Format(dateLayout), a.ObjectType, f.text(a.ObjectID), f.extra(a.Extra),
	})
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

// eventArgs puts the arguments of an envelope into the form for pages of one
// format.
func eventArgs(args []any, f format, zone *time.Location) []any {
	out := make([]any, len(args))
	for i, arg := range args {
		switch v := arg.(type) {
		case *belfry.Message:
			out[i] = messageEvent{v, f, zone}
		case *belfry.Activity:
			out[i] = activityEvent{v, f, zone}
		default:
			out[i] = arg
		}
	}
	return out
}
