package auth

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"belfry"
)

var testSecret = Secret(strings.Repeat("s", MinSecretBytes))

// The private keys of applications that sign tokens.
var (
	rsaSigner = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, minRSABits)) })
	ecSigner  = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	edSigner  = sync.OnceValue(func() ed25519.PrivateKey { return newEd25519() })
)

func newEd25519() ed25519.PrivateKey {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	return must(key, err)
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func publicKeys() []crypto.PublicKey {
	return []crypto.PublicKey{rsaSigner().Public(), ecSigner().Public(), edSigner().Public()}
}

func newTokens(t testing.TB, alter ...func(*TokenOptions)) *Tokens {
	t.Helper()
	o := TokenOptions{Secret: testSecret}
	for _, f := range alter {
		f(&o)
	}
	tokens, err := NewTokens(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tokens.Close)
	return tokens
}

// ofKeys are options without a token secret.
func ofKeys(o *TokenOptions) { o.Secret, o.PageSecret, o.Keys = "", testSecret, publicKeys() }

// good are claims that are valid, with some changed; nil leaves one out.
func good(changes jwt.MapClaims) jwt.MapClaims {
	claims := jwt.MapClaims{"sub": "1", "company": "2", "exp": time.Now().Add(time.Hour).Unix()}
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, v any) bool { return v == nil })
	return claims
}

func sign(t testing.TB, method jwt.SigningMethod, key any, claims jwt.MapClaims, header ...string) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	for i := 0; i < len(header); i += 2 {
		token.Header[header[i]] = header[i+1]
	}
	signed, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

func hs256(t testing.TB, changes jwt.MapClaims) string {
	t.Helper()
	return sign(t, jwt.SigningMethodHS256, []byte(testSecret), good(changes))
}

// wantRefused checks that a token is refused with a message that says something.
func wantRefused(t *testing.T, tokens *Tokens, token, says string) {
	t.Helper()
	claims, err := tokens.Verify(token)
	late := strings.Contains(says, "expired") // then it is told whom the token was for
	if belfry.ErrorCode(err) != belfry.ErrUnauthorized || claims.Topics != nil || !claims.Expires.IsZero() || (claims.Who != belfry.Identity{}) != late {
		t.Fatalf("Verify = %+v, %v; want it refused", claims, err)
	}
	if !strings.Contains(belfry.ErrorMessage(err), says) {
		t.Errorf("message %q does not say %q", belfry.ErrorMessage(err), says)
	}
}

func TestTokenSaysWhatWasSigned(t *testing.T) {
	tokens := newTokens(t)
	who := belfry.Identity{User: "7", Company: "acme"}
	begun := time.Now().Truncate(time.Second)
	token, err := tokens.Sign(who, time.Hour, "project.*", "news")
	if err != nil {
		t.Fatal(err)
	}
	got, err := tokens.Verify(token)
	if err != nil || got.Who != who || !slices.Equal(got.Topics, []string{"project.*", "news"}) {
		t.Fatalf("Verify = %+v, %v", got, err)
	}
	if d := got.Issued.Sub(begun); d < 0 || d > time.Minute {
		t.Errorf("issued at %v, signed at %v", got.Issued, begun)
	}
	if d := got.Expires.Sub(got.Issued); d != time.Hour {
		t.Errorf("valid for %v, want an hour", d)
	}
}

func TestTokensOfApplications(t *testing.T) {
	acme := belfry.Identity{User: "1", Company: "2"}
	cases := []struct {
		name    string
		changes jwt.MapClaims
		who     belfry.Identity
		topics  []string
	}{
		{"with no more than is needed", nil, acme, nil},
		{"with integers for ids", jwt.MapClaims{"sub": 7, "company": 12}, belfry.Identity{User: "7", Company: "12"}, nil},
		{"with one topic", jwt.MapClaims{"topics": "a.*"}, acme, []string{"a.*"}},
		{"with topics", jwt.MapClaims{"topics": []string{"a", "b"}}, acme, []string{"a", "b"}},
		{"with an end in a fraction", jwt.MapClaims{"exp": float64(time.Now().Unix()) + 60.5}, acme, nil},
		{"with an end in a string", jwt.MapClaims{"exp": fmt.Sprint(time.Now().Unix() + 60)}, acme, nil},
		{"with an end a moment ago", jwt.MapClaims{"exp": time.Now().Unix() - 2}, acme, nil},
		{"with more than is known", jwt.MapClaims{"name": "Ann", "SUB": "9", "aud": "x", "iss": 5}, acme, nil},
	}
	tokens := newTokens(t)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, err := tokens.Verify(hs256(t, c.changes))
			if err != nil || got.Who != c.who || !slices.Equal(got.Topics, c.topics) || got.Expires.IsZero() || !got.Issued.IsZero() {
				t.Fatalf("Verify = %+v, %v", got, err)
			}
		})
	}
}

