package auth

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"strings"

	"belfry"
)

// MaxPageIDBytes bounds the id of a page in a recovery statement.
const MaxPageIDBytes = 32

// A Page is what a recovery statement says.
type Page struct {
	ID  string
	Who belfry.Identity
}

// A recovery statement is the base64url of
//
//	version (1 byte), ID, user and company (each a length byte and the bytes), tag
//
// where the tag is the first 16 bytes of the HMAC-SHA256 of all before it: RFC
// 2104 section 5 allows half of the hash, and 128 bits cannot be guessed.
const (
	pageVersion = 1
	pageTag     = 16
	maxPage     = 1 + 1 + MaxPageIDBytes + 2*(1+belfry.MaxIDBytes) + pageTag
	pageLabel   = "belfry recovery statement"
)

// MaxPIDBytes is the length of the longest recovery statement.
const MaxPIDBytes = (maxPage*8 + 5) / 6

// pidEncoding is strict, so that there is one text for a statement.
var pidEncoding = base64.RawURLEncoding.Strict()

// pageKey derives the key of recovery statements (HKDF, RFC 5869). The label
// makes it another than the one of login tokens, and than any that the same
// secret may be used for one day.
func pageKey(secret Secret) []byte {
	key, err := hkdf.Key(sha256.New, []byte(secret), nil, pageLabel, sha256.Size)
	if err != nil { // only for a key that is longer than HKDF can make
		panic(err)
	}
	return key
}

// SignPage makes a recovery statement, the pid of Socket.IO's connection state
// recovery: 31 to [MaxPIDBytes] characters that need no escaping in a URL. It
// holds after a restart and on every node with the same secret, and has no end:
// whoever accepts one decides how old a page may be and whether its user may
// still come in. It returns "" for a page that cannot be stated: with an empty
// ID, one longer than [MaxPageIDBytes], or an identity with an empty field or
// one longer than [belfry.MaxIDBytes].
func (t *Tokens) SignPage(p Page) string {
	fields := []string{p.ID, string(p.Who.User), string(p.Who.Company)}
	statement := make([]byte, 1, maxPage)
	statement[0] = pageVersion
	for i, f := range fields {
		if f == "" || len(f) > maxPageField(i) {
			return ""
		}
		statement = append(append(statement, byte(len(f))), f...)
	}
	return pidEncoding.EncodeToString(append(statement, t.pageTag(statement)...))
}

// OpenPage returns what a recovery statement of SignPage says. It fails with
// [belfry.ErrUnauthorized] for anything else.
func (t *Tokens) OpenPage(pid string) (Page, error) {
	if len(pid) > MaxPIDBytes || strings.ContainsAny(pid, "\r\n") { // which the encoding would pass over
		return Page{}, errNoPage
	}
	data, err := pidEncoding.DecodeString(pid)
	if err != nil || len(data) < 1+pageTag || data[0] != pageVersion {
		return Page{}, errNoPage
	}
	statement, tag := data[:len(data)-pageTag], data[len(data)-pageTag:]
	if !hmac.Equal(tag, t.pageTag(statement)) {
		return Page{}, errNoPage
	}
	rest := statement[1:]
	var fields [3]string
	for i := range fields {
		if len(rest) == 0 || len(rest) <= int(rest[0]) || rest[0] == 0 || int(rest[0]) > maxPageField(i) {
			return Page{}, errNoPage
		}
		n := 1 + int(rest[0])
		fields[i], rest = string(rest[1:n]), rest[n:]
	}
	if len(rest) > 0 {
		return Page{}, errNoPage
	}
	return Page{ID: fields[0], Who: belfry.Identity{User: belfry.UserID(fields[1]), Company: belfry.CompanyID(fields[2])}}, nil
}

var errNoPage = belfry.Errorf(belfry.ErrUnauthorized, "the recovery statement (pid) is not valid; log in anew")

func (t *Tokens) pageTag(statement []byte) []byte {
	mac := hmac.New(sha256.New, t.pageKey)
	mac.Write(statement)
	return mac.Sum(nil)[:pageTag]
}

// maxPageField bounds the fields: ID, user, company.
func maxPageField(i int) int {
	if i == 0 {
		return MaxPageIDBytes
	}
	return belfry.MaxIDBytes
}
