package auth

import (
	"crypto/sha256"
	"crypto/subtle"
)

// A Key is the API key with which backends push. The zero Key matches nothing.
type Key struct {
	set    bool
	digest [sha256.Size]byte
}

// NewKey makes the key for a secret; the empty secret matches nothing.
func NewKey(secret Secret) Key {
	return Key{set: secret != "", digest: sha256.Sum256([]byte(secret))}
}

// Matches compares in a time that says nothing about the key: neither its
// content nor its length.
func (k Key) Matches(shown string) bool {
	digest := sha256.Sum256([]byte(shown))
	return subtle.ConstantTimeCompare(digest[:], k.digest[:]) == 1 && k.set
}
