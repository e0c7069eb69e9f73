package sqlite

import (
	"context"
	"database/sql"
	"sync"

	"belfry"
	"belfry/internal/storage"
)

// What to delete is looked for by readers, so that the writer spends time on
// nothing but deleting. What was beyond a limit then still is when the writer
// comes to it: rows that are added in between only push it further out.
const (
	// Of messages and notices together. owner is the user or the company.
	oldestMessages = `SELECT receiver AS owner, id, 0 FROM messages INDEXED BY messages_age WHERE id < ?1
		UNION ALL
		SELECT company, id, 1 FROM notices INDEXED BY notices_age WHERE id < ?1
		ORDER BY 2 `

	sqlOldMessages = oldestMessages + `LIMIT ?2`

	// The number of rows and the rows are of one snapshot. A negative limit
	// would be none.
	sqlSurplusMessages = oldestMessages + `LIMIT max(0, min(?2, (SELECT messages FROM changes) - ?3))`

	sqlSurplusOfUser = `SELECT receiver, id, 0
		FROM messages
		WHERE receiver = ?1 AND id <= (
			SELECT id FROM messages WHERE receiver = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)
		ORDER BY id LIMIT ?3`

	sqlNextUser = `SELECT receiver FROM messages WHERE receiver > ? ORDER BY receiver LIMIT 1`

	sqlOldActivities = `SELECT company, id, 0
		FROM activities INDEXED BY activities_age
		WHERE id < ? ORDER BY id LIMIT ?`

	sqlSurplusActivities = `SELECT company, id, 0
		FROM activities INDEXED BY activities_age
		WHERE id < ? ORDER BY id
		LIMIT max(0, min(?, (SELECT activities FROM changes) - ?))`

	// They return whether nobody has it unread.
	sqlDeleteMessage  = `DELETE FROM messages` + byPrimaryKey + `WHERE receiver = ? AND id = ? RETURNING is_read`
	sqlDeleteNotice   = `DELETE FROM notices INDEXED BY notices_age WHERE company = ? AND id = ? RETURNING replaced`
	sqlDeleteActivity = `DELETE FROM activities WHERE company = ? AND id = ?`

	// By how much the kept numbers are wrong: of one snapshot, and therefore still
	// right when it is written.
	sqlDrift = `SELECT (SELECT count(*) FROM messages) + (SELECT count(*) FROM notices) - messages,
		(SELECT count(*) FROM activities) - activities FROM changes`
)

// maxUsersPerStep bounds the users that one step looks at.
const maxUsersPerStep = 100

// A rowKey is the primary key of a message or an activity, or what a notice is
// found by.
type rowKey struct {
	owner  string // the receiver or the company
	id     []byte
	notice bool
}

// A pruner is what retention remembers between its steps.
type pruner struct {
	mu      sync.Mutex // held for a whole step
	healed  bool       // the kept numbers of rows have been checked
	inboxes storage.Suspects
}

// PruneMessages implements [belfry.MessageStore]. One step enforces one limit.
// Rows are messages and notices together.
func (s *Store) PruneMessages(ctx context.Context, limits belfry.MessageLimits, step int) (belfry.Pruned, error) {
	s.pruner.mu.Lock()
	defer s.pruner.mu.Unlock()
	step = min(step, belfry.MaxPruneStep)
	pruned, err := s.pruneOldest(ctx, oldest{
		since: limits.Since, rows: limits.Rows,
		old: sqlOldMessages, surplus: sqlSurplusMessages, remove: (*batch).pruneMessages,
	}, step)
	if err != nil || pruned.Deleted > 0 {
		return pruned, err
	}
	if limits.RowsPerUser > 0 {
		return s.pruneInboxes(ctx, limits.RowsPerUser, step)
	}
	return belfry.Pruned{}, nil
}