func TestTokensThatAreRefused(t *testing.T) {
	soon := time.Now().Add(time.Hour).Unix()
	many := make([]string, MaxTopics+1)
	for i := range many {
		many[i] = "t"
	}
	cases := []struct{ name, token, says string }{
		{"an empty one", "", "not valid"},
		{"a word", "hello", "not valid"},
		{"one of another secret", sign(t, jwt.SigningMethodHS256, []byte(strings.Repeat("x", 32)), good(nil)), "not valid"},
		{"one of another algorithm", sign(t, jwt.SigningMethodHS512, []byte(testSecret), good(nil)), "not valid"},
		{"an unsigned one", sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, good(nil)), "not valid"},
		{"one with an extension", sign(t, jwt.SigningMethodHS256, []byte(testSecret), good(nil), "crit", "b64"), "crit"},
		{"an expired one", hs256(t, jwt.MapClaims{"exp": 1}), "expired"},
		{"one that begins tomorrow", hs256(t, jwt.MapClaims{"exp": soon + 1e6, "nbf": soon}), "not valid yet"},
		{"one without an end", hs256(t, jwt.MapClaims{"exp": nil}), "no exp"},
		{"one with an end in milliseconds", hs256(t, jwt.MapClaims{"exp": soon * 1000}), "exp is not a date in seconds"},
		{"one with an end before 1970", hs256(t, jwt.MapClaims{"exp": -5}), "exp is not a date"},
		{"one with a word for an end", hs256(t, jwt.MapClaims{"exp": "soon"}), "exp is not a date"},
		{"one with a word for its age", hs256(t, jwt.MapClaims{"iat": "now"}), "iat is not a date"},
		{"one without a company", hs256(t, jwt.MapClaims{"company": nil}), "company"},
		{"one with a null user", hs256(t, jwt.MapClaims{"sub": json.RawMessage("null")}), "sub"},
		{"one with a list of users", hs256(t, jwt.MapClaims{"sub": []int{1}}), "sub is neither"},
		{"one with a huge user", hs256(t, jwt.MapClaims{"sub": strings.Repeat("u", 200)}), "sub"},
		{"one with too many topics", hs256(t, jwt.MapClaims{"topics": many}), "101 globs; at most 100"},
		{"one with a topic that is too long", hs256(t, jwt.MapClaims{"topics": []string{"a", strings.Repeat("t", 129)}}), "topics[1] is 129 bytes"},
		{"one with an empty topic", hs256(t, jwt.MapClaims{"topics": ""}), "topics[0] is empty"},
		{"one with a null among its topics", hs256(t, jwt.MapClaims{"topics": []any{nil}}), "topics[0] is empty"},
		{"one with a newline in a topic", hs256(t, jwt.MapClaims{"topics": "a\nb"}), "control character"},
		{"one with a number for topics", hs256(t, jwt.MapClaims{"topics": 5}), "topics is neither"},
		{"one that is too long", strings.Repeat("a", MaxTokenBytes+1), "longer"},
	}
	tokens := newTokens(t)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { wantRefused(t, tokens, c.token, c.says) })
	}
}

func TestEachTypeOfKeyVerifiesItsAlgorithm(t *testing.T) {
	signers := map[jwt.SigningMethod]any{
		jwt.SigningMethodRS256: rsaSigner(),
		jwt.SigningMethodES256: ecSigner(),
		jwt.SigningMethodEdDSA: edSigner(),
		jwt.SigningMethodHS256: []byte(testSecret),
	}
	tokens := newTokens(t, func(o *TokenOptions) { o.Keys = publicKeys() })
	for method, key := range signers {
		for _, header := range [][]string{nil, {"kid", "of the application's own"}} {
			if got, err := tokens.Verify(sign(t, method, key, good(nil), header...)); err != nil || got.Who.User != "1" {
				t.Errorf("%s, header %v: %+v, %v", method.Alg(), header, got, err)
			}
		}
	}
}

