package belfry

import (
	"encoding/json"
	"time"
)

// A MessageType says where a message comes from; applications show each type
// in a list of its own. Any number from 1 to [MaxType] is allowed; these three
// are the ones that the words of the system name.
type MessageType int

// The message types with a meaning of their own.
const (
	SystemNotice        MessageType = 1
	AdministratorNotice MessageType = 2
	OperationNotice     MessageType = 3
)

// MaxType bounds message and object types.
const MaxType = 1<<31 - 1

// Limits on what a message or an activity may carry, in bytes.
const (
	MaxTitleBytes   = 1024
	MaxContentBytes = 64 * 1024
	MaxURLBytes     = 2048
	MaxNameBytes    = 256 // sender, operator, receiver
	MaxExtraFields  = 32
	MaxExtraBytes   = 4 * 1024 // keys and values together
	MaxDataBytes    = 4 * 1024 // of the JSON text
	MaxKeyBytes     = 128      // category, collapse key
)

// A Message is what a user receives. One with a Receiver lies in the inbox of
// that user. One without is a notice: stored once, it lies in the inbox of every
// member of its Company, or of everybody where Company is empty as well.
type Message struct {
	ID       ID
	Receiver UserID
	// Company is the tenant that the sender named, or empty. A message that
	// names one is shown only to the receiver's pages in that company.
	Company  CompanyID
	SenderID string
	Sender   string
	Portrait string
	Title    string
	Content  string
	URL      string
	Date     time.Time // second precision
	Type     MessageType
	// Category is a word of the application's own, by which users may turn
	// messages off; see [Preference].
	Category string
	// CollapseKey makes the message replace those with the same key, receiver
	// and company that are still unread.
	CollapseKey string
	// Expires is when the message is taken back everywhere; zero means never.
	// Millisecond precision.
	Expires time.Time
	// Data is a JSON object of the application's own, or nil.
	Data json.RawMessage
	// Later says of a notice that who joins later sees it, too. Without it, only
	// those see it who were known as members when it was sent.
	Later bool
	// Forced says that no preference turns the message off.
	Forced bool

	IsRead bool
	// IsArchived says that its reader has put it away: it counts nowhere and is
	// listed among the archived ones alone. What is archived is read.
	IsArchived bool
	// Bare says that pages get the content alone, a string, as web-msg-sender's
	// pages expect, and not an object.
	Bare  bool
	Extra map[string]string
}

// IsNotice reports whether the message is for all members of a company, or for
// everybody, rather than for one receiver.
func (m *Message) IsNotice() bool { return m.Receiver == "" }

// Counts are a user's unread and unseen messages. Version grows with every
// change, so that a page never shows an older number over a newer one.
type Counts struct {
	Unread  int                 `json:"unread"`
	Unseen  int                 `json:"unseen"`
	ByType  map[MessageType]int `json:"byType"` // unread
	Version int64               `json:"version"`
}
