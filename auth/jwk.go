package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

// A keyName is what a token says of its key. The empty kid stands for all keys
// of the algorithm.
type keyName struct{ alg, kid string }

// A keySet is the keys of a JWK Set, each under its kid and under none; at most
// [maxTried] under one name. It does not change.
type keySet map[keyName][]crypto.PublicKey

// add reports whether there was room.
func (s keySet) add(name keyName, key crypto.PublicKey) bool {
	if len(s[name]) == maxTried {
		return false
	}
	s[name] = append(s[name], key)
	return true
}

// A jwksAnswer is what a JWK Set holds.
type jwksAnswer struct {
	set     keySet
	usable  int
	skipped []string // why, for each of the others
}

// parseJWKS reads a JWK Set (RFC 7517 section 5). A key that is broken, or not
// one that verifies tokens, is skipped: it must not take the rest with it. It
// fails for what is no set at all.
func parseJWKS(data []byte) (jwksAnswer, error) {
	var doc struct {
		Keys *[]json.RawMessage `json:"keys"`
	}
	if json.Unmarshal(data, &doc) != nil || doc.Keys == nil {
		return jwksAnswer{}, errors.New("the answer is not a JWK Set")
	}
	a := jwksAnswer{set: make(keySet)}
	for i, raw := range *doc.Keys {
		name, key, err := parseJWK(raw)
		if err == nil && !a.set.add(name, key) {
			err = fmt.Errorf("%d others of its name before it", maxTried)
		}
		if err != nil {
			a.skipped = append(a.skipped, fmt.Sprintf("keys[%d] has %v", i, err))
			continue
		}
		a.usable++
		if name.kid != "" {
			a.set.add(keyName{alg: name.alg}, key) // without room it is found by its kid alone
		}
	}
	return a, nil
}

// A jwk is a JSON Web Key: RFC 7517 section 4, RFC 7518 section 6, RFC 8037
// section 2.
type jwk struct {
	Kty    string   `json:"kty"`
	Use    string   `json:"use"`
	KeyOps []string `json:"key_ops"`
	Alg    string   `json:"alg"`
	Kid    string   `json:"kid"`
	Crv    string   `json:"crv"`
	N      string   `json:"n"`
	E      string   `json:"e"`
	X      string   `json:"x"`
	Y      string   `json:"y"`

	// D is the private part. A key that shows it to everybody proves nothing.
	D json.RawMessage `json:"d"`
}

// parseJWK reads one key that verifies tokens. Its errors complete "the key
// has ...", and hold nothing of the key.
func parseJWK(data []byte) (keyName, crypto.PublicKey, error) {
	var k jwk
	if json.Unmarshal(data, &k) != nil {
		return keyName{}, nil, errors.New("not the form of a key")
	}
	switch {
	case k.Use != "" && k.Use != "sig":
		return keyName{}, nil, errors.New("another use than sig")
	case k.KeyOps != nil && !slices.Contains(k.KeyOps, "verify"):
		return keyName{}, nil, errors.New("no verify among its key_ops")
	case k.D != nil:
		return keyName{}, nil, errors.New("its private part in the open")
	}
	key, err := k.publicKey()
	if err != nil {
		return keyName{}, nil, err
	}
	alg, err := algorithmOf(key)
	if err != nil {
		return keyName{}, nil, fmt.Errorf("a fault: it is %w", err)
	}
	if k.Alg != "" && k.Alg != alg {
		return keyName{}, nil, fmt.Errorf("another alg than %s", alg)
	}
	return keyName{alg, k.Kid}, key, nil
}

// publicKey never makes a key of kty oct, which is a secret: whoever could write
// to the URL, or read it, could sign tokens with it.
func (k *jwk) publicKey() (crypto.PublicKey, error) {
	switch {
	case k.Kty == "RSA":
		return rsaKey(k.N, k.E)
	case k.Kty == "EC" && k.Crv == "P-256":
		return p256Key(k.X, k.Y)
	case k.Kty == "OKP" && k.Crv == "Ed25519":
		x, err := base64.RawURLEncoding.DecodeString(k.X)
		if err != nil {
			return nil, errors.New("a broken x")
		}
		return ed25519.PublicKey(x), nil
	}
	return nil, errors.New("a kty or crv that is not taken")
}

func rsaKey(n, e string) (*rsa.PublicKey, error) {
	modulus, err := base64.RawURLEncoding.DecodeString(n)
	if err != nil {
		return nil, errors.New("a broken n")
	}
	exponent, err := base64.RawURLEncoding.DecodeString(e)
	if err != nil || len(exponent) > 8 {
		return nil, errors.New("a broken e")
	}
	exp := new(big.Int).SetBytes(exponent)
	if exp.BitLen() > 31 {
		return nil, errors.New("an e that is too large")
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: int(exp.Int64())}, nil
}

// p256Key fails for a point that is not on the curve.
func p256Key(x, y string) (*ecdsa.PublicKey, error) {
	point := []byte{4} // uncompressed: SEC 1 section 2.3.3
	for _, s := range []string{x, y} {
		coordinate, err := base64.RawURLEncoding.DecodeString(s)
		if err != nil || len(coordinate) != 32 { // all of it, RFC 7518 section 6.2.1.2
			return nil, errors.New("a broken x or y")
		}
		point = append(point, coordinate...)
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		return nil, errors.New("a point that is not on its curve")
	}
	return key, nil
}