func TestAFixedKeyIsOneOfSeveral(t *testing.T) {
	tokens := newTokens(t, func(o *TokenOptions) {
		o.Keys = []crypto.PublicKey{newEd25519().Public(), edSigner().Public(), newEd25519().Public()}
	})
	if _, err := tokens.Verify(sign(t, jwt.SigningMethodEdDSA, edSigner(), good(nil))); err != nil {
		t.Error(err)
	}
	wantRefused(t, tokens, sign(t, jwt.SigningMethodEdDSA, newEd25519(), good(nil)), "not valid")
}

// publicForms are the bytes that a careless verifier could take for a secret.
func publicForms(t *testing.T) map[string][]byte {
	forms := map[string][]byte{"nothing": {}, "the modulus": rsaSigner().N.Bytes(), "the bytes of Ed25519": edSigner().Public().(ed25519.PublicKey)}
	for _, key := range publicKeys() {
		der, err := x509.MarshalPKIXPublicKey(key)
		if err != nil {
			t.Fatal(err)
		}
		text := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
		forms[fmt.Sprintf("%T, DER", key)] = der
		forms[fmt.Sprintf("%T, PEM", key)] = text
		forms[fmt.Sprintf("%T, PEM without the last newline", key)] = bytes.TrimSpace(text)
	}
	return forms
}

func TestAPublicKeyIsNeverASecret(t *testing.T) {
	for name, tokens := range map[string]*Tokens{
		"keys alone":      newTokens(t, ofKeys),
		"keys and secret": newTokens(t, func(o *TokenOptions) { o.Keys = publicKeys() }),
	} {
		for form, key := range publicForms(t) {
			for _, method := range []jwt.SigningMethod{jwt.SigningMethodHS256, jwt.SigningMethodHS384, jwt.SigningMethodHS512} {
				t.Run(name+", "+method.Alg()+" with "+form, func(t *testing.T) {
					wantRefused(t, tokens, sign(t, method, key, good(nil)), "")
				})
			}
		}
	}
}

func TestWithoutASecretHS256IsOff(t *testing.T) {
	tokens := newTokens(t, ofKeys)
	wantRefused(t, tokens, hs256(t, nil), "not valid")
	wantRefused(t, tokens, sign(t, jwt.SigningMethodHS256, []byte{}, good(nil)), "not valid")
	if _, err := tokens.Sign(belfry.Identity{User: "1", Company: "2"}, time.Hour); belfry.ErrorCode(err) != belfry.ErrConflict || !strings.Contains(belfry.ErrorMessage(err), "no token secret") {
		t.Errorf("Sign: %v", err)
	}
}

func TestAKeyIsUsedForNoOtherAlgorithm(t *testing.T) {
	tokens := newTokens(t, func(o *TokenOptions) { o.Keys = publicKeys() })
	for _, method := range []jwt.SigningMethod{jwt.SigningMethodRS384, jwt.SigningMethodRS512, jwt.SigningMethodPS256, jwt.SigningMethodPS512} {
		t.Run(method.Alg(), func(t *testing.T) {
			wantRefused(t, tokens, sign(t, method, rsaSigner(), good(nil)), "not valid")
		})
	}
	onlyRSA := newTokens(t, func(o *TokenOptions) { o.Keys = publicKeys()[:1] })
	wantRefused(t, onlyRSA, sign(t, jwt.SigningMethodES256, ecSigner(), good(nil)), "not valid")

	// The signature of one key under the name of another's algorithm.
	claims := strings.Split(hs256(t, nil), ".")[1]
	for _, alg := range []string{"ES256", "EdDSA", "HS256", "none", "NONE", "rs256", ""} {
		header := base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, `{"alg":%q}`, alg))
		signature, err := jwt.SigningMethodRS256.Sign(header+"."+claims, rsaSigner())
		if err != nil {
			t.Fatal(err)
		}
		wantRefused(t, tokens, header+"."+claims+"."+base64.RawURLEncoding.EncodeToString(signature), "not valid")
		wantRefused(t, tokens, header+"."+claims+".", "not valid")
	}
}

