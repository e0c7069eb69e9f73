package sqlite_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"belfry"
)

// A countingEmitter is an emitter whose envelopes all reach one page.
type countingEmitter struct{ events atomic.Int64 }

func (*countingEmitter) Pace() {}

func (e *countingEmitter) Emit(belfry.Envelope) (pages int) {
	e.events.Add(1)
	return 1
}

// A lonePage is a page that takes everything.
type lonePage struct{ id string }

func (p lonePage) ID() string    { return p.id }
func (lonePage) Join(...string)  {}
func (lonePage) Leave(...string) {}
func (lonePage) Hold()           {}
func (lonePage) Release()        {}
func (lonePage) Drop()           {}
func (lonePage) Pace() bool      { return true }

func (lonePage) Emit(string, belfry.Cursor, ...any) bool { return true }

// BenchmarkServicePush measures the way of a message from the rules through the
// database to an emitter. Receivers who are online get it with counts after it.
func BenchmarkServicePush(b *testing.B) {
	const users = 10_000
	for _, online := range []bool{false, true} {
		for _, n := range []int{1, 64} {
			b.Run(fmt.Sprintf("online=%t/goroutines=%d", online, n), func(b *testing.B) {
				emitter := &countingEmitter{}
				service, err := belfry.NewService(context.Background(), belfry.ServiceOptions{
					Store:  open(b, b.TempDir()),
					Broker: belfry.NewMemoryBroker(emitter),
				})
				if err != nil {
					b.Fatal(err)
				}
				b.Cleanup(service.Close)
				for i := range users {
					if !online {
						break
					}
					id := fmt.Sprint(i)
					who := belfry.Identity{User: belfry.UserID(id), Company: "acme"}
					if _, err := service.Login(context.Background(), who, lonePage{id}, belfry.LoginOptions{Trusted: true}); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportAllocs()
				b.ResetTimer()
				parallel(b, n, func(i int64) error {
					_, err := service.PushMessage(context.Background(), belfry.Push{
						Message: belfry.Message{
							Company: "acme", SenderID: "5", Sender: "Lin Mei", Type: belfry.OperationNotice,
							Title: "A task was assigned to you", Content: "Please review the home page until Friday.", URL: "/tasks/7",
						},
						Receivers: []belfry.UserID{belfry.UserID(fmt.Sprint(i % users))},
					}, nil)
					return err
				})
			})
		}
	}
}

// BenchmarkServicePushList measures messages to many receivers in one call: a thousand of ten thousand users.
func BenchmarkServicePushList(b *testing.B) {
	const users, receivers = 10_000, 1000
	all := make([]belfry.UserID, users)
	for i := range all {
		all[i] = belfry.UserID(fmt.Sprint(i))
	}
	for _, n := range []int{1, 8} {
		b.Run(fmt.Sprintf("goroutines=%d", n), func(b *testing.B) {
			service, err := belfry.NewService(context.Background(), belfry.ServiceOptions{
				Store:  open(b, b.TempDir()),
				Broker: belfry.NewMemoryBroker(&countingEmitter{}),
			})
			if err != nil {
				b.Fatal(err)
			}
			b.Cleanup(service.Close)
			b.ReportAllocs()
			b.ResetTimer()
			parallel(b, n, func(i int64) error {
				from := int(i) * receivers % users
				_, err := service.PushMessage(context.Background(), belfry.Push{
					Message: belfry.Message{
						Company: "acme", SenderID: "5", Sender: "Lin Mei", Type: belfry.OperationNotice,
						Title: "A task was assigned to you", Content: "Please review the home page until Friday.", URL: "/tasks/7",
					},
					Receivers: all[from : from+receivers],
				}, nil)
				return err
			})
			b.ReportMetric(float64(b.N*receivers)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}
