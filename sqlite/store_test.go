package sqlite_test

import (
	"context"
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

func TestStoreKeepsTheContract(t *testing.T) {
	porttest.TestStore(t, func(t *testing.T) belfry.Store { return open(t, t.TempDir()) })
}