func TestCompanyInAClaimOfAnotherName(t *testing.T) {
	const name = "https://example.com/company"
	tokens := newTokens(t, func(o *TokenOptions) { o.CompanyClaim = name })
	got, err := tokens.Verify(hs256(t, jwt.MapClaims{"company": "no", name: 12}))
	if err != nil || got.Who.Company != "12" {
		t.Errorf("Verify = %+v, %v", got, err)
	}
	wantRefused(t, tokens, hs256(t, nil), name)
	who := belfry.Identity{User: "1", Company: "acme"}
	token, err := tokens.Sign(who, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := tokens.Verify(token); err != nil || got.Who != who {
		t.Errorf("a token of its own: %+v, %v", got, err)
	}
}

func TestIssuerAndAudience(t *testing.T) {
	tokens := newTokens(t, func(o *TokenOptions) { o.Issuer, o.Audience = "https://login.example.com", "belfry" })
	cases := []struct {
		name     string
		iss, aud any
		says     string // "" where the token is valid
	}{
		{"both as they must be", tokens.issuer, "belfry", ""},
		{"one audience of several", tokens.issuer, []string{"shop", "belfry"}, ""},
		{"another issuer", "https://evil.example.com", "belfry", "another issuer"},
		{"no issuer", nil, "belfry", "no iss"},
		{"a number for an issuer", 5, "belfry", "iss is not a string"},
		{"another audience", tokens.issuer, []string{"shop"}, "another audience"},
		{"no audience", tokens.issuer, nil, "no aud"},
		{"a number for an audience", tokens.issuer, 5, "aud is neither"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			token := hs256(t, jwt.MapClaims{"iss": c.iss, "aud": c.aud})
			if c.says != "" {
				wantRefused(t, tokens, token, c.says)
			} else if _, err := tokens.Verify(token); err != nil {
				t.Error(err)
			}
		})
	}
	token, err := tokens.Sign(belfry.Identity{User: "1", Company: "2"}, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tokens.Verify(token); err != nil {
		t.Errorf("a token of its own: %v", err)
	}
}

func TestTopicsThatAreNotSigned(t *testing.T) {
	tokens := newTokens(t)
	long := strings.Repeat("t", MaxTopicBytes)
	for name, topics := range map[string][]string{
		"too many":             make([]string, MaxTopics+1),
		"one too long":         {long + "t"},
		"one that is empty":    {""},
		"one that is no UTF-8": {"\xff"},
		"more than fit":        slices.Repeat([]string{long}, MaxTopics),
	} {
		if token, err := tokens.Sign(belfry.Identity{User: "1", Company: "2"}, time.Hour, topics...); belfry.ErrorCode(err) != belfry.ErrInvalid || token != "" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestOptionsThatAreRefused(t *testing.T) {
	small := must(rsa.GenerateKey(rand.Reader, 1024))
	der := must(x509.MarshalPKIXPublicKey(rsaSigner().Public()))
	cases := []struct {
		name string
		o    TokenOptions
		says string
	}{
		{"nothing", TokenOptions{}, "token secret, public keys or a JWKS URL"},
		{"a page secret alone", TokenOptions{PageSecret: testSecret}, "token secret, public keys or a JWKS URL"},
		{"keys without a secret for recovery", TokenOptions{Keys: publicKeys()}, "recovery statements need a secret"},
		{"a JWKS URL without a secret for recovery", TokenOptions{JWKS: "https://login.example.com/keys"}, "recovery statements need a secret"},
		{"a short secret", TokenOptions{Secret: "short"}, "token secret is 5 bytes long; at least 32"},
		{"a short page secret", TokenOptions{Secret: testSecret, PageSecret: "short"}, "page secret is 5 bytes"},
		{"a public key for a secret", TokenOptions{Secret: Secret(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))}, "PEM"},
		{"a small RSA key", TokenOptions{Secret: testSecret, Keys: []crypto.PublicKey{&small.PublicKey}}, "1024 bits"},
		{"a private key", TokenOptions{Secret: testSecret, Keys: []crypto.PublicKey{rsaSigner()}}, "*rsa.PrivateKey"},
		{"a secret among the keys", TokenOptions{Secret: testSecret, Keys: []crypto.PublicKey{[]byte(testSecret)}}, "[]uint8"},
		{"no key at all", TokenOptions{Secret: testSecret, Keys: []crypto.PublicKey{nil}}, "public key 1"},
		{"a key of another curve", TokenOptions{Secret: testSecret, Keys: []crypto.PublicKey{must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)).Public()}}, "P-256"},
		{"more keys than are tried", TokenOptions{Secret: testSecret, Keys: slices.Repeat([]crypto.PublicKey{edSigner().Public()}, maxTried+1)}, "more than 16"},
		{"a company in exp", TokenOptions{Secret: testSecret, CompanyClaim: "exp"}, "claim exp"},
		{"JWKS without encryption", TokenOptions{Secret: testSecret, JWKS: "http://login.example.com/"}, "https"},
		{"JWKS in a file", TokenOptions{Secret: testSecret, JWKS: "file:///etc/keys"}, "https"},
		{"JWKS with a password", TokenOptions{Secret: testSecret, JWKS: "https://u:swordfish@login.example.com/"}, "without a user"},
		{"JWKS that is no URL", TokenOptions{Secret: testSecret, JWKS: "https://swordfish\n/"}, "JWKS URL"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			_, err := NewTokens(c.o)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("error %v does not say %q", err, c.says)
			}
			if strings.Contains(err.Error(), string(testSecret)) || strings.Contains(err.Error(), "swordfish") {
				t.Errorf("the error shows a secret: %v", err)
			}
		})
	}
}

