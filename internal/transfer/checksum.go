package transfer

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"belfry"
)

// A Sum is the number of some records and a checksum that does not depend on their order.
type Sum struct {
	Records int64
	lanes   [4]uint64
}

// String returns number and checksum.
func (s Sum) String() string {
	return fmt.Sprintf("%d records, checksum %016x%016x%016x%016x", s.Records, s.lanes[0], s.lanes[1], s.lanes[2], s.lanes[3])
}

// add counts a record. Sums of hashes, rather than their exclusive or, also tell what is there twice.
func (s *Sum) add(e *encoder, r Record) {
	e.b = e.b[:0]
	r.encode(e)
	hash := sha256.Sum256(e.b)
	for i := range s.lanes {
		s.lanes[i] += binary.BigEndian.Uint64(hash[8*i:])
	}
	s.Records++
}

// SumOf reads all records of a kind. It calls read after each page with how many that had.
func SumOf(ctx context.Context, s Store, kind Kind, read func(n int)) (Sum, error) {
	var sum Sum
	var e encoder
	err := each(ctx, s, kind, "", func(records []Record, _ string) error {
		for _, r := range records {
			sum.add(&e, r)
		}
		read(len(records))
		return nil
	})
	return sum, err
}

// An encoder writes values such that no two sequences of them look the same.
type encoder struct{ b []byte }

func (e *encoder) id(id belfry.ID)  { e.b = append(e.b, id[:]...) }
func (e *encoder) number(n int64)   { e.b = binary.BigEndian.AppendUint64(e.b, uint64(n)) }
func (e *encoder) text(text string) { e.number(int64(len(text))); e.b = append(e.b, text...) }

func (e *encoder) flag(b bool) {
	if b {
		e.b = append(e.b, 1)
		return
	}
	e.b = append(e.b, 0)
}

// optional tells nil from what is empty.
func (e *encoder) optional(data []byte) {
	e.flag(data != nil)
	e.text(string(data))
}

// moment writes milliseconds, and 0 for the zero time. What is before 1970 is past anyway.
func (e *encoder) moment(t time.Time) {
	if t.IsZero() {
		e.number(0)
		return
	}
	e.number(max(1, t.UnixMilli()))
}
