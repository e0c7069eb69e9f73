package sqlite

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"belfry"
	"belfry/internal/porttest"

	"github.com/ncruces/go-sqlite3/driver"
)

// startJournal opens the journal in dir and closes it when the test ends.
func startJournal(t testing.TB, dir string, o JournalOptions) *Journal {
	t.Helper()
	return startBounded(t, dir, boundsOf(o), o.Logger)
}

func startBounded(t testing.TB, dir string, bounds journalBounds, log *slog.Logger) *Journal {
	t.Helper()
	j, err := openJournal(context.Background(), dir, bounds, log)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := j.Close(); err != nil {
			t.Error(err)
		}
	})
	return j
}

// closeJournal closes a journal before its test ends.
func closeJournal(t testing.TB, j *Journal) {
	t.Helper()
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
}

// story returns how many facts there are about a message of user 1.
func story(t testing.TB, j *Journal, message belfry.ID) int {
	t.Helper()
	facts, err := j.Story(context.Background(), message, "1", 10_000)
	if err != nil {
		t.Fatal(err)
	}
	return len(facts)
}

// noteN notes n facts, one by one, about a message of user 1.
func noteN(j *Journal, message belfry.ID, n int) {
	for i := range n {
		j.Note(belfry.Fact{At: time.Now(), Kind: belfry.FactSent, Message: message, User: "1", Count: i})
	}
}

// asides returns the files that were set aside.
func asides(t testing.TB, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, journalName+".corrupt-*"))
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func TestJournalKeepsTheContract(t *testing.T) {
	porttest.TestJournal(t, func(t *testing.T) belfry.Journal { return startJournal(t, t.TempDir(), JournalOptions{}) })
}

// The same, with generations that a few facts fill, so that most are in blocks.
func TestJournalOfSmallGenerationsKeepsTheContract(t *testing.T) {
	porttest.TestJournal(t, func(t *testing.T) belfry.Journal {
		bounds := boundsOf(JournalOptions{})
		bounds.generation = 1000
		return startBounded(t, t.TempDir(), bounds, nil)
	})
}

func TestJournalOutlivesItsProcess(t *testing.T) {
	dir := t.TempDir()
	ids := belfry.NewIDSource()
	a, b := ids.New(time.Now()), ids.New(time.Now())
	j := startJournal(t, dir, JournalOptions{Rows: 640}) // generations of 10
	noteN(j, a, 34)
	noteN(j, b, 1)
	closeJournal(t, j)
	j = startJournal(t, dir, JournalOptions{Rows: 640})
	noteN(j, a, 34)
	if n, m := story(t, j, a), story(t, j, b); n != 68 || m != 1 {
		t.Errorf("%d and %d facts, want 68 and 1", n, m)
	}
	if n := j.Dropped(); n != 0 {
		t.Errorf("%d facts were dropped", n)
	}
}

func TestJournalFilesAreTheOwnersAlone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made")
	j := startJournal(t, dir, JournalOptions{})
	noteN(j, belfry.ID{1}, 1)
	story(t, j, belfry.ID{1})
	for name, want := range map[string]os.FileMode{"": 0o700, journalName: 0o600, journalName + "-wal": 0o600, journalName + "-shm": 0o600} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
		} else if info.Mode().Perm() != want {
			t.Errorf("%q has mode %o, want %o", name, info.Mode().Perm(), want)
		}
	}
}

func TestJournalKeepsTheNewestRows(t *testing.T) {
	const rows = 6400
	j := startJournal(t, t.TempDir(), JournalOptions{Rows: rows})
	for i := range 5 * rows {
		j.Note(belfry.Fact{At: time.Now(), Kind: belfry.FactSent, Message: belfry.ID{1}, User: "1", Count: i})
		if i%1000 == 0 {
			if n := story(t, j, belfry.ID{1}); n > rows {
				t.Fatalf("%d facts are kept, and %d is the bound", n, rows)
			}
		}
	}
	facts, err := j.Story(context.Background(), belfry.ID{1}, "1", 2*rows)
	if err != nil || len(facts) > rows || len(facts) < rows-2*rows/journalGenerations {
		t.Fatalf("%d facts are kept, %v; the bound is %d", len(facts), err, rows)
	}
	for i, f := range facts {
		if want := 5*rows - len(facts) + i; f.Count != want {
			t.Fatalf("fact %d is there where fact %d should be", f.Count, want)
		}
	}
}

