package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"belfry"

	"github.com/ncruces/go-sqlite3/driver"
)

// raw opens a database without any of the package's own doing.
func raw(t *testing.T, path string) *sql.Conn {
	t.Helper()
	db, err := driver.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	conn, err := db.Conn(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func version(t *testing.T, conn *sql.Conn) (v int) {
	t.Helper()
	if err := conn.QueryRowContext(context.Background(), "PRAGMA user_version").Scan(&v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestMigrationsRunOnceInTheirOrder(t *testing.T) {
	ctx := context.Background()
	conn := raw(t, filepath.Join(t.TempDir(), "x.db"))
	scripts := []string{"CREATE TABLE a (n INTEGER)", "INSERT INTO a VALUES (2)"}
	for range 2 {
		if err := migrate(ctx, conn, scripts); err != nil {
			t.Fatal(err)
		}
	}
	if err := migrate(ctx, conn, append(scripts, "INSERT INTO a VALUES (3)")); err != nil {
		t.Fatal(err)
	}
	var got string
	if err := conn.QueryRowContext(ctx, "SELECT group_concat(n) FROM a").Scan(&got); err != nil || got != "2,3" {
		t.Errorf("the scripts left %q (%v), want \"2,3\"", got, err)
	}
	if v := version(t, conn); v != 3 {
		t.Errorf("the version is %d, want 3", v)
	}
}

func TestAMigrationThatFailsLeavesNothing(t *testing.T) {
	ctx := context.Background()
	conn := raw(t, filepath.Join(t.TempDir(), "x.db"))
	err := migrate(ctx, conn, []string{"CREATE TABLE a (n)", "CREATE TABLE b (n); INSERT INTO nowhere VALUES (1)"})
	if err == nil || !strings.Contains(err.Error(), "migration 2") {
		t.Errorf("the error is %v; it should name migration 2", err)
	}
	if v := version(t, conn); v != 1 {
		t.Errorf("the version is %d, want 1", v)
	}
	var tables string
	if err := conn.QueryRowContext(ctx, "SELECT group_concat(name) FROM sqlite_schema").Scan(&tables); err != nil || tables != "a" {
		t.Errorf("the tables are %q (%v), want a alone", tables, err)
	}
}

func TestADatabaseOfANewerProgramIsRefused(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s, err := Open(ctx, dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	conn := raw(t, filepath.Join(dir, FileName))
	newer := version(t, conn) + 1
	if _, err := conn.ExecContext(ctx, fmt.Sprint("PRAGMA user_version = ", newer)); err != nil {
		t.Fatal(err)
	}
	s, err = Open(ctx, dir, Options{})
	if err == nil {
		s.Close()
		t.Fatal("it was opened")
	}
	if !strings.Contains(err.Error(), "newer belfry") {
		t.Errorf("the error is %q; it should say that a newer belfry is needed", err)
	}
}

// TestAnUpgradeKeepsInboxesFeedsAndSeen upgrades a database of the program before
// there were notices.
func TestAnUpgradeKeepsInboxesFeedsAndSeen(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	conn := raw(t, filepath.Join(dir, FileName))
	scripts, err := migrations()
	if err != nil {
		t.Fatal(err)
	}
	if err := migrate(ctx, conn, scripts[:2]); err != nil {
		t.Fatal(err)
	}
	ids := belfry.NewIDSource()
	var messages, activities []belfry.ID
	for i := range 6 { // the first two are read, the first three delivered
		id := ids.New(time.Now())
		messages = append(messages, id)
		if _, err := conn.ExecContext(ctx, `INSERT INTO messages
			(receiver, id, company, type, date, is_read, delivered, bare, sender_id, sender, portrait, title, content, url, extra)
			VALUES ('1', ?, ?, ?, 7, ?, ?, 1, 'i', 's', 'p', 't', 'c', 'u', '{"k":"v"}')`,
			id[:], []string{"", "acme"}[i%2], 1+i%3, i < 2, i < 3); err != nil {
			t.Fatal(err)
		}
		id = ids.New(time.Now())
		activities = append(activities, id)
		if _, err := conn.ExecContext(ctx, `INSERT INTO activities
			(company, id, date, operator_id, operator, receiver, portrait, title, content, url, object_type, object_id)
			VALUES ('acme', ?, 7, '9', 'o', 'r', 'p', 't', 'c', 'u', 4, '8')`, id[:]); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := conn.ExecContext(ctx, "INSERT INTO seen VALUES ('1', 'acme', ?)", messages[3][:]); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.ExecContext(ctx, "UPDATE changes SET n = 41, messages = 6, activities = 6"); err != nil {
		t.Fatal(err)
	}

	s := openInternal(t, dir)
	ann := belfry.Identity{User: "1", Company: "acme"}
	want := belfry.Counts{Unread: 4, Unseen: 2, ByType: map[belfry.MessageType]int{1: 1, 2: 1, 3: 2}, Version: 41}
	if got, err := s.Counts(ctx, ann); err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("counts are %+v (%v), want %+v", got, err, want)
	}
	inbox, err := s.Inbox(ctx, ann, belfry.InboxQuery{Limit: 10})
	if err != nil || len(inbox) != 6 {
		t.Fatalf("there are %d messages, %v", len(inbox), err)
	}
	first := belfry.Message{
		ID: messages[0], Receiver: "1", Date: time.Unix(7, 0).UTC(), Type: 1, IsRead: true, Bare: true, SenderID: "i", Sender: "s",
		Portrait: "p", Title: "t", Content: "c", URL: "u", Extra: map[string]string{"k": "v"},
	}
	if !reflect.DeepEqual(inbox[5], first) {
		t.Errorf("the first message is\n%+v, want\n%+v", inbox[5], first)
	}
	if waiting, err := s.Undelivered(ctx, ann, 10); err != nil || len(waiting) != 3 || waiting[0].ID != messages[3] {
		t.Errorf("%d wait (%v), want 3", len(waiting), err)
	}
	for _, q := range []belfry.FeedQuery{{}, {OperatorID: "9"}, {ObjectType: 4}, {ObjectType: 4, ObjectID: "8"}} {
		q.Limit = 10
		feed, err := s.Feed(ctx, "acme", q)
		if err != nil || len(feed) != 6 || feed[5].ID != activities[0] || feed[5].Operator != "o" || feed[5].Changes != nil {
			t.Errorf("the feed by %+v is %+v, %v", q, feed, err)
		}
	}
	entries, complete, err := s.Since(ctx, ann, belfry.ID{}, activities[5], 100)
	if err != nil || !complete || len(entries) != 12 {
		t.Errorf("the log has %d entries, complete %t, %v; want 12", len(entries), complete, err)
	}
	wantKept(t, s, 6, 6)
}
