package sqlite

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"belfry"
)

// openInternal opens the store in dir and closes it when the test ends.
func openInternal(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(context.Background(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// addTo stores n messages for each user, and an activity for each.
func addTo(t *testing.T, s *Store, ids *belfry.IDSource, n int, users ...belfry.UserID) {
	t.Helper()
	var messages []belfry.Message
	var activities []belfry.Activity
	for range n {
		for _, user := range users {
			messages = append(messages, belfry.Message{ID: ids.New(time.Now()), Receiver: user, Type: 1, Title: "t", Date: time.Now()})
			a := belfry.Activity{ID: ids.New(time.Now()), Company: belfry.CompanyID(user), Title: "t", Date: time.Now()}
			activities = append(activities, a)
		}
	}
	if _, err := s.Add(context.Background(), belfry.Entries{Messages: messages, Activities: activities}); err != nil {
		t.Fatal(err)
	}
}

// pruneAll prunes until nothing is left to do.
func pruneAll(t *testing.T, s *Store, limits belfry.MessageLimits) (total int) {
	t.Helper()
	for more := true; more; {
		pruned, err := s.PruneMessages(context.Background(), limits, belfry.MaxPruneStep)
		if err != nil {
			t.Fatal(err)
		}
		total, more = total+pruned.Deleted, pruned.More
	}
	return total
}

// keptNumbers returns the numbers of rows that the database keeps.
func keptNumbers(t *testing.T, s *Store) (messages, activities int) {
	t.Helper()
	if err := s.readers.QueryRowContext(context.Background(), "SELECT messages, activities FROM changes").Scan(&messages, &activities); err != nil {
		t.Fatal(err)
	}
	return messages, activities
}

func wantKept(t *testing.T, s *Store, messages, activities int) {
	t.Helper()
	if m, a := keptNumbers(t, s); m != messages || a != activities {
		t.Errorf("the database keeps %d messages and %d activities, want %d and %d", m, a, messages, activities)
	}
}

func TestTheNumbersOfRowsFollowEveryWrite(t *testing.T) {
	ctx := context.Background()
	s := openInternal(t, t.TempDir())
	ids := belfry.NewIDSource()
	addTo(t, s, ids, 3, "1", "2")
	wantKept(t, s, 6, 6)
	twice := belfry.Message{ID: ids.New(time.Now()), Receiver: "1", Type: 1, Title: "t", Date: time.Now()}
	if _, err := s.Add(ctx, belfry.Entries{Messages: []belfry.Message{twice, twice}}); belfry.ErrorCode(err) != belfry.ErrConflict {
		t.Fatalf("storing a message twice: %v", err)
	}
	wantKept(t, s, 6, 6)
	if n := pruneAll(t, s, belfry.MessageLimits{Rows: 4}); n != 2 {
		t.Errorf("%d have gone, want 2", n)
	}
	if pruned, err := s.PruneActivities(ctx, belfry.ActivityLimits{Rows: 1}, 200); pruned.Deleted != 5 || err != nil {
		t.Errorf("%d activities have gone (%v), want 5", pruned.Deleted, err)
	}
	wantKept(t, s, 4, 1)
}

func TestTheNumbersOfRowsHealWhenTheDatabaseIsOpenedAgain(t *testing.T) {
	dir := t.TempDir()
	s := openInternal(t, dir)
	addTo(t, s, belfry.NewIDSource(), 10, "1", "2")
	conn := raw(t, filepath.Join(dir, FileName))
	if _, err := conn.ExecContext(context.Background(),
		"DELETE FROM messages WHERE receiver = '2'; UPDATE changes SET activities = 0"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openInternal(t, dir)
	if n := pruneAll(t, s, belfry.MessageLimits{Rows: 10}); n != 0 {
		t.Errorf("%d have gone of the 10 that may stay", n)
	}
	wantKept(t, s, 10, 20)
	if n := pruneAll(t, s, belfry.MessageLimits{Rows: 9}); n != 1 {
		t.Errorf("%d have gone, want 1", n)
	}
}

func TestADatabaseOfTheFirstVersionIsCounted(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	conn := raw(t, filepath.Join(dir, FileName))
	scripts, err := migrations()
	if err != nil {
		t.Fatal(err)
	}
	if err := migrate(ctx, conn, scripts[:1]); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if _, err := conn.ExecContext(ctx, `INSERT INTO messages
			(receiver, id, company, type, date, bare, sender_id, sender, portrait, title, content, url)
			VALUES ('1', ?, '', 1, 0, 0, '', '', '', 't', '', '')`, fmt.Appendf(nil, "%012d", i)); err != nil {
			t.Fatal(err)
		}
	}
	s := openInternal(t, dir)
	wantKept(t, s, 3, 0)
	if n := pruneAll(t, s, belfry.MessageLimits{Rows: 1}); n != 2 {
		t.Errorf("%d have gone, want 2", n)
	}
}

func TestTheLimitOfAUserReachesWhatWasThereAtTheStart(t *testing.T) {
	dir := t.TempDir()
	s := openInternal(t, dir)
	ids := belfry.NewIDSource()
	var users []belfry.UserID
	for i := range 2*maxUsersPerStep + 1 { // more than one step looks at
		users = append(users, belfry.UserID(fmt.Sprint(i)))
	}
	var messages []belfry.Message
	for _, user := range append(users, users...) {
		messages = append(messages, belfry.Message{ID: ids.New(time.Now()), Receiver: user, Type: 1, Title: "t", Date: time.Now()})
	}
	if _, err := s.Add(context.Background(), belfry.Entries{Messages: messages}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openInternal(t, dir)
	if pruned, err := s.PruneMessages(context.Background(), belfry.MessageLimits{RowsPerUser: 2}, 10); pruned.Deleted != 0 || !pruned.More || err != nil {
		t.Errorf("the first step did %+v, %v; want none and more", pruned, err)
	}
	if n := pruneAll(t, s, belfry.MessageLimits{RowsPerUser: 1}); n != len(users) {
		t.Errorf("%d have gone, want %d", n, len(users))
	}
}