func TestTokensNeverShowTheirSecret(t *testing.T) {
	tokens := newTokens(t)
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "tokens", tokens)
	options := TokenOptions{Secret: testSecret, PageSecret: testSecret}
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "options", options)
	fmt.Fprintf(&log, "%v %+v %#v %s %+v %#v", tokens, tokens, tokens, tokens, options, options)
	if strings.Contains(log.String(), string(testSecret)) || strings.Contains(log.String(), fmt.Sprint([]byte(testSecret))) {
		t.Fatalf("the secret shows: %s", log.String())
	}
}

func FuzzVerify(f *testing.F) {
	tokens := newTokens(f, func(o *TokenOptions) { o.Keys = publicKeys() })
	f.Add(must(tokens.Sign(belfry.Identity{User: "1", Company: "2"}, time.Hour)))
	f.Add(sign(f, jwt.SigningMethodES256, ecSigner(), good(nil), "kid", "1"))
	f.Add("a.b.c")
	f.Add("eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.")
	f.Fuzz(func(t *testing.T, token string) {
		claims, err := tokens.Verify(token)
		if err == nil && (claims.Who.User == "" || claims.Who.Company == "") {
			t.Fatalf("claims without an identity %+v", claims)
		}
		if err != nil && belfry.ErrorCode(err) != belfry.ErrUnauthorized {
			t.Fatalf("error %v", err)
		}
	})
}

// FuzzClaims signs whatever an application could.
func FuzzClaims(f *testing.F) {
	tokens := newTokens(f, func(o *TokenOptions) { o.Audience = "belfry" })
	f.Add([]byte(`{"sub":1,"company":"2","exp":4000000000,"iat":"1","aud":["belfry"],"topics":["a*","b"]}`))
	f.Add([]byte(`{"sub":"1","company":-2,"exp":4e9,"nbf":1.5,"aud":"belfry","topics":"*"}`))
	f.Add([]byte(`null`))
	f.Add([]byte(`{"exp":null,"topics":[null]}`))
	f.Fuzz(func(t *testing.T, claims []byte) {
		text := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256"}`)) + "." + base64.RawURLEncoding.EncodeToString(claims)
		mac := hmac.New(sha256.New, []byte(testSecret))
		mac.Write([]byte(text))
		got, err := tokens.Verify(text + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)))
		if err != nil {
			if belfry.ErrorCode(err) != belfry.ErrUnauthorized {
				t.Fatalf("error %v", err)
			}
			return
		}
		if _, err := belfry.NewIdentity(string(got.Who.User), string(got.Who.Company)); err != nil {
			t.Fatalf("%+v: %v", got, err)
		}
		if err := checkTopics(got.Topics); err != nil || time.Until(got.Expires) < -Leeway || got.Expires.Year() > 9999 || got.Issued.Year() > 9999 {
			t.Fatalf("%+v: %v", got, err)
		}
	})
}
