package porttest

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync"
	"testing"
	"time"

	"belfry"
)

// testHammer hammers, and in the end the counts are what a recount of the
// inboxes says, the log leads to the inboxes from its beginning, and it leads there
// from what a page showed in between.
func testHammer(t *testing.T, f *fixture) {
	h := newHammer(f)
	h.run()
	// Nobody is told of preferences, which change what a user sees.
	h.settled = true
	shown := make(map[belfry.Identity]model)
	for _, who := range h.identities {
		if err := f.SetPreferences(context.Background(), who.User, nil); err != nil {
			t.Fatal(err)
		}
		shown[who] = make(model)
	}
	for _, who := range h.identities {
		for _, m := range f.whole(who) {
			shown[who][m.ID] = &m
		}
	}
	cursor := f.place()
	h.run()
	for _, who := range h.identities {
		entries, complete := f.since(who, cursor, 1_000_000)
		if !complete {
			t.Errorf("the log of %v is not complete", who)
		}
		f.wantModel(who, shown[who], entries)
	}
	for _, who := range h.identities {
		h.recount(who)
		all := f.wantReplay(who)
		for i := 0; i < len(all); i += 1 + len(all)/10 {
			suffix := all[i:]
			for len(suffix) > 0 && suffix[0].Place == all[i].Place {
				suffix = suffix[1:]
			}
			got, complete := f.since(who, all[i].Place, 1_000_000)
			if !complete || len(got) != len(suffix) || len(got) > 0 && !reflect.DeepEqual(got, suffix) {
				t.Errorf("%v: after %v the log has %d entries, complete %t, and they are not the last %d of all",
					who, all[i].Place, len(got), complete, len(suffix))
			}
		}
	}
}

// A hammer changes some inboxes from many goroutines while others count. Every
// goroutine sees versions that never go back, and one version stands for one state
// of an identity.
//
// As the rules do, it makes places in the order in which changes to one inbox are stored:
// a change to an inbox holds its user's lock, one to a notice holds those of all.
type hammer struct {
	*fixture
	identities []belfry.Identity
	pruning    bool // and retention is at work, too
	settled    bool // preferences stay as they are
	notices    sync.RWMutex
	users      map[belfry.UserID]*sync.Mutex
	seen       map[belfry.Identity]*belfry.ID // locked with the user

	mu     sync.Mutex
	states map[string]string // counts by identity and version
}

func newHammer(f *fixture) *hammer {
	h := &hammer{
		fixture: f, identities: []belfry.Identity{ann, annOther, bob, carl, {User: "none", Company: "acme"}},
		users: make(map[belfry.UserID]*sync.Mutex), seen: make(map[belfry.Identity]*belfry.ID), states: make(map[string]string),
	}
	f.announce("acme", true)
	f.announce("", false)
	f.join(ann, annOther, bob, carl) // the last one is no member
	for _, who := range h.identities {
		h.users[who.User], h.seen[who] = &sync.Mutex{}, &belfry.ID{}
	}
	return h
}

func (h *hammer) run() {
	const writers = 8
	rounds := h.many(5, 20)
	seed := uint64(len(h.states)) // of what was done before
	var writing, counting sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			worker := &hammerWorker{hammer: h, random: rand.New(rand.NewPCG(uint64(w), seed)), last: make(map[belfry.Identity]int64)}
			for range rounds {
				if err := worker.step(context.Background()); err != nil {
					h.t.Error(err)
					return
				}
			}
		})
	}
	stop := make(chan struct{})
	counting.Go(func() {
		worker := &hammerWorker{hammer: h, last: make(map[belfry.Identity]int64)}
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			if err := worker.look(context.Background(), h.identities[i%len(h.identities)], i%8 == 0); err != nil {
				h.t.Error(err)
				return
			}
		}
	})
	writing.Wait()
	close(stop)
	counting.Wait()
}

