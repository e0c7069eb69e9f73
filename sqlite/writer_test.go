package sqlite_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"belfry"
	"belfry/sqlite"

	"github.com/ncruces/go-sqlite3/driver"
)

// rowsOf counts the rows of a table in the file.
func rowsOf(t *testing.T, dir, table string) (n int) {
	t.Helper()
	db, err := driver.Open("file:" + filepath.Join(dir, sqlite.FileName))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRowContext(t.Context(), "SELECT count(*) FROM "+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

// waitFor waits until a condition holds.
func waitFor(t *testing.T, condition func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !condition() {
		if time.Now().After(deadline) {
			t.Fatal("the condition does not come true")
		}
		time.Sleep(time.Millisecond)
	}
}

// afterCrash opens what would be there if the process of the store in dir were killed now. Nothing
// may be written meanwhile, but for what is written late.
func afterCrash(t *testing.T, dir string) *sqlite.Store {
	t.Helper()
	copied := t.TempDir()
	for _, name := range []string{sqlite.FileName, sqlite.FileName + "-wal"} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err == nil {
			err = os.WriteFile(filepath.Join(copied, name), content, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return open(t, copied)
}

// messagesTo stores n messages, more than one write takes.
func messagesTo(t *testing.T, s *sqlite.Store, n int) (stored []belfry.ID) {
	t.Helper()
	ids := belfry.NewIDSource()
	var messages []belfry.Message
	for range n {
		m := belfry.Message{ID: ids.New(time.Now()), Receiver: ann.User, Type: 1, Title: "t", Date: time.Now()}
		messages, stored = append(messages, m), append(stored, m.ID)
	}
	if err := add(t.Context(), s, messages...); err != nil {
		t.Fatal(err)
	}
	return stored
}

// waiting returns what waits for ann.
func waiting(t *testing.T, s *sqlite.Store) (ids []belfry.ID) {
	t.Helper()
	got, err := s.Undelivered(t.Context(), ann, 5000)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range got {
		ids = append(ids, m.ID)
	}
	return ids
}

func TestDeliveriesAreRecordedSoonWithoutAnyOtherWrite(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	delivered := messagesTo(t, s, 2000)
	if got := waiting(t, s); !slices.Equal(got, delivered) {
		t.Fatalf("%d wait", len(got))
	}
	if err := s.MarkDelivered(t.Context(), ann.User, delivered); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool {
		if got := waiting(t, s); len(got) != 0 {
			t.Fatalf("%d wait while deliveries are being recorded", len(got))
		}
		return len(waiting(t, afterCrash(t, dir))) == 0
	})
}

// What waits is the same at any time: while it is known in memory alone, while it is being put into the
// table, after that, and after a crash at each of these times; and so is what has ceased to wait.
func TestWhatWaitsIsSettledWithoutAnyChange(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	want := messagesTo(t, s, 700)
	settled := func() int { return rowsOf(t, dir, "waiting") }
	check := func() {
		t.Helper()
		if got := waiting(t, s); !slices.Equal(got, want) {
			t.Fatalf("%d wait, want %d; %d rows are settled", len(got), len(want), settled())
		}
	}
	check()
	if got := waiting(t, afterCrash(t, dir)); !slices.Equal(got, want) {
		t.Fatalf("%d wait after a crash", len(got))
	}
	waitFor(t, func() bool { check(); return settled() == len(want) })
	check()
	if got := waiting(t, afterCrash(t, dir)); !slices.Equal(got, want) {
		t.Fatalf("%d wait after a later crash", len(got))
	}
	// Some are delivered, some read, and some go.
	if err := s.MarkDelivered(t.Context(), ann.User, want[:100]); err != nil {
		t.Fatal(err)
	}
	want = want[100:]
	check()
	if _, err := s.Mark(t.Context(), ann, belfry.Mark{Kind: belfry.RevisionRead, IDs: want[:200], Place: belfry.At(belfry.NewIDSource().New(time.Now()))}); err != nil {
		t.Fatal(err)
	}
	want = want[200:]
	check()
	for _, id := range want[:10] {
		if _, err := s.Withdraw(t.Context(), id, belfry.At(belfry.NewIDSource().New(time.Now()))); err != nil {
			t.Fatal(err)
		}
	}
	want = want[10:]
	check()
	waitFor(t, func() bool { check(); return settled() == len(want) })
	if got := waiting(t, afterCrash(t, dir)); !slices.Equal(got, want) {
		t.Fatalf("%d wait after the last crash", len(got))
	}
}

// Places are given before what has them is stored, so that a lower one may be stored after a higher one.
func TestAMessageThatIsStoredLateWaitsAfterACrash(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir)
	ids := belfry.NewIDSource()
	var late []belfry.Message
	for range 2 {
		late = append(late, belfry.Message{ID: ids.New(time.Now().Add(-time.Minute)), Receiver: ann.User, Type: 1, Title: "t", Date: time.Now()})
	}
	newer := messagesTo(t, s, 1)
	if err := s.MarkDelivered(t.Context(), ann.User, newer); err != nil {
		t.Fatal(err)
	}
	// All up to the newer one is settled.
	waitFor(t, func() bool { return len(waiting(t, afterCrash(t, dir))) == 0 })
	if err := add(t.Context(), s, late...); err != nil {
		t.Fatal(err)
	}
	want := []belfry.ID{late[0].ID, late[1].ID}
	if got := waiting(t, s); !slices.Equal(got, want) {
		t.Errorf("%v wait, want %v", got, want)
	}
	if got := waiting(t, afterCrash(t, dir)); !slices.Equal(got, want) {
		t.Errorf("after a crash %v wait, want %v", got, want)
	}
	if err := s.MarkDelivered(t.Context(), ann.User, want[:1]); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool { return slices.Equal(waiting(t, afterCrash(t, dir)), want[1:]) })
}

func TestWhatMembersHeardIsRecordedSoonWithoutAnyOtherWrite(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s, other := open(t, dir), open(t, dir) // other knows only what is in the file
	ids := belfry.NewIDSource()
	if err := s.AddMembers(ctx, ann.Company, []belfry.UserID{ann.User}, ids.New(time.Now())); err != nil {
		t.Fatal(err)
	}
	notice := belfry.Message{ID: ids.New(time.Now()), Company: ann.Company, Type: 1, Date: time.Now()}
	if err := add(ctx, s, notice); err != nil {
		t.Fatal(err)
	}
	if got, err := other.Undelivered(ctx, ann, 1); err != nil || len(got) != 1 {
		t.Fatalf("%d wait (%v), want 1", len(got), err)
	}
	if err := s.MarkHeard(ctx, ann, notice.ID); err != nil {
		t.Fatal(err)
	}
	waitFor(t, func() bool {
		if got, err := s.Undelivered(ctx, ann, 1); err != nil || len(got) != 0 {
			t.Fatalf("%d wait (%v) while it is being recorded", len(got), err)
		}
		got, err := other.Undelivered(ctx, ann, 1)
		return err == nil && len(got) == 0
	})
}

func TestAWriteThatFailsDoesNotDisturbTheOthersOfItsBatch(t *testing.T) {
	ctx := context.Background()
	s := open(t, t.TempDir())
	ids := belfry.NewIDSource()
	twice := belfry.Message{ID: ids.New(time.Now()), Receiver: ann.User, Type: 1, Title: "t", Date: time.Now()}
	if err := add(ctx, s, twice); err != nil {
		t.Fatal(err)
	}
	const goroutines, rounds = 16, 20
	var work sync.WaitGroup
	for g := range goroutines {
		work.Go(func() {
			for i := range rounds {
				m := twice
				want := belfry.ErrConflict
				if (g+i)%4 != 0 {
					m.ID, want = ids.New(time.Now()), ""
				}
				if err := add(ctx, s, m); belfry.ErrorCode(err) != want {
					t.Errorf("the answer is %v, want %q", err, want)
				}
			}
		})
	}
	work.Wait()
	if c, err := s.Counts(ctx, ann); err != nil || c.Unread != 1+goroutines*rounds*3/4 {
		t.Errorf("counts are %+v (%v), want %d unread", c, err, 1+goroutines*rounds*3/4)
	}
}

func TestVersionsGrowAlsoWhenTwoProcessesWrite(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	a, b := open(t, dir), open(t, dir)
	ids := belfry.NewIDSource()
	var last int64
	states := make(map[int64]string)
	for i := range 20 {
		one, two := a, b
		if i%3 == 0 {
			one, two = b, a
		}
		m := belfry.Message{ID: ids.New(time.Now()), Receiver: ann.User, Type: 1, Title: "t", Date: time.Now()}
		if err := add(ctx, one, m); err != nil {
			t.Fatal(err)
		}
		c, err := two.MarkSeen(ctx, ann, m.ID)
		if err != nil {
			t.Fatal(err)
		}
		if c.Version <= last || c.Unread != i+1 || c.Unseen != 0 {
			t.Fatalf("counts are %+v after version %d and %d messages", c, last, i+1)
		}
		if state, ok := states[c.Version]; ok {
			t.Fatalf("version %d stands for %s and %+v", c.Version, state, c)
		}
		last, states[c.Version] = c.Version, fmt.Sprint(c)
	}
}
