package mongo

import (
	"context"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// lookups has all who want the commit of one number share questions. Every reader asks whether there is one after that which
// it began with, and readers come many at a time: when pages come back.
type lookups struct {
	mu     sync.Mutex
	asking map[number]bool    // one is under way
	next   map[number]*lookup // that is asked when the one under way is answered
}

// A lookup is one question, for all who came before it was asked: what was stored before they came, it finds.
type lookup struct {
	answered chan struct{}
	commit   commit // without its ops
	ok       bool
	err      error
}

// sharePatience is how long a reader waits for an answer that it shares. One connection that has broken
// unnoticed must not hold up everybody.
const sharePatience = time.Second

// commitAt returns the commit of a number, without its ops, which is not to be changed.
func (s *Store) commitAt(ctx context.Context, n number) (c commit, ok bool, err error) {
	ask := func(q *lookup) {
		ctx, cancel := context.WithTimeout(context.Background(), opTimeout)
		defer cancel()
		q.commit, q.ok, q.err = s.lookUp(ctx, n) // whoever waits may go away, and the others still want it
	}
	q := s.lookups.join(n, ask)
	patience := time.NewTimer(sharePatience)
	defer patience.Stop()
	select {
	case <-q.answered:
		return q.commit, q.ok, q.err
	case <-patience.C:
		return s.lookUp(ctx, n)
	case <-ctx.Done():
		return commit{}, false, ctx.Err()
	}
}

func (s *Store) lookUp(ctx context.Context, n number) (commit, bool, error) {
	found, err := find[commit](ctx, s.c.commits, bson.D{{Key: "_id", Value: n}},
		options.Find().SetLimit(1).SetProjection(bson.D{{Key: "ops", Value: 0}}))
	if err != nil || len(found) == 0 {
		return commit{}, false, err
	}
	return found[0], true, nil
}

// join returns the next question about a number.
func (l *lookups) join(n number, ask func(*lookup)) *lookup {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := l.next[n]
	if q != nil {
		return q
	}
	q = &lookup{answered: make(chan struct{})}
	if l.next == nil {
		l.next, l.asking = make(map[number]*lookup), make(map[number]bool)
	}
	l.next[n] = q
	if !l.asking[n] {
		l.asking[n] = true
		go l.ask(n, ask)
	}
	return q
}

// ask asks about a number as long as somebody wants to know.
func (l *lookups) ask(n number, ask func(*lookup)) {
	for {
		l.mu.Lock()
		q := l.next[n]
		if q == nil {
			delete(l.asking, n)
			l.mu.Unlock()
			return
		}
		delete(l.next, n)
		l.mu.Unlock()
		ask(q)
		close(q.answered)
	}
}
