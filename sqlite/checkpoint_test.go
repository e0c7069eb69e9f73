package sqlite

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"belfry"
)

// limitWAL sets the limits of stores that are opened during the test.
func limitWAL(t *testing.T, limits walLimits) {
	before := defaultWALLimits
	defaultWALLimits = limits
	t.Cleanup(func() { defaultWALLimits = before })
}

func TestTheLogStaysShortWhileTheWriterNeverRests(t *testing.T) {
	limitWAL(t, walLimits{checkpoint: 50, restart: 200, retry: 20, blocking: 800})
	dir := t.TempDir()
	s, ids := openInternal(t, dir), belfry.NewIDSource()
	for range 200 { // ten pages each at least
		addTo(t, s, ids, 20, "1", "2", "3")
	}
	info, err := os.Stat(filepath.Join(dir, FileName+"-wal"))
	if err != nil {
		t.Fatal(err)
	}
	// What one transaction writes comes on top.
	if most := int64(900 * 4200); info.Size() > most {
		t.Errorf("the log has %d bytes, want at most %d", info.Size(), most)
	}
	for end := time.Now().Add(time.Minute); s.writer.checkpointer.made.Load() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no checkpoint was made beside the writer")
		}
	}
}

// However slow the checkpoints are that others make, the writer does not wait for them beyond a length.
func TestTheLogStaysShortWithoutAnyHelp(t *testing.T) {
	limitWAL(t, walLimits{checkpoint: 1 << 30, restart: 50, retry: 20, blocking: 200})
	s, ids := openInternal(t, t.TempDir()), belfry.NewIDSource()
	s.writer.checkpointer.made.Store(-1 << 40) // it is at one, and will be for ever
	for range 60 {
		addTo(t, s, ids, 20, "1", "2", "3")
		if pages := s.writer.pagesOfLog(t); pages > 300 {
			t.Fatalf("the log has %d pages", pages)
		}
	}
}

// A reader that stays in one state of the database keeps the log from beginning anew: it may grow, and
// nobody fails.
func TestTheLogGrowsWhereAReaderIsInTheWay(t *testing.T) {
	limitWAL(t, walLimits{checkpoint: 50, restart: 100, retry: 20, blocking: 1 << 30})
	dir := t.TempDir()
	s, ids := openInternal(t, dir), belfry.NewIDSource()
	addTo(t, s, ids, 1, "1")
	tx, err := s.readers.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	count := func() (n int) {
		t.Helper()
		if err := tx.QueryRowContext(t.Context(), "SELECT count(*) FROM messages").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := count()
	for range 100 {
		addTo(t, s, ids, 20, "1", "2", "3")
	}
	if after := count(); after != before {
		t.Errorf("the reader saw %d messages and sees %d", before, after)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(time.Minute); s.writer.pagesOfLog(t) >= 100; addTo(t, s, ids, 1, "1") {
		if time.Now().After(end) {
			t.Fatal("the log does not begin anew")
		}
	}
}

// pagesOfLog asks the writer's goroutine.
func (w *writer) pagesOfLog(t *testing.T) (pages int) {
	t.Helper()
	if err := w.do(t.Context(), 1, func(*batch) error { pages = w.wal.pages; return nil }); err != nil {
		t.Fatal(err)
	}
	return pages
}
