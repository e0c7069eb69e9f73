package redis_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"belfry"
	"belfry/redis"
)

// callers is how many call at the same time, where a benchmark has many.
const callers = 64

func openForBenchmark(b *testing.B, prefix string) *redis.Presence {
	c, err := redis.Open(context.Background(), redis.Options{URL: server.URL, Prefix: prefix})
	if err != nil {
		b.Fatal(err)
	}
	p, err := redis.NewPresence(c, redis.PresenceOptions{Lease: time.Hour, Patience: time.Minute,
		PresenceOptions: belfry.PresenceOptions{Grace: -1}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		p.Close()
		c.Close()
	})
	return p
}

// parallel runs the benchmark with many callers, who are numbered from 0 on.
func parallel(b *testing.B, call func(caller, i int)) {
	b.SetParallelism(callers / 2) // with -cpu 2
	var numbers atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		caller := int(numbers.Add(1) - 1)
		for i := 0; pb.Next(); i++ {
			call(caller, i)
		}
	})
}

// BenchmarkJoinLeave is one page that joins and leaves, with 64 callers.
func BenchmarkJoinLeave(b *testing.B) {
	memory := belfry.NewMemoryPresence(belfry.PresenceOptions{Grace: -1})
	b.Cleanup(memory.Close)
	closed := openForBenchmark(b, newPrefix()) // counts by itself
	closed.Close()
	for _, p := range []struct {
		name     string
		presence belfry.Presence
	}{{"memory", memory}, {"redis closed", closed}, {"redis", openForBenchmark(b, newPrefix())}} {
		b.Run(p.name, func(b *testing.B) {
			parallel(b, func(caller, i int) {
				who := belfry.Identity{User: belfry.UserID(fmt.Sprint(caller)), Company: belfry.CompanyID(fmt.Sprint(caller % 8))}
				page := fmt.Sprint(i)
				p.presence.Join(context.Background(), who, page)
				p.presence.Leave(context.Background(), who, page)
			})
		})
	}
}

// BenchmarkJoin is a user who joins, with one caller and with 64.
func BenchmarkJoin(b *testing.B) {
	join := func(p *redis.Presence, caller, i int) {
		who := belfry.Identity{User: belfry.UserID(fmt.Sprint(caller, "-", i%500)), Company: belfry.CompanyID(fmt.Sprint(caller))}
		if _, err := p.Join(context.Background(), who, fmt.Sprint(i)); err != nil {
			b.Error(err)
		}
		if i >= 500 {
			who.User = belfry.UserID(fmt.Sprint(caller, "-", (i-500)%500))
			p.Leave(context.Background(), who, fmt.Sprint(i-500))
		}
	}
	b.Run("1", func(b *testing.B) {
		p := openForBenchmark(b, newPrefix())
		for i := 0; b.Loop(); i++ {
			join(p, 0, i)
		}
	})
	b.Run("64", func(b *testing.B) {
		p := openForBenchmark(b, newPrefix())
		parallel(b, func(caller, i int) { join(p, caller, i) })
	})
}

// BenchmarkPagesOf is a push's question, with one caller and with 64. The pages are on another node.
func BenchmarkPagesOf(b *testing.B) {
	prefix := newPrefix()
	p, other := openForBenchmark(b, prefix), openForBenchmark(b, prefix)
	for i := range 1000 {
		other.Join(context.Background(), belfry.Identity{User: belfry.UserID(fmt.Sprint(i)), Company: "acme"}, fmt.Sprint(i))
	}
	ask := func(b *testing.B, i int) {
		if pages, err := p.PagesOf(context.Background(), belfry.UserID(fmt.Sprint(i%1000))); err != nil || len(pages) != 1 {
			b.Error(pages, err)
		}
	}
	b.Run("1", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			ask(b, i)
		}
	})
	b.Run("64", func(b *testing.B) { parallel(b, func(_, i int) { ask(b, i) }) })
}

// BenchmarkBeat is what a beat does for 10,000 companies, all at once, where it takes a third of a lease.
func BenchmarkBeat(b *testing.B) {
	p := openForBenchmark(b, newPrefix())
	const companies = 10_000
	joined := make(chan struct{}, callers)
	for i := range companies {
		joined <- struct{}{}
		go func() {
			p.Join(context.Background(), belfry.Identity{User: belfry.UserID(fmt.Sprint(i)), Company: belfry.CompanyID(fmt.Sprint(i))}, "p")
			<-joined
		}()
	}
	for range callers {
		joined <- struct{}{}
	}
	for b.Loop() {
		p.Beat()
	}
}
