package belfry

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// checkMessage returns draft as it is stored and sent, apart from ID and
// Receiver, or ErrInvalid naming every field, by its name on the wire, that is wrong.
func (s *Service) checkMessage(draft Message) (Message, error) {
	m, now := draft, s.now()
	m.ID, m.Receiver, m.IsRead, m.IsArchived = ID{}, "", false, false
	if m.Type == 0 {
		m.Type = SystemNotice
	}
	err := allInvalid(
		checkOptionalID("companyID", (*string)(&m.Company)),
		checkOptionalID("senderID", &m.SenderID),
		checkText("sender", m.Sender, MaxNameBytes),
		checkText("portrait", m.Portrait, MaxURLBytes),
		checkText("title", m.Title, MaxTitleBytes),
		checkText("content", m.Content, MaxContentBytes),
		checkText("url", m.URL, MaxURLBytes),
		checkSaysSomething(m.Title, m.Content),
		checkDate(&m.Date, now),
		checkType("typeID", int64(m.Type), 1),
		checkWord("category", &m.Category),
		checkWord("collapseKey", &m.CollapseKey),
		checkExpires(&m.Expires, now),
		checkData(&m.Data),
		checkExtra(&m.Extra),
	)
	if err != nil {
		return Message{}, err
	}
	m.Forced = s.isForced(m.Category)
	return m, nil
}

// isForced reports whether nobody may turn a category off.
func (s *Service) isForced(category string) bool {
	return category != "" && slices.Contains(s.forced, category)
}

// checkActivity returns draft as it is stored and sent, apart from ID.
func (s *Service) checkActivity(draft Activity) (Activity, error) {
	a := draft
	a.ID = ID{}
	err := allInvalid(
		checkID("companyID", (*string)(&a.Company)),
		checkOptionalID("operatorID", &a.OperatorID),
		checkText("operator", a.Operator, MaxNameBytes),
		checkText("receiver", a.Receiver, MaxNameBytes),
		checkText("portrait", a.Portrait, MaxURLBytes),
		checkText("title", a.Title, MaxTitleBytes),
		checkText("content", a.Content, MaxContentBytes),
		checkText("url", a.URL, MaxURLBytes),
		checkSaysSomething(a.Title, a.Content),
		checkDate(&a.Date, s.now()),
		checkType("objectType", int64(a.ObjectType), 0),
		checkOptionalID("objectID", &a.ObjectID),
		checkChanges(&a.Changes),
		checkExtra(&a.Extra),
	)
	if err != nil {
		return Activity{}, err
	}
	return a, nil
}

// checkReceivers returns the receivers without repetitions, in their order.
func (s *Service) checkReceivers(field string, receivers []UserID) ([]UserID, error) {
	if len(receivers) == 0 {
		return nil, invalidField(field, "is missing")
	}
	if len(receivers) > s.maxReceivers {
		return nil, invalidField(field, "names %d receivers; at most %d are allowed", len(receivers), s.maxReceivers)
	}
	seen := make(map[UserID]struct{}, len(receivers))
	to := make([]UserID, 0, len(receivers))
	for _, r := range receivers {
		id, err := ParseID(field, string(r))
		if err != nil {
			return nil, err
		}
		if _, ok := seen[UserID(id)]; ok {
			continue
		}
		seen[UserID(id)] = struct{}{}
		to = append(to, UserID(id))
	}
	return to, nil
}

// checkID checks and trims an id in place.
func checkID(field string, id *string) error {
	parsed, err := ParseID(field, *id)
	if err != nil {
		return err
	}
	*id = parsed
	return nil
}

// checkOptionalID is checkID for an id that may be missing.
func checkOptionalID(field string, id *string) error {
	if strings.TrimSpace(*id) == "" {
		*id = ""
		return nil
	}
	return checkID(field, id)
}

// checkWord checks and trims a category or a collapse key, which may be missing: it is written as ids are.
func checkWord(field string, word *string) error { return checkOptionalID(field, word) }

