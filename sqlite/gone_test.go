package sqlite

import (
	"context"
	"fmt"
	"testing"
	"time"

	"belfry"
)

func TestMarksOfDeletedNoticesGoLittleByLittle(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s := openInternal(t, dir)
	ids := belfry.NewIDSource()
	withdrawn := belfry.Message{ID: ids.New(time.Now()), Company: "acme", Type: 1, Date: time.Now(), Later: true}
	stays := withdrawn
	stays.ID = ids.New(time.Now())
	if _, err := s.Add(ctx, belfry.Entries{Messages: []belfry.Message{withdrawn, stays}}); err != nil {
		t.Fatal(err)
	}
	const users = 2*maxGone + 1 // more than one step deletes
	for i := range users {
		who := belfry.Identity{User: belfry.UserID(fmt.Sprint(i)), Company: "acme"}
		mark := belfry.Mark{Kind: belfry.RevisionRead, IDs: []belfry.ID{withdrawn.ID, stays.ID}, Place: belfry.At(ids.New(time.Now()))}
		if _, err := s.Mark(ctx, who, mark); err != nil {
			t.Fatal(err)
		}
	}
	marks := func() (n int) {
		t.Helper()
		if err := s.readers.QueryRowContext(ctx, "SELECT count(*) FROM notice_marks").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if _, err := s.Withdraw(ctx, withdrawn.ID, belfry.At(ids.New(time.Now()))); err != nil {
		t.Fatal(err)
	}
	if n := marks(); n <= users {
		t.Errorf("%d marks are left: the withdrawal has waited for them", n)
	}
	// What is left when the database is closed goes when it is open again.
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openInternal(t, dir)
	deadline := time.Now().Add(time.Minute)
	for marks() > users {
		if time.Now().After(deadline) {
			t.Fatalf("%d marks are left, want %d", marks(), users)
		}
		if err := s.writer.do(ctx, 1, func(*batch) error { return nil }); err != nil { // for as long as a batch takes
			t.Fatal(err)
		}
	}
	if n := marks(); n != users {
		t.Errorf("%d marks are left, want %d", n, users)
	}
}
