package server

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"belfry"
)

// A restID is an id that an application chose: a string, or an integer, which
// is the same id as its digits.
type restID string

// UnmarshalJSON implements [json.Unmarshaler].
func (id *restID) UnmarshalJSON(b []byte) error {
	s, err := idArg("id", json.RawMessage(b))
	*id = restID(s)
	return err
}

// Schema implements [huma.SchemaProvider].
func (restID) Schema(huma.Registry) *huma.Schema {
	shortest, longest := 1, belfry.MaxIDBytes
	return &huma.Schema{
		OneOf: []*huma.Schema{
			{Type: huma.TypeString, MinLength: &shortest, MaxLength: &longest},
			{Type: huma.TypeInteger, Format: "int64"},
		},
	}
}

// A messageDraft is a message to push.
type messageDraft struct {
	Receivers []restID          `json:"receivers" minItems:"1" maxItems:"10000" nullable:"false" doc:"Who gets it; who is named twice gets it once"`
	CompanyID restID            `json:"companyID,omitempty" doc:"If set, only pages in this company show it"`
	SenderID  restID            `json:"senderID,omitempty"`
	Sender    string            `json:"sender,omitempty" maxLength:"256"`
	Portrait  string            `json:"portrait,omitempty" maxLength:"2048"`
	Title     string            `json:"title,omitempty" maxLength:"1024" doc:"Title or content must be there"`
	Content   string            `json:"content,omitempty" maxLength:"65536"`
	URL       string            `json:"url,omitempty" maxLength:"2048"`
	Date      time.Time         `json:"date,omitzero" doc:"RFC 3339; now if missing"`
	TypeID    int               `json:"typeID,omitempty" minimum:"1" maximum:"2147483647" default:"1" doc:"1 system notice, 2 administrator notice, 3 operation notice, or another number"`
	Extra     map[string]string `json:"extra,omitempty" doc:"Up to 32 fields of the application's own, 4 KiB in all"`
	Transient bool              `json:"transient,omitempty" doc:"Do not store it: only pages that are open get it"`
}

// Resolve implements [huma.ResolverWithPath].
func (m *messageDraft) Resolve(_ huma.Context, at *huma.PathBuffer) []error {
	return tooLong(at, []text{
		{"sender", m.Sender, belfry.MaxNameBytes}, {"portrait", m.Portrait, belfry.MaxURLBytes}, {"title", m.Title, belfry.MaxTitleBytes},
		{"content", m.Content, belfry.MaxContentBytes}, {"url", m.URL, belfry.MaxURLBytes},
	})
}

// An activityDraft is an activity to record.
type activityDraft struct {
	CompanyID  restID            `json:"companyID" doc:"Whose pages show it"`
	OperatorID restID            `json:"operatorID,omitempty"`
	Operator   string            `json:"operator,omitempty" maxLength:"256"`
	Receiver   string            `json:"receiver,omitempty" maxLength:"256" doc:"Whom it concerns, as the application writes it"`
	Portrait   string            `json:"portrait,omitempty" maxLength:"2048"`
	Title      string            `json:"title,omitempty" maxLength:"1024" doc:"Title or content must be there"`
	Content    string            `json:"content,omitempty" maxLength:"65536"`
	URL        string            `json:"url,omitempty" maxLength:"2048"`
	Date       time.Time         `json:"date,omitzero" doc:"RFC 3339; now if missing"`
	ObjectType int               `json:"objectType,omitempty" minimum:"0" maximum:"2147483647" doc:"1 project, 2 team, 3 user, 4 task, 5 document, or another number"`
	ObjectID   restID            `json:"objectID,omitempty"`
	Extra      map[string]string `json:"extra,omitempty" doc:"Up to 32 fields of the application's own, 4 KiB in all"`
	Transient  bool              `json:"transient,omitempty" doc:"Do not store it: only pages that are open get it"`
}

// Resolve implements [huma.ResolverWithPath].
func (a *activityDraft) Resolve(_ huma.Context, at *huma.PathBuffer) []error {
	return tooLong(at, []text{
		{"operator", a.Operator, belfry.MaxNameBytes}, {"receiver", a.Receiver, belfry.MaxNameBytes}, {"portrait", a.Portrait, belfry.MaxURLBytes},
		{"title", a.Title, belfry.MaxTitleBytes}, {"content", a.Content, belfry.MaxContentBytes}, {"url", a.URL, belfry.MaxURLBytes},
	})
}

type text struct {
	field, value string
	bytes        int
}

// tooLong names the texts that are longer than their bounds in bytes, apart from
// those that a schema, which counts characters, has named.
func tooLong(at *huma.PathBuffer, texts []text) []error {
	var errs []error
	for _, t := range texts {
		if len(t.value) > t.bytes && utf8.RuneCountInString(t.value) <= t.bytes {
			errs = append(errs, &huma.ErrorDetail{Location: at.With(t.field), Message: fmt.Sprintf("expected at most %d bytes", t.bytes)})
		}
	}
	return errs
}

