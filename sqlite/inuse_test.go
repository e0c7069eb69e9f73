package sqlite_test

import (
	"context"
	"testing"

	"belfry/sqlite"
)

func TestADatabaseIsInUseAsLongAsItIsOpen(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	if exists, err := sqlite.Exists(dir); exists || err != nil {
		t.Fatalf("before there is a database, it exists: %t, %v", exists, err)
	}
	s, err := sqlite.Open(ctx, dir, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if exists, err := sqlite.Exists(dir); !exists || err != nil {
		t.Errorf("the database exists: %t, %v", exists, err)
	}
	if used, err := sqlite.InUse(ctx, dir); !used || err != nil {
		t.Errorf("while the store is open, it is in use: %t, %v", used, err)
	}
	if _, err := s.Last(ctx); err != nil {
		t.Errorf("the store after it was asked whether it is in use: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if used, err := sqlite.InUse(ctx, dir); used || err != nil {
		t.Errorf("after the store is closed, it is in use: %t, %v", used, err)
	}
}
