package auth

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func pkix(key crypto.PublicKey) string {
	return block("PUBLIC KEY", must(x509.MarshalPKIXPublicKey(key)))
}

// expired is a certificate of the EC key that ended long ago.
func expired() string {
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1, 0)}
	return block("CERTIFICATE", must(x509.CreateCertificate(rand.Reader, c, c, ecSigner().Public(), ecSigner())))
}

func TestPublicKeysOfAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.pem")
	content := "The keys of the shop.\n" + pkix(edSigner().Public()) + "\n" + expired() +
		block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&rsaSigner().PublicKey)) + pkix(rsaSigner().Public())
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	keys, err := LoadPublicKeys(path)
	if err != nil {
		t.Fatal(err)
	}
	want := []crypto.PublicKey{edSigner().Public(), ecSigner().Public(), rsaSigner().Public(), rsaSigner().Public()}
	if !slices.EqualFunc(keys, want, func(a, b crypto.PublicKey) bool {
		return a.(interface{ Equal(crypto.PublicKey) bool }).Equal(b)
	}) {
		t.Errorf("%d keys, not the %d of the file", len(keys), len(want))
	}
	tokens := newTokens(t, func(o *TokenOptions) { o.Keys = keys })
	if _, err := tokens.Verify(sign(t, jwt.SigningMethodES256, ecSigner(), good(nil))); err != nil {
		t.Errorf("the key of a certificate: %v", err)
	}
}

func TestFilesOfPublicKeysThatAreRefused(t *testing.T) {
	ed := pkix(edSigner().Public())
	private := block("PRIVATE KEY", must(x509.MarshalPKCS8PrivateKey(edSigner())))
	cases := []struct{ name, content, says string }{
		{"an empty one", "", "no public key"},
		{"a secret", string(testSecret), "no public key"},
		{"one with a private key", ed + private, "block 2 is a private key"},
		{"one with a broken block", ed + strings.Replace(ed, "\nM", "\n*", 1), "1 of 2 blocks are not PEM"},
		{"one that is cut off", ed + ed[:len(ed)-20], "1 of 2 blocks are not PEM"},
		{"one with DER that is broken", block("PUBLIC KEY", []byte("hello")), "block 1 is broken"},
		{"one with something else", block("X509 CRL", []byte("hello")), `"X509 CRL"`},
		{"one with a small RSA key", pkix(must(rsa.GenerateKey(rand.Reader, 1024)).Public()), "block 1 is an RSA key of 1024 bits"},
		{"one with P-384", pkix(must(ecdsa.GenerateKey(elliptic.P384(), rand.Reader)).Public()), "P-256"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			keys, err := parsePublicKeys([]byte(c.content))
			if err == nil || keys != nil || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("%d keys, error %v; want one that says %q", len(keys), err, c.says)
			}
			if strings.Contains(err.Error(), string(testSecret)) {
				t.Errorf("the error shows the file: %v", err)
			}
		})
	}
	path := filepath.Join(t.TempDir(), "none.pem")
	if _, err := LoadPublicKeys(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a file that is missing: %v", err)
	}
}

func TestRSAKeysThatAreUnfit(t *testing.T) {
	n := rsaSigner().N
	for name, key := range map[string]*rsa.PublicKey{
		"none":                   nil,
		"one without a modulus":  {E: 65537},
		"one with e = 1":         {N: n, E: 1},
		"one with an even e":     {N: n, E: 65536},
		"one with a negative e":  {N: n, E: -3},
		"one with an even n":     {N: new(big.Int).Add(n, big.NewInt(1)), E: 65537},
		"one that is enormous":   {N: new(big.Int).SetBit(n, maxRSABits, 1), E: 65537},
		"one a bit short of fit": {N: new(big.Int).Rsh(n, 1), E: 65537},
	} {
		if alg, err := algorithmOf(key); err == nil {
			t.Errorf("%s is taken for %s", name, alg)
		}
	}
}

func FuzzPublicKeys(f *testing.F) {
	f.Add([]byte(pkix(edSigner().Public()) + expired()))
	f.Add([]byte(block("RSA PUBLIC KEY", x509.MarshalPKCS1PublicKey(&rsaSigner().PublicKey))))
	f.Add([]byte("-----BEGIN PUBLIC KEY-----\n-----END PUBLIC KEY-----"))
	f.Fuzz(func(t *testing.T, data []byte) {
		keys, err := parsePublicKeys(data)
		if (err == nil) != (len(keys) > 0) {
			t.Fatalf("%d keys, %v", len(keys), err)
		}
		for _, key := range keys {
			if _, err := algorithmOf(key); err != nil {
				t.Fatal(err)
			}
		}
	})
}
