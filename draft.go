package belfry

import (
	"maps"
	"strings"
	"time"
	"unicode/utf8"
)

// checkMessage returns draft as it is stored and sent, apart from ID and
// Receiver, or ErrInvalid naming the field, by its name on the wire, that is wrong.
func checkMessage(draft Message, now time.Time) (Message, error) {
	m := draft
	m.ID, m.Receiver, m.IsRead = ID{}, "", false
	err := firstError(
		checkOptionalID("companyID", (*string)(&m.Company)),
		checkOptionalID("senderID", &m.SenderID),
		checkText("sender", m.Sender, MaxNameBytes),
		checkText("portrait", m.Portrait, MaxURLBytes),
		checkText("title", m.Title, MaxTitleBytes),
		checkText("content", m.Content, MaxContentBytes),
		checkText("url", m.URL, MaxURLBytes),
		checkSaysSomething(m.Title, m.Content),
		checkDate(&m.Date, now),
		checkExtra(&m.Extra),
	)
	if err != nil {
		return Message{}, err
	}
	if m.Type == 0 {
		m.Type = SystemNotice
	}
	if m.Type < 1 || m.Type > MaxType {
		return Message{}, Errorf(ErrInvalid, "typeID is %d; it must be from 1 to %d", m.Type, MaxType)
	}
	return m, nil
}

// checkActivity returns draft as it is stored and sent, apart from ID.
func checkActivity(draft Activity, now time.Time) (Activity, error) {
	a := draft
	a.ID = ID{}
	err := firstError(
		checkID("companyID", (*string)(&a.Company)),
		checkOptionalID("operatorID", &a.OperatorID),
		checkText("operator", a.Operator, MaxNameBytes),
		checkText("receiver", a.Receiver, MaxNameBytes),
		checkText("portrait", a.Portrait, MaxURLBytes),
		checkText("title", a.Title, MaxTitleBytes),
		checkText("content", a.Content, MaxContentBytes),
		checkText("url", a.URL, MaxURLBytes),
		checkSaysSomething(a.Title, a.Content),
		checkDate(&a.Date, now),
		checkOptionalID("objectID", &a.ObjectID),
		checkExtra(&a.Extra),
	)
	if err != nil {
		return Activity{}, err
	}
	if a.ObjectType < 0 || a.ObjectType > MaxType {
		return Activity{}, Errorf(ErrInvalid, "objectType is %d; it must be from 0 to %d", a.ObjectType, MaxType)
	}
	return a, nil
}

// checkReceivers returns the receivers without repetitions, in their order.
func (s *Service) checkReceivers(receivers []UserID) ([]UserID, error) {
	if len(receivers) == 0 {
		return nil, Errorf(ErrInvalid, "receiverID is missing")
	}
	if len(receivers) > s.maxReceivers {
		return nil, Errorf(ErrInvalid, "receiverID names %d receivers; at most %d are allowed", len(receivers), s.maxReceivers)
	}
	seen := make(map[UserID]struct{}, len(receivers))
	to := make([]UserID, 0, len(receivers))
	for _, r := range receivers {
		id, err := ParseID("receiverID", string(r))
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

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
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

func checkText(field, s string, limit int) error {
	switch {
	case len(s) > limit:
		return Errorf(ErrInvalid, "%s is %d bytes long; at most %d are allowed", field, len(s), limit)
	case !utf8.ValidString(s):
		return Errorf(ErrInvalid, "%s is not valid UTF-8", field)
	}
	return nil
}

func checkSaysSomething(title, content string) error {
	if strings.TrimSpace(title) == "" && strings.TrimSpace(content) == "" {
		return Errorf(ErrInvalid, "title and content are missing; one of them is needed")
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
		return Errorf(ErrInvalid, "date is out of range")
	}
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
		return Errorf(ErrInvalid, "extra has %d fields; at most %d are allowed", len(*extra), MaxExtraFields)
	}
	size := 0
	for k, v := range *extra {
		if k == "" || !utf8.ValidString(k) || !utf8.ValidString(v) {
			return Errorf(ErrInvalid, "extra has an empty name or invalid UTF-8")
		}
		size += len(k) + len(v)
	}
	if size > MaxExtraBytes {
		return Errorf(ErrInvalid, "extra is %d bytes long; at most %d are allowed", size, MaxExtraBytes)
	}
	*extra = maps.Clone(*extra)
	return nil
}
