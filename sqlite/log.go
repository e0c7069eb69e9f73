package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"slices"

	"belfry"
)

const (
	// Steps of one Expire share their place.
	sqlRevise = `INSERT INTO revisions (owner, company, place, kind, type, ids) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT DO UPDATE SET ids = CAST(ids || excluded.ids AS BLOB)`

	sqlRaiseFloor = `INSERT INTO floors (owner, place) VALUES (?, ?)
		ON CONFLICT DO UPDATE SET place = excluded.place WHERE excluded.place > place`

	sqlFloor = `SELECT max(place) FROM floors WHERE owner IN ('', ?)`

	sinceActivities = `SELECT ` + activityColumns + ` FROM activities
		WHERE company = ? AND id > ? AND id <= ? ORDER BY id LIMIT ?`

	revisionColumns = `SELECT place, company, kind, type, ids FROM revisions WHERE `
	revisionRange   = ` AND place > ?3 AND place <= ?4 `
	sinceRevisions  = revisionColumns + `owner = ?1 AND company = ''` + revisionRange +
		`UNION ALL ` + revisionColumns + `owner = ?1 AND company = ?2 AND ?2 <> ''` + revisionRange +
		`UNION ALL ` + revisionColumns + `owner = '' AND company = ''` + revisionRange +
		`UNION ALL ` + revisionColumns + `owner = '' AND company = ?2 AND ?2 <> ''` + revisionRange +
		`ORDER BY 1, 3 LIMIT ?5`

	// A message that the identity sees, by its id.
	sinceEdited = `SELECT ` + messageColumns + ` FROM messages WHERE receiver = ?1 AND id = ?3 AND company IN ('', ?2)
		UNION ALL
		SELECT ` + noticeColumns + ` FROM notices n INDEXED BY notices_age` + joinMark + `
		WHERE n.id = ?3 AND (n.replaced = 0 OR k.id IS NOT NULL) AND ` + seenByIdentity

	// The floor was a place in the log: an answer that is lower would never do to
	// catch up from. Up to where it is settled what waits was one, too.
	sqlLast = `SELECT max(
		coalesce((SELECT max(id) FROM messages INDEXED BY messages_age), x''),
		coalesce((SELECT max(id) FROM notices INDEXED BY notices_age), x''),
		coalesce((SELECT max(id) FROM activities INDEXED BY activities_age), x''),
		coalesce((SELECT max(place) FROM revisions INDEXED BY revisions_age), x''),
		coalesce((SELECT max(id) FROM scheduled), x''),
		(SELECT settled FROM changes),
		coalesce((SELECT place FROM floors WHERE owner = ''), x'000000000000000000000000'))`

	sqlOldRevisions = `SELECT owner, company, place, kind FROM revisions INDEXED BY revisions_age
		WHERE place < ? ORDER BY place LIMIT ?`
	sqlDeleteRevision = `DELETE FROM revisions WHERE owner = ? AND company = ? AND place = ? AND kind = ?`
)

var sinceMessages = `SELECT ` + messageColumns + ` FROM messages
	WHERE receiver = ?1 AND company IN ('', ?2) AND id > ?3 AND id <= ?4
	UNION ALL ` + noticesInOrder(`?3`, `n.id <= ?4`) + `
	ORDER BY 2 LIMIT ?5`

// A revision is a row of the log. Of notices, owner is empty.
type revision struct {
	owner       belfry.UserID
	company     belfry.CompanyID
	place       belfry.ID
	kind        belfry.RevisionKind
	messageType belfry.MessageType
	ids         []belfry.ID // nil is all
}

func (b *batch) revise(r revision) error {
	var ids any
	if r.ids != nil {
		ids = encodeIDs(r.ids)
	}
	_, err := b.exec(sqlRevise, string(r.owner), string(r.company), r.place[:], int64(r.kind), int64(r.messageType), ids)
	return err
}

// raiseFloor says that the log of a user, or of everybody, no longer has what is
// at a place or below.
func (b *batch) raiseFloor(owner string, place []byte) error {
	_, err := b.exec(sqlRaiseFloor, owner, place)
	return err
}

// Since implements [belfry.LogStore]. Revisions of what is no longer there to be
// shown as edited count for the limit.
func (s *Store) Since(ctx context.Context, who belfry.Identity, after, until belfry.ID, limit int) ([]belfry.LogEntry, bool, error) {
	var entries []belfry.LogEntry
	complete := false
	err := s.snapshot(ctx, []string{sqlFloor, sinceRevisions, sinceMessages, sinceActivities, sinceEdited}, func(at snapshot) (err error) {
		entries, complete, err = at.since(who, after, until, limit)
		return err
	})
	if err != nil || !complete {
		return nil, false, err
	}
	return entries, true, nil
}

