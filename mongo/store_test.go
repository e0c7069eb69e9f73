package mongo_test

import (
	"context"
	"crypto/rand"
	"strings"
	"testing"
	"time"

	"belfry"
	"belfry/internal/porttest"
	"belfry/mongo"

	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// database returns a database that is empty, and is dropped when the test ends.
func database(t testing.TB) *driver.Database {
	t.Helper()
	client, err := driver.Connect(options.Client().ApplyURI(server.URI))
	if err != nil {
		t.Fatal(err)
	}
	db := client.Database("belfry_test_" + strings.ToLower(rand.Text()))
	t.Cleanup(func() {
		ctx := context.Background()
		if err := db.Drop(ctx); err != nil {
			t.Error(err)
		}
		if err := client.Disconnect(ctx); err != nil {
			t.Error(err)
		}
	})
	return db
}

// patience is for a server that shares a busy machine with all its tests.
const patience = 2 * time.Minute

// open opens the store in a database and closes it when the test ends.
func open(t testing.TB, db *driver.Database) *mongo.Store {
	t.Helper()
	s, err := mongo.Open(context.Background(), mongo.Options{URI: server.URI, Database: db.Name(), Patience: patience})
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
	test := porttest.TestStore
	if server.Slow {
		test = porttest.TestSlowStore
	}
	test(t, func(t *testing.T) belfry.Store { return open(t, database(t)) })
}
