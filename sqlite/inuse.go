package sqlite

import (
	"context"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"github.com/ncruces/go-sqlite3"
)

// Exists reports whether there is a database in the directory dir.
func Exists(dir string) (bool, error) {
	_, err := os.Stat(filepath.Join(dir, FileName))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// InUse reports whether anybody has the database in the directory dir open, on this machine. It is there.
//
// Whoever has a database in WAL mode open holds a shared lock on its file, until it closes it or
// ends in any way. So it is in use if an exclusive lock is not to be had.
func InUse(ctx context.Context, dir string) (used bool, err error) {
	path, err := filepath.Abs(filepath.Join(dir, FileName))
	if err != nil {
		return false, err
	}
	q := url.Values{"_pragma": {"busy_timeout(0)", "locking_mode(exclusive)"}}
	db, err := openSource((&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String())
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	db.SetMaxOpenConns(1)
	// In this mode to read locks as to write does.
	_, err = db.ExecContext(ctx, "SELECT count(*) FROM sqlite_schema")
	if errors.Is(err, sqlite3.BUSY) || errors.Is(err, sqlite3.LOCKED) {
		return true, nil
	}
	return false, err
}
