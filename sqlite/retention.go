package sqlite

import (
	"context"
	"database/sql"
	"sync"

	"belfry"
)

// What to delete is looked for by readers, so that the writer spends time on
// nothing but deleting. What was beyond a limit then still is when the writer
// comes to it: rows that are added in between only push it further out.
const (
	sqlOldMessages = `SELECT receiver, id
		FROM messages INDEXED BY messages_age
		WHERE id < ? ORDER BY id LIMIT ?`

	// The number of rows and the rows are of one snapshot. A negative limit
	// would be none.
	sqlSurplusMessages = `SELECT receiver, id
		FROM messages INDEXED BY messages_age
		WHERE id < ? ORDER BY id
		LIMIT max(0, min(?, (SELECT messages FROM changes) - ?))`

	sqlSurplusOfUser = `SELECT receiver, id
		FROM messages
		WHERE receiver = ?1 AND id <= (
			SELECT id FROM messages WHERE receiver = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?2)
		ORDER BY id LIMIT ?3`

	sqlNextUser = `SELECT receiver FROM messages WHERE receiver > ? ORDER BY receiver LIMIT 1`

	sqlOldActivities = `SELECT company, id
		FROM activities INDEXED BY activities_age
		WHERE id < ? ORDER BY id LIMIT ?`

	sqlSurplusActivities = `SELECT company, id
		FROM activities INDEXED BY activities_age
		WHERE id < ? ORDER BY id
		LIMIT max(0, min(?, (SELECT activities FROM changes) - ?))`

	sqlDeleteMessage  = `DELETE FROM messages WHERE receiver = ? AND id = ?`
	sqlDeleteActivity = `DELETE FROM activities WHERE company = ? AND id = ?`

	// By how much the kept numbers are wrong: of one snapshot, and therefore still
	// right when it is written.
	sqlDrift = `SELECT (SELECT count(*) FROM messages) - messages,
		(SELECT count(*) FROM activities) - activities FROM changes`
)

// maxUsersPerStep bounds the users that one step looks at.
const maxUsersPerStep = 100

// A rowKey is the primary key of a message or an activity.
type rowKey struct {
	owner string // the receiver or the company
	id    []byte
}

// A pruner is what retention remembers between its steps.
type pruner struct {
	mu      sync.Mutex // held for a whole step
	healed  bool       // the kept numbers of rows have been checked
	inboxes suspects
}

// PruneMessages implements [belfry.MessageStore]. One step enforces one limit.
func (s *Store) PruneMessages(ctx context.Context, limits belfry.MessageLimits, step int) (deleted int, more bool, err error) {
	s.pruner.mu.Lock()
	defer s.pruner.mu.Unlock()
	step = min(step, belfry.MaxPruneStep)
	deleted, err = s.pruneOldest(ctx, oldest{
		since: limits.Since, rows: limits.Rows,
		old: s.queries.oldMessages, surplus: s.queries.surplusMessages, remove: (*batch).deleteMessages,
	}, step)
	if err != nil || deleted > 0 {
		return deleted, err == nil, err
	}
	if limits.RowsPerUser > 0 {
		return s.pruneInboxes(ctx, limits.RowsPerUser, step)
	}
	return 0, false, nil
}

// PruneActivities implements [belfry.ActivityStore].
func (s *Store) PruneActivities(ctx context.Context, limits belfry.ActivityLimits, step int) (deleted int, more bool, err error) {
	s.pruner.mu.Lock()
	defer s.pruner.mu.Unlock()
	deleted, err = s.pruneOldest(ctx, oldest{
		since: limits.Since, rows: limits.Rows,
		old: s.queries.oldActivities, surplus: s.queries.surplusActivities, remove: (*batch).deleteActivities,
	}, min(step, belfry.MaxPruneStep))
	return deleted, err == nil && deleted > 0, err
}

// oldest is how to find and delete the oldest rows of a table.
type oldest struct {
	since        belfry.ID
	rows         int
	old, surplus *sql.Stmt
	remove       func(*batch, []rowKey) (int, error)
}

// pruneOldest enforces the limits on a whole table: the age, and where that
// leaves nothing to do the number of rows.
func (s *Store) pruneOldest(ctx context.Context, o oldest, step int) (deleted int, err error) {
	var keys []rowKey
	if !o.since.IsZero() {
		if keys, err = findKeys(ctx, o.old, o.since[:], step); err != nil {
			return 0, err
		}
	}
	if len(keys) == 0 && o.rows > 0 {
		if err := s.heal(ctx); err != nil {
			return 0, err
		}
		if keys, err = findKeys(ctx, o.surplus, pastAll, step, o.rows); err != nil {
			return 0, err
		}
	}
	return s.remove(ctx, keys, o.remove)
}