func TestJournalFileStopsGrowing(t *testing.T) {
	const rows = 6400
	dir := t.TempDir()
	j := startJournal(t, dir, JournalOptions{Rows: rows})
	size := func() (n int64) {
		for _, name := range []string{journalName, journalName + "-wal"} {
			info, err := os.Stat(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			n += info.Size()
		}
		return n
	}
	fill := func() {
		for range rows / 1000 {
			noteN(j, belfry.ID{1}, 1000)
			story(t, j, belfry.ID{2}) // it waits for the writing
		}
	}
	fill()
	fill()
	full := size()
	for range 5 {
		fill()
	}
	if n := size(); n > full+full/4 {
		t.Errorf("it had %d bytes when it was full, and has %d", full, n)
	}
}

func TestJournalWithALowerBoundShrinksToIt(t *testing.T) {
	dir := t.TempDir()
	j := startJournal(t, dir, JournalOptions{Rows: 6400})
	noteN(j, belfry.ID{1}, 6000)
	closeJournal(t, j)
	j = startJournal(t, dir, JournalOptions{Rows: 1000})
	noteN(j, belfry.ID{1}, 1)
	if n := story(t, j, belfry.ID{1}); n > 1000 || n < 900 {
		t.Errorf("%d facts are kept; the bound is 1000", n)
	}
}

func TestJournalForgetsWhatIsTooOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := startJournal(t, t.TempDir(), JournalOptions{Age: 24 * time.Hour})
		noteN(j, belfry.ID{1}, 5)
		time.Sleep(12 * time.Hour)
		noteN(j, belfry.ID{2}, 5)
		time.Sleep(12*time.Hour - time.Minute)
		if a, b := story(t, j, belfry.ID{1}), story(t, j, belfry.ID{2}); a != 5 || b != 5 {
			t.Errorf("%d and %d facts are left before their time, want 5 and 5", a, b)
		}
		time.Sleep(30 * time.Minute)
		if a, b := story(t, j, belfry.ID{1}), story(t, j, belfry.ID{2}); a != 0 || b != 5 {
			t.Errorf("%d and %d facts are left, want 0 and 5", a, b)
		}
		time.Sleep(12 * time.Hour)
		if b := story(t, j, belfry.ID{2}); b != 0 {
			t.Errorf("%d facts are left, want 0", b)
		}
		synctest.Wait()
		if c := j.file.content; c.facts() != 0 {
			t.Errorf("the content is %+v, want nothing", c)
		}
	})
}

func TestJournalWritesWithoutBeingAsked(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		j := startJournal(t, dir, JournalOptions{})
		noteN(j, belfry.ID{1}, 3)
		time.Sleep(journalWait + time.Millisecond)
		synctest.Wait()
		if n := j.file.content.facts(); n != 3 {
			t.Errorf("%d facts are written, want 3", n)
		}
	})
}

func TestJournalGivesBackTheMemoryOfABurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := startJournal(t, t.TempDir(), JournalOptions{})
		j.Note(make([]belfry.Fact, maxQueued)...)
		j.Note(make([]belfry.Fact, maxQueued)...)
		time.Sleep(5 * journalTidy)
		synctest.Wait()
		j.mu.Lock()
		defer j.mu.Unlock()
		if n := cap(j.queued) + cap(j.spare); n > 4*journalBatch {
			t.Errorf("there is room for %d facts that nobody needs", n)
		}
	})
}

