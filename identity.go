package belfry

import (
	"strings"
	"unicode/utf8"
)

// MaxIDBytes bounds every id that an application chooses (users, companies,
// senders, objects), in bytes.
const MaxIDBytes = 128

// A UserID names a person, uniquely in the installation. Applications write it
// as an integer or as a string; the integer 1 and the string "1" are the same
// user.
type UserID string

// A CompanyID names a tenant. What is one company's is never seen by another.
// The empty CompanyID on a message says that the sender named none; it is
// never a wildcard in a query.
type CompanyID string

// An Identity is who a page speaks for. Both fields are set.
type Identity struct {
	User    UserID
	Company CompanyID
}

// NewIdentity checks the two ids that a login names.
// It fails with [ErrInvalid] naming the fields that are missing or malformed.
func NewIdentity(user, company string) (Identity, error) {
	u, err := ParseID("uid", user)
	c, err2 := ParseID("companyID", company)
	if err := allInvalid(err, err2); err != nil {
		return Identity{}, err
	}
	return Identity{User: UserID(u), Company: CompanyID(c)}, nil
}

// ParseID checks an id that came from outside: 1 to [MaxIDBytes] bytes of
// UTF-8 without control characters, surrounding spaces removed. It fails with
// [ErrInvalid] and a message that starts with field.
func ParseID(field, s string) (string, error) {
	s = strings.TrimSpace(s)
	switch {
	case s == "":
		return "", invalidField(field, "is missing")
	case len(s) > MaxIDBytes:
		return "", invalidField(field, "is %d bytes long; at most %d are allowed", len(s), MaxIDBytes)
	case !utf8.ValidString(s):
		return "", invalidField(field, "is not valid UTF-8")
	case strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "", invalidField(field, "contains a control character")
	}
	return s, nil
}
