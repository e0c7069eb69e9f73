package sqlite_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"belfry"
	"belfry/sqlite"
)

// draft is a message of the usual size.
var draft = belfry.Message{
	SenderID: "42", Sender: "王五", Portrait: "/img/42.png", Title: "创建了新任务",
	Content: "请在周五之前检查新的首页设计,并把意见写在任务的评论里。", URL: "/task/view?taskID=4711", Type: 3,
}

var benchIDs = belfry.NewIDSource()

// parallel runs f in n goroutines, b.N times in all.
func parallel(b *testing.B, n int, f func(i int64) error) {
	b.Helper()
	var next atomic.Int64
	done := make(chan error, n)
	b.ResetTimer()
	for range n {
		go func() {
			for {
				i := next.Add(1)
				if i > int64(b.N) {
					done <- nil
					return
				}
				if err := f(i); err != nil {
					done <- err
					return
				}
			}
		}()
	}
	for range n {
		if err := <-done; err != nil {
			b.Error(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

func BenchmarkAddMessages(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprintf("goroutines=%d", n), func(b *testing.B) {
			store := open(b, b.TempDir())
			b.ReportAllocs()
			parallel(b, n, func(i int64) error {
				m := draft
				m.ID, m.Receiver, m.Date = benchIDs.New(time.Now()), belfry.UserID(fmt.Sprint(i%10_000)), time.Now()
				return add(context.Background(), store, m)
			})
		})
	}
}

// BenchmarkPushBesideRetention measures how long pushes take while retention
// works through a backlog, against how long they take without. Both take turns on
// one store, so that whatever else uses the disk disturbs them alike.
func BenchmarkPushBesideRetention(b *testing.B) {
	for name, retention := range map[string]belfry.Retention{
		"rows": {Messages: 1},
		"user": {MessagesPerUser: 1},
	} {
		for _, n := range []int{1, 64} {
			b.Run(fmt.Sprintf("limit=%s/goroutines=%d", name, n), func(b *testing.B) {
				store := &prunedStore{Store: open(b, b.TempDir())}
				fill(b, store.Store, 50_000)
				const turn = 500 // pushes
				var took [2][]time.Duration
				var pruning time.Duration
				b.ResetTimer()
				for i := 0; i*turn < b.N; i++ {
					began := time.Now()
					if i%2 == 0 {
						took[0] = append(took[0], pushTurn(b, store.Store, n, turn)...)
						continue
					}
					janitor := belfry.NewJanitor(belfry.JanitorOptions{Store: store, Retention: retention})
					took[1] = append(took[1], pushTurn(b, store.Store, n, turn)...)
					janitor.Close()
					pruning += time.Since(began)
				}
				if len(took[1]) == 0 {
					return // b.N is too small yet
				}
				for i, name := range []string{"alone", "beside"} {
					slices.Sort(took[i])
					b.ReportMetric(float64(took[i][len(took[i])/2].Microseconds()), "p50-"+name+"-µs")
					b.ReportMetric(float64(took[i][len(took[i])*99/100].Microseconds()), "p99-"+name+"-µs")
				}
				b.ReportMetric(float64(store.deleted.Load())/pruning.Seconds(), "deleted/s")
			})
		}
	}
}

// pushTurn pushes from n goroutines and returns how long each push took.
func pushTurn(b *testing.B, store *sqlite.Store, n, pushes int) []time.Duration {
	b.Helper()
	took := make([]time.Duration, pushes)
	var next atomic.Int64
	var pushing sync.WaitGroup
	for range n {
		pushing.Go(func() {
			for {
				i := next.Add(1) - 1
				if i >= int64(pushes) {
					return
				}
				began := time.Now()
				m := draft
				m.ID, m.Receiver, m.Date = benchIDs.New(began), belfry.UserID(fmt.Sprint(i)), began
				if err := add(context.Background(), store, m); err != nil {
					b.Error(err)
					return
				}
				took[i] = time.Since(began)
			}
		})
	}
	pushing.Wait()
	return took
}

// A prunedStore counts the messages that retention deletes.
type prunedStore struct {
	*sqlite.Store
	deleted atomic.Int64
}

func (s *prunedStore) PruneMessages(ctx context.Context, limits belfry.MessageLimits, step int) (belfry.Pruned, error) {
	pruned, err := s.Store.PruneMessages(ctx, limits, step)
	s.deleted.Add(int64(pruned.Deleted))
	return pruned, err
}

// fill stores n messages for 10,000 users, or fewer, a fifth of them unread, and
// as many activities of their company.
func fill(tb testing.TB, store *sqlite.Store, n int) {
	tb.Helper()
	ctx := context.Background()
	users := min(n, 10_000)
	const chunk = 5000
	for from := 0; from < n; from += chunk {
		var entries belfry.Entries
		for i := from; i < from+chunk; i++ {
			m := draft
			m.ID, m.Date = benchIDs.New(time.Now()), time.Now()
			m.Receiver, m.Company = belfry.UserID(fmt.Sprint(i%users)), "acme"
			m.IsRead, m.Type = from >= n/5, belfry.MessageType(1+i%3)
			entries.Messages = append(entries.Messages, m)
			if i%10 == 0 {
				entries.Activities = append(entries.Activities, belfry.Activity{
					ID: benchIDs.New(time.Now()), Company: "acme", OperatorID: "42", Operator: m.Sender, Title: m.Title, Content: m.Content,
					Date: m.Date, ObjectType: 4, ObjectID: fmt.Sprint(i % 1000),
				})
			}
		}
		if _, err := store.Add(ctx, entries); err != nil {
			tb.Fatal(err)
		}
	}
}

// announce stores n notices to the company.
func announce(tb testing.TB, store *sqlite.Store, n int) {
	tb.Helper()
	for i := range n {
		m := draft
		m.ID, m.Company, m.Date, m.Later = benchIDs.New(time.Now()), "acme", time.Now(), i%2 == 0
		if err := add(context.Background(), store, m); err != nil {
			tb.Fatal(err)
		}
	}
}

// join makes n users members of the company.
func join(tb testing.TB, store *sqlite.Store, n int) {
	tb.Helper()
	since := benchIDs.New(time.Now())
	const chunk = 1000
	for from := 0; from < n; from += chunk {
		users := make([]belfry.UserID, chunk)
		for i := range users {
			users[i] = belfry.UserID(fmt.Sprint(from + i))
		}
		if err := store.AddMembers(context.Background(), "acme", users, since); err != nil {
			tb.Fatal(err)
		}
	}
}

// someone returns another of n members every time.
func someone(i, n int) belfry.Identity {
	return belfry.Identity{User: belfry.UserID(fmt.Sprint(i * 7919 % n)), Company: "acme"}
}

// measure runs f and reports the median and the 99th percentile.
func measure(b *testing.B, f func(i int) error) {
	b.Helper()
	b.ReportAllocs()
	var took []time.Duration
	for i := 0; b.Loop(); i++ {
		began := time.Now()
		if err := f(i); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(began))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1000, "p50-µs")
	b.ReportMetric(float64(took[len(took)*99/100].Nanoseconds())/1000, "p99-µs")
}

// BenchmarkReads measures what a login and a page read, of 10,000 users with
// 50 notices that nobody has read.
func BenchmarkReads(b *testing.B) {
	ctx := context.Background()
	const users = 10_000
	for _, n := range []int{10_000, 1_000_000} {
		store := open(b, b.TempDir())
		join(b, store, users)
		announce(b, store, 50)
		fill(b, store, n)
		last, err := store.Last(ctx)
		if err != nil {
			b.Fatal(err)
		}
		for _, read := range []struct {
			name string
			do   func(who belfry.Identity) error
		}{
			{"Counts", func(who belfry.Identity) error { _, err := store.Counts(ctx, who); return err }},
			{"Inbox20", func(who belfry.Identity) error {
				_, err := store.Inbox(ctx, who, belfry.InboxQuery{Limit: 20})
				return err
			}},
			{"Unread20", func(who belfry.Identity) error {
				_, err := store.Inbox(ctx, who, belfry.InboxQuery{Limit: 20, Unread: true})
				return err
			}},
			{"Archived0", func(who belfry.Identity) error {
				_, err := store.Inbox(ctx, who, belfry.InboxQuery{Limit: 20, Archived: true})
				return err
			}},
			{"Feed20", func(who belfry.Identity) error {
				_, err := store.Feed(ctx, who.Company, belfry.FeedQuery{Limit: 20})
				return err
			}},
			{"FeedOfObject20", func(who belfry.Identity) error {
				_, err := store.Feed(ctx, who.Company, belfry.FeedQuery{Limit: 20, ObjectType: 4, ObjectID: "10"})
				return err
			}},
			{"Undelivered20", func(who belfry.Identity) error { _, err := store.Undelivered(ctx, who, 20); return err }},
			{"Undelivered0", func(who belfry.Identity) error {
				who.Company = "another"
				_, err := store.Undelivered(ctx, who, 20)
				return err
			}},
			{"SinceNothing", func(who belfry.Identity) error { _, _, err := store.Since(ctx, who, last, last, 200); return err }},
			{"Last", func(belfry.Identity) error { _, err := store.Last(ctx); return err }},
			{"NextDue", func(belfry.Identity) error { _, err := store.NextDue(ctx); return err }},
		} {
			b.Run(fmt.Sprintf("messages=%d/%s", n, read.name), func(b *testing.B) {
				measure(b, func(i int) error { return read.do(someone(i, users)) })
			})
		}
	}
}

// BenchmarkNotice measures a notice to a company of a million members, and what
// it costs them.
func BenchmarkNotice(b *testing.B) {
	const members = 1_000_000
	ctx := context.Background()
	store := open(b, b.TempDir())
	join(b, store, members)
	b.Run("Add", func(b *testing.B) {
		measure(b, func(int) error {
			m := draft
			m.ID, m.Company, m.Date, m.CollapseKey = benchIDs.New(time.Now()), "acme", time.Now(), "one"
			return add(ctx, store, m)
		})
	})
	announce(b, store, 50)
	// The notices that were added have replaced each other.
	unread := func(want int) func(i int) error {
		return func(i int) error {
			c, err := store.Counts(ctx, someone(i, members))
			if err == nil && c.Unread != want {
				err = fmt.Errorf("%d are unread, want %d", c.Unread, want)
			}
			return err
		}
	}
	b.Run("Counts", func(b *testing.B) { measure(b, unread(51)) })
	b.Run("ReadAll", func(b *testing.B) {
		measure(b, func(i int) error {
			_, err := store.Mark(ctx, someone(i, members), belfry.Mark{Kind: belfry.RevisionRead, Place: belfry.At(benchIDs.New(time.Now()))})
			return err
		})
	})
	b.Run("CountsAfter", func(b *testing.B) { measure(b, unread(0)) })
}
