package sqlite_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"belfry"
	"belfry/sqlite"
)

var ann = belfry.Identity{User: "1", Company: "acme"}

// envChild tells the test binary to be the process that is killed.
const envChild = "BELFRY_TEST_KILLED_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(envChild); dir != "" {
		runChild(dir)
		return
	}
	os.Exit(m.Run())
}

// runChild stores messages until it is killed and prints each one's id once it
// is answered.
func runChild(dir string) {
	s, err := sqlite.Open(context.Background(), dir, sqlite.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	ids := belfry.NewIDSource()
	var printing sync.Mutex
	for range 8 {
		go func() {
			for {
				m := belfry.Message{ID: ids.New(time.Now()), Receiver: ann.User, Type: 1, Title: "t", Date: time.Now()}
				if err := add(context.Background(), s, m); err != nil {
					return
				}
				printing.Lock()
				fmt.Println(m.ID)
				printing.Unlock()
			}
		}()
	}
	select {}
}

func TestWhatWasAnsweredOutlivesAKill(t *testing.T) {
	dir := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), envChild+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	const enough = 200
	answered := make(map[belfry.ID]bool)
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		id, err := belfry.ParseObjectID(lines.Text())
		if err != nil {
			if len(answered) < enough {
				t.Fatalf("the child says %q", lines.Text())
			}
			break // cut off in the middle of a line
		}
		if answered[id] = true; len(answered) == enough {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait() // killed
	if len(answered) < enough {
		t.Fatalf("the child answered only %d messages", len(answered))
	}

	waiting, err := open(t, dir).Undelivered(context.Background(), ann, 1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range waiting {
		delete(answered, m.ID)
	}
	if len(answered) > 0 {
		t.Errorf("%d answered messages are lost", len(answered))
	}
}

func TestReopeningKeepsEverything(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	ids := belfry.NewIDSource()
	message := func() belfry.Message {
		return belfry.Message{ID: ids.New(time.Now()), Receiver: ann.User, Type: 1, Title: "t", Date: time.Now()}
	}
	delivered, waiting := message(), message()

	first, err := sqlite.Open(ctx, dir, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := add(ctx, first, delivered, waiting); err != nil {
		t.Fatal(err)
	}
	if err := first.MarkDelivered(ctx, ann.User, []belfry.ID{delivered.ID}); err != nil {
		t.Fatal(err)
	}
	// What is recorded late is recorded when it closes.
	if err := first.AddMembers(ctx, ann.Company, []belfry.UserID{ann.User}, ids.New(time.Now())); err != nil {
		t.Fatal(err)
	}
	heard := message()
	heard.Receiver = ""
	request := &belfry.Request{Key: "k", Made: time.Now()}
	if _, err := first.Add(ctx, belfry.Entries{Messages: []belfry.Message{heard}, Request: request}); err != nil {
		t.Fatal(err)
	}
	if err := first.MarkHeard(ctx, ann, heard.ID); err != nil {
		t.Fatal(err)
	}
	if err := first.AnswerRequest(ctx, "k", []byte("answer")); err != nil {
		t.Fatal(err)
	}
	before, err := first.MarkSeen(ctx, ann, delivered.ID)
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := add(ctx, first, message()); belfry.ErrorCode(err) != belfry.ErrUnavailable {
		t.Errorf("writing after Close: %v, want %s", err, belfry.ErrUnavailable)
	}
	if _, err := first.Counts(ctx, ann); belfry.ErrorCode(err) != belfry.ErrUnavailable {
		t.Errorf("reading after Close: %v, want %s", err, belfry.ErrUnavailable)
	}
	if err := first.Close(); err != nil {
		t.Errorf("closing twice: %v", err)
	}

	second := open(t, dir)
	got, err := second.Undelivered(ctx, ann, 10)
	if err != nil || len(got) != 1 || got[0].ID != waiting.ID {
		t.Errorf("after reopening %v waits (%v), want %s alone", got, err, waiting.ID)
	}
	if r, err := second.Request(ctx, "k", time.Time{}); err != nil || string(r.Answer) != "answer" {
		t.Errorf("the request is %+v, %v", r, err)
	}
	after, err := second.Counts(ctx, ann)
	if err != nil || !reflect.DeepEqual(before, after) {
		t.Errorf("counts were %+v and are %+v (%v)", before, after, err)
	}
}

func TestCloseFinishesTheWritesThatAreQueued(t *testing.T) {
	ctx := context.Background()
	dir := t.TempDir()
	s, err := sqlite.Open(ctx, dir, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ids := belfry.NewIDSource()
	var (
		writers sync.WaitGroup
		mu      sync.Mutex
		stored  = make(map[belfry.ID]bool)
	)
	first := make(chan struct{}, 1)
	for range 16 {
		writers.Go(func() {
			for {
				m := belfry.Message{ID: ids.New(time.Now()), Receiver: ann.User, Type: 1, Title: "t", Date: time.Now()}
				err := add(ctx, s, m)
				if err != nil {
					if belfry.ErrorCode(err) != belfry.ErrUnavailable {
						t.Errorf("during Close: %v", err)
					}
					return
				}
				mu.Lock()
				stored[m.ID] = true
				mu.Unlock()
				select {
				case first <- struct{}{}:
				default:
				}
			}
		})
	}
	<-first
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	writers.Wait()
	got, err := open(t, dir).Undelivered(ctx, ann, 1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != len(stored) {
		t.Errorf("%d messages are there, but %d were answered", len(got), len(stored))
	}
}

func TestDataIsForTheOwnerAlone(t *testing.T) {
	dir := t.TempDir() + "/a b?c%20/data"
	s := open(t, dir)
	if err := add(context.Background(), s, belfry.Message{Receiver: ann.User, Date: time.Now()}); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(dir)
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory is %v (%v), want 0700", info.Mode(), err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	names := make([]string, 0, len(entries))
	for _, e := range entries {
		names = append(names, e.Name())
		info, err := e.Info()
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s is %v (%v), want 0600", e.Name(), info.Mode(), err)
		}
	}
	if !strings.Contains(strings.Join(names, " "), sqlite.FileName) {
		t.Errorf("the directory holds %v, and not %s", names, sqlite.FileName)
	}
}
