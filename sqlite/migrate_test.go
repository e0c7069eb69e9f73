package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

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

func TestNoQueryReadsMoreThanItsRange(t *testing.T) {
	ctx := context.Background()
	s, err := Open(ctx, t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for name, tt := range map[string]struct {
		query string
		args  int
		uses  string // the index, or the primary key
	}{
		"Undelivered":        {sqlUndelivered, 3, "messages_waiting (receiver=?)"},
		"Inbox":              {sqlInbox, 4, "PRIMARY KEY (receiver=? AND id<?)"},
		"Counts":             {sqlCounts, 2, "COVERING INDEX messages_unread (receiver=? AND company=?)"},
		"Feed":               {sqlFeed, 3, "PRIMARY KEY (company=? AND id<?)"},
		"MarkDelivered":      {sqlMarkDelivered, 2, "PRIMARY KEY (receiver=? AND id=?)"},
		"MarkRead":           {sqlMarkRead, 3, "PRIMARY KEY (receiver=? AND id=?)"},
		"MarkAllRead":        {sqlMarkAllRead, 2, "messages_unread (receiver=? AND company=?)"},
		"old messages":       {sqlOldMessages, 2, "COVERING INDEX messages_age (id<?)"},
		"surplus messages":   {sqlSurplusMessages, 3, "COVERING INDEX messages_age (id<?)"},
		"surplus of a user":  {sqlSurplusOfUser, 3, "PRIMARY KEY (receiver=? AND id<?)"},
		"next user":          {sqlNextUser, 1, "PRIMARY KEY (receiver>?)"},
		"old activities":     {sqlOldActivities, 2, "COVERING INDEX activities_age (id<?)"},
		"surplus activities": {sqlSurplusActivities, 3, "COVERING INDEX activities_age (id<?)"},
		"delete a message":   {sqlDeleteMessage, 2, "PRIMARY KEY (receiver=? AND id=?)"},
		"delete an activity": {sqlDeleteActivity, 2, "PRIMARY KEY (company=? AND id=?)"},
	} {
		t.Run(name, func(t *testing.T) {
			args := make([]any, tt.args)
			rows, err := s.readers.QueryContext(ctx, "EXPLAIN QUERY PLAN "+tt.query, args...)
			if err != nil {
				t.Fatal(err)
			}
			defer rows.Close()
			var plan []string
			for rows.Next() {
				var id, parent, unused int
				var detail string
				if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
					t.Fatal(err)
				}
				plan = append(plan, detail)
				if strings.HasPrefix(detail, "SCAN") && detail != "SCAN changes" || strings.Contains(detail, "TEMP B-TREE") {
					t.Errorf("it says %q", detail)
				}
			}
			if !strings.Contains(strings.Join(plan, "\n"), tt.uses) {
				t.Errorf("the plan does not use %s:\n%s", tt.uses, strings.Join(plan, "\n"))
			}
		})
	}
}
