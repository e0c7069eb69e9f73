package sqlite_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"belfry"
	"belfry/internal/porttest"
	"belfry/sqlite"
)

// open opens the store in dir and closes it when the test ends.
func open(t testing.TB, dir string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(context.Background(), dir, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// add stores messages.
func add(ctx context.Context, s *sqlite.Store, messages ...belfry.Message) error {
	_, err := s.Add(ctx, belfry.Entries{Messages: messages})
	return err
}

func TestStoreKeepsTheContract(t *testing.T) {
	// Every test opens a copy of one empty database: to make the tables each time
	// would take longer than most tests.
	template := t.TempDir()
	if s, err := sqlite.Open(context.Background(), template, sqlite.Options{}); err != nil || s.Close() != nil {
		t.Fatal("there is no empty database", err)
	}
	empty, err := os.ReadFile(filepath.Join(template, sqlite.FileName))
	if err != nil {
		t.Fatal(err)
	}
	porttest.TestStore(t, func(t *testing.T) belfry.Store {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, sqlite.FileName), empty, 0o600); err != nil {
			t.Fatal(err)
		}
		return open(t, dir)
	})
}