func checkText(field, s string, limit int) error {
	switch {
	case len(s) > limit:
		return invalidField(field, "is %d bytes long; at most %d are allowed", len(s), limit)
	case !utf8.ValidString(s):
		return invalidField(field, "is not valid UTF-8")
	}
	return nil
}

func checkSaysSomething(title, content string) error {
	if strings.TrimSpace(title) == "" && strings.TrimSpace(content) == "" {
		return &Error{
			Code: ErrInvalid, Message: "title and content are missing; one of them is needed",
			Fields: []FieldError{{"title", "title or content is needed"}},
		}
	}
	return nil
}

func checkType(field string, n, least int64) error {
	if n < least || n > MaxType {
		return invalidField(field, "is %d; it must be from %d to %d", n, least, MaxType)
	}
	return nil
}

// checkDate fills in the date and cuts it to seconds. Four digits of year are
// what the forms of a date on the wire can hold.
func checkDate(date *time.Time, now time.Time) error {
	if date.IsZero() {
		*date = now
	}
	*date = date.Truncate(time.Second)
	if y := date.UTC().Year(); y < 1 || y > 9998 {
		return invalidField("date", "is out of range")
	}
	return nil
}

// checkExpires cuts the time to milliseconds. It must lie ahead.
func checkExpires(expires *time.Time, now time.Time) error {
	if expires.IsZero() {
		return nil
	}
	*expires = expires.Truncate(time.Millisecond)
	switch {
	case !expires.After(now):
		return invalidField("expiresAt", "is over already")
	case expires.UTC().Year() > 9998:
		return invalidField("expiresAt", "is out of range")
	}
	return nil
}

// checkData checks the object and replaces it by its compact form.
func checkData(data *json.RawMessage) error {
	if len(*data) == 0 || string(*data) == "null" {
		*data = nil
		return nil
	}
	if !utf8.Valid(*data) {
		return invalidField("data", "is not valid UTF-8")
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, *data); err != nil || compact.Bytes()[0] != '{' {
		return invalidField("data", "must be a JSON object")
	}
	if compact.Len() > MaxDataBytes {
		return invalidField("data", "is %d bytes long; at most %d are allowed", compact.Len(), MaxDataBytes)
	}
	*data = compact.Bytes()
	return nil
}

// checkChanges checks the changes and replaces them by a copy. No changes are nil.
func checkChanges(changes *[]FieldChange) error {
	if len(*changes) == 0 {
		*changes = nil
		return nil
	}
	if len(*changes) > MaxChanges {
		return invalidField("changes", "lists %d fields; at most %d are allowed", len(*changes), MaxChanges)
	}
	for _, c := range *changes {
		if err := checkText("changes.field", c.Field, MaxNameBytes); err != nil {
			return err
		}
		if c.Field == "" {
			return invalidField("changes.field", "is missing")
		}
	}
	encoded, err := json.Marshal(*changes)
	if err != nil {
		return invalidField("changes", "must be JSON")
	}
	if len(encoded) > MaxChangesBytes {
		return invalidField("changes", "is %d bytes long; at most %d are allowed", len(encoded), MaxChangesBytes)
	}
	var copied []FieldChange
	if err := json.Unmarshal(encoded, &copied); err != nil {
		return invalidField("changes", "must be JSON")
	}
	*changes = copied
	return nil
}

// checkExtra checks the extra fields and replaces them by a copy, as the caller
// may go on using its map. No fields are nil.
func checkExtra(extra *map[string]string) error {
	if len(*extra) == 0 {
		*extra = nil
		return nil
	}
	if len(*extra) > MaxExtraFields {
		return invalidField("extra", "has %d fields; at most %d are allowed", len(*extra), MaxExtraFields)
	}
	size := 0
	for k, v := range *extra {
		if k == "" || !utf8.ValidString(k) || !utf8.ValidString(v) {
			return invalidField("extra", "has an empty name or invalid UTF-8")
		}
		size += len(k) + len(v)
	}
	if size > MaxExtraBytes {
		return invalidField("extra", "is %d bytes long; at most %d are allowed", size, MaxExtraBytes)
	}
	*extra = maps.Clone(*extra)
	return nil
}