func TestAnUnusableJournalIsSetAside(t *testing.T) {
	ctx := context.Background()
	for name, spoil := range map[string]func(t *testing.T, path string){
		"no database": func(t *testing.T, path string) {
			overwrite(t, path, 0, bytes.Repeat([]byte("no database "), 1000))
		},
		"damaged pages": func(t *testing.T, path string) {
			overwrite(t, path, 4096, bytes.Repeat([]byte("damaged page"), 4000))
		},
		"newer": func(t *testing.T, path string) {
			exec(t, path, "PRAGMA user_version = 99")
		},
		"other tables": func(t *testing.T, path string) {
			exec(t, path, "DROP TABLE batches")
		},
		"tables without a version": func(t *testing.T, path string) {
			exec(t, path, "PRAGMA user_version = 0")
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			j := startJournal(t, dir, JournalOptions{})
			noteN(j, belfry.ID{1}, 2000)
			closeJournal(t, j)
			spoil(t, filepath.Join(dir, journalName))
			var logged bytes.Buffer
			j, err := OpenJournal(ctx, dir, JournalOptions{Logger: slog.New(slog.NewTextHandler(&logged, nil))})
			if err != nil {
				t.Fatal(err)
			}
			noteN(j, belfry.ID{1}, 1)
			if n := story(t, j, belfry.ID{1}); n != 1 {
				t.Errorf("%d facts are there, want 1", n)
			}
			closeJournal(t, j)
			if got := asides(t, dir); len(got) != 1 {
				t.Errorf("set aside are %v, want one file", got)
			}
			if !strings.Contains(logged.String(), "level=WARN") {
				t.Errorf("no warning: %q", logged.String())
			}
		})
	}
}

// overwrite writes into a file.
func overwrite(t *testing.T, path string, offset int64, data []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(data, offset); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// exec changes a database behind the program's back.
func exec(t *testing.T, path, query string) {
	t.Helper()
	db, err := driver.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(context.Background(), query); err != nil {
		t.Error(err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
}

func TestAJournalThatCannotBeReachedIsNotSetAside(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, journalName), 0o700); err != nil {
		t.Fatal(err)
	}
	j, err := OpenJournal(context.Background(), dir, JournalOptions{})
	if err == nil {
		j.Close()
		t.Error("it was opened")
	}
	if got := asides(t, dir); len(got) != 0 {
		t.Errorf("set aside are %v", got)
	}
}

func TestAJournalThatIsDamagedWhileItIsOpenBeginsAnew(t *testing.T) {
	dir := t.TempDir()
	j := startJournal(t, dir, JournalOptions{})
	noteN(j, belfry.ID{1}, 1)
	story(t, j, belfry.ID{1})
	exec(t, filepath.Join(dir, journalName), "INSERT INTO batches (noted, facts, body) VALUES (0, 1, x'ff')")
	if _, err := j.Story(context.Background(), belfry.ID{1}, "1", 10); belfry.ErrorCode(err) != belfry.ErrUnavailable {
		t.Errorf("reading what is damaged: %v, want %s", err, belfry.ErrUnavailable)
	}
	noteN(j, belfry.ID{1}, 2)
	if n := story(t, j, belfry.ID{1}); n != 2 {
		t.Errorf("%d facts are there, want 2", n)
	}
	if got := asides(t, dir); len(got) == 0 {
		t.Error("nothing was set aside")
	}
}

func TestAJournalThatCannotBeSetAsideIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		j := startJournal(t, dir, JournalOptions{})
		path := filepath.Join(dir, journalName)
		obstacle := fmt.Sprintf("%s.corrupt-%d", path, time.Now().Unix())
		if err := os.MkdirAll(filepath.Join(obstacle, "full"), 0o700); err != nil {
			t.Fatal(err)
		}
		exec(t, path, "INSERT INTO batches (noted, facts, body) VALUES (0, 1, x'ff')")
		for range 2 {
			noteN(j, belfry.ID{1}, 1)
			if _, err := j.Story(context.Background(), belfry.ID{1}, "1", 10); belfry.ErrorCode(err) != belfry.ErrUnavailable {
				t.Errorf("Story: %v, want %s", err, belfry.ErrUnavailable)
			}
		}
		// By then it is opened, found damaged, and set aside under another name.
		time.Sleep(journalWarn + time.Second)
		noteN(j, belfry.ID{1}, 3)
		if n := story(t, j, belfry.ID{1}); n != 3 {
			t.Errorf("%d facts are there, want 3", n)
		}
	})
}

