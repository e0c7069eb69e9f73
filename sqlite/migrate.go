package sqlite

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"slices"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// migrations returns the scripts in their order; the first one leads to version 1.
func migrations() ([]string, error) {
	names, err := fs.Glob(migrationFiles, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	scripts := make([]string, len(names))
	for i, name := range names {
		script, err := migrationFiles.ReadFile(name)
		if err != nil {
			return nil, err
		}
		scripts[i] = string(script)
	}
	return scripts, nil
}

// migrate brings the database to the version of the last script, each script in
// a transaction of its own. SQLite keeps the version in the file's header. A
// database that is newer than the scripts is refused.
func migrate(ctx context.Context, conn *sql.Conn, scripts []string) error {
	for {
		done, err := migrateOne(ctx, conn, scripts)
		if err != nil || done {
			return err
		}
	}
}

func migrateOne(ctx context.Context, conn *sql.Conn, scripts []string) (done bool, err error) {
	tx, err := conn.BeginTx(ctx, nil) // immediate: another process waits
	if err != nil {
		return false, err
	}
	defer tx.Rollback() // no-op after a commit
	var version int
	if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return false, err
	}
	switch {
	case version == len(scripts):
		return true, nil
	case version > len(scripts) || version < 0:
		return false, fmt.Errorf("the database has version %d, but this program knows only up to %d: use a newer belfry", version, len(scripts))
	}
	if _, err := tx.ExecContext(ctx, scripts[version]); err != nil {
		return false, fmt.Errorf("migration %d: %w", version+1, err)
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", version+1)); err != nil {
		return false, fmt.Errorf("migration %d: %w", version+1, err)
	}
	return false, tx.Commit()
}
