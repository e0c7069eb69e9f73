package auth

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
)

// MinSecretBytes is the shortest secret that is accepted: as long as the output
// of SHA-256, which RFC 7518 section 3.2 asks of HS256 keys.
const MinSecretBytes = 32

// A Secret is a key or password. It never shows itself: neither in logs nor
// through fmt.
type Secret string

// LogValue implements [slog.LogValuer].
func (Secret) LogValue() slog.Value { return slog.StringValue("[secret]") }

// String implements [fmt.Stringer].
func (Secret) String() string { return "[secret]" }

// GoString implements [fmt.GoStringer].
func (Secret) GoString() string { return "[secret]" }

// MarshalText keeps a secret out of every encoding.
func (Secret) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }

// LoadOrCreateSecret reads the secret in the file, or makes one of 256 random
// bits and writes it there, readable by its owner alone. It refuses a file that
// others can read. Processes that start at once agree on one secret.
func LoadOrCreateSecret(path string) (Secret, error) {
	secret, err := loadSecret(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return secret, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", fmt.Errorf("auth: %w", err)
	}
	var random [MinSecretBytes]byte
	rand.Read(random[:])
	if err := createOnce(path, hex.EncodeToString(random[:])+"\n"); err != nil {
		return "", fmt.Errorf("auth: %w", err)
	}
	return loadSecret(path)
}

// createOnce makes the file with all its content, or leaves the one that is
// there: a link, unlike a rename, never replaces.
func createOnce(path, content string) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".secret-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.WriteString(content)
	if err := errors.Join(err, tmp.Sync(), tmp.Close()); err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

func loadSecret(path string) (Secret, error) {
	info, err := os.Stat(path)
	if err != nil {
		return "", fmt.Errorf("auth: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("auth: %s can be read by others; run: chmod 600 %s", path, path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("auth: %w", err)
	}
	secret := strings.TrimSpace(string(data))
	if len(secret) < MinSecretBytes {
		return "", fmt.Errorf("auth: the secret in %s is shorter than %d bytes", path, MinSecretBytes)
	}
	return Secret(secret), nil
}
