package transfer_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"belfry"
	"belfry/internal/mongotest"
	"belfry/internal/porttest"
	"belfry/internal/transfer"
	"belfry/mongo"
	"belfry/sqlite"
)

// server is where the tests have databases.
var server *mongotest.Server

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) (code int) {
	var err error
	if server, err = mongotest.Start(os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "there is no server to test with:", err)
		return 1
	}
	defer func() {
		if err := server.Stop(); err != nil {
			fmt.Fprintln(os.Stderr, "the server has not ended well:", err)
			code = 1
		}
	}()
	return m.Run()
}

// A store is one that takes part in copies, and is closed.
type store interface {
	belfry.Store
	Transfer() transfer.Store
	Close() error
}

// A database can be opened again and again.
type database func(t *testing.T) store

func newSQLite(t *testing.T) database {
	dir := t.TempDir()
	return func(t *testing.T) store {
		t.Helper()
		s, err := sqlite.Open(context.Background(), dir, sqlite.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

func newMongo(t *testing.T) database {
	t.Helper()
	db := newDatabase(t)
	return func(t *testing.T) store {
		t.Helper()
		s, err := mongo.Open(context.Background(), mongo.Options{URI: server.URI, Database: db.Name(), Patience: 2 * time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
}

// newDatabase makes a database in MongoDB that is dropped when the test ends.
func newDatabase(t *testing.T) *driver.Database {
	t.Helper()
	client, err := driver.Connect(options.Client().ApplyURI(server.URI))
	if err != nil {
		t.Fatal(err)
	}
	name := "belfry_test_" + strings.ToLower(rand.Text())
	t.Cleanup(func() {
		ctx := context.Background()
		if err := client.Database(name).Drop(ctx); err != nil {
			t.Error(err)
		}
		if err := client.Disconnect(ctx); err != nil {
			t.Error(err)
		}
	})
	return client.Database(name)
}

// with opens a database for a function.
func (d database) with(t *testing.T, f func(s store)) {
	t.Helper()
	s := d(t)
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	f(s)
}

// copyTo copies the database into another.
func (d database) copyTo(t *testing.T, target database) {
	t.Helper()
	d.with(t, func(from store) {
		target.with(t, func(to store) {
			r := &report{}
			if err := transfer.Copy(context.Background(), from.Transfer(), to.Transfer(), r); err != nil {
				t.Fatal(err)
			}
			for _, kind := range transfer.Kinds {
				if r.sums[kind].Records == 0 {
					t.Errorf("there were no %s to copy", kind)
				}
			}
			if _, unfinished, err := to.Transfer().Progress(context.Background()); unfinished || err != nil {
				t.Errorf("the finished copy is unfinished: %t, %v", unfinished, err)
			}
		})
	})
}

// A report keeps what was copied and compared.
type report struct {
	phase   string
	kind    transfer.Kind
	copied  int
	sums    map[transfer.Kind]transfer.Sum
	perhaps func(r *report) // called after each page
}

func (r *report) Begin(phase string, kind transfer.Kind, _ int64) { r.phase, r.kind = phase, kind }

func (r *report) Add(n int) {
	if r.phase == "copying" {
		r.copied += n
	}
	if r.perhaps != nil {
		r.perhaps(r)
	}
}

func (r *report) End(sum transfer.Sum) {
	if r.sums == nil {
		r.sums = make(map[transfer.Kind]transfer.Sum)
	}
	if r.phase == "comparing" {
		r.sums[r.kind] = sum
	}
}

func TestACopyBehavesAsItsSource(t *testing.T) {
	t.Run("that was SQLite, into each database and back", func(t *testing.T) {
		t.Parallel()
		source := newSQLite(t)
		source.with(t, func(s store) { porttest.Fill(t, s, 100) })
		second, third, fourth := newSQLite(t), newMongo(t), newMongo(t)
		last := newSQLite(t)
		source.copyTo(t, second)
		second.copyTo(t, third)
		third.copyTo(t, fourth)
		fourth.copyTo(t, last)
		source.with(t, func(want store) {
			for _, copied := range []database{second, third, fourth, last} {
				copied.with(t, func(got store) {
					porttest.Same(t, want, got)
					porttest.NoLower(t, want, got)
				})
			}
			// And what is done to them has the same effects.
			place := belfry.NewIDSource()
			after, err := fourth.last(t)
			if err != nil {
				t.Fatal(err)
			}
			place.Skip(after)
			goOn := furtherChanges(place)
			goOn(t, want)
			for _, copied := range []database{third, last} {
				copied.with(t, func(got store) {
					goOn(t, got)
					porttest.Same(t, want, got)
				})
			}
		})
	})
	t.Run("that was MongoDB", func(t *testing.T) {
		t.Parallel()
		source, second := newMongo(t), newSQLite(t)
		source.with(t, func(s store) { porttest.Fill(t, s, 60) })
		source.copyTo(t, second)
		source.with(t, func(want store) {
			second.with(t, func(got store) {
				porttest.Same(t, want, got)
				porttest.NoLower(t, want, got)
			})
		})
	})
}

func (d database) last(t *testing.T) (last belfry.ID, err error) {
	d.with(t, func(s store) { last, err = s.Last(context.Background()) })
	return last, err
}

// furtherChanges returns what makes the same changes to each store that it is called with.
func furtherChanges(ids *belfry.IDSource) func(*testing.T, store) {
	who := belfry.Identity{User: "1", Company: "acme"}
	var places [6]belfry.ID
	for i := range places {
		places[i] = ids.New(time.Now())
	}
	at := time.Date(2026, 3, 4, 0, 0, 0, 0, time.UTC)
	return func(t *testing.T, s store) {
		t.Helper()
		ctx := context.Background()
		inbox, err := s.Inbox(ctx, who, belfry.InboxQuery{Limit: 100})
		if err != nil || len(inbox) < 6 {
			t.Fatalf("there are %d messages, %v", len(inbox), err)
		}
		edited := inbox[2]
		edited.Title, edited.Expires = "edited", time.Time{}
		total := rows(t, s)
		do := func(_ any, err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		do(s.Mark(ctx, who, belfry.Mark{Kind: belfry.RevisionUnread, IDs: []belfry.ID{inbox[0].ID, inbox[1].ID, inbox[3].ID}, Place: belfry.At(places[0])}))
		do(s.Mark(ctx, who, belfry.Mark{Kind: belfry.RevisionArchived, IDs: []belfry.ID{inbox[4].ID, inbox[5].ID}, Place: belfry.At(places[1])}))
		do(nil, s.Edit(ctx, edited, belfry.At(places[2])))
		do(s.Withdraw(ctx, inbox[1].ID, belfry.At(places[3])))
		do(s.MarkSeen(ctx, who, inbox[3].ID))
		do(nil, s.SetPreferences(ctx, "5", nil))
		do(nil, s.AddMembers(ctx, "acme", []belfry.UserID{"1", "new"}, places[4]))
		do(s.Add(ctx, belfry.Entries{Messages: []belfry.Message{{ID: places[5], Receiver: "1", Type: 1, Title: "new", Date: at}}}))
		// Retention knows how many there are.
		kept := total - 1 + 1 - 2
		if got := rows(t, s); got != kept+2 {
			t.Fatalf("there are %d rows, want %d", got, kept+2)
		}
		pruned, err := s.PruneMessages(ctx, belfry.MessageLimits{Rows: int(kept)}, 100)
		if err != nil || pruned.Deleted != 2 {
			t.Errorf("retention deletes %d of two, %v", pruned.Deleted, err)
		}
	}
}

// rows returns how many messages and notices there are.
func rows(t *testing.T, s store) (n int64) {
	t.Helper()
	for _, kind := range []transfer.Kind{transfer.Messages, transfer.Notices} {
		of, err := s.Transfer().Count(context.Background(), kind)
		if err != nil {
			t.Fatal(err)
		}
		n += of
	}
	return n
}

func TestWhatAnApplicationHasStoredByItselfIsCopied(t *testing.T) {
	ctx := context.Background()
	db := newDatabase(t)
	ids := belfry.NewIDSource()
	id := func() bson.ObjectID { return bson.ObjectID(ids.New(time.Now())) }
	date := time.Date(2026, 3, 4, 5, 6, 7, 890e6, time.UTC) // more precise than belfry's
	for name, documents := range map[string][]bson.D{
		"msgNotice": {
			{{Key: "_id", Value: id()}, {Key: "senderID", Value: int64(1 << 40)}, {Key: "sender", Value: "s"}, {Key: "receiverID", Value: 1.0},
				{Key: "companyID", Value: int32(3)}, {Key: "title", Value: "t"}, {Key: "date", Value: date}, {Key: "typeID", Value: int32(2)}, {Key: "isRead", Value: int32(0)}},
			{{Key: "_id", Value: id()}, {Key: "receiverID", Value: "01"}, {Key: "companyID", Value: "3"}, {Key: "date", Value: date}, {Key: "typeID", Value: int32(1)}, {Key: "isRead", Value: int32(1)}},
		},
		"handleLog": {{{Key: "_id", Value: id()}, {Key: "companyID", Value: int32(3)}, {Key: "title", Value: "t"}, {Key: "date", Value: date}, {Key: "objectType", Value: int32(1)}}},
	} {
		if _, err := db.Collection(name).InsertMany(ctx, documents); err != nil {
			t.Fatal(err)
		}
	}
	s, err := mongo.Open(ctx, mongo.Options{URI: server.URI, Database: db.Name(), MustExist: true, Patience: 2 * time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	// The last place is one of which nothing is left.
	push := belfry.Scheduled{ID: ids.New(time.Now()), Due: time.Now()}
	if _, err := s.Add(ctx, belfry.Entries{Scheduled: []belfry.Scheduled{push}}); err != nil {
		t.Fatal(err)
	}
	if err := s.Cancel(ctx, push.ID); err != nil {
		t.Fatal(err)
	}
	newSQLite(t).with(t, func(to store) {
		if err := transfer.Copy(ctx, s.Transfer(), to.Transfer(), &report{}); err != nil {
			t.Fatal(err)
		}
		who := belfry.Identity{User: "1", Company: "3"}
		inbox, err := to.Inbox(ctx, who, belfry.InboxQuery{Limit: 10})
		if err != nil || len(inbox) != 1 || inbox[0].SenderID != "1099511627776" || inbox[0].IsRead || !inbox[0].Date.Equal(date.Truncate(time.Second)) {
			t.Errorf("the inbox is %+v, %v", inbox, err)
		}
		if waiting, err := to.Undelivered(ctx, who, 10); err != nil || len(waiting) != 0 {
			t.Errorf("%d messages wait, %v", len(waiting), err)
		}
		if feed, err := to.Feed(ctx, "3", belfry.FeedQuery{Limit: 10}); err != nil || len(feed) != 1 {
			t.Errorf("the feed is %+v, %v", feed, err)
		}
		if last, err := to.Last(ctx); err != nil || last != push.ID {
			t.Errorf("Last is %v, %v; want %v", last, err, push.ID)
		}
	})
}

var errTorn = errors.New("the connection is torn")

// A torn store fails after some writes.
type torn struct {
	transfer.Store
	writes int
	half   bool // the records of the last write are there, and its progress is not
	before *transfer.Progress
}

func (s *torn) Write(ctx context.Context, kind transfer.Kind, records []transfer.Record, p transfer.Progress) error {
	if s.writes--; s.writes < 0 {
		if s.half && s.before != nil {
			return errors.Join(errTorn, s.Store.Write(ctx, kind, records, *s.before))
		}
		return errTorn
	}
	s.before = &p
	return s.Store.Write(ctx, kind, records, p)
}

// A narrow store reads few records at a time.
type narrow struct {
	transfer.Store
	limit int
}

func (s *narrow) Read(ctx context.Context, kind transfer.Kind, after string, limit int) ([]transfer.Record, string, error) {
	return s.Store.Read(ctx, kind, after, min(limit, s.limit))
}

func TestACopyThatWasInterruptedGoesOn(t *testing.T) {
	ctx := context.Background()
	for name, make := range map[string]struct {
		target database
		writes int // between two interruptions
	}{"into SQLite": {newSQLite(t), 3}, "into MongoDB": {newMongo(t), 6}} {
		t.Run(name, func(t *testing.T) {
			source := newSQLite(t)
			source.with(t, func(s store) { porttest.Fill(t, s, 60) })
			source.with(t, func(from store) {
				var total int64
				for _, kind := range transfer.Kinds {
					n, err := from.Transfer().Count(ctx, kind)
					if err != nil {
						t.Fatal(err)
					}
					total += n
				}
				r := &report{}
				interruptions := 0
				for done := false; !done; {
					make.target.with(t, func(to store) {
						interrupted := &torn{Store: to.Transfer(), writes: make.writes, half: interruptions%2 == 0}
						err := transfer.Copy(ctx, &narrow{from.Transfer(), 20}, interrupted, r)
						if done = err == nil; done {
							return
						}
						if !errors.Is(err, errTorn) {
							t.Fatal(err)
						}
						interruptions++
					})
				}
				if interruptions < 2 {
					t.Errorf("the copy was interrupted %d times", interruptions)
				}
				// At most a page is written again after each, and one at the end of a kind.
				if most := int(total) + 2*20*interruptions; r.copied > most {
					t.Errorf("%d records were copied of %d, with %d interruptions: it began anew", r.copied, total, interruptions)
				}
				make.target.with(t, func(to store) { porttest.Same(t, from, to) })
			})
		})
	}
}

// refuses fails unless a copy fails with an error that has these words.
func refuses(t *testing.T, source, target transfer.Store, r *report, words ...string) {
	t.Helper()
	err := transfer.Copy(context.Background(), source, target, r)
	for _, word := range words {
		if err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("the error is %v, want one with %q", err, word)
		}
	}
}

func send(t *testing.T, s store, title string) belfry.ID {
	t.Helper()
	last, err := s.Last(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	ids := belfry.NewIDSource()
	ids.Skip(last)
	m := belfry.Message{ID: ids.New(time.Now()), Receiver: "1", Type: 1, Title: title, Date: time.Now()}
	if _, err := s.Add(context.Background(), belfry.Entries{Messages: []belfry.Message{m}}); err != nil {
		t.Fatal(err)
	}
	return m.ID
}

func TestWhatACopyRefuses(t *testing.T) {
	for name, makeTarget := range map[string]func(*testing.T) database{"into SQLite": newSQLite, "into MongoDB": newMongo} {
		t.Run(name, func(t *testing.T) {
			source, other, target, full := newSQLite(t), newSQLite(t), makeTarget(t), makeTarget(t)
			for _, d := range []database{source, other, full} {
				d.with(t, func(s store) { send(t, s, "t") })
			}
			from, to := source(t), target(t)
			defer func() {
				if err := errors.Join(from.Close(), to.Close()); err != nil {
					t.Error(err)
				}
			}()
			full.with(t, func(to store) {
				refuses(t, from.Transfer(), to.Transfer(), &report{}, "not empty", to.Transfer().Name())
			})
			refuses(t, to.Transfer(), to.Transfer(), &report{}, "the same")

			refuses(t, from.Transfer(), &torn{Store: to.Transfer(), writes: 2}, &report{}, "torn")
			other.with(t, func(s store) {
				refuses(t, s.Transfer(), to.Transfer(), &report{}, "unfinished migration from "+from.Transfer().Name())
			})
			makeTarget(t).with(t, func(s store) { refuses(t, to.Transfer(), s.Transfer(), &report{}, "itself the target") })
			send(t, from, "later")
			refuses(t, from.Transfer(), to.Transfer(), &report{}, "has changed", "begin anew")
		})
	}
}

func TestACopyThatDiffersIsNotFinished(t *testing.T) {
	source, target := newSQLite(t), newSQLite(t)
	source.with(t, func(s store) { send(t, s, "t") })
	source.with(t, func(from store) {
		id := send(t, from, "as it was")
		target.with(t, func(to store) {
			changed := false
			r := &report{perhaps: func(r *report) {
				if r.phase == "copying" && r.kind == transfer.Messages && !changed {
					changed = true
					m, err := to.Message(context.Background(), id)
					if err != nil {
						t.Fatal(err)
					}
					m.Title = "as it was not"
					if err := to.Edit(context.Background(), m, belfry.At(id)); err != nil {
						t.Fatal(err)
					}
				}
			}}
			refuses(t, from.Transfer(), to.Transfer(), r, "messages of source and target differ", "2 records")
			if _, unfinished, err := to.Transfer().Progress(context.Background()); !unfinished || err != nil {
				t.Errorf("the copy is unfinished: %t, %v", unfinished, err)
			}
		})
	})
}
