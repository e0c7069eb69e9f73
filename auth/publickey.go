package auth

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
)

// The algorithms, as the header of a token names them.
const (
	algHS256 = "HS256"
	algRS256 = "RS256"
	algES256 = "ES256"
	algEdDSA = "EdDSA"
)

var publicAlgorithms = []string{algRS256, algES256, algEdDSA}

// The sizes of RSA keys: RFC 7518 section 3.3 asks for 2048 bits. A key beyond
// 8192, where crypto/tls draws the line, would make every login costly.
const (
	minRSABits = 2048
	maxRSABits = 8192
)

// maxTried bounds the keys that are tried for one token, and so what a forged
// one can cost.
const maxTried = 16

// algorithmOf returns the one algorithm that a public key may be used for. It
// fails for a key that is unfit.
func algorithmOf(key crypto.PublicKey) (string, error) {
	switch k := key.(type) {
	case *rsa.PublicKey:
		if k == nil || k.N == nil {
			return "", errors.New("an RSA key without a modulus")
		}
		if bits := k.N.BitLen(); bits < minRSABits || bits > maxRSABits {
			return "", fmt.Errorf("an RSA key of %d bits; %d to %d are taken", bits, minRSABits, maxRSABits)
		}
		if k.N.Bit(0) == 0 || k.E < 3 || k.E&1 == 0 || int64(k.E) > 1<<31-1 { // the bounds of crypto/rsa
			return "", errors.New("an RSA key that is broken")
		}
		return algRS256, nil
	case *ecdsa.PublicKey:
		if k == nil || k.Curve != elliptic.P256() {
			return "", errors.New("an elliptic curve key that is not of P-256")
		}
		if _, err := k.Bytes(); err != nil {
			return "", errors.New("an elliptic curve key that is not on its curve")
		}
		return algES256, nil
	case ed25519.PublicKey:
		if len(k) != ed25519.PublicKeySize {
			return "", errors.New("an Ed25519 key of the wrong length")
		}
		return algEdDSA, nil
	}
	return "", fmt.Errorf("a key of type %T; RSA, P-256 and Ed25519 public keys are taken", key)
}

// byAlgorithm sorts fixed keys.
func byAlgorithm(keys []crypto.PublicKey) (map[string][]crypto.PublicKey, error) {
	sorted := make(map[string][]crypto.PublicKey)
	for i, key := range keys {
		alg, err := algorithmOf(key)
		if err != nil {
			return nil, fmt.Errorf("auth: public key %d is %w", i+1, err)
		}
		if len(sorted[alg]) == maxTried {
			return nil, fmt.Errorf("auth: more than %d public keys for %s", maxTried, alg)
		}
		sorted[alg] = append(sorted[alg], key)
	}
	return sorted, nil
}

// LoadPublicKeys reads the public keys in a PEM file: blocks of PUBLIC KEY, RSA
// PUBLIC KEY or CERTIFICATE, at least one. Of a certificate only the key counts:
// neither its dates nor who issued it, since the operator chose it. A block that
// is of another kind, broken or unfit is an error: a key that were left out
// silently would be missed when it is needed.
func LoadPublicKeys(path string) ([]crypto.PublicKey, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("auth: %w", err)
	}
	keys, err := parsePublicKeys(data)
	if err != nil {
		return nil, fmt.Errorf("auth: %s: %w", path, err)
	}
	return keys, nil
}

func parsePublicKeys(data []byte) ([]crypto.PublicKey, error) {
	// pem.Decode passes over blocks that are broken.
	begun := bytes.Count(data, []byte("-----BEGIN "))
	var keys []crypto.PublicKey
	for n := 1; ; n++ {
		var block *pem.Block
		if block, data = pem.Decode(data); block == nil {
			break
		}
		key, err := parseBlock(block)
		if err == nil {
			_, err = algorithmOf(key)
		}
		if err != nil {
			return nil, fmt.Errorf("block %d is %w", n, err)
		}
		keys = append(keys, key)
	}
	switch {
	case len(keys) != begun:
		return nil, fmt.Errorf("%d of %d blocks are not PEM", begun-len(keys), begun)
	case len(keys) == 0:
		return nil, errors.New("no public key in PEM form")
	}
	return keys, nil
}

func parseBlock(block *pem.Block) (key crypto.PublicKey, err error) {
	switch block.Type {
	case "PUBLIC KEY":
		key, err = x509.ParsePKIXPublicKey(block.Bytes)
	case "RSA PUBLIC KEY":
		key, err = x509.ParsePKCS1PublicKey(block.Bytes)
	case "CERTIFICATE":
		var c *x509.Certificate
		if c, err = x509.ParseCertificate(block.Bytes); err == nil {
			key = c.PublicKey
		}
	case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY":
		return nil, errors.New("a private key; only public ones are needed here, and that one should not lie here")
	default:
		return nil, fmt.Errorf("of type %.40q, not a public key", block.Type)
	}
	if err != nil {
		return nil, fmt.Errorf("broken: %w", err)
	}
	return key, nil
}
