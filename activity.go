package belfry

import "time"

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
	Extra      map[string]string
}