// A restMessage is a message as REST shows it.
type restMessage struct {
	MessageID  string            `json:"messageID"`
	SenderID   string            `json:"senderID"`
	Sender     string            `json:"sender"`
	ReceiverID string            `json:"receiverID"`
	CompanyID  string            `json:"companyID"`
	Portrait   string            `json:"portrait"`
	Title      string            `json:"title"`
	Content    string            `json:"content"`
	URL        string            `json:"url"`
	Date       time.Time         `json:"date"`
	TypeID     int               `json:"typeID"`
	IsRead     bool              `json:"isRead"`
	Extra      map[string]string `json:"extra,omitempty"`
}

func newRestMessage(m belfry.Message) restMessage {
	return restMessage{
		m.ID.String(), m.SenderID, m.Sender, string(m.Receiver), string(m.Company), m.Portrait,
		m.Title, m.Content, m.URL, m.Date.UTC(), int(m.Type), m.IsRead, m.Extra,
	}
}

// A restActivity is an activity as REST shows it.
type restActivity struct {
	ActivityID string            `json:"activityID"`
	OperatorID string            `json:"operatorID"`
	Operator   string            `json:"operator"`
	CompanyID  string            `json:"companyID"`
	Receiver   string            `json:"receiver"`
	Portrait   string            `json:"portrait"`
	Title      string            `json:"title"`
	Content    string            `json:"content"`
	URL        string            `json:"url"`
	Date       time.Time         `json:"date"`
	ObjectType int               `json:"objectType"`
	ObjectID   string            `json:"objectID"`
	Extra      map[string]string `json:"extra,omitempty"`
}

func newRestActivity(a belfry.Activity) restActivity {
	return restActivity{
		a.ID.String(), a.OperatorID, a.Operator, string(a.Company), a.Receiver, a.Portrait,
		a.Title, a.Content, a.URL, a.Date.UTC(), int(a.ObjectType), a.ObjectID, a.Extra,
	}
}

// restCounts are a user's counts.
type restCounts struct {
	Unread  int            `json:"unread"`
	Unseen  int            `json:"unseen" doc:"Unread and newer than the last one seen"`
	ByType  map[string]int `json:"byType" doc:"Unread, by typeID"`
	Version int64          `json:"version" doc:"Grows with every change; never show an older one over a newer one"`
}

type countsOutput struct{ Body restCounts }

func newCountsOutput(c belfry.Counts, err error) (*countsOutput, error) {
	if err != nil {
		return nil, err
	}
	byType := make(map[string]int, len(c.ByType))
	for t, n := range c.ByType {
		byType[strconv.Itoa(int(t))] = n
	}
	return &countsOutput{restCounts{c.Unread, c.Unseen, byType, c.Version}}, nil
}

// A restList is one page of a list, newest first.
type restList[T any] struct {
	Items []T    `json:"items" nullable:"false"`
	Next  string `json:"next,omitempty" doc:"The cursor of the next page; missing at the end"`
}

type listOutput[T any] struct{ Body restList[T] }

// newListOutput makes the answer to a ListInput from the entries that were
// found and how they are shown.
func newListOutput[E, T any](in ListInput, entries []E, id func(*E) belfry.ID, show func(E) T) *listOutput[T] {
	list := restList[T]{Items: make([]T, len(entries))}
	for i := range entries {
		list.Items[i] = show(entries[i])
	}
	if len(entries) > 0 && len(entries) == belfry.ListLimit(in.Limit) {
		list.Next = cursorAfter(id(&entries[len(entries)-1]))
	}
	return &listOutput[T]{list}
}

// A ListInput pages through a list. Lists are ordered by id, so what is added
// meanwhile moves nothing.
type ListInput struct {
	Cursor string `query:"cursor" doc:"next of the page before"`
	Limit  int    `query:"limit" minimum:"1" maximum:"100" default:"20"`

	before belfry.ID
}

// listCursor is the first byte of the cursor of a list, so that the form can
// change, and no other cursor is taken for one.
const listCursor = 'L'

func cursorAfter(id belfry.ID) string {
	return base64.RawURLEncoding.EncodeToString(append([]byte{listCursor}, id[:]...))
}

// Resolve implements [huma.Resolver]: it reads the cursor.
func (l *ListInput) Resolve(huma.Context) []error {
	if l.Cursor == "" {
		return nil
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(l.Cursor)
	if err != nil || len(b) != 1+len(l.before) || b[0] != listCursor {
		return []error{&huma.ErrorDetail{Location: "query.cursor", Message: "expected next of the page before"}}
	}
	copy(l.before[:], b[1:])
	return nil
}

type onlineOutput struct{ Body restOnline }

type restOnline struct {
	Users int `json:"users" doc:"Users of the company with an open page"`
	Pages int `json:"pages"`
}

func newOnlineOutput(n belfry.OnlineCount, err error) (*onlineOutput, error) {
	if err != nil {
		return nil, err
	}
	return &onlineOutput{restOnline{n.Users, n.Pages}}, nil
}

// messageIDs reads the ids of messages, whose form a schema has checked.
func messageIDs(texts []string) ([]belfry.ID, error) {
	ids := make([]belfry.ID, len(texts))
	for i, s := range texts {
		if err := ids[i].UnmarshalText([]byte(s)); err != nil {
			return nil, err
		}
	}
	return ids, nil
}
