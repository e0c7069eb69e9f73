package belfry

import "time"

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
)

// A Message is what one user receives: it lies in the inbox of its receiver.
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
	IsRead   bool
	// Bare says that pages get the content alone, a string, as web-msg-sender's
	// pages expect, and not an object.
	Bare  bool
	Extra map[string]string
}

// Counts are a user's unread and unseen messages. Version grows with every
// change, so that a page never shows an older number over a newer one.
type Counts struct {
	Unread  int                 `json:"unread"`
	Unseen  int                 `json:"unseen"`
	ByType  map[MessageType]int `json:"byType"`
	Version int64               `json:"version"`
}
