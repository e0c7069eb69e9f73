package belfry

import "encoding/base64"

// A Cursor is a place in the log of everything that pages are told: whoever
// has it has been told what has this ID or a lower one. Pages keep it as an opaque
// string and catch up from it. It is no secret and no permission; whoever reads
// from it says who he is.
type Cursor ID

// cursorVersion is the first byte, so that the form can change.
const cursorVersion = 2

// String returns the form that clients keep: URL-safe, 18 bytes.
func (c Cursor) String() string {
	b := append(make([]byte, 0, 1+len(c)), cursorVersion)
	return base64.RawURLEncoding.EncodeToString(append(b, c[:]...))
}

// ParseCursor reads what [Cursor.String] wrote, and nothing else. It fails with [ErrInvalid].
func ParseCursor(s string) (Cursor, error) {
	var c Cursor
	b, err := base64.RawURLEncoding.Strict().DecodeString(s)
	if err != nil || len(b) != 1+len(c) || b[0] != cursorVersion {
		return Cursor{}, Errorf(ErrInvalid, "the cursor is malformed")
	}
	copy(c[:], b[1:])
	if c.String() != s { // the decoder skips line breaks
		return Cursor{}, Errorf(ErrInvalid, "the cursor is malformed")
	}
	return c, nil
}
