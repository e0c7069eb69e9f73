package sqlite

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"belfry"
)

// A factMaker makes the facts of pushes: a message is stored, sent and acked at
// once, and an older one is read.
type factMaker struct {
	n   uint32
	now time.Time
}

func (m *factMaker) next() belfry.Fact {
	n := m.n
	m.n++
	about := n / 4
	if n%4 == 3 {
		about -= min(about, rand.Uint32N(20_000))
	}
	var id belfry.ID
	binary.BigEndian.PutUint32(id[:], 1_800_000_000+about/1000)
	binary.BigEndian.PutUint32(id[8:], about)
	return belfry.Fact{
		At: m.now, Kind: []belfry.FactKind{belfry.FactStored, belfry.FactSent, belfry.FactAcked, belfry.FactRead}[n%4],
		Message: id, User: users[about%uint32(len(users))], Company: "42", Page: "zRk3L0qkT5mV2Xb7",
	}
}

var users = func() (ids []belfry.UserID) {
	for i := range 5000 {
		ids = append(ids, belfry.UserID(fmt.Sprint(1000+i)))
	}
	return ids
}()

// cpu returns what the process has used.
func cpu(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkJournalWrite measures what a fact costs from Note until it is written
// and another one has made room for it, in a journal that is full.
func BenchmarkJournalWrite(b *testing.B) {
	for _, batch := range []int{1, 10, journalBatch} {
		b.Run(fmt.Sprintf("batch=%d", batch), func(b *testing.B) {
			dir := b.TempDir()
			j := startJournal(b, dir, JournalOptions{Rows: 200_000})
			facts := &factMaker{now: time.Now()}
			write := func(n, batch int) {
				for i := range n {
					j.Note(facts.next())
					if (i+1)%batch == 0 || i == n-1 {
						settle(b, j)
					}
				}
			}
			write(250_000, journalBatch)
			before := cpu(b)
			b.ReportAllocs()
			b.ResetTimer()
			write(b.N, batch)
			b.StopTimer()
			b.ReportMetric(float64((cpu(b)-before).Nanoseconds())/float64(b.N), "cpu-ns/fact")
			info, err := os.Stat(filepath.Join(dir, journalName))
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(info.Size())/200_000, "file-B/fact")
			if n := j.Dropped(); n != 0 {
				b.Errorf("%d facts were dropped", n)
			}
		})
	}
}

// settle returns when what was noted is written, without a search.
func settle(b *testing.B, j *Journal) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	q := &journalQuestion{ctx: ctx, answer: make(chan error, 1)}
	j.mu.Lock()
	j.asked = append(j.asked, q)
	j.mu.Unlock()
	j.nudge()
	if err := <-q.answer; !errors.Is(err, context.Canceled) {
		b.Fatal(err)
	}
}

// BenchmarkJournalNote measures what whoever notes a fact waits for while there is
// room, through the port as all do who note.
func BenchmarkJournalNote(b *testing.B) {
	for _, n := range []int{1, 4, 64} {
		b.Run(fmt.Sprintf("goroutines=%d", n), func(b *testing.B) {
			j := startJournal(b, b.TempDir(), JournalOptions{})
			var port belfry.Journal = j
			fact := (&factMaker{now: time.Now()}).next()
			b.ReportAllocs()
			for left := b.N; left > 0; {
				round := min(left, maxQueued/2)
				left -= round
				var noting sync.WaitGroup
				for g := range n {
					noting.Go(func() {
						for range round/n + (n-1-g+round%n)/n {
							port.Note(fact)
						}
					})
				}
				noting.Wait()
				b.StopTimer()
				settle(b, j)
				b.StartTimer()
			}
			if n := j.Dropped(); n != 0 {
				b.Errorf("%d facts were dropped", n)
			}
		})
	}
}

// BenchmarkJournalStory measures a look-up in a journal that is full.
func BenchmarkJournalStory(b *testing.B) {
	j := startJournal(b, b.TempDir(), JournalOptions{})
	facts := &factMaker{now: time.Now()}
	for range 1_000_000 / journalBatch {
		for range journalBatch {
			j.Note(facts.next())
		}
		settle(b, j)
	}
	about := (&factMaker{n: 2_000_000 / 4, now: facts.now}).next()
	b.ReportAllocs()
	for b.Loop() {
		found, err := j.Story(context.Background(), about.Message, about.User, 100)
		if err != nil || len(found) < 3 {
			b.Fatalf("%d facts, %v", len(found), err)
		}
	}
}
