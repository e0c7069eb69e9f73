package auth

import (
	"crypto"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"belfry"
)

// MaxTokenBytes bounds what is parsed as a token.
const MaxTokenBytes = 8 * 1024

// Leeway is how long after its end, or before its begin, a token is still taken,
// for clocks that differ.
const Leeway = 5 * time.Second

// TokenOptions configure [Tokens]. There must be something that verifies: a
// Secret, Keys or JWKS; and something to sign recovery statements with: a Secret
// or a PageSecret.
type TokenOptions struct {
	// Secret signs and verifies login tokens with HS256; at least
	// [MinSecretBytes]. Without one HS256 is off and Sign fails.
	Secret Secret
	// Keys verify tokens that others sign, whatever kid they name. See
	// [LoadPublicKeys].
	Keys []crypto.PublicKey
	// JWKS is the URL of a JWK Set (RFC 7517) with more such keys: https, or
	// http on loopback.
	JWKS string
	// CompanyClaim names the claim with the company; "" means company.
	CompanyClaim string
	// Issuer and Audience, where set, are what a token's iss must be and its aud
	// must contain.
	Issuer, Audience string
	// PageSecret is what the key of recovery statements is derived from; ""
	// means Secret.
	PageSecret Secret
	Logger     *slog.Logger // nil means slog.Default()
}

// Tokens signs and verifies login tokens: JSON Web Tokens (RFC 7519) with the
// claims sub (the uid), company and exp, which must be there. It also signs and
// opens recovery statements.
//
// The type of a key fixes its one algorithm: the secret HS256, RSA keys RS256,
// P-256 keys ES256 (RFC 7518 section 3.1), Ed25519 keys EdDSA (RFC 8037 section
// 3.1). No other algorithm is accepted, and no key for another than its own.
//
// It is safe for concurrent use. Close it when it is done with.
type Tokens struct {
	secret           []byte                        // nil: no HS256
	fixed            map[string][]crypto.PublicKey // by algorithm
	remote           *keySource                    // nil without JWKS
	companyClaim     string
	issuer, audience string
	parser           *jwt.Parser
	pageKey          []byte
}

// LogValue implements [slog.LogValuer]: the keys stay out of logs.
func (t *Tokens) LogValue() slog.Value { return slog.StringValue("[tokens]") }

// String implements [fmt.Stringer].
func (t *Tokens) String() string { return "[tokens]" }

// GoString implements [fmt.GoStringer].
func (t *Tokens) GoString() string { return "[tokens]" }

