package belfry

import (
	"encoding/json"
	"time"
)

// An ObjectType says what kind of object an activity is about.
type ObjectType int

// The object types that the words of the system name. Further ones are allowed.
const (
	ObjectProject  ObjectType = 1
	ObjectTeam     ObjectType = 2
	ObjectUser     ObjectType = 3
	ObjectTask     ObjectType = 4
	ObjectDocument ObjectType = 5
)

// Limits on the changes that an activity lists.
const (
	MaxChanges      = 50
	MaxChangesBytes = 16 * 1024 // all of them together, as JSON
)

// An Activity is what somebody did to an object. The whole company sees it in
// its feed, and it is part of the history of the object.
type Activity struct {
	ID         ID
	Company    CompanyID
	OperatorID string
	Operator   string
	Receiver   string // whom it concerns, as the application writes it; may be empty
	Portrait   string
	Title      string
	Content    string
	URL        string
	Date       time.Time // second precision
	ObjectType ObjectType
	ObjectID   string
	// Changes are the fields of the object that have changed.
	Changes []FieldChange
	Extra   map[string]string
}

// A FieldChange is one field of an object before and after an activity. The
// values are any JSON, nil where there is none.
type FieldChange struct {
	Field  string          `json:"field"`
	Before json.RawMessage `json:"before,omitempty"`
	After  json.RawMessage `json:"after,omitempty"`
}

// A FeedQuery says which activities of a company to list, newest first. Zero
// fields do not restrict.
type FeedQuery struct {
	Before     ID // older than this one
	OperatorID string
	ObjectType ObjectType
	ObjectID   string // needs ObjectType
	// From and Until bound when belfry recorded the activity, in whole seconds:
	// From is included, Until is not.
	From, Until time.Time
	Limit       int
}