// PruneActivities implements [belfry.ActivityStore].
func (s *Store) PruneActivities(ctx context.Context, limits belfry.ActivityLimits, step int) (belfry.Pruned, error) {
	s.pruner.mu.Lock()
	defer s.pruner.mu.Unlock()
	return s.pruneOldest(ctx, oldest{
		since: limits.Since, rows: limits.Rows,
		old: sqlOldActivities, surplus: sqlSurplusActivities, remove: (*batch).pruneActivities,
	}, min(step, belfry.MaxPruneStep))
}

// oldest is how to find and delete the oldest rows of a kind.
type oldest struct {
	since        belfry.ID
	rows         int
	old, surplus string
	remove       func(*batch, []rowKey) (belfry.Pruned, error)
}

// pruneOldest enforces the limits on all rows of a kind: the age, and where that
// leaves nothing to do the number of rows.
func (s *Store) pruneOldest(ctx context.Context, o oldest, step int) (pruned belfry.Pruned, err error) {
	var keys []rowKey
	if !o.since.IsZero() {
		if keys, err = s.findKeys(ctx, o.old, o.since[:], step); err != nil {
			return belfry.Pruned{}, err
		}
	}
	if len(keys) == 0 && o.rows > 0 {
		if err := s.heal(ctx); err != nil {
			return belfry.Pruned{}, err
		}
		if keys, err = s.findKeys(ctx, o.surplus, pastAll, step, o.rows); err != nil {
			return belfry.Pruned{}, err
		}
	}
	pruned, err = s.remove(ctx, keys, o.remove)
	pruned.More = pruned.Deleted > 0
	return pruned, err
}

// pruneInboxes enforces the limit on the rows of one user, for the next users
// that may have more.
func (s *Store) pruneInboxes(ctx context.Context, limit, step int) (pruned belfry.Pruned, err error) {
	inboxes := &s.pruner.inboxes
	inboxes.Watch(limit)
	var (
		keys   []rowKey
		looked []belfry.UserID
	)
	defer func() {
		if err != nil { // nothing was deleted
			inboxes.Add(looked...)
		}
	}()
	more := true
	for len(keys) < step && len(looked) < maxUsersPerStep {
		user, ok, err := s.nextSuspect(ctx)
		if err != nil {
			return belfry.Pruned{}, err
		}
		if !ok {
			more = false
			break
		}
		looked = append(looked, user)
		room := step - len(keys)
		found, err := s.findKeys(ctx, sqlSurplusOfUser, string(user), limit, room)
		if err != nil {
			return belfry.Pruned{}, err
		}
		keys = append(keys, found...)
		if len(found) == room { // there may be more of this one
			inboxes.Add(user)
		}
	}
	if pruned, err = s.remove(ctx, keys, (*batch).pruneOfUsers); err != nil {
		return belfry.Pruned{}, err
	}
	pruned.More = more
	return pruned, nil
}

// nextSuspect returns a user who may have too many messages.
func (s *Store) nextSuspect(ctx context.Context) (user belfry.UserID, ok bool, err error) {
	inboxes := &s.pruner.inboxes
	if user, ok := inboxes.Take(); ok {
		return user, true, nil
	}
	for {
		after, sweeping := inboxes.SweepFrom()
		if !sweeping {
			return "", false, nil
		}
		err := s.read(ctx, sqlNextUser, []any{string(after)}, func(rows *sql.Rows) error {
			ok = true
			return rows.Scan((*string)(&user))
		})
		if err != nil {
			return "", false, err
		}
		if ok {
			inboxes.SweptTo(user)
			return user, true, nil
		}
		inboxes.SweptAll()
	}
}

// findKeys runs a query that selects keys.
func (s *Store) findKeys(ctx context.Context, query string, args ...any) (keys []rowKey, err error) {
	err = s.read(ctx, query, args, func(rows *sql.Rows) error {
		var key rowKey
		err := rows.Scan(&key.owner, &key.id, &key.notice)
		keys = append(keys, key)
		return err
	})
	return keys, err
}

