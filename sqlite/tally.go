package sqlite

import (
	"context"
	"errors"
	"slices"
	"sync"

	"belfry"
)

// maxTallied bounds the identities whose counts are kept: about 100 bytes each.
const maxTallied = 100_000

// A tally keeps the counts of identities that were asked for, so that the next message to them need not be
// followed by a query, which takes longer than storing it. The writer adds what it stores, and
// forgets whatever is not as simple as that.
type tally struct {
	mu    sync.Mutex
	users map[belfry.UserID]*tallied
	size  int // identities

	// The versions of the last changes that concern all of a company, and
	// everybody: what was kept before is void.
	companies map[belfry.CompanyID]int64
	everybody int64
}

// tallied are the counts of one identity. A user who is known in several companies has a list.
type tallied struct {
	company belfry.CompanyID
	next    *tallied

	filling chan struct{} // while a reader is counting; whatever changes then takes it out of the list
	fresh   bool          // a reader has counted, and the writer has changed nothing yet
	kept
}

// kept are counts in little memory.
type kept struct {
	seen    belfry.ID
	version int64
	unread  int32
	unseen  int32
	types   []ofType // of those that are unread
}

type ofType struct {
	messageType belfry.MessageType
	n           int32
}

func newTally() *tally {
	t := &tally{companies: make(map[belfry.CompanyID]int64)}
	t.clear()
	return t
}

// counts returns counts whose map is the caller's.
func (k *kept) counts() belfry.Counts {
	c := belfry.Counts{Unread: int(k.unread), Unseen: int(k.unseen), Version: k.version, ByType: make(map[belfry.MessageType]int, len(k.types))}
	for _, of := range k.types {
		c.ByType[of.messageType] = int(of.n)
	}
	return c
}

// add counts unread messages of a type.
func (k *kept) add(messageType belfry.MessageType, unread, unseen int) {
	k.unread += int32(unread)
	k.unseen += int32(unseen)
	i := slices.IndexFunc(k.types, func(of ofType) bool { return of.messageType == messageType })
	if i < 0 {
		k.types = append(k.types, ofType{messageType, int32(unread)})
		return
	}
	k.types[i].n += int32(unread)
}

// find returns the entry of an identity, or nil. t.mu is held.
func (t *tally) find(who belfry.Identity) *tallied {
	for e := t.users[who.User]; e != nil; e = e.next {
		if e.company == who.Company {
			return e
		}
	}
	return nil
}

// void reports whether something has happened since that concerns many. t.mu is held.
func (t *tally) void(e *tallied) bool {
	return e.version < max(t.everybody, t.companies[e.company])
}

// maxTries is how often a reader counts again because something has changed meanwhile.
const maxTries = 3

// of returns the counts of an identity, which query finds out if they are not kept. What others have
// been told before is never newer, as it might be if each gave away what it has counted.
func (t *tally) of(ctx context.Context, who belfry.Identity, query func() (kept, error)) (belfry.Counts, error) {
	for tries := 1; ; {
		t.mu.Lock()
		e := t.find(who)
		switch {
		case e == nil:
			e = t.insert(who)
		case e.filling != nil:
			filled := e.filling
			t.mu.Unlock()
			select {
			case <-filled:
				continue
			case <-ctx.Done():
				return belfry.Counts{}, ctx.Err()
			}
		case !t.void(e):
			counts := e.counts()
			t.mu.Unlock()
			return counts, nil
		}
		e.filling = make(chan struct{})
		t.mu.Unlock()
		counts, done, err := t.ask(who, e, query)
		if done || err != nil || tries == maxTries {
			return counts, err
		}
		tries++
	}
}

// ask counts for an entry that is being filled. Whoever waits for it goes on, also where the query panics.
func (t *tally) ask(who belfry.Identity, e *tallied, query func() (kept, error)) (counts belfry.Counts, done bool, err error) {
	k, err := kept{}, errNotCounted
	defer func() { done = t.fill(who, e, k, err) }()
	k, err = query()
	return k.counts(), false, err
}

var errNotCounted = errors.New("the query has not ended")

// insert makes room for an identity. t.mu is held.
func (t *tally) insert(who belfry.Identity) *tallied {
	if t.size >= maxTallied {
		for user := range t.users { // any
			t.forget(user)
			break
		}
	}
	e := &tallied{company: who.Company, next: t.users[who.User]}
	t.users[who.User] = e
	t.size++
	return e
}

// fill ends what of has begun. It reports false if something has changed since.
func (t *tally) fill(who belfry.Identity, e *tallied, k kept, err error) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	close(e.filling)
	e.filling = nil
	switch {
	case t.find(who) != e:
		return false
	case err != nil:
		t.forget(who.User)
		return false
	}
	e.fresh, e.kept = true, k
	return true
}

// forget forgets a user. t.mu is held.
func (t *tally) forget(user belfry.UserID) {
	for e := t.users[user]; e != nil; e = e.next {
		t.size--
	}
	delete(t.users, user)
}

// clear forgets everybody.
func (t *tally) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.users, t.size = make(map[belfry.UserID]*tallied), 0
}

// A change is what a write does to the counts.
type change struct {
	version int64 // of the counts after it
	user    belfry.UserID
	company belfry.CompanyID

	added       bool // a message of this type to the user that names the company, or none
	messageType belfry.MessageType
	id          belfry.ID

	counted *kept // what the identity has now
	many    bool  // something about all of the company, or about everybody
}

// apply makes the changes of a transaction that is in the database now and has led to a version. Readers may
// have seen it before.
func (t *tally) apply(changes []change, version int64) {
	if len(changes) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for i := range changes {
		t.change(&changes[i], version)
	}
}

func (t *tally) change(c *change, version int64) {
	switch {
	case c.many && c.company == "":
		t.everybody = c.version
	case c.many:
		t.companies[c.company] = c.version
	case c.added:
		t.added(c, version)
	default:
		who := belfry.Identity{User: c.user, Company: c.company}
		known := c.counted != nil && t.find(who) != nil
		t.forget(c.user)
		if known {
			t.insert(who).kept = *c.counted
		}
	}
}

// added counts a new message where it is to be seen.
func (t *tally) added(c *change, version int64) {
	for e := t.users[c.user]; e != nil; e = e.next {
		switch {
		case c.company != "" && c.company != e.company:
		case e.filling != nil || t.void(e):
			t.forget(c.user)
			return
		case e.fresh && e.version >= version: // its reader has seen the transaction
		default:
			unseen := 0
			if c.id.Compare(e.seen) > 0 {
				unseen = 1
			}
			e.add(c.messageType, 1, unseen)
			e.fresh, e.version = false, c.version
		}
	}
}
