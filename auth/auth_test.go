package auth

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"belfry"
)

var testSecret = Secret(strings.Repeat("s", MinSecretBytes))

func newTokens(t *testing.T) *Tokens {
	t.Helper()
	tokens, err := NewTokens(testSecret)
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

func TestTokenSpeaksForWhomItWasSigned(t *testing.T) {
	tokens := newTokens(t)
	who := belfry.Identity{User: "7", Company: "acme"}
	token, err := tokens.Sign(who, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	got, err := tokens.Verify(token)
	if err != nil || got != who {
		t.Fatalf("Verify = %v, %v; want %v", got, err, who)
	}
}

func TestTokenWithIntegerClaims(t *testing.T) {
	token := sign(t, jwt.SigningMethodHS256, []byte(testSecret), jwt.MapClaims{
		"sub": 7, "company": 12, "exp": time.Now().Add(time.Hour).Unix(),
	})
	got, err := newTokens(t).Verify(token)
	if want := (belfry.Identity{User: "7", Company: "12"}); err != nil || got != want {
		t.Fatalf("Verify = %v, %v; want %v", got, err, want)
	}
}

func sign(t *testing.T, method jwt.SigningMethod, key any, claims jwt.MapClaims) string {
	t.Helper()
	token, err := jwt.NewWithClaims(method, claims).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func TestTokensThatAreRefused(t *testing.T) {
	soon := time.Now().Add(time.Hour).Unix()
	good := jwt.MapClaims{"sub": "1", "company": "2", "exp": soon}
	cases := []struct{ name, token, says string }{
		{"an empty one", "", "not valid"},
		{"a word", "hello", "not valid"},
		{"one of another secret", sign(t, jwt.SigningMethodHS256, []byte(strings.Repeat("x", 32)), good), "not valid"},
		{"one of another algorithm", sign(t, jwt.SigningMethodHS512, []byte(testSecret), good), "not valid"},
		{"an unsigned one", sign(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, good), "not valid"},
		{"an expired one", sign(t, jwt.SigningMethodHS256, []byte(testSecret), jwt.MapClaims{"sub": "1", "company": "2", "exp": 1}), "expired"},
		{"one that begins tomorrow", sign(t, jwt.SigningMethodHS256, []byte(testSecret), jwt.MapClaims{"sub": "1", "company": "2", "exp": soon + 1e6, "nbf": soon}), "not valid yet"},
		{"one without an end", sign(t, jwt.SigningMethodHS256, []byte(testSecret), jwt.MapClaims{"sub": "1", "company": "2"}), "exp"},
		{"one without a company", sign(t, jwt.SigningMethodHS256, []byte(testSecret), jwt.MapClaims{"sub": "1", "exp": soon}), "company"},
		{"one with a null user", sign(t, jwt.SigningMethodHS256, []byte(testSecret), jwt.MapClaims{"sub": nil, "company": "2", "exp": soon}), "sub"},
		{"one with a huge user", sign(t, jwt.SigningMethodHS256, []byte(testSecret), jwt.MapClaims{"sub": strings.Repeat("u", 200), "company": "2", "exp": soon}), "sub"},
		{"one that is too long", strings.Repeat("a", MaxTokenBytes+1), "longer"},
	}
	tokens := newTokens(t)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			who, err := tokens.Verify(c.token)
			if belfry.ErrorCode(err) != belfry.ErrUnauthorized || who != (belfry.Identity{}) {
				t.Fatalf("Verify = %v, %v; want it refused", who, err)
			}
			if !strings.Contains(belfry.ErrorMessage(err), c.says) {
				t.Errorf("message %q does not say %q", belfry.ErrorMessage(err), c.says)
			}
		})
	}
}

func TestShortSecretIsRefused(t *testing.T) {
	if _, err := NewTokens("short"); err == nil {
		t.Fatal("a secret of five bytes was accepted")
	}
}

func TestSecretNeverShowsItself(t *testing.T) {
	secret := Secret("swordfish-swordfish")
	var log bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "secret", secret, "in", struct{ S Secret }{secret})
	encoded, err := json.Marshal(secret)
	if err != nil {
		t.Fatal(err)
	}
	all := log.String() + string(encoded) + fmt.Sprintf("%v %s %q %+v %#v", secret, secret, secret, secret, secret)
	if strings.Contains(all, "swordfish") {
		t.Fatalf("the secret shows: %s", all)
	}
}

func TestSecretFileIsMadeOnceAndPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data", "token.secret")
	var wg sync.WaitGroup
	secrets := make([]Secret, 8)
	for i := range secrets {
		wg.Go(func() {
			var err error
			if secrets[i], err = LoadOrCreateSecret(path); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, s := range secrets {
		if s != secrets[0] || len(s) < MinSecretBytes {
			t.Fatal("starts at the same time do not agree on a secret")
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v; want 0600", info.Mode(), err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadOrCreateSecret(path); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Fatalf("a file that others can read: %v; want a refusal that says what to do", err)
	}
}

func TestKeyMatchesOnlyItself(t *testing.T) {
	key := NewKey("correct horse")
	if !key.Matches("correct horse") || key.Matches("correct hors") || key.Matches("") {
		t.Fatal("the key matches what it should not, or not itself")
	}
	if (Key{}).Matches("") || NewKey("").Matches("") {
		t.Fatal("a key that is not set matches")
	}
}

func FuzzVerify(f *testing.F) {
	tokens, err := NewTokens(testSecret)
	if err != nil {
		f.Fatal(err)
	}
	good, _ := tokens.Sign(belfry.Identity{User: "1", Company: "2"}, time.Hour)
	f.Add(good)
	f.Add("a.b.c")
	f.Add("eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0.")
	f.Fuzz(func(t *testing.T, token string) {
		who, err := tokens.Verify(token)
		if err == nil && (who.User == "" || who.Company == "") {
			t.Fatalf("an identity without %+v", who)
		}
		if err != nil && belfry.ErrorCode(err) != belfry.ErrUnauthorized {
			t.Fatalf("error %v", err)
		}
	})
}
