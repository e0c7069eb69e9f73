package sqlite

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"math"
	"slices"
	"time"

	"belfry"
)

// A foundFact has the place of its noting, which orders facts of one millisecond.
type foundFact struct {
	belfry.Fact
	generation int64
	number     int
}

func compareFound(a, b foundFact) int {
	return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.generation, b.generation), cmp.Compare(a.number, b.number))
}

// A factSearch says which facts are sought, and gathers them.
type factSearch struct {
	keys   []key
	timed  bool // whether from and until count
	from   time.Time
	until  time.Time
	limit  int
	newest bool // of more than limit, the newest stay and not the oldest
	found  []foundFact
}

// take adds the entry's fact if it is sought and has one of the keys.
func (s *factSearch) take(e entry, generation int64, keys ...key) error {
	if !slices.ContainsFunc(keys, func(k key) bool { return bytes.Equal(k, e.key) }) {
		return nil
	}
	f, n, err := e.fact()
	if err != nil {
		return err
	}
	if s.timed && (f.At.Before(s.from) || !f.At.Before(s.until)) {
		return nil
	}
	s.found = append(s.found, foundFact{Fact: f, generation: generation, number: n})
	// However many there are, few are held at a time.
	if len(s.found) >= 2*s.limit+1024 {
		s.sort()
	}
	return nil
}

// sort brings what was found into its order and forgets what is beyond the limit.
func (s *factSearch) sort() {
	slices.SortFunc(s.found, compareFound)
	over := len(s.found) - s.limit
	switch {
	case over <= 0:
	case s.newest:
		s.found = slices.Delete(s.found, 0, over)
	default:
		s.found = slices.Delete(s.found, s.limit, len(s.found))
	}
}

// facts returns the result.
func (s *factSearch) facts() []belfry.Fact {
	s.sort()
	facts := make([]belfry.Fact, len(s.found))
	for i := range s.found {
		facts[i] = s.found[i].Fact
	}
	return facts
}

// search looks through all that is written. It stops between generations when ctx
// ends.
func (f *journalFile) search(ctx context.Context, s *factSearch) error {
	// A query that is interrupted might cost the connection, and none is long.
	quiet := context.WithoutCancel(ctx)
	for _, g := range f.content.generations {
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, k := range s.keys {
			if err := f.searchGeneration(quiet, s, g.id, k); err != nil {
				return err
			}
		}
	}
	return f.eachBatch(quiet, func(body []byte) error {
		return eachEntry(body, func(e entry) error { return s.take(e, math.MaxInt64, s.keys...) })
	})
}

// searchGeneration takes the facts that have the key k. They may begin in the
// middle of a block that begins with a lower key, and go on in blocks that begin
// with k.
func (f *journalFile) searchGeneration(ctx context.Context, s *factSearch, generation int64, k key) error {
	for _, stmt := range []*sql.Stmt{f.blockBefore, f.blocksAt} {
		rows, err := stmt.QueryContext(ctx, generation, []byte(k))
		if err != nil {
			return err
		}
		err = eachBody(rows, func(body []byte) error {
			return eachEntry(body, func(e entry) error { return s.take(e, generation, k) })
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// eachBatch calls f for the batches of the open generation, in their order.
func (f *journalFile) eachBatch(ctx context.Context, do func(body []byte) error) error {
	rows, err := f.conn.QueryContext(ctx, "SELECT body FROM batches ORDER BY id")
	if err != nil {
		return err
	}
	return eachBody(rows, do)
}

// eachBody calls do for every row. body is valid during the call.
func eachBody(rows *sql.Rows, do func(body []byte) error) error {
	defer rows.Close()
	for rows.Next() {
		var body sql.RawBytes
		if err := rows.Scan(&body); err != nil {
			return err
		}
		if err := do(body); err != nil {
			return err
		}
	}
	return rows.Err()
}
