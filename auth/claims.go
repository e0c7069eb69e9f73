package auth

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"belfry"
)

// Claims are what a valid token says.
type Claims struct {
	Who     belfry.Identity
	Expires time.Time // Verify takes it for another [Leeway]
	Issued  time.Time // zero if the token does not say; by the clock of who signed it
	Topics  []string  // globs of the topics that the page may join; see [TopicAllowed]
}

// The claims of a login token; those of three letters are of RFC 7519 section
// 4.1.
const (
	claimSubject   = "sub"
	claimCompany   = "company"
	claimExpires   = "exp"
	claimNotBefore = "nbf"
	claimIssued    = "iat"
	claimIssuer    = "iss"
	claimAudience  = "aud"
	claimID        = "jti"
	claimTopics    = "topics"
)

// reservedClaim reports whether a claim cannot hold the company.
func reservedClaim(name string) bool {
	switch name {
	case claimSubject, claimExpires, claimNotBefore, claimIssued, claimIssuer, claimAudience, claimID, claimTopics:
		return true
	}
	return false
}

// A payload is the claims of a token by their exact names; what is not asked for
// may hold anything. Before the signature is verified, none is looked at.
type payload map[string]json.RawMessage

var _ jwt.Claims = payload{}

// GetExpirationTime implements [jwt.Claims].
func (p payload) GetExpirationTime() (*jwt.NumericDate, error) { return p.date(claimExpires) }

// GetNotBefore implements [jwt.Claims].
func (p payload) GetNotBefore() (*jwt.NumericDate, error) { return p.date(claimNotBefore) }

// GetIssuedAt implements [jwt.Claims].
func (p payload) GetIssuedAt() (*jwt.NumericDate, error) { return p.date(claimIssued) }

// GetSubject implements [jwt.Claims].
func (p payload) GetSubject() (string, error) { return p.id(claimSubject) }

// GetIssuer implements [jwt.Claims].
func (p payload) GetIssuer() (string, error) {
	var s string
	if p.says(claimIssuer) && json.Unmarshal(p[claimIssuer], &s) != nil {
		return "", belfry.Errorf(belfry.ErrUnauthorized, "the token's iss is not a string")
	}
	return s, nil
}

// GetAudience implements [jwt.Claims].
func (p payload) GetAudience() (jwt.ClaimStrings, error) {
	list, err := p.strings(claimAudience)
	return jwt.ClaimStrings(list), err
}

func (p payload) says(name string) bool {
	raw, ok := p[name]
	return ok && string(raw) != "null"
}

// maxDate is the last second of the year 9999, which RFC 3339 can still write.
// What lies behind is no date in seconds, but one in milliseconds, say.
const maxDate = 253402300799

// date reads a NumericDate (RFC 7519 section 2), whole seconds of it; nil if it
// is not there. Some applications write the number as a string.
func (p payload) date(name string) (*jwt.NumericDate, error) {
	if !p.says(name) {
		return nil, nil
	}
	var n json.Number
	err := json.Unmarshal(p[name], &n)
	seconds, floatErr := n.Float64()
	if err != nil || floatErr != nil || !(seconds >= 0 && seconds <= maxDate) {
		return nil, belfry.Errorf(belfry.ErrUnauthorized, "the token's %s is not a date in seconds since 1970", name)
	}
	return jwt.NewNumericDate(time.Unix(int64(seconds), 0)), nil
}

// id reads an id, which applications write as strings or as integers; "" if it
// is not there.
func (p payload) id(name string) (string, error) {
	var s string
	if !p.says(name) || json.Unmarshal(p[name], &s) == nil {
		return s, nil
	}
	var n int64
	if err := json.Unmarshal(p[name], &n); err != nil {
		return "", belfry.Errorf(belfry.ErrUnauthorized, "the token's %s is neither a string nor an integer", name)
	}
	return fmt.Sprint(n), nil
}

// strings reads a list of strings, or a string as a list of one.
func (p payload) strings(name string) ([]string, error) {
	if !p.says(name) {
		return nil, nil
	}
	var s string
	if json.Unmarshal(p[name], &s) == nil {
		return []string{s}, nil
	}
	var list []string
	if json.Unmarshal(p[name], &list) != nil {
		return nil, belfry.Errorf(belfry.ErrUnauthorized, "the token's %s is neither a string nor a list of strings", name)
	}
	return list, nil
}

// read turns the payload of a token into Claims, when the parser has found its
// signature and its dates, exp among them, valid.
func (p payload) read(companyClaim string) (Claims, error) {
	user, err := p.id(claimSubject)
	if err != nil {
		return Claims{}, err
	}
	company, err := p.id(companyClaim)
	if err != nil {
		return Claims{}, err
	}
	who, err := belfry.NewIdentity(user, company)
	if err != nil {
		return Claims{}, unauthorized("the token needs the claims sub and "+companyClaim, err)
	}
	topics, err := p.strings(claimTopics)
	if err != nil {
		return Claims{}, err
	}
	if err := checkTopics(topics); err != nil {
		return Claims{}, unauthorized("the token is refused: "+belfry.ErrorMessage(err), err)
	}
	expires, err := p.date(claimExpires)
	if err != nil {
		return Claims{}, err
	}
	c := Claims{Who: who, Expires: expires.Time, Topics: topics}
	issued, err := p.date(claimIssued)
	if err != nil {
		return Claims{}, err
	}
	if issued != nil {
		c.Issued = issued.Time
	}
	return c, nil
}