// remove has the writer delete rows.
func (s *Store) remove(ctx context.Context, keys []rowKey, remove func(*batch, []rowKey) (belfry.Pruned, error)) (pruned belfry.Pruned, err error) {
	if len(keys) == 0 {
		return belfry.Pruned{}, nil
	}
	err = s.writer.do(ctx, len(keys), func(b *batch) (err error) {
		pruned, err = remove(b, keys)
		return err
	})
	if err != nil {
		return belfry.Pruned{}, portError(ctx, err)
	}
	return pruned, nil
}

// pruneMessages deletes the oldest messages and notices: the log of everybody
// ends there.
func (b *batch) pruneMessages(keys []rowKey) (belfry.Pruned, error) {
	pruned, err := b.deleteMessages(keys)
	if err == nil {
		err = b.raiseFloor("", keys[len(keys)-1].id)
	}
	return pruned, err
}

// pruneOfUsers deletes the oldest messages of users: their logs end there, and
// nobody else's.
func (b *batch) pruneOfUsers(keys []rowKey) (belfry.Pruned, error) {
	pruned, err := b.deleteMessages(keys)
	for i, key := range keys {
		// The keys of one user follow each other.
		if err == nil && (i == len(keys)-1 || keys[i+1].owner != key.owner) {
			err = b.raiseFloor(key.owner, key.id)
		}
	}
	return pruned, err
}

func (b *batch) deleteMessages(keys []rowKey) (pruned belfry.Pruned, err error) {
	losers := make(map[belfry.Identity]struct{})
	for _, key := range keys {
		query, owner := sqlDeleteMessage, belfry.Identity{User: belfry.UserID(key.owner)}
		if key.notice {
			query, owner = sqlDeleteNotice, belfry.Identity{Company: belfry.CompanyID(key.owner)}
		}
		found, isRead := false, false
		err := b.each(query, []any{key.owner, key.id}, func(rows *sql.Rows) error {
			found = true
			return rows.Scan(&isRead)
		})
		if err == nil && found && key.notice {
			err = b.gone(key.id)
		}
		if err != nil {
			return belfry.Pruned{}, err
		}
		if found {
			pruned.Deleted++
			b.changedMessage(owner.User, owner.Company)
		}
		if _, known := losers[owner]; found && !isRead && !known {
			losers[owner] = struct{}{}
			pruned.Unread = append(pruned.Unread, owner)
		}
	}
	b.state.messages -= int64(pruned.Deleted)
	return pruned, nil
}

func (b *batch) pruneActivities(keys []rowKey) (pruned belfry.Pruned, err error) {
	for _, key := range keys {
		n, err := b.exec(sqlDeleteActivity, key.owner, key.id)
		if err != nil {
			return belfry.Pruned{}, err
		}
		pruned.Deleted += int(n)
	}
	b.state.activities -= int64(pruned.Deleted)
	return pruned, b.raiseFloor("", keys[len(keys)-1].id)
}

// heal compares the kept numbers of rows with a recount, once after the database
// was opened: another program may have deleted rows by hand. It reads an index
// from end to end, beside the writer.
func (s *Store) heal(ctx context.Context) error {
	if s.pruner.healed {
		return nil
	}
	var messages, activities int64
	err := s.read(ctx, sqlDrift, nil, func(rows *sql.Rows) error { return rows.Scan(&messages, &activities) })
	if err != nil {
		return err
	}
	if messages != 0 || activities != 0 {
		s.log.WarnContext(ctx, "the numbers of rows were wrong and are corrected", "messages", messages, "activities", activities)
		err := s.writer.do(ctx, 1, func(b *batch) error {
			b.state.messages += messages
			b.state.activities += activities
			return nil
		})
		if err != nil {
			return portError(ctx, err)
		}
	}
	s.pruner.healed = true
	return nil
}
