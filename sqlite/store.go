package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"runtime"

	"belfry"
	"belfry/internal/storage"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/driver"
)

// FileName is the name of the database in the data directory.
const FileName = "belfry.db"

// Options alters a [Store]. The zero value is useful.
type Options struct {
	Logger *slog.Logger // nil means slog.Default()
}

// A Store keeps all that belfry keeps in a file. It is safe for concurrent
// use.
type Store struct {
	log       *slog.Logger
	path      string
	readers   *sql.DB
	queries   *prepared
	writer    *writer
	late      *storage.Late
	unsettled *freshSet
	tally     *tally
	enrolling enrolments
	answers   storage.Answers
	pruner    pruner
}

var _ belfry.Store = (*Store)(nil)

// Open opens the database in the directory dir, makes both where they are
// missing (modes 0700 and 0600), and brings the tables up to date. It refuses a
// database that a newer program has written. Close ends it.
func Open(ctx context.Context, dir string, o Options) (*Store, error) {
	path, err := prepareFile(dir, FileName)
	if err != nil {
		return nil, fmt.Errorf("sqlite: %w", err)
	}
	s := &Store{log: o.Logger, path: path, late: storage.NewLate(), unsettled: newFreshSet(), tally: newTally()}
	if s.log == nil {
		s.log = slog.Default()
	}
	if err := s.open(ctx, path); err != nil {
		return nil, fmt.Errorf("sqlite: %s: %w", path, errors.Join(err, s.closeAll()))
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, path string) error {
	var err error
	if s.writer, err = newWriter(ctx, path, s); err != nil {
		return err
	}
	if err := restrict(path); err != nil {
		return err
	}
	// The writer's pages are the hot ones. A reader's cache is void after
	// every commit, so a big one would only cost memory.
	s.readers, err = openPool(path, "cache_size(-8192)", "query_only(on)")
	if err != nil {
		return err
	}
	n := max(4, runtime.NumCPU())
	s.readers.SetMaxOpenConns(n)
	s.readers.SetMaxIdleConns(n)
	s.queries = newPrepared(s.readers)
	return nil
}

// Close finishes the writes that have been asked for, records the deliveries,
// and closes the database. Whoever asks later gets [belfry.ErrUnavailable].
func (s *Store) Close() error {
	return s.closeAll()
}

func (s *Store) closeAll() error {
	var errs []error
	if s.readers != nil {
		errs = append(errs, s.readers.Close())
	}
	if s.writer != nil { // last, so that it is the one to checkpoint the log
		errs = append(errs, s.writer.close())
	}
	s.tally.clear()
	return errors.Join(errs...)
}

// prepareFile makes directory and file before SQLite does, for their modes.
func prepareFile(dir, name string) (path string, err error) {
	if dir, err = filepath.Abs(dir); err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	path = filepath.Join(dir, name)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return "", err
	}
	return path, f.Close()
}

// restrict gives the files that SQLite keeps beside the open database the mode
// of the database. They exist as long as the writer's connection does.
func restrict(path string) error {
	for _, suffix := range []string{"-wal", "-shm"} {
		if err := os.Chmod(path+suffix, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// dataSource names the database with the settings that every connection has,
// and further ones. The order matters: the busy timeout is first.
func dataSource(path string, pragmas ...string) string {
	q := url.Values{"_pragma": append([]string{
		"busy_timeout(10000)", // another process, a backup for instance
		"journal_mode(wal)",
		"synchronous(full)", // a commit outlives a power failure
		"foreign_keys(on)",
		"temp_store(memory)",
	}, pragmas...)}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}).String()
}

// openPool makes a pool of connections to the database.
func openPool(path string, pragmas ...string) (*sql.DB, error) {
	return openSource(dataSource(path, pragmas...))
}

func openSource(source string) (*sql.DB, error) {
	return driver.Open(source, func(conn *sqlite3.Conn) error {
		// Plans do not depend on what is bound. Else SQLite would plan some
		// queries anew every time they run, which takes longer than running them.
		_, err := conn.Config(sqlite3.DBCONFIG_ENABLE_QPSG, true)
		return err
	})
}

// portError turns an error of the database into one that the port allows.
func portError(ctx context.Context, err error) error {
	var own *belfry.Error
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &own):
		return err
	case errors.Is(err, sqlite3.CONSTRAINT):
		return &belfry.Error{Code: belfry.ErrConflict, Message: "it is stored already", Err: err}
	}
	return &belfry.Error{Code: belfry.ErrUnavailable, Message: "the database is not available", Err: err}
}

// errClosed answers whoever comes after Close.
var errClosed = belfry.Errorf(belfry.ErrUnavailable, "the database is closed")