func (s snapshot) since(who belfry.Identity, after, until belfry.ID, limit int) ([]belfry.LogEntry, bool, error) {
	var floor []byte
	err := s.read(sqlFloor, []any{string(who.User)}, func(rows *sql.Rows) error { return rows.Scan(&floor) })
	if err != nil || bytes.Compare(after[:], floor) < 0 {
		return nil, false, err
	}
	var (
		revisions  []belfry.Revision
		messages   []belfry.Message
		activities []belfry.Activity
		most       = limit + 1
	)
	err = s.read(sinceRevisions, []any{string(who.User), string(who.Company), after[:], until[:], most}, appendRevision(&revisions))
	if err != nil || len(revisions) > limit {
		return nil, false, err
	}
	err = s.read(sinceMessages, []any{string(who.User), string(who.Company), after[:], until[:], most}, appendMessage(&messages))
	if err != nil || len(revisions)+len(messages) > limit {
		return nil, false, err
	}
	err = s.read(sinceActivities, []any{string(who.Company), after[:], until[:], most}, appendActivity(&activities))
	if err != nil || len(revisions)+len(messages)+len(activities) > limit {
		return nil, false, err
	}
	entries, err := s.revised(who, revisions)
	if err != nil {
		return nil, false, err
	}
	for i := range messages {
		entries = append(entries, belfry.LogEntry{Place: messages[i].ID, Message: &messages[i]})
	}
	for i := range activities {
		entries = append(entries, belfry.LogEntry{Place: activities[i].ID, Activity: &activities[i]})
	}
	// Revisions are first, and stay so at their place.
	slices.SortStableFunc(entries, func(a, b belfry.LogEntry) int { return bytes.Compare(a.Place[:], b.Place[:]) })
	return entries, true, nil
}

// revised makes entries of revisions. Those that edited a message bring it along,
// unless it is gone or the identity does not see it.
func (s snapshot) revised(who belfry.Identity, revisions []belfry.Revision) ([]belfry.LogEntry, error) {
	entries := make([]belfry.LogEntry, 0, len(revisions))
	for i := range revisions {
		r := &revisions[i]
		if r.Kind != belfry.RevisionEdited {
			entries = append(entries, belfry.LogEntry{Place: r.Place, Revision: r})
			continue
		}
		for j, id := range r.IDs {
			var edited []belfry.Message
			err := s.read(sinceEdited, []any{string(who.User), string(who.Company), id[:]}, appendMessage(&edited))
			if err != nil {
				return nil, err
			}
			if len(edited) > 0 {
				one := *r
				one.IDs = r.IDs[j : j+1 : j+1]
				entries = append(entries, belfry.LogEntry{Place: r.Place, Revision: &one, Edited: &edited[0]})
			}
		}
	}
	return entries, nil
}

// appendRevision returns what appends a row to revisions.
func appendRevision(revisions *[]belfry.Revision) func(*sql.Rows) error {
	return func(rows *sql.Rows) error {
		var (
			r          belfry.Revision
			place, ids sql.RawBytes
		)
		err := rows.Scan(&place, (*string)(&r.Company), &r.Kind, &r.Type, &ids)
		if err != nil {
			return err
		}
		if ids != nil {
			if r.IDs, err = decodeIDs(ids); err != nil {
				return err
			}
		}
		*revisions = append(*revisions, r)
		return scanID(place, &(*revisions)[len(*revisions)-1].Place)
	}
}

// Last implements [belfry.LogStore]. What retention has deleted had places, too.
func (s *Store) Last(ctx context.Context) (belfry.ID, error) {
	var last []belfry.ID
	if err := s.read(ctx, sqlLast, nil, appendID(&last)); err != nil {
		return belfry.ID{}, err
	}
	return last[0], nil
}

// Concerned implements [belfry.LogStore]. No other process stores anything, so it is never asked, and knows nothing.
func (s *Store) Concerned(context.Context, belfry.ID) ([]belfry.Identity, bool, error) {
	return nil, false, nil
}

// PruneRevisions implements [belfry.LogStore].
func (s *Store) PruneRevisions(ctx context.Context, before belfry.ID, step int) (deleted int, err error) {
	type key struct {
		owner, company string
		place          []byte
		kind           int64
	}
	var keys []key
	err = s.read(ctx, sqlOldRevisions, []any{before[:], step}, func(rows *sql.Rows) error {
		var k key
		err := rows.Scan(&k.owner, &k.company, &k.place, &k.kind)
		keys = append(keys, k)
		return err
	})
	if err != nil || len(keys) == 0 {
		return 0, err
	}
	err = s.writer.do(ctx, len(keys), func(b *batch) error {
		deleted = 0
		for _, k := range keys {
			n, err := b.exec(sqlDeleteRevision, k.owner, k.company, k.place, k.kind)
			if err != nil {
				return err
			}
			deleted += int(n)
		}
		return b.raiseFloor("", keys[len(keys)-1].place)
	})
	if err != nil {
		return 0, portError(ctx, err)
	}
	return deleted, nil
}
