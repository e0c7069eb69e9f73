package belfry_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"belfry"
	"belfry/sqlite"
)

// A shakyStore is the store of these tests: the embedded database, which can be told to
// fail and to wait.
type shakyStore struct {
	belfry.Store

	mu sync.Mutex
	// add, where set, runs before entries are stored, and its error is the
	// answer; read runs after Undelivered has read.
	add  func(ctx context.Context) error
	read func()
	// since, where set, is asked before the log is read, and told what was.
	since func() (told func(entries []belfry.LogEntry), err error)
	// unreadable is who has a log that cannot be read.
	unreadable belfry.UserID
	// profile, where set, runs after Profile has read.
	profile func()
	// counts, where set, is the answer of Counts; count, where set, is waited for before.
	counts error
	count  func(ctx context.Context, who belfry.Identity)
	// fail, where set, is the answer of everything.
	fail error
}

// emptyDatabase is the file of a database with its tables made, which takes most of
// the time that opening a new one does.
var emptyDatabase = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "belfry-test-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	store, err := sqlite.Open(context.Background(), dir, sqlite.Options{})
	if err != nil {
		return nil, err
	}
	if err := store.Close(); err != nil {
		return nil, err
	}
	return os.ReadFile(filepath.Join(dir, sqlite.FileName))
})

func newShakyStore(t *testing.T) *shakyStore {
	t.Helper()
	empty, err := emptyDatabase()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, sqlite.FileName), empty, 0o600); err != nil {
		t.Fatal(err)
	}
	store, err := sqlite.Open(context.Background(), dir, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	return &shakyStore{Store: store}
}

// set changes what the store does.
func (s *shakyStore) set(change func(*shakyStore)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *shakyStore) state() (add func(context.Context) error, read func(), fail error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.add, s.read, s.fail
}

func (s *shakyStore) Add(ctx context.Context, e belfry.Entries) ([]belfry.Replaced, error) {
	add, _, fail := s.state()
	if fail != nil {
		return nil, fail
	}
	if add != nil {
		// It is being stored: it has its places.
		if e.Place != nil {
			e.Place(belfry.ID{}, &e)
			e.Place = nil
		}
		if err := add(ctx); err != nil {
			return nil, err
		}
	}
	return s.Store.Add(ctx, e)
}

func (s *shakyStore) Undelivered(ctx context.Context, who belfry.Identity, limit int) ([]belfry.Message, error) {
	_, read, fail := s.state()
	if fail != nil {
		return nil, fail
	}
	if read != nil {
		defer read()
	}
	return s.Store.Undelivered(ctx, who, limit)
}

func (s *shakyStore) Since(ctx context.Context, who belfry.Identity, after, until belfry.ID, limit int) ([]belfry.LogEntry, bool, error) {
	s.mu.Lock()
	since, unreadable := s.since, s.unreadable == who.User
	s.mu.Unlock()
	if unreadable {
		return nil, false, errors.New("there is no such type")
	}
	if since == nil {
		return s.Store.Since(ctx, who, after, until, limit)
	}
	told, err := since()
	if err != nil {
		return nil, false, err
	}
	entries, complete, err := s.Store.Since(ctx, who, after, until, limit)
	told(entries)
	return entries, complete, err
}

func (s *shakyStore) Counts(ctx context.Context, who belfry.Identity) (belfry.Counts, error) {
	_, _, fail := s.state()
	s.mu.Lock()
	if fail == nil {
		fail = s.counts
	}
	count := s.count
	s.mu.Unlock()
	if count != nil {
		count(ctx, who)
	}
	if fail != nil {
		return belfry.Counts{}, fail
	}
	return s.Store.Counts(ctx, who)
}

func (s *shakyStore) Mark(ctx context.Context, who belfry.Identity, mark belfry.Mark) (belfry.Marked, error) {
	if _, _, fail := s.state(); fail != nil {
		return belfry.Marked{}, fail
	}
	return s.Store.Mark(ctx, who, mark)
}

func (s *shakyStore) Profile(ctx context.Context, who belfry.Identity) (belfry.Profile, error) {
	if _, _, fail := s.state(); fail != nil {
		return belfry.Profile{}, fail
	}
	s.mu.Lock()
	read := s.profile
	s.mu.Unlock()
	if read != nil {
		defer read()
	}
	return s.Store.Profile(ctx, who)
}
