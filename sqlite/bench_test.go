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

// A countingEmitter has a page for everybody.
type countingEmitter struct{ events atomic.Int64 }

func (e *countingEmitter) Emit(belfry.Envelope) int {
	e.events.Add(1)
	return 1
}

// draft is a message of the usual size.
var draft = belfry.Message{
	SenderID: "42", Sender: "王五", Portrait: "/img/42.png", Title: "创建了新任务",
	Content: "请在周五之前检查新的首页设计,并把意见写在任务的评论里。", URL: "/task/view?taskID=4711", Type: 3,
}

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
			ids := belfry.NewIDSource()
			b.ReportAllocs()
			parallel(b, n, func(i int64) error {
				m := draft
				m.ID, m.Receiver, m.Date = ids.New(time.Now()), belfry.UserID(fmt.Sprint(i%10_000)), time.Now()
				return store.AddMessages(context.Background(), []belfry.Message{m})
			})
		})
	}
}

// BenchmarkServicePush measures the way of a message from the rules through the
// database to an emitter, with every receiver online.
func BenchmarkServicePush(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprintf("goroutines=%d", n), func(b *testing.B) {
			emitter := &countingEmitter{}
			service := belfry.NewService(belfry.ServiceOptions{
				Store:  open(b, b.TempDir()),
				Broker: belfry.NewMemoryBroker(emitter),
			})
			b.Cleanup(service.Close)
			b.ReportAllocs()
			parallel(b, n, func(i int64) error {
				_, err := service.PushMessage(context.Background(), draft,
					[]belfry.UserID{belfry.UserID(fmt.Sprint(i % 10_000))}, belfry.PushOptions{})
				return err
			})
			if got := emitter.events.Load(); got != int64(b.N) {
				b.Errorf("%d events, want %d", got, b.N)
			}
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
				service := belfry.NewService(belfry.ServiceOptions{
					Store:  store,
					Broker: belfry.NewMemoryBroker(&countingEmitter{}),
				})
				b.Cleanup(service.Close)
				const turn = 500 // pushes
				var took [2][]time.Duration
				var pruning time.Duration
				b.ResetTimer()
				for i := 0; i*turn < b.N; i++ {
					began := time.Now()
					if i%2 == 0 {
						took[0] = append(took[0], pushTurn(b, service, n, turn)...)
						continue
					}
					janitor := belfry.NewJanitor(belfry.JanitorOptions{Store: store, Retention: retention})
					took[1] = append(took[1], pushTurn(b, service, n, turn)...)
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
func pushTurn(b *testing.B, service *belfry.Service, n, pushes int) []time.Duration {
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
				_, err := service.PushMessage(context.Background(), draft,
					[]belfry.UserID{belfry.UserID(fmt.Sprint(i))}, belfry.PushOptions{})
				if err != nil {
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

func (s *prunedStore) PruneMessages(ctx context.Context, limits belfry.MessageLimits, step int) (int, bool, error) {
	n, more, err := s.Store.PruneMessages(ctx, limits, step)
	s.deleted.Add(int64(n))
	return n, more, err
}

// fill stores n messages for n/100 users, a fifth of them unread.
func fill(tb testing.TB, store *sqlite.Store, n int) {
	tb.Helper()
	ctx := context.Background()
	ids := belfry.NewIDSource()
	const chunk = 5000
	for from := 0; from < n; from += chunk {
		batch := make([]belfry.Message, chunk)
		for i := range batch {
			m := draft
			m.ID, m.Date = ids.New(time.Now()), time.Now()
			m.Receiver, m.Company = belfry.UserID(fmt.Sprint((from+i)%(n/100))), "acme"
			m.IsRead, m.Type = from >= n/5, belfry.MessageType(1+i%3)
			batch[i] = m
		}
		if err := store.AddMessages(ctx, batch); err != nil {
			tb.Fatal(err)
		}
	}
}

// BenchmarkReads measures what a login reads, from a million messages.
func BenchmarkReads(b *testing.B) {
	const n = 1_000_000
	store := open(b, b.TempDir())
	fill(b, store, n)
	ctx := context.Background()
	who := func(i int) belfry.Identity {
		return belfry.Identity{User: belfry.UserID(fmt.Sprint(i * 7919 % (n / 100))), Company: "acme"}
	}
	for name, read := range map[string]func(who belfry.Identity) error{
		"Counts":        func(who belfry.Identity) error { _, err := store.Counts(ctx, who); return err },
		"Inbox20":       func(who belfry.Identity) error { _, err := store.Inbox(ctx, who, belfry.ID{}, 20); return err },
		"Undelivered20": func(who belfry.Identity) error { _, err := store.Undelivered(ctx, who, 20); return err },
		"Undelivered0": func(who belfry.Identity) error {
			who.Company = "another"
			_, err := store.Undelivered(ctx, who, 20)
			return err
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if err := read(who(i)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