// NewTokens makes Tokens. It does not wait for the JWKS URL.
func NewTokens(o TokenOptions) (*Tokens, error) {
	if o.CompanyClaim == "" {
		o.CompanyClaim = claimCompany
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	fixed, err := byAlgorithm(o.Keys)
	if err != nil {
		return nil, err
	}
	t := &Tokens{
		secret:       []byte(o.Secret),
		fixed:        fixed,
		companyClaim: o.CompanyClaim,
		issuer:       o.Issuer,
		audience:     o.Audience,
		pageKey:      pageKey(o.pageSecret()),
	}
	t.parser = t.newParser(o.JWKS != "")
	if o.JWKS != "" { // last, because it starts a goroutine
		if t.remote, err = newKeySource(o.JWKS, jwksTransport(), o.Logger); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (o TokenOptions) pageSecret() Secret {
	if o.PageSecret != "" {
		return o.PageSecret
	}
	return o.Secret
}

func (o TokenOptions) check() error {
	if o.Secret == "" && len(o.Keys) == 0 && o.JWKS == "" {
		return errors.New("auth: login tokens need a token secret, public keys or a JWKS URL")
	}
	if o.pageSecret() == "" {
		return errors.New("auth: recovery statements need a secret: set the page secret or the token secret")
	}
	if err := errors.Join(checkSecret("token", o.Secret), checkSecret("page", o.PageSecret)); err != nil {
		return err
	}
	if reservedClaim(o.CompanyClaim) {
		return fmt.Errorf("auth: the company cannot be in the claim %s, which says something else", o.CompanyClaim)
	}
	return nil
}

func checkSecret(name string, secret Secret) error {
	switch {
	case secret == "":
		return nil
	case len(secret) < MinSecretBytes:
		return fmt.Errorf("auth: the %s secret is %d bytes long; at least %d are needed", name, len(secret), MinSecretBytes)
	case strings.Contains(string(secret), "-----BEGIN "):
		// With a public key for a secret, everybody could sign.
		return fmt.Errorf("auth: the %s secret is a PEM file; public keys are set apart from it", name)
	}
	return nil
}

// newParser allows the algorithms for which there can be a key.
func (t *Tokens) newParser(remote bool) *jwt.Parser {
	var algorithms []string
	if len(t.secret) > 0 {
		algorithms = append(algorithms, algHS256)
	}
	for _, alg := range publicAlgorithms {
		if remote || len(t.fixed[alg]) > 0 {
			algorithms = append(algorithms, alg)
		}
	}
	options := []jwt.ParserOption{
		jwt.WithValidMethods(algorithms),
		jwt.WithExpirationRequired(),
		jwt.WithLeeway(Leeway),
	}
	if t.issuer != "" {
		options = append(options, jwt.WithIssuer(t.issuer))
	}
	if t.audience != "" {
		options = append(options, jwt.WithAudience(t.audience))
	}
	return jwt.NewParser(options...)
}

// Close ends the fetching of keys and waits until it has ended. Those that are
// known go on verifying. It may be called more than once.
func (t *Tokens) Close() {
	if t.remote != nil {
		t.remote.close()
	}
}

// Sign makes a token with which a page of who can log in until ttl has passed,
// and join the topics that match one of the globs. It fails with
// [belfry.ErrInvalid] for globs that Verify would refuse, or more than fit into
// [MaxTokenBytes]; and, where there is no token secret, with
// [belfry.ErrConflict]: nothing is wrong with the question, and asking again
// does not help, because only the application holds the key that signs.
func (t *Tokens) Sign(who belfry.Identity, ttl time.Duration, topics ...string) (string, error) {
	if len(t.secret) == 0 {
		return "", belfry.Errorf(belfry.ErrConflict, "tokens cannot be signed here: no token secret is set, only keys that verify")
	}
	if err := checkTopics(topics); err != nil {
		return "", err
	}
	now := time.Now()
	claims := jwt.MapClaims{
		claimSubject:   string(who.User),
		t.companyClaim: string(who.Company),
		claimExpires:   jwt.NewNumericDate(now.Add(ttl)),
		claimIssued:    jwt.NewNumericDate(now),
	}
	if len(topics) > 0 {
		claims[claimTopics] = topics
	}
	if t.issuer != "" {
		claims[claimIssuer] = t.issuer
	}
	if t.audience != "" {
		claims[claimAudience] = t.audience
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(t.secret)
	if err != nil {
		return "", fmt.Errorf("auth: %w", err)
	}
	if len(token) > MaxTokenBytes {
		return "", belfry.Errorf(belfry.ErrInvalid, "the token would be longer than %d bytes; name fewer topics", MaxTokenBytes)
	}
	return token, nil
}

// Verify returns what a token says. It fails with [belfry.ErrUnauthorized], or
// with [belfry.ErrUnavailable] where the key of the token may be one of the JWKS
// URL and that is away; the message says what to do, but not what the token
// holds.
//
// A key that is not known yet is asked for. That may take 2 s, the longest that
// Verify ever waits.
// Of a token that has expired it also returns whom it was for.
func (t *Tokens) Verify(token string) (Claims, error) {
	if len(token) > MaxTokenBytes {
		return Claims{}, belfry.Errorf(belfry.ErrUnauthorized, "the token is longer than %d bytes", MaxTokenBytes)
	}
	var p payload
	if _, err := t.parser.ParseWithClaims(token, &p, t.keysOf); err != nil {
		var late Claims
		if errors.Is(err, jwt.ErrTokenExpired) { // whose signature is right
			late, _ = p.read(t.companyClaim)
		}
		return Claims{Who: late.Who}, t.refusal(p, err)
	}
	return p.read(t.companyClaim)
}

// keysOf returns the keys that may have signed a token. Each is one for the
// algorithm that the token names: the token chooses among keys, never how a key
// is used.
func (t *Tokens) keysOf(token *jwt.Token) (any, error) {
	// Extensions that must be understood (RFC 7515 section 4.1.11); none is.
	if _, ok := token.Header["crit"]; ok {
		return nil, belfry.Errorf(belfry.ErrUnauthorized, "the token asks for an extension (crit) that is not known")
	}
	alg := token.Method.Alg()
	if alg == algHS256 {
		if len(t.secret) == 0 { // the parser does not let it come here
			return nil, errNoKey
		}
		return t.secret, nil
	}
	kid, err := keyID(token)
	if err != nil {
		return nil, err
	}
	keys := t.fixed[alg]
	if t.remote != nil {
		for _, key := range keys { // first, so that they never wait for the URL
			if signed(token, key) {
				return key, nil
			}
		}
		if keys, err = t.remote.keys(keyName{alg, kid}); err != nil {
			return nil, err
		}
	}
	if len(keys) == 0 {
		return nil, errNoKey
	}
	var set jwt.VerificationKeySet
	for _, key := range keys {
		set.Keys = append(set.Keys, key)
	}
	return set, nil
}

var errNoKey = belfry.Errorf(belfry.ErrUnauthorized, "the token is signed with a key that is not known")

// keyID returns the kid of a token; "" if it has none.
func keyID(token *jwt.Token) (string, error) {
	kid, ok := token.Header["kid"]
	if !ok {
		return "", nil
	}
	s, ok := kid.(string)
	if !ok {
		return "", belfry.Errorf(belfry.ErrUnauthorized, "the token's kid is not a string")
	}
	return s, nil
}

func signed(token *jwt.Token, key crypto.PublicKey) bool {
	text := token.Raw[:strings.LastIndexByte(token.Raw, '.')]
	return token.Method.Verify(text, token.Signature, key) == nil
}

// refusal says why a token was not taken.
func (t *Tokens) refusal(p payload, err error) error {
	var said *belfry.Error
	switch {
	case errors.As(err, &said):
		return said
	case errors.Is(err, jwt.ErrTokenExpired):
		return unauthorized("the token has expired; ask the application for a new one", err)
	case errors.Is(err, jwt.ErrTokenNotValidYet):
		return unauthorized("the token is not valid yet; check the clocks", err)
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return unauthorized("the token has no "+t.missing(p)+" claim", err)
	case errors.Is(err, jwt.ErrTokenInvalidIssuer):
		return unauthorized("the token is of another issuer (iss)", err)
	case errors.Is(err, jwt.ErrTokenInvalidAudience):
		return unauthorized("the token is for another audience (aud)", err)
	}
	return unauthorized("the token is not valid", err)
}

// missing names the first claim that is needed and not there.
func (t *Tokens) missing(p payload) string {
	if expires, err := p.GetExpirationTime(); expires == nil && err == nil {
		return claimExpires
	}
	if issuer, err := p.GetIssuer(); t.issuer != "" && issuer == "" && err == nil {
		return claimIssuer
	}
	return claimAudience
}

func unauthorized(message string, err error) error {
	return &belfry.Error{Code: belfry.ErrUnauthorized, Message: message, Err: err}
}
