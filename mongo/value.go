package mongo

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"belfry"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// A word is an id that an application chose. It is an integer in the database
// where it is written as one, as the article's applications store it.
type word string

// integer returns the number that a word is, if writing the number gives the word again.
func (w word) integer() (int64, bool) {
	n, err := strconv.ParseInt(string(w), 10, 64)
	return n, err == nil && strconv.FormatInt(n, 10) == string(w)
}

// MarshalBSONValue implements [bson.ValueMarshaler].
func (w word) MarshalBSONValue() (byte, []byte, error) {
	var v any = string(w)
	if n, ok := w.integer(); ok && n >= math.MinInt32 && n <= math.MaxInt32 {
		v = int32(n)
	} else if ok {
		v = n
	}
	kind, data, err := bson.MarshalValue(v)
	return byte(kind), data, err
}

// UnmarshalBSONValue implements [bson.ValueUnmarshaler]. It also takes what others may
// have written: no value, and whole numbers of the type double.
func (w *word) UnmarshalBSONValue(kind byte, data []byte) error {
	raw := bson.RawValue{Type: bson.Type(kind), Value: data}
	switch raw.Type {
	case bson.TypeNull, bson.TypeUndefined:
		*w = ""
	case bson.TypeString:
		*w = word(raw.StringValue())
	case bson.TypeInt32, bson.TypeInt64:
		*w = word(strconv.FormatInt(raw.AsInt64(), 10))
	case bson.TypeDouble:
		*w = word(strconv.FormatFloat(raw.Double(), 'f', -1, 64))
	default:
		return fmt.Errorf("an id of the type %v in the database", raw.Type)
	}
	return nil
}

// A number is that of a commit, from 1 on. In the database it is text, with zeros before it so that it is in order:
// every server, the one of the tests too, finds a document by an _id that is text without looking at others.
type number int64

// digits is how many a number has in the database: as many as the highest.
const digits = 19

// MarshalBSONValue implements [bson.ValueMarshaler].
func (n number) MarshalBSONValue() (byte, []byte, error) {
	kind, data, err := bson.MarshalValue(fmt.Sprintf("%0*d", digits, int64(n)))
	return byte(kind), data, err
}

// UnmarshalBSONValue implements [bson.ValueUnmarshaler]. It also takes whole numbers, which commits of earlier versions have.
func (n *number) UnmarshalBSONValue(kind byte, data []byte) error {
	raw := bson.RawValue{Type: bson.Type(kind), Value: data}
	if raw.Type != bson.TypeString {
		i, ok := raw.AsInt64OK()
		if !ok {
			return fmt.Errorf("a commit with a number of the type %v", raw.Type)
		}
		*n = number(i)
		return nil
	}
	i, err := strconv.ParseInt(raw.StringValue(), 10, 64)
	*n = number(i)
	return err
}

// objectID returns an ID as MongoDB has it.
func objectID(id belfry.ID) bson.ObjectID { return bson.ObjectID(id) }

func objectIDs(ids []belfry.ID) []any {
	all := make([]any, 0, len(ids))
	for _, id := range ids {
		all = append(all, objectID(id))
	}
	return all
}

// identityKey is the _id of what there is once for a user in a company. No other
// identity has the same.
func identityKey(who belfry.Identity) string {
	return strconv.Itoa(len(who.User)) + ":" + string(who.User) + "/" + string(who.Company)
}

// collapseOf is what a message has in common with those that it replaces; "" of those
// without a collapse key.
func collapseOf(m *belfry.Message) string {
	if m.CollapseKey == "" {
		return ""
	}
	return identityKey(belfry.Identity{User: m.Receiver, Company: m.Company}) + "/" + strconv.Quote(m.CollapseKey)
}

// markKey is the _id of the mark of a user on a notice. Those of one notice lie together.
func markKey(notice belfry.ID, user belfry.UserID) string {
	return notice.String() + "/" + string(user)
}

// companies are those whose messages an identity sees: its own, and none. An
// identity without a company is no wildcard.
func companies(who belfry.Identity) bson.A {
	if who.Company == "" {
		return bson.A{""}
	}
	return bson.A{"", word(who.Company)}
}

// flag is how the article writes a truth.
func flag(b bool) int32 {
	if b {
		return 1
	}
	return 0
}

// encodeText returns JSON, or "" for what is empty.
func encodeText(empty bool, v any) (string, error) {
	if empty {
		return "", nil
	}
	var text strings.Builder
	e := json.NewEncoder(&text)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return text.String(), err
}

func decodeText[T any](what, text string) (v T, err error) {
	if text == "" {
		return v, nil
	}
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return v, fmt.Errorf("%s: %w", what, err)
	}
	return v, nil
}

// optionalTime is nil for the zero time.
func optionalTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func timeOf(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.UTC()
}
