package mongo

import (
	"context"
	"sync"

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

// commitAt returns the commit of a number, without its ops, which is not to be changed.
func (s *Store) commitAt(ctx context.Context, n number) (c commit, ok bool, err error) {
	q := s.lookups.join(n, s.lookUp)
	select {
	case <-q.answered:
		return q.commit, q.ok, q.err
	case <-ctx.Done():
		return commit{}, false, ctx.Err()
	}
}

// lookUp asks. Whoever waits for the answer may go away, and the others still want it.
func (s *Store) lookUp(n number, q *lookup) {
	ctx, cancel := context.WithTimeout(context.Background(), opTimeout)
	defer cancel()
	found, err := find[commit](ctx, s.c.commits, bson.D{{Key: "_id", Value: n}},
		options.Find().SetLimit(1).SetProjection(bson.D{{Key: "ops", Value: 0}}))
	if q.err = err; len(found) > 0 {
		q.commit, q.ok = found[0], true
	}
}

// join returns the next question about a number.
func (l *lookups) join(n number, ask func(number, *lookup)) *lookup {
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
func (l *lookups) ask(n number, ask func(number, *lookup)) {
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
		ask(n, q)
		close(q.answered)
	}
}