// A disk that is full is imitated by a limit on the pages of the file.
func TestAFullDiskCostsFactsAndNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var logged bytes.Buffer
		j := startJournal(t, t.TempDir(), JournalOptions{Logger: slog.New(slog.NewTextHandler(&logged, nil))})
		noteN(j, belfry.ID{1}, 10)
		story(t, j, belfry.ID{1})
		limitPages := func(n int) {
			synctest.Wait() // the goroutine has nothing to do
			if _, err := j.file.conn.ExecContext(context.Background(), fmt.Sprint("PRAGMA max_page_count = ", n)); err != nil {
				t.Fatal(err)
			}
		}
		limitPages(1) // the least is what there is
		for range 3 {
			noteN(j, belfry.ID{1}, 500)
			if n := story(t, j, belfry.ID{1}); n != 10 {
				t.Errorf("%d facts can be read, want the 10 that were written before", n)
			}
		}
		if n := j.Dropped(); n != 1500 {
			t.Errorf("%d facts were dropped, want 1500", n)
		}
		if n := strings.Count(logged.String(), "level=WARN"); n != 1 {
			t.Errorf("%d warnings within a minute, want 1:\n%s", n, logged.String())
		}
		limitPages(1 << 20)
		noteN(j, belfry.ID{1}, 5)
		if n := story(t, j, belfry.ID{1}); n != 15 {
			t.Errorf("%d facts can be read, want 15", n)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if n := strings.Count(logged.String(), "level=WARN"); n != 2 {
			t.Errorf("%d warnings, want a second one about the rest:\n%s", n, logged.String())
		}
	})
}

func TestWhatIsNotedAfterCloseIsDropped(t *testing.T) {
	j := startJournal(t, t.TempDir(), JournalOptions{})
	closeJournal(t, j)
	noteN(j, belfry.ID{1}, 3)
	if n := j.Dropped(); n != 3 {
		t.Errorf("%d facts were dropped, want 3", n)
	}
	if _, err := j.Story(context.Background(), belfry.ID{1}, "1", 10); belfry.ErrorCode(err) != belfry.ErrUnavailable {
		t.Errorf("Story: %v, want %s", err, belfry.ErrUnavailable)
	}
}

func TestAStoryReadsNoMoreThanItsBlocks(t *testing.T) {
	j := startJournal(t, t.TempDir(), JournalOptions{})
	closeJournal(t, j)
	conn := raw(t, j.path)
	for query, uses := range map[string]string{
		sqlBlockBefore: "SEARCH blocks USING INDEX blocks_first (generation=? AND first<?)",
		sqlBlocksAt:    "SEARCH blocks USING INDEX blocks_first (generation=? AND first=?)",
	} {
		var id, parent, unused int
		var detail string
		row := conn.QueryRowContext(context.Background(), "EXPLAIN QUERY PLAN "+query, 1, "x")
		if err := row.Scan(&id, &parent, &unused, &detail); err != nil {
			t.Fatal(err)
		}
		if detail != uses {
			t.Errorf("the plan of %q is %q, want %q", query, detail, uses)
		}
	}
}

func TestDamagedFactsAreErrors(t *testing.T) {
	var e factEncoder
	for i := range 3 {
		e.add(&belfry.Fact{At: time.Now(), Kind: 1, Message: belfry.ID{1}, User: "1", Page: "p", Detail: "d"}, i)
	}
	read := func(body []byte) error {
		return eachEntry(body, func(e entry) error {
			_, _, err := e.fact()
			return err
		})
	}
	if err := read(e.body); err != nil {
		t.Fatal(err)
	}
	whole := len(e.body) / 3
	for n := range len(e.body) {
		if err := read(e.body[:n]); (err == nil) != (n%whole == 0) {
			t.Errorf("the first %d bytes: %v", n, err)
		}
		for _, b := range []byte{0, 0x7f, 0x80, 0xff} { // none may panic
			spoiled := bytes.Clone(e.body)
			spoiled[n] = b
			_ = read(spoiled)
		}
	}
}
