package sqlite

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"sync"

	"belfry"
	"belfry/internal/storage"
)

// A message waits until a page gets it. Most do not wait: a page gets them at once, and to note in the database
// first that they wait and then that they do not would cost more than to store them. So a message that is
// stored is fresh, which is known in memory alone. Those that are fresh still after half a second
// are put into the table waiting, and the place up to which that is done is stored with them: after a crash, whatever came
// later waits, and is delivered again at most.

const (
	// It takes what sqlAddCopies does. There is nothing to do where a message was read or has gone meanwhile.
	sqlWait = `INSERT INTO waiting (receiver, id, company)
		SELECT m.receiver, m.id, m.company
		FROM json_each(?1) j CROSS JOIN messages m ON m.receiver = j.value AND m.id = substr(?2, 1 + 12 * j.key, 12)
		WHERE m.is_read = 0
		ON CONFLICT DO NOTHING`

	sqlWaitNoMore = `DELETE FROM waiting WHERE receiver = ? AND id = ?`

	sqlRecoverWaiting = `INSERT INTO waiting (receiver, id, company)
		SELECT receiver, id, company FROM messages INDEXED BY messages_age
		WHERE id > (SELECT settled FROM changes) AND is_read = 0
		ON CONFLICT DO NOTHING`
	sqlRecoverSettled = `UPDATE changes SET settled = max(settled, coalesce((SELECT max(id) FROM messages), x''))`
)

// A fresh is a message that is stored and was not delivered yet.
type fresh struct {
	user belfry.UserID
	id   belfry.ID
}

// A freshSet holds the messages of which it is not settled whether they wait.
type freshSet struct {
	mu       sync.Mutex
	users    map[belfry.UserID][]freshID
	queue    []fresh   // to be settled: those that were fresh at the last call of age, and that no write has taken
	newest   belfry.ID // of all that were stored
	aged     belfry.ID // newest at the last call of age
	youngest belfry.ID // the lowest that was stored since; zero if there is none
	failed   bool      // a write has, since
}

type freshID struct {
	id       belfry.ID
	settling bool // it will be in the table, if it is not already
}

func newFreshSet() *freshSet { return &freshSet{users: make(map[belfry.UserID][]freshID)} }

// add takes messages that have been stored, before who has stored them learns it.
func (f *freshSet) add(messages []fresh) {
	if len(messages) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range messages {
		f.users[m.user] = append(f.users[m.user], freshID{id: m.id})
		f.newest = later(f.newest, m.id)
	}
}

// pass notes that a message is being stored, so that nothing is settled beyond it.
func (f *freshSet) pass(id belfry.ID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.youngest.IsZero() || id.Compare(f.youngest) < 0 {
		f.youngest = id
	}
}

// deliver removes a message. It reports false if the table knows it, or will.
func (f *freshSet) deliver(user belfry.UserID, id belfry.ID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.remove(user, id, false)
}

// remove removes a message, if it is in this state. f.mu is held.
func (f *freshSet) remove(user belfry.UserID, id belfry.ID, settling bool) bool {
	ids := f.users[user]
	i := slices.IndexFunc(ids, func(one freshID) bool { return one.id == id })
	if i < 0 || ids[i].settling != settling {
		return false
	}
	if ids = slices.Delete(ids, i, i+1); len(ids) == 0 {
		delete(f.users, user)
		return true
	}
	f.users[user] = ids
	return true
}

// of returns the messages of a user as the query takes them. Taken before that, it finds what leaves
// the set meanwhile.
func (f *freshSet) of(user belfry.UserID) (text string, n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	ids := f.users[user]
	if len(ids) == 0 {
		return `[]`, 0
	}
	names := make([]string, len(ids))
	for i := range ids {
		names[i] = hex.EncodeToString(ids[i].id[:])
	}
	all, err := json.Marshal(names)
	if err != nil {
		panic(err) // strings
	}
	return string(all), len(ids)
}

// age has all be settled that are there now, unless that is still to be done for those before.
func (f *freshSet) age() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.queue) > 0 {
		return
	}
	for user, ids := range f.users {
		for _, one := range ids {
			if !one.settling {
				f.queue = append(f.queue, fresh{user, one.id})
			}
		}
	}
	slices.SortFunc(f.queue, func(a, b fresh) int { // as they lie in the table
		if c := strings.Compare(string(a.user), string(b.user)); c != 0 {
			return c
		}
		return a.id.Compare(b.id)
	})
	f.aged, f.youngest, f.failed = f.newest, belfry.ID{}, false
}

// write returns a write that settles up to n messages, or nil if there is nothing to do.
func (f *freshSet) write(n int, settled belfry.ID) *write {
	taken, last := f.take(n)
	if len(taken) == 0 && (!last || f.bound().Compare(settled) <= 0) {
		return nil
	}
	return &write{
		ctx:    context.Background(),
		rows:   len(taken),
		run:    func(b *batch) error { return b.settle(f, taken, last) },
		answer: func(err error) { f.settle(taken, err) },
	}
}