// A hammerWorker is one goroutine of a hammer.
type hammerWorker struct {
	*hammer
	random *rand.Rand
	last   map[belfry.Identity]int64 // the versions that it saw
}

// look counts, and perhaps reads, what others change.
func (w *hammerWorker) look(ctx context.Context, who belfry.Identity, read bool) error {
	c, err := w.Counts(ctx, who)
	if err != nil {
		return err
	}
	if !read {
		return w.note(who, c)
	}
	if _, err := w.Undelivered(ctx, who, 5); err != nil {
		return err
	}
	if _, _, err := w.Since(ctx, who, belfry.ID{}, pastAll, 1_000_000); err != nil {
		return err
	}
	return w.note(who, c)
}

// note checks counts against the version that the goroutine saw last and
// against what others saw under the same version.
func (w *hammerWorker) note(who belfry.Identity, c belfry.Counts) error {
	if c.Version < w.last[who] {
		return fmt.Errorf("%v: the version went back from %d to %d", who, w.last[who], c.Version)
	}
	w.last[who] = c.Version
	key, state := fmt.Sprint(who, c.Version), fmt.Sprint(c)
	w.mu.Lock()
	defer w.mu.Unlock()
	if other, ok := w.states[key]; ok && other != state {
		return fmt.Errorf("%v: version %d stands for %s and for %s", who, c.Version, other, state)
	}
	w.states[key] = state
	return nil
}

// step does one thing to some inbox.
func (w *hammerWorker) step(ctx context.Context) error {
	if w.pruning && w.random.IntN(3) == 0 {
		return w.prune(ctx)
	}
	who := w.identities[w.random.IntN(len(w.identities))]
	if w.random.IntN(6) == 0 {
		w.notices.Lock()
		defer w.notices.Unlock()
		return w.stepNotice(ctx, who)
	}
	w.notices.RLock()
	defer w.notices.RUnlock()
	w.users[who.User].Lock()
	defer w.users[who.User].Unlock()
	switch w.random.IntN(8) {
	case 0, 1:
		_, err := w.Add(ctx, belfry.Entries{
			Messages:   []belfry.Message{w.draft(who.User, who.Company), w.draft(who.User, "")},
			Activities: []belfry.Activity{w.activity(who.Company)},
		})
		return err
	case 2:
		last := w.pick(who).ID
		c, err := w.MarkSeen(ctx, who, last)
		if err != nil {
			return err
		}
		if seen := w.seen[who]; bytes.Compare(last[:], seen[:]) > 0 {
			*seen = last
		}
		return w.note(who, c)
	case 3:
		if w.settled {
			return nil
		}
		preferences := []belfry.Preference{{Off: w.random.IntN(2) == 0, Type: belfry.MessageType(w.random.IntN(4))}}
		return w.SetPreferences(ctx, who.User, preferences[:w.random.IntN(2)])
	case 4:
		return w.change(ctx, w.pick(who), false)
	default:
		return w.stepMark(ctx, who)
	}
}

// prune does a step of retention.
func (w *hammerWorker) prune(ctx context.Context) error {
	rows := w.many(12, 40)
	limits := []belfry.MessageLimits{{Rows: rows}, {RowsPerUser: rows / 4}, {Since: w.pick(ann).ID, Rows: rows * 3 / 2}}
	if _, err := w.PruneMessages(ctx, limits[w.random.IntN(len(limits))], 7); err != nil {
		return err
	}
	if _, err := w.PruneActivities(ctx, belfry.ActivityLimits{Rows: rows / 4}, 7); err != nil {
		return err
	}
	_, err := w.PruneRevisions(ctx, w.pick(annOther).ID, 7)
	return err
}

