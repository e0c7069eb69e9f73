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
)

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
