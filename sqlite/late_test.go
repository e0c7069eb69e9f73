package sqlite

import (
	"database/sql"
	"errors"
	"testing"
	"time"

	"belfry"
)

// What has come since the last tick, while there is still something to do of it, is not forgotten.
func TestCloseSettlesWhatIsFresh(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	ids := belfry.NewIDSource()
	addTo(t, s, ids, 3*maxLate, "1")
	s.unsettled.age() // as at a tick, of which the writer has not begun to do anything
	addTo(t, s, ids, 3*maxLate, "2")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := s.unsettled.len(); n != 0 {
		t.Errorf("%d are left", n)
	}
	conn := raw(t, dir+"/"+FileName)
	var n int
	if err := conn.QueryRowContext(t.Context(), "SELECT count(*) FROM waiting").Scan(&n); err != nil || n != 6*maxLate {
		t.Errorf("%d wait, %v", n, err)
	}
}

// What was not settled is not passed over: it is settled in the next round, and until then nothing is beyond it.
func TestNothingIsSettledBeyondWhatFailed(t *testing.T) {
	f, ids := newFreshSet(), belfry.NewIDSource()
	var all []fresh
	for range 4 {
		all = append(all, fresh{"1", ids.New(time.Now())})
	}
	f.add(all)
	f.age()
	first, last := f.take(2)
	if len(first) != 2 || last {
		t.Fatalf("took %d, the last: %t", len(first), last)
	}
	f.settle(first, errors.New("the disk is full"))
	rest, last := f.take(2)
	if len(rest) != 2 || last {
		t.Fatalf("after a failure took %d, the last: %t", len(rest), last)
	}
	f.settle(rest, nil)
	f.age()
	again, last := f.take(10)
	if len(again) != 2 || again[0] != first[0] || !last {
		t.Fatalf("then took %v, the last: %t", again, last)
	}
	f.settle(again, nil)
	if n := f.len(); n != 0 {
		t.Errorf("%d are left", n)
	}
}

// What is being stored while a round is under way is not in it.
func TestNothingIsSettledBeyondWhatIsBeingStored(t *testing.T) {
	f, ids := newFreshSet(), belfry.NewIDSource()
	low, high := ids.New(time.Now()), ids.New(time.Now())
	f.add([]fresh{{"1", high}})
	f.age()
	if got := f.bound(); got != high {
		t.Errorf("the bound is %v, want %v", got, high)
	}
	f.pass(low) // which another call had been given earlier
	if got := f.bound(); got.Compare(low) >= 0 || got != before(low) {
		t.Errorf("the bound is %v, want one before %v", got, low)
	}
}

func TestBeforeIsTheNextLowerID(t *testing.T) {
	for id, want := range map[belfry.ID]belfry.ID{
		{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9}: {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 8},
		{1}:                                  {0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255},
		{7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0}: {7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255},
	} {
		if got := before(id); got != want {
			t.Errorf("before %v is %v, want %v", id, got, want)
		}
	}
}

// At any time, each message is in the table or above the place up to which all is settled.
func TestALowerPlaceThatIsStoredDuringARoundIsNotPassedOver(t *testing.T) {
	s, ids := openInternal(t, t.TempDir()), belfry.NewIDSource()
	for range 20 {
		low, high := ids.New(time.Now()), ids.New(time.Now())
		for _, id := range []belfry.ID{high, low} {
			m := belfry.Message{ID: id, Receiver: "1", Type: 1, Date: time.Now()}
			if _, err := s.Add(t.Context(), belfry.Entries{Messages: []belfry.Message{m}}); err != nil {
				t.Fatal(err)
			}
			s.unsettled.age() // the next transaction settles what is there
		}
		var waits, above bool
		err := s.read(t.Context(), "SELECT EXISTS (SELECT 1 FROM waiting WHERE id = ?1), settled < ?1 FROM changes", []any{low[:]},
			func(rows *sql.Rows) error { return rows.Scan(&waits, &above) })
		if err != nil || !waits && !above {
			t.Fatalf("a crash would lose a message: %v", err)
		}
	}
}
