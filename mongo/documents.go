package mongo

import (
	"encoding/json"
	"time"

	"belfry"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// A messageDocument is a message in msgNotice, or a notice in belfryNotices. The fields
// up to isRead are the article's; it reads them and knows no others.
type messageDocument struct {
	ID         bson.ObjectID `bson:"_id"`
	SenderID   word          `bson:"senderID"`
	Sender     string        `bson:"sender"`
	ReceiverID *word         `bson:"receiverID,omitempty"` // notices have none
	CompanyID  word          `bson:"companyID"`
	Portrait   string        `bson:"portrait"`
	Title      string        `bson:"title"`
	Content    string        `bson:"content"`
	URL        string        `bson:"url"`
	Date       time.Time     `bson:"date"`
	TypeID     int32         `bson:"typeID"`
	IsRead     int32         `bson:"isRead"`

	IsArchived  int32      `bson:"isArchived"`
	IsDelivered int32      `bson:"isDelivered"`
	Later       int32      `bson:"later"`    // of notices
	Replaced    int32      `bson:"replaced"` // of notices: only who had read it sees it
	Category    string     `bson:"category,omitempty"`
	CollapseKey string     `bson:"collapseKey,omitempty"`
	CollapseOf  string     `bson:"collapseOf,omitempty"` // see collapseOf
	Expires     *time.Time `bson:"expires,omitempty"`
	Data        *string    `bson:"data,omitempty"` // JSON, as it was written
	Forced      bool       `bson:"forced,omitempty"`
	Bare        bool       `bson:"bare,omitempty"`
	Extra       string     `bson:"extra,omitempty"`    // JSON
	StoredAt    *time.Time `bson:"storedAt,omitempty"` // see TTL
	V           int64      `bson:"v"`                  // the commit that changed it last
}

func newMessageDocument(m *belfry.Message, n int64) (messageDocument, error) {
	extra, err := encodeText(len(m.Extra) == 0, m.Extra)
	d := messageDocument{
		ID: objectID(m.ID), SenderID: word(m.SenderID), Sender: m.Sender, CompanyID: word(m.Company), Portrait: m.Portrait,
		Title: m.Title, Content: m.Content, URL: m.URL, Date: m.Date.UTC(), TypeID: int32(m.Type),
		IsRead: flag(m.IsRead || m.IsArchived), IsArchived: flag(m.IsArchived), Later: flag(m.Later), Category: m.Category,
		CollapseKey: m.CollapseKey, CollapseOf: collapseOf(m), Expires: optionalTime(m.Expires), Forced: m.Forced, Bare: m.Bare,
		Extra: extra, V: n,
	}
	if m.Data != nil {
		data := string(m.Data)
		d.Data = &data
	}
	if m.IsNotice() {
		d.IsRead, d.IsArchived = 0, 0 // that is in the marks
	} else {
		receiver := word(m.Receiver)
		d.ReceiverID = &receiver
	}
	return d, err
}

// edit returns what an edit sets and unsets.
func (d *messageDocument) edit() (set bson.D, unset []string) {
	set = bson.D{
		{Key: "senderID", Value: d.SenderID}, {Key: "sender", Value: d.Sender}, {Key: "portrait", Value: d.Portrait},
		{Key: "title", Value: d.Title}, {Key: "content", Value: d.Content}, {Key: "url", Value: d.URL},
		{Key: "date", Value: d.Date}, {Key: "typeID", Value: d.TypeID}, {Key: "category", Value: d.Category},
		{Key: "forced", Value: d.Forced}, {Key: "bare", Value: d.Bare}, {Key: "extra", Value: d.Extra},
	}
	if d.Expires != nil {
		set = append(set, bson.E{Key: "expires", Value: *d.Expires})
	} else {
		unset = append(unset, "expires")
	}
	if d.Data != nil {
		set = append(set, bson.E{Key: "data", Value: *d.Data})
	} else {
		unset = append(unset, "data")
	}
	return set, unset
}

func (d *messageDocument) message() (belfry.Message, error) {
	extra, err := decodeText[map[string]string]("extra fields", d.Extra)
	m := belfry.Message{
		ID: belfry.ID(d.ID), Company: belfry.CompanyID(d.CompanyID), SenderID: string(d.SenderID), Sender: d.Sender,
		Portrait: d.Portrait, Title: d.Title, Content: d.Content, URL: d.URL, Date: d.Date.UTC(), Type: belfry.MessageType(d.TypeID),
		Category: d.Category, CollapseKey: d.CollapseKey, Expires: timeOf(d.Expires), Later: d.Later != 0, Forced: d.Forced,
		IsRead: d.IsRead != 0, IsArchived: d.IsArchived != 0, Bare: d.Bare, Extra: extra,
	}
	if d.ReceiverID != nil {
		m.Receiver = belfry.UserID(*d.ReceiverID)
		m.Later = false
	}
	if d.Data != nil {
		m.Data = json.RawMessage(*d.Data)
	}
	return m, err
}

func messagesOf(documents []messageDocument) ([]belfry.Message, error) {
	var messages []belfry.Message
	for i := range documents {
		m, err := documents[i].message()
		if err != nil {
			return nil, err
		}
		messages = append(messages, m)
	}
	return messages, nil
}

// An activityDocument is an activity in handleLog. The fields up to objectID are the
// article's.
type activityDocument struct {
	ID         bson.ObjectID `bson:"_id"`
	OperatorID word          `bson:"operatorID"`
	Operator   string        `bson:"operator"`
	CompanyID  word          `bson:"companyID"`
	Receiver   string        `bson:"receiver"`
	Portrait   string        `bson:"portrait"`
	Title      string        `bson:"title"`
	Content    string        `bson:"content"`
	URL        string        `bson:"url"`
	Date       time.Time     `bson:"date"`
	ObjectType int32         `bson:"objectType"`
	ObjectID   word          `bson:"objectID"`

	Changes  string     `bson:"changes,omitempty"`  // JSON
	Extra    string     `bson:"extra,omitempty"`    // JSON
	StoredAt *time.Time `bson:"storedAt,omitempty"` // see TTL
	V        int64      `bson:"v"`
}

func newActivityDocument(a *belfry.Activity, n int64) (activityDocument, error) {
	extra, err := encodeText(len(a.Extra) == 0, a.Extra)
	if err != nil {
		return activityDocument{}, err
	}
	changes, err := encodeText(len(a.Changes) == 0, a.Changes)
	return activityDocument{
		ID: objectID(a.ID), OperatorID: word(a.OperatorID), Operator: a.Operator, CompanyID: word(a.Company), Receiver: a.Receiver,
		Portrait: a.Portrait, Title: a.Title, Content: a.Content, URL: a.URL, Date: a.Date.UTC(), ObjectType: int32(a.ObjectType),
		ObjectID: word(a.ObjectID), Changes: changes, Extra: extra, V: n,
	}, err
}

func (d *activityDocument) activity() (belfry.Activity, error) {
	extra, err := decodeText[map[string]string]("extra fields", d.Extra)
	if err != nil {
		return belfry.Activity{}, err
	}
	changes, err := decodeText[[]belfry.FieldChange]("field changes", d.Changes)
	return belfry.Activity{
		ID: belfry.ID(d.ID), Company: belfry.CompanyID(d.CompanyID), OperatorID: string(d.OperatorID), Operator: d.Operator,
		Receiver: d.Receiver, Portrait: d.Portrait, Title: d.Title, Content: d.Content, URL: d.URL, Date: d.Date.UTC(),
		ObjectType: belfry.ObjectType(d.ObjectType), ObjectID: string(d.ObjectID), Changes: changes, Extra: extra,
	}, err
}
