package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"belfry"
)

// MaxTokenBytes bounds what is parsed as a token.
const MaxTokenBytes = 8 * 1024

// Tokens signs and verifies login tokens: JSON Web Tokens (RFC 7519) with HS256
// (RFC 7518 section 3.2) and the claims sub (the uid), company and exp, which
// must be there. No other algorithm is accepted. It is safe for concurrent use.
type Tokens struct {
	secret []byte
	parser *jwt.Parser
}

// NewTokens makes Tokens with a secret of at least [MinSecretBytes].
func NewTokens(secret Secret) (*Tokens, error) {
	if len(secret) < MinSecretBytes {
		return nil, fmt.Errorf("auth: the token secret is %d bytes long; at least %d are needed", len(secret), MinSecretBytes)
	}
	return &Tokens{
		secret: []byte(secret),
		parser: jwt.NewParser(
			jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}),
			jwt.WithExpirationRequired(),
			jwt.WithLeeway(5*time.Second),
		),
	}, nil
}

// claims are those of a login token. Applications write ids as numbers or as
// strings.
type claims struct {
	Subject   id               `json:"sub"`
	Company   id               `json:"company"`
	Expires   *jwt.NumericDate `json:"exp"`
	NotBefore *jwt.NumericDate `json:"nbf,omitempty"`
	IssuedAt  *jwt.NumericDate `json:"iat,omitempty"`
}

var _ jwt.Claims = claims{}

func (c claims) GetExpirationTime() (*jwt.NumericDate, error) { return c.Expires, nil }
func (c claims) GetNotBefore() (*jwt.NumericDate, error)      { return c.NotBefore, nil }
func (c claims) GetIssuedAt() (*jwt.NumericDate, error)       { return c.IssuedAt, nil }
func (c claims) GetIssuer() (string, error)                   { return "", nil }
func (c claims) GetSubject() (string, error)                  { return string(c.Subject), nil }
func (c claims) GetAudience() (jwt.ClaimStrings, error)       { return nil, nil }

// id is a claim that is a string or an integer.
type id string

// UnmarshalJSON implements [json.Unmarshaler].
func (i *id) UnmarshalJSON(b []byte) error {
	var s string
	if err := json.Unmarshal(b, &s); err == nil {
		*i = id(s)
		return nil
	}
	var n int64
	if err := json.Unmarshal(b, &n); err != nil {
		return errors.New("an id is a string or an integer")
	}
	*i = id(fmt.Sprint(n))
	return nil
}

// Sign makes a token with which a page of who can log in until ttl has passed.
func (t *Tokens) Sign(who belfry.Identity, ttl time.Duration) (string, error) {
	now := time.Now()
	return jwt.NewWithClaims(jwt.SigningMethodHS256, claims{
		Subject:  id(who.User),
		Company:  id(who.Company),
		Expires:  jwt.NewNumericDate(now.Add(ttl)),
		IssuedAt: jwt.NewNumericDate(now),
	}).SignedString(t.secret)
}

// Verify returns who a token speaks for. It fails with [belfry.ErrUnauthorized]
// and a message that says what to do, but not what the token holds.
func (t *Tokens) Verify(token string) (belfry.Identity, error) {
	if len(token) > MaxTokenBytes {
		return belfry.Identity{}, belfry.Errorf(belfry.ErrUnauthorized, "the token is longer than %d bytes", MaxTokenBytes)
	}
	var c claims
	_, err := t.parser.ParseWithClaims(token, &c, func(*jwt.Token) (any, error) { return t.secret, nil })
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return belfry.Identity{}, unauthorized("the token has expired; ask the application for a new one", err)
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return belfry.Identity{}, unauthorized("the token is not valid yet; check the clocks", err)
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return belfry.Identity{}, unauthorized("the token has no exp claim", err)
	case err != nil:
		return belfry.Identity{}, unauthorized("the token is not valid", err)
	}
	who, err := belfry.NewIdentity(string(c.Subject), string(c.Company))
	if err != nil {
		return belfry.Identity{}, unauthorized("the token needs the claims sub and company", err)
	}
	return who, nil
}

func unauthorized(message string, err error) error {
	return &belfry.Error{Code: belfry.ErrUnauthorized, Message: message, Err: err}
}
