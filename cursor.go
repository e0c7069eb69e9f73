package belfry

import "encoding/base64"

// A Cursor is a place in an inbox and a feed: the last message and the last
// activity before it. Clients keep it as an opaque string and catch up from
// it. It is no secret and no permission; whoever reads from it says who he is.
type Cursor struct {
	Message  ID
	Activity ID
}

// cursorVersion is the first byte, so that the form can change.
const cursorVersion = 1

// String returns the form that clients keep: URL-safe, 34 bytes.
func (c Cursor) String() string {
	b := make([]byte, 0, 1+len(c.Message)+len(c.Activity))
	b = append(b, cursorVersion)
	b = append(b, c.Message[:]...)
	b = append(b, c.Activity[:]...)
	return base64.RawURLEncoding.EncodeToString(b)
}

// ParseCursor reads what [Cursor.String] wrote, and nothing else. It fails with [ErrInvalid].
func ParseCursor(s string) (Cursor, error) {
	var c Cursor
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != 1+len(c.Message)+len(c.Activity) || b[0] != cursorVersion {
		return Cursor{}, Errorf(ErrInvalid, "the cursor is malformed")
	}
	copy(c.Message[:], b[1:])
	copy(c.Activity[:], b[1+len(c.Message):])
	if c.String() != s { // the decoder skips line breaks
		return Cursor{}, Errorf(ErrInvalid, "the cursor is malformed")
	}
	return c, nil
}
