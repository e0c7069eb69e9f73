package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"belfry"
)

// A server and the command token, set up alike, take the tokens of the secret,
// of a file of keys and of a URL of keys, all by the same claims.
func TestTheTokensOfASetup(t *testing.T) {
	inFile, ofFile := newSigner(t)
	inURL, ofURL := newSigner(t)
	_, stranger := newSigner(t)
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"1","x":%q}]}`, base64.RawURLEncoding.EncodeToString(inURL))
	}))
	defer keys.Close()
	der, err := x509.MarshalPKIXPublicKey(inFile)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	config := filepath.Join(dir, "belfry.yaml")
	writeFile(t, filepath.Join(dir, "keys.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})), 0o644)
	writeFile(t, config, fmt.Sprintf(`
data: %s
auth:
  public_keys: %s
  jwks: %s
  company_claim: https://example.com/company
  issuer: https://login.example.com
  audience: belfry
`, dir, filepath.Join(dir, "keys.pem"), keys.URL), 0o600)

	c, err := parsed("serve", "--config", config)
	if err != nil {
		t.Fatal(err)
	}
	tokens, err := c.Serve.Auth.tokens(c.Serve.Data, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer tokens.Close()
	claims := jwt.MapClaims{
		"sub": "7", "https://example.com/company": "acme", "exp": time.Now().Add(time.Hour).Unix(),
		"iss": "https://login.example.com", "aud": "belfry",
	}
	code, ofSecret, stderr := runs("token", "--uid", "7", "--company", "acme", "--config", config)
	if code != 0 {
		t.Fatal(stderr)
	}
	for name, token := range map[string]string{
		"the secret": strings.TrimSpace(ofSecret),
		"the file":   signed(t, ofFile, claims, ""),
		"the URL":    signed(t, ofURL, claims, "1"),
	} {
		got, err := tokens.Verify(token)
		for end := time.Now().Add(deadline); err != nil && name == "the URL" && time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
			got, err = tokens.Verify(token) // which waits two seconds for the keys; they may come later
		}
		if err != nil || got.Who != (belfry.Identity{User: "7", Company: "acme"}) {
			t.Errorf("a token of %s: %+v, %v", name, got, err)
		}
	}
	if got, err := tokens.Verify(signed(t, stranger, claims, "1")); belfry.ErrorCode(err) != belfry.ErrUnauthorized {
		t.Errorf("a token of a stranger: %+v, %v", got, err)
	}
	for _, claim := range []string{"iss", "aud", "https://example.com/company"} {
		changed := jwt.MapClaims{}
		for name, value := range claims {
			if name != claim {
				changed[name] = value
			}
		}
		if got, err := tokens.Verify(signed(t, ofFile, changed, "")); belfry.ErrorCode(err) != belfry.ErrUnauthorized {
			t.Errorf("a token without %s: %+v, %v", claim, got, err)
		}
	}
}

func newSigner(t *testing.T) (ed25519.PublicKey, ed25519.PrivateKey) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return public, private
}

func signed(t *testing.T, key ed25519.PrivateKey, claims jwt.MapClaims, kid string) string {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims)
	if kid != "" {
		token.Header["kid"] = kid
	}
	s, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
