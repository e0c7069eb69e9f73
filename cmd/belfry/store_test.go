package main

import (
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"belfry/internal/mongotest"
	"belfry/sqlite"
)

// mongoStore makes the processes that the test launches keep messages in a new database, and returns the
// URI of its server.
func mongoStore(t *testing.T) (uri string) {
	t.Helper()
	server, err := mongotest.Start(t.Output())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	client, err := driver.Connect(options.Client().ApplyURI(server.URI))
	if err != nil {
		t.Fatal(err)
	}
	name := "belfry_test_" + strings.ToLower(rand.Text())
	t.Cleanup(func() {
		ctx := context.Background()
		if err := client.Database(name).Drop(ctx); err != nil {
			t.Error(err)
		}
		if err := client.Disconnect(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Setenv("BELFRY_STORE", server.URI)
	t.Setenv("BELFRY_STORE_DATABASE", name)
	return server.URI
}

func TestTheStoreCanBeMongoDB(t *testing.T) {
	uri := mongoStore(t)
	dir := t.TempDir()
	p := launch(t, "serve", "--dev", "--data", dir)
	page := p.page(userOne)
	if got := p.message("1", "for one who is here"); got != "ok" {
		t.Fatalf("answer %s\n%s", got, p.log)
	}
	page.until(`"unread":1,`)
	if got := p.message("2", "for one who is away"); got != "offline" {
		t.Fatalf("answer %s\n%s", got, p.log)
	}
	p.end(syscall.SIGKILL)

	p = launch(t, "serve", "--dev", "--data", dir)
	page = p.page(userTwo)
	page.until(`"unread":1,`)
	page.until("for one who is away")
	p.page(userOne).until(`"unread":1,`)
	for _, title := range []string{"second", "third"} {
		if got := p.message("2", title); got != "ok" {
			t.Fatalf("answer %s\n%s", got, p.log)
		}
	}
	page.until(`"unread":3,`)
	if code := p.end(syscall.SIGTERM); code != 0 || strings.Contains(p.log.String(), "level=ERROR") {
		t.Errorf("exit code %d\n%s", code, p.log)
	}

	kept := launch(t, "serve", "--dev", "--data", dir, "--retention.messages-per-user", "1", "--retention.messages", "10", "--retention.message-age", "24h")
	timeout := time.After(deadline)
	for !strings.Contains(kept.log.String(), `msg="retention has deleted the oldest" of=messages rows=2`) {
		select {
		case <-kept.log.changed:
		case <-timeout:
			t.Fatalf("nothing is deleted: %s", kept.log)
		}
	}
	kept.page(userTwo).until(`"unread":1,`)
	if code := kept.end(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d\n%s", code, kept.log)
	}
	if strings.Contains(p.log.String()+kept.log.String(), uri) {
		t.Errorf("the log has the URI: %s", kept.log)
	}
	if _, err := os.Stat(filepath.Join(dir, sqlite.FileName)); !os.IsNotExist(err) {
		t.Errorf("there is a database in the data directory as well: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "journal.db")); err != nil {
		t.Errorf("the delivery record: %v", err)
	}
}
