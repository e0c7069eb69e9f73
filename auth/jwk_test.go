package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/big"
	"strings"
	"testing"
)

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// jwkOf writes a key as its owner publishes it, with some members changed; nil
// leaves one out.
func jwkOf(key crypto.PublicKey, changes map[string]any) string {
	var k map[string]any
	switch key := key.(type) {
	case *rsa.PublicKey:
		k = map[string]any{"kty": "RSA", "n": b64(key.N.Bytes()), "e": b64(big.NewInt(int64(key.E)).Bytes())}
	case *ecdsa.PublicKey:
		point := must(key.Bytes())
		k = map[string]any{"kty": "EC", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:])}
	case ed25519.PublicKey:
		k = map[string]any{"kty": "OKP", "crv": "Ed25519", "x": b64(key)}
	}
	maps.Copy(k, changes)
	maps.DeleteFunc(k, func(_ string, v any) bool { return v == nil })
	return string(must(json.Marshal(k)))
}

func jwksOf(keys ...string) string { return `{"keys":[` + strings.Join(keys, ",") + `]}` }

type members = map[string]any

func TestKeysOfASetThatAreTaken(t *testing.T) {
	r, e, o := rsaSigner().Public(), ecSigner().Public(), edSigner().Public()
	cases := []struct {
		name, jwk string
		key       crypto.PublicKey
		want      keyName
	}{
		{"RSA", jwkOf(r, members{"kid": "1"}), r, keyName{algRS256, "1"}},
		{"P-256", jwkOf(e, members{"kid": "1"}), e, keyName{algES256, "1"}},
		{"Ed25519", jwkOf(o, members{"kid": "1"}), o, keyName{algEdDSA, "1"}},
		{"with all that it may say", jwkOf(r, members{"alg": "RS256", "use": "sig", "key_ops": []string{"verify"}, "x5t": "x"}), r, keyName{algRS256, ""}},
		{"with a zero before n", jwkOf(r, members{"n": b64(append([]byte{0}, rsaSigner().N.Bytes()...))}), r, keyName{algRS256, ""}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			name, key, err := parseJWK([]byte(c.jwk))
			if err != nil || name != c.want || !key.(interface{ Equal(crypto.PublicKey) bool }).Equal(c.key) {
				t.Errorf("%v, %v", name, err)
			}
		})
	}
}

// skippedKeys are keys that verify nothing, with a part of why.
func skippedKeys() map[string]string {
	r, e, o := rsaSigner().Public(), ecSigner().Public(), edSigner().Public()
	return map[string]string{
		`{"kty":"oct","k":"` + b64([]byte(testSecret)) + `"}`:                         "kty",
		`{"kty":"oct","alg":"HS256","kid":"1","k":"` + b64([]byte(testSecret)) + `"}`: "kty",
		jwkOf(r, members{"kty": "oct"}):                                               "kty",
		jwkOf(r, members{"kty": nil}):                                                 "kty",
		jwkOf(r, members{"kty": "EC"}):                                                "kty",
		jwkOf(e, members{"crv": "P-384"}):                                             "crv",
		jwkOf(o, members{"crv": "X25519"}):                                            "crv",
		jwkOf(r, members{"use": "enc"}):                                               "use",
		jwkOf(r, members{"key_ops": []string{"encrypt"}}):                             "key_ops",
		jwkOf(r, members{"key_ops": []string{}}):                                      "key_ops",
		jwkOf(r, members{"alg": "HS256"}):                                             "alg",
		jwkOf(r, members{"alg": "RS512"}):                                             "alg",
		jwkOf(e, members{"alg": "RS256"}):                                             "alg",
		jwkOf(o, members{"alg": "ES256"}):                                             "alg",
		jwkOf(r, members{"d": "AQAB"}):                                                "private",
		jwkOf(r, members{"kid": 5}):                                                   "form",
		jwkOf(r, members{"n": nil}):                                                   "0 bits",
		jwkOf(r, members{"n": b64(rsaSigner().N.Bytes()[:128])}):                      "bits",
		jwkOf(r, members{"n": "="}):                                                   "n",
		jwkOf(r, members{"e": nil}):                                                   "broken",
		jwkOf(r, members{"e": "AQ"}):                                                  "broken",
		jwkOf(r, members{"e": "AQABAQAB"}):                                            "too large",
		jwkOf(r, members{"e": b64(make([]byte, 99))}):                                 "e",
		jwkOf(e, members{"x": b64(make([]byte, 32))}):                                 "curve",
		jwkOf(e, members{"x": b64(make([]byte, 31))}):                                 "x",
		jwkOf(e, members{"y": nil}):                                                   "y",
		jwkOf(e, members{"x": b64(make([]byte, 32)), "y": b64(make([]byte, 32))}):     "curve",
		jwkOf(o, members{"x": b64(make([]byte, 31))}):                                 "length",
		jwkOf(o, members{"x": "!"}):                                                   "x",
		`5`:                                                                           "form",
		`{}`:                                                                          "kty",
	}
}