// pruneInboxes enforces the limit on the rows of one user, for the next users
// that may have more.
func (s *Store) pruneInboxes(ctx context.Context, limit, step int) (deleted int, more bool, err error) {
	inboxes := &s.pruner.inboxes
	inboxes.watch(limit)
	var (
		keys   []rowKey
		looked []belfry.UserID
	)
	defer func() {
		if err != nil { // nothing was deleted
			inboxes.add(looked...)
		}
	}()
	more = true
	for len(keys) < step && len(looked) < maxUsersPerStep {
		user, ok, err := s.nextSuspect(ctx)
		if err != nil {
			return 0, false, err
		}
		if !ok {
			more = false
			break
		}
		looked = append(looked, user)
		room := step - len(keys)
		found, err := findKeys(ctx, s.queries.surplusOfUser, string(user), limit, room)
		if err != nil {
			return 0, false, err
		}
		keys = append(keys, found...)
		if len(found) == room { // there may be more of this one
			inboxes.add(user)
		}
	}
	deleted, err = s.remove(ctx, keys, (*batch).deleteMessages)
	return deleted, more && err == nil, err
}

// nextSuspect returns a user who may have too many messages.
func (s *Store) nextSuspect(ctx context.Context) (user belfry.UserID, ok bool, err error) {
	inboxes := &s.pruner.inboxes
	if user, ok := inboxes.take(); ok {
		return user, true, nil
	}
	for {
		after, sweeping := inboxes.sweepFrom()
		if !sweeping {
			return "", false, nil
		}
		err := s.queries.nextUser.QueryRowContext(ctx, string(after)).Scan((*string)(&user))
		if err == nil {
			inboxes.sweptTo(user)
			return user, true, nil
		}
		if err != sql.ErrNoRows {
			return "", false, portError(ctx, err)
		}
		inboxes.sweptAll()
	}
}

// findKeys runs a query that selects keys.
func findKeys(ctx context.Context, stmt *sql.Stmt, args ...any) ([]rowKey, error) {
	rows, err := stmt.QueryContext(ctx, args...)
	if err != nil {
		return nil, portError(ctx, err)
	}
	defer rows.Close()
	var keys []rowKey
	for rows.Next() {
		var key rowKey
		if err := rows.Scan(&key.owner, &key.id); err != nil {
			return nil, portError(ctx, err)
		}
		keys = append(keys, key)
	}
	return keys, portError(ctx, rows.Err())
}

// remove has the writer delete rows, and returns how many there were.
func (s *Store) remove(ctx context.Context, keys []rowKey, remove func(*batch, []rowKey) (int, error)) (deleted int, err error) {
	if len(keys) == 0 {
		return 0, nil
	}
	err = s.writer.do(ctx, len(keys), func(b *batch) error {
		deleted, err = remove(b, keys)
		return err
	})
	if err != nil {
		return 0, portError(ctx, err)
	}
	return deleted, nil
}

func (b *batch) deleteMessages(keys []rowKey) (int, error) {
	n, err := b.deleteRows(b.stmts.deleteMessage, keys)
	if n > 0 {
		b.state.messages -= int64(n)
		b.changed()
	}
	return n, err
}

func (b *batch) deleteActivities(keys []rowKey) (int, error) {
	n, err := b.deleteRows(b.stmts.deleteActivity, keys)
	b.state.activities -= int64(n)
	return n, err
}

func (b *batch) deleteRows(stmt *sql.Stmt, keys []rowKey) (deleted int, err error) {
	for _, key := range keys {
		result, err := stmt.ExecContext(b.ctx, key.owner, key.id)
		if err != nil {
			return deleted, err
		}
		n, err := result.RowsAffected()
		if err != nil {
			return deleted, err
		}
		deleted += int(n)
	}
	return deleted, nil
}

// heal compares the kept numbers of rows with a recount, once after the database
// was opened: another program may have deleted rows by hand. It reads an index
// from end to end, beside the writer.
func (s *Store) heal(ctx context.Context) error {
	if s.pruner.healed {
		return nil
	}
	var messages, activities int64
	if err := s.queries.drift.QueryRowContext(ctx).Scan(&messages, &activities); err != nil {
		return portError(ctx, err)
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
