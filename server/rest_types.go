package server

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"belfry"
)

// What the operations have in common. The parts of inputs are exported because
// the library reads no others.

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

// userIDs are ids of users as the rules take them.
func userIDs(ids []restID) []belfry.UserID {
	users := make([]belfry.UserID, len(ids))
	for i, id := range ids {
		users[i] = belfry.UserID(id)
	}
	return users
}

// A restObject is a JSON object of the application's own; nil is none.
type restObject json.RawMessage

// MarshalJSON implements [json.Marshaler].
func (o restObject) MarshalJSON() ([]byte, error) { return json.RawMessage(o).MarshalJSON() }

// UnmarshalJSON implements [json.Unmarshaler].
func (o *restObject) UnmarshalJSON(b []byte) error {
	*o = nil
	if string(b) != "null" {
		*o = append(*o, b...)
	}
	return nil
}

// Schema implements [huma.SchemaProvider].
func (restObject) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{Type: huma.TypeObject, AdditionalProperties: true}
}

// A MessagePath names a message in the path.
type MessagePath struct {
	ID string `path:"id" pattern:"^[0-9a-fA-F]{24}$"`
}

// A UserInput names a user in the path.
type UserInput struct {
	UID string `path:"uid" minLength:"1" maxLength:"128"`
}

func (u UserInput) user() (belfry.UserID, error) {
	uid, err := belfry.ParseID("uid", u.UID)
	return belfry.UserID(uid), err
}

// A CompanyInput names a company in the query.
type CompanyInput struct {
	CompanyID string `query:"companyID" required:"true" minLength:"1" maxLength:"128"`
}

// A CompanyPath names a company in the path.
type CompanyPath struct {
	CompanyID string `path:"companyID" minLength:"1" maxLength:"128"`
}

func (c CompanyPath) company() (belfry.CompanyID, error) {
	company, err := belfry.ParseID("companyID", c.CompanyID)
	return belfry.CompanyID(company), err
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

// restPages says how many pages were concerned.
type restPages struct {
	Pages int `json:"pages" doc:"How many open pages there were"`
}

type pagesOutput struct{ Body restPages }

func newPagesOutput(pages int, err error) (*pagesOutput, error) {
	if err != nil {
		return nil, err
	}
	return &pagesOutput{restPages{pages}}, nil
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

// optionalTime is a time as JSON leaves it out if it is zero.
func optionalTime(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC()
}