func TestKeysOfASetThatAreSkippedLeaveTheRest(t *testing.T) {
	fit := jwkOf(edSigner().Public(), members{"kid": "fit"})
	for bad, says := range skippedKeys() {
		answer, err := parseJWKS([]byte(jwksOf(bad, fit, bad)))
		if err != nil || answer.usable != 1 || len(answer.skipped) != 2 || len(answer.set) != 2 {
			t.Errorf("%s: %d usable, skipped %q, %v", bad, answer.usable, answer.skipped, err)
			continue
		}
		if !strings.Contains(answer.skipped[0], "keys[0]") || !strings.Contains(answer.skipped[0], says) {
			t.Errorf("%s: %q does not say %q", bad, answer.skipped[0], says)
		}
		if len(answer.set[keyName{algEdDSA, "fit"}]) != 1 || len(answer.set[keyName{algEdDSA, ""}]) != 1 {
			t.Errorf("%s: the key beside it is not found", bad)
		}
	}
}

func TestAnswersThatAreNoSet(t *testing.T) {
	for _, data := range []string{"", "null", "{}", "[]", `{"keys":null}`, `{"keys":{}}`, `{"keys":[]`, `{"keys":[]} x`, "<html>"} {
		if answer, err := parseJWKS([]byte(data)); err == nil || answer.set != nil {
			t.Errorf("%q is taken for a set", data)
		}
	}
	if answer, err := parseJWKS([]byte(`{"keys":[]}`)); err != nil || len(answer.set) != 0 {
		t.Errorf("the empty set: %v", err)
	}
}

func TestTheKeysThatAreTriedAreBounded(t *testing.T) {
	var keys []string
	for i := range 40 {
		keys = append(keys, jwkOf(edSigner().Public(), members{"kid": fmt.Sprint(i)}), jwkOf(edSigner().Public(), members{"kid": "same"}), jwkOf(edSigner().Public(), nil))
	}
	answer, err := parseJWKS([]byte(jwksOf(keys...)))
	if err != nil {
		t.Fatal(err)
	}
	for name, keys := range answer.set {
		if len(keys) > maxTried {
			t.Errorf("%d keys of the name %v", len(keys), name)
		}
	}
	if len(answer.set[keyName{algEdDSA, "39"}]) != 1 {
		t.Error("a key beyond the bound is not found by its kid")
	}
}

func FuzzJWKS(f *testing.F) {
	f.Add([]byte(jwksOf(jwkOf(rsaSigner().Public(), members{"kid": "1", "use": "sig"}), jwkOf(ecSigner().Public(), members{"alg": "ES256"}), jwkOf(edSigner().Public(), nil))))
	for key := range skippedKeys() {
		f.Add([]byte(jwksOf(key)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		answer, err := parseJWKS(data)
		if err != nil && answer.set != nil {
			t.Fatal("a set beside an error")
		}
		for name, keys := range answer.set {
			for _, key := range keys {
				if alg, err := algorithmOf(key); err != nil || alg != name.alg {
					t.Fatalf("a key for %s under %v: %v", alg, name, err)
				}
			}
		}
	})
}
