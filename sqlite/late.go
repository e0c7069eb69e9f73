package sqlite

import (
	"context"
	"slices"

	"belfry"
	"belfry/internal/storage"
)

const sqlMarkHeard = `UPDATE members SET heard = ?3 WHERE receiver = ?1 AND company = ?2 AND heard < ?3`

// writeLate returns a write that records some of the deliveries that are to be recorded now, or nil if there
// are none.
func (w *writer) writeLate() *write {
	deliveries := w.late.Take(maxLate)
	if len(deliveries) == 0 {
		return nil
	}
	return &write{
		ctx:    context.Background(),
		rows:   len(deliveries),
		run:    func(b *batch) error { return b.record(deliveries) },
		answer: func(err error) { w.late.Settle(deliveries, err) },
	}
}

func (b *batch) record(deliveries []storage.Delivery) error {
	for i := range deliveries {
		d := &deliveries[i]
		var err error
		if d.Notices {
			_, err = b.exec(sqlMarkHeard, string(d.Who.User), string(d.Who.Company), d.ID[:])
		} else {
			_, err = b.exec(sqlWaitNoMore, string(d.Who.User), d.ID[:])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// MarkDelivered implements [belfry.MarkStore]. What is fresh is so no longer, and there is
// nothing to record. Other ids are kept in memory, where Undelivered finds them, until the writer records them
// within half a second.
func (s *Store) MarkDelivered(ctx context.Context, receiver belfry.UserID, ids []belfry.ID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ids = slices.DeleteFunc(slices.Clone(ids), func(id belfry.ID) bool { return s.unsettled.deliver(receiver, id) })
	if len(ids) == 0 {
		return nil
	}
	return s.late.Add(storage.Hearer{Who: belfry.Identity{User: receiver}}, ids...)
}

// RecordDelivered implements [belfry.MarkStore]. There is no other process, and nobody asks.
func (s *Store) RecordDelivered(context.Context, belfry.UserID) error { return nil }

// MarkHeard implements [belfry.MemberStore], as MarkDelivered does.
func (s *Store) MarkHeard(ctx context.Context, who belfry.Identity, place belfry.ID) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return s.late.Add(storage.Hearer{Who: who, Notices: true}, place)
}