// stepNotice changes what everybody may see. All locks are held.
func (w *hammerWorker) stepNotice(ctx context.Context, who belfry.Identity) error {
	switch w.random.IntN(4) {
	case 0:
		_, err := w.Expire(ctx, start, belfry.At(w.place()), 10)
		return err
	case 1:
		return w.change(ctx, w.pick(who), true)
	default:
		n := w.draft("", []belfry.CompanyID{"", "acme", "other"}[w.random.IntN(3)])
		n.Later = w.random.IntN(2) == 0
		_, err := w.Add(ctx, belfry.Entries{Messages: []belfry.Message{n}})
		return err
	}
}

// change edits or withdraws a message, or a notice.
func (w *hammerWorker) change(ctx context.Context, m belfry.Message, notice bool) error {
	if m.ID.IsZero() || m.IsNotice() != notice {
		return nil
	}
	var err error
	if w.random.IntN(2) == 0 {
		_, err = w.Withdraw(ctx, m.ID, belfry.At(w.place()))
	} else {
		m.Title, m.Type, m.Forced = fmt.Sprint(w.random.Int()), belfry.MessageType(1+w.random.IntN(3)), w.random.IntN(2) == 0
		err = w.Edit(ctx, m, belfry.At(w.place()))
	}
	if belfry.ErrorCode(err) == belfry.ErrNotFound { // pruned
		return nil
	}
	return err
}

func (w *hammerWorker) stepMark(ctx context.Context, who belfry.Identity) error {
	mark := belfry.Mark{
		Kind: belfry.RevisionKind(1 + w.random.IntN(4)),
		IDs:  []belfry.ID{w.pick(who).ID, w.pick(who).ID, w.pick(annOther).ID}, Place: belfry.At(w.place()),
	}
	if mark.Kind%2 == 1 && w.random.IntN(6) == 0 {
		mark.IDs, mark.Type = nil, belfry.MessageType(w.random.IntN(4))
	}
	if err := w.MarkDelivered(ctx, who.User, mark.IDs); err != nil {
		return err
	}
	if err := w.MarkHeard(ctx, who, w.pick(who).ID); err != nil {
		return err
	}
	marked, err := w.Mark(ctx, who, mark)
	if err != nil {
		return err
	}
	return w.note(who, marked.Counts)
}

// draft makes a message, perhaps with a collapse key or an expiry.
func (w *hammerWorker) draft(to belfry.UserID, company belfry.CompanyID) belfry.Message {
	m := w.message(to, company, belfry.MessageType(1+w.random.IntN(3)))
	if w.random.IntN(3) == 0 {
		m.CollapseKey = fmt.Sprint(w.random.IntN(2))
	}
	if w.random.IntN(4) == 0 {
		m.Expires = start.Add(time.Duration(w.random.IntN(3)-1) * time.Second)
	}
	return m
}

// pick returns one of the newest messages of an identity, if there is one.
func (w *hammerWorker) pick(who belfry.Identity) belfry.Message {
	list, err := w.Inbox(context.Background(), who, belfry.InboxQuery{Limit: 10, Archived: w.random.IntN(4) == 0})
	if err != nil || len(list) == 0 {
		return belfry.Message{}
	}
	return list[w.random.IntN(len(list))]
}

// recount compares the counts with the inbox itself.
func (h *hammer) recount(who belfry.Identity) {
	h.t.Helper()
	c, err := h.MarkSeen(context.Background(), who, belfry.ID{}) // as far as it was
	if err != nil {
		h.t.Fatal(err)
	}
	want := byType{}
	unread := 0
	for _, m := range h.whole(who) {
		if m.IsArchived && !m.IsRead {
			h.t.Errorf("%v: %v is archived and unread", who, m.ID)
		}
		if !m.IsRead {
			unread++
			want[m.Type]++
		}
	}
	wantCounts(h.t, c, unread, c.Unseen, want)
	unseen := 0
	for _, m := range h.whole(who) {
		if !m.IsRead && bytes.Compare(m.ID[:], h.seen[who][:]) > 0 {
			unseen++
		}
	}
	if unseen != c.Unseen {
		h.t.Errorf("%v: %d are unseen, and the counts are %+v", who, unseen, c)
	}
}