// take removes up to n messages from the queue, leaving aside those that were delivered. It
// reports whether these are the last.
func (f *freshSet) take(n int) (taken []fresh, last bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.queue) > 0 && len(taken) < n {
		m := f.queue[0]
		f.queue = f.queue[1:]
		ids := f.users[m.user]
		i := slices.IndexFunc(ids, func(one freshID) bool { return one.id == m.id })
		if i >= 0 {
			ids[i].settling = true
			taken = append(taken, m)
		}
	}
	if len(f.queue) == 0 {
		f.queue = nil
	}
	return taken, f.queue == nil && !f.failed
}

// bound returns the place up to which all is settled when the queue is done.
func (f *freshSet) bound() belfry.ID {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.youngest.IsZero() || f.youngest.Compare(f.aged) > 0 {
		return f.aged
	}
	return before(f.youngest)
}

// settle ends a write.
func (f *freshSet) settle(taken []fresh, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.failed = f.failed || err != nil
	for _, m := range taken {
		if err == nil {
			f.remove(m.user, m.id, true)
			continue
		}
		ids := f.users[m.user]
		if i := slices.IndexFunc(ids, func(one freshID) bool { return one.id == m.id }); i >= 0 {
			ids[i].settling = false
		}
	}
}

// aging reports whether messages wait to be settled now.
func (f *freshSet) aging() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.queue) > 0
}

// hasFailed reports whether a write has failed since the last call of age.
func (f *freshSet) hasFailed() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed
}

func (f *freshSet) len() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, ids := range f.users {
		n += len(ids)
	}
	return n
}

// settle puts messages into the table, and if they are the last notes how far that was done.
func (b *batch) settle(f *freshSet, messages []fresh, last bool) error {
	if err := b.wait(messages...); err != nil {
		return err
	}
	if last {
		// Of those that are being stored in this transaction, pass has told.
		b.state.settled = later(b.state.settled, f.bound())
	}
	return nil
}

func (b *batch) wait(messages ...fresh) error {
	if len(messages) == 0 {
		return nil
	}
	receivers := make([]belfry.UserID, len(messages))
	ids := make([]belfry.ID, len(messages))
	for i, m := range messages {
		receivers[i], ids[i] = m.user, m.id
	}
	list, err := json.Marshal(receivers)
	if err != nil {
		return err
	}
	_, err = b.exec(sqlWait, string(list), encodeIDs(ids))
	return err
}

// addFresh says that a message is new.
func (b *batch) addFresh(m *belfry.Message) error {
	one := fresh{m.Receiver, m.ID}
	if m.ID.Compare(b.state.settled) <= 0 { // nobody would look for it
		return b.wait(one)
	}
	b.unsettled.pass(m.ID)
	b.fresh = append(b.fresh, one)
	return nil
}

// recoverWaiting has wait whatever a crash has left unsettled.
func recoverWaiting(ctx context.Context, conn *sql.Conn) error {
	for _, query := range []string{sqlRecoverWaiting, sqlRecoverSettled} {
		if _, err := conn.ExecContext(ctx, query); err != nil {
			return err
		}
	}
	return nil
}

// Who is no member has heard everything. What a member has heard is never below
// since, and ?3 is what the database does not know of it yet; ?5 are fresh messages.
var sqlUndelivered = `SELECT ` + strings.Replace(messageColumns, `receiver, id, company,`, `w.receiver, w.id, w.company,`, 1) + `
	FROM waiting w CROSS JOIN messages m ON m.receiver = w.receiver AND m.id = w.id
	WHERE w.receiver = ?1 AND w.company IN ('', ?2)
	UNION ALL
	SELECT ` + messageColumns + ` FROM messages
	WHERE receiver = ?1 AND id IN (SELECT unhex(value) FROM json_each(?5)) AND company IN ('', ?2) AND is_read = 0
	UNION ALL ` + noticesInOrder(
	`coalesce(max(?3, (SELECT heard FROM members WHERE receiver = ?1 AND company = ?2)), `+never+`)`,
	`n.replaced = 0 AND k.id IS NULL`) + `
	ORDER BY 2 LIMIT ?4`

// Undelivered implements [belfry.MarkStore].
func (s *Store) Undelivered(ctx context.Context, who belfry.Identity, limit int) ([]belfry.Message, error) {
	// Before the query.
	unsettled, n := s.unsettled.of(who.User)
	delivered := s.late.Of(storage.Hearer{Who: belfry.Identity{User: who.User}})
	var heard belfry.ID
	for _, id := range s.late.Of(storage.Hearer{Who: who, Notices: true}) {
		heard = later(heard, id)
	}
	waiting, err := s.messages(ctx, sqlUndelivered,
		string(who.User), string(who.Company), heard[:], limit+n+len(delivered), unsettled)
	if err != nil {
		return nil, err
	}
	known := make(map[belfry.ID]struct{}, len(delivered))
	for _, id := range delivered {
		known[id] = struct{}{}
	}
	waiting = slices.DeleteFunc(waiting, func(m belfry.Message) bool {
		_, ok := known[m.ID]
		known[m.ID] = struct{}{} // it may have been settled before the query
		return ok
	})
	return waiting[:min(limit, len(waiting))], nil
}

func later(a, b belfry.ID) belfry.ID {
	if bytes.Compare(a[:], b[:]) < 0 {
		return b
	}
	return a
}

// before returns the highest of the lower ids.
func before(id belfry.ID) belfry.ID {
	for i := len(id) - 1; i >= 0; i-- {
		if id[i]--; id[i] != 0xff {
			break
		}
	}
	return id
}
