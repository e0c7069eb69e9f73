package mongo

import (
	"context"
	"errors"
	"sync"
	"time"

	"belfry"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

const (
	// maxInlineBytes is the size up to which a commit holds its ops itself, and that of
	// each part otherwise. A document has at most 16 MiB.
	maxInlineBytes = 4 << 20

	// Commits are kept for readers that began before them: the newest keepCommits, and
	// all that are younger than keepFor.
	keepCommits = 256
	keepFor     = 10 * time.Minute
	trimEvery   = 128 // commits
)

// A state is what a commit leaves behind.
type state struct {
	N          number        `bson:"_id"`
	Version    int64         `bson:"version"`    // of all counts
	Last       bson.ObjectID `bson:"last"`       // the highest place there ever was
	Messages   int64         `bson:"messages"`   // with the notices, that there are
	Activities int64         `bson:"activities"` // that there are
	Applied    bool          `bson:"applied"`
}

// place has a change that is to follow make its place.
func (st state) place(make belfry.Placer) belfry.ID { return make(belfry.ID(st.Last)) }

// A commit is an element of the history of the database. Its number is unique, so
// that of several processes one makes it: with that, and not when its ops are applied, all that it
// stands for has happened.
type commit struct {
	State   state         `bson:",inline"`
	Token   bson.ObjectID `bson:"token"` // tells who made it
	At      time.Time     `bson:"at"`
	Touches []string      `bson:"touches"` // whom it concerns; see touching
	Parts   int           `bson:"parts,omitempty"`
	Ops     []op          `bson:"ops,omitempty"` // until it is applied
}

// An op is a change to documents of one collection that may be done again, as long
// as no later commit is applied: it has Doc, Set or Delete. No two ops of a commit
// set fields of the same document. Names of fields have no dots and dollars, which servers before
// MongoDB 5 do not store.
type op struct {
	In     string   `bson:"in"`
	IDs    []any    `bson:"ids,omitempty"`
	Where  bson.D   `bson:"where,omitempty"` // values of further fields
	Doc    bson.Raw `bson:"doc,omitempty"`   // to be inserted
	Set    bson.D   `bson:"set,omitempty"`
	Unset  []string `bson:"unset,omitempty"`
	Upsert bool     `bson:"upsert,omitempty"` // of one id
	Delete bool     `bson:"delete,omitempty"`
}

// model returns what carries the op out. What this or a later commit has changed already stays
// as it is: to complete a commit costs no more than what is missing, and a process that was
// overtaken while it applied its commit does no harm.
func (o *op) model(n int64) driver.WriteModel {
	if o.Doc != nil {
		return driver.NewInsertOneModel().SetDocument(o.Doc)
	}
	filter := append(bson.D{{Key: "_id", Value: among(o.IDs)}}, o.Where...)
	filter = append(filter, bson.E{Key: "v", Value: bson.D{{Key: "$not", Value: bson.D{{Key: "$gte", Value: n}}}}})
	if o.Delete {
		return driver.NewDeleteManyModel().SetFilter(filter)
	}
	update := bson.D{{Key: "$set", Value: append(o.Set[:len(o.Set):len(o.Set)], bson.E{Key: "v", Value: n})}}
	if len(o.Unset) > 0 {
		var unset bson.D
		for _, field := range o.Unset {
			unset = append(unset, bson.E{Key: field, Value: ""})
		}
		update = append(update, bson.E{Key: "$unset", Value: unset})
	}
	if o.Upsert {
		return driver.NewUpdateOneModel().SetFilter(filter).SetUpdate(update).SetUpsert(true)
	}
	return driver.NewUpdateManyModel().SetFilter(filter).SetUpdate(update)
}

// among returns the condition that a value is one of ids. There is at least one.
func among(ids []any) any {
	if len(ids) == 1 {
		return ids[0]
	}
	condition := bson.D{{Key: "$in", Value: ids}}
	lowest, ok := ids[0].(bson.ObjectID)
	highest := lowest
	for _, id := range ids {
		if id, isObject := id.(bson.ObjectID); isObject {
			highest = later(highest, id)
			if id != later(lowest, id) {
				lowest = id
			}
		}
	}
	if ok {
		// They spare a server without a good plan most of the comparisons.
		condition = append(bson.D{{Key: "$gte", Value: lowest}, {Key: "$lte", Value: highest}}, condition...)
	}
	return condition
}

// A headTracker knows the newest commit that this process knows to be applied.
type headTracker struct {
	mu      sync.Mutex
	state   state
	at      time.Time     // when it was the newest
	changed chan struct{} // closed by the next change
}

// old reports whether commits after the one that is known may have been trimmed before
// whoever asks has ended. Of the two clocks of a machine, one stands still while it sleeps.
func (h *headTracker) old() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	return max(now.Sub(h.at), now.Round(0).Sub(h.at.Round(0))) > keepFor/2
}

// forget says that nothing is known of what came after the one that is known.
func (h *headTracker) forget() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.at = time.Time{}
}

func (h *headTracker) get() (state, <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.changed == nil {
		h.changed = make(chan struct{})
	}
	return h.state, h.changed
}

// set notes a commit that is applied, unless a later one is known.
func (h *headTracker) set(st state) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if st.N >= h.state.N {
		h.at = time.Now()
	}
	if st.N <= h.state.N {
		return
	}
	h.state = st
	if h.changed != nil {
		close(h.changed)
		h.changed = nil
	}
}

// current returns a commit after which all others are still there, for longer than
// any reader or writer takes.
func (s *Store) current(ctx context.Context) (state, error) {
	if s.head.old() {
		if err := s.advance(ctx); err != nil {
			return state{}, err
		}
	}
	st, _ := s.head.get()
	return st, nil
}

// begin makes the first commit where there is none. What an application has stored by itself
// is counted there.
func (s *Store) begin(ctx context.Context) error {
	if _, ok, err := s.newest(ctx); ok || err != nil {
		return err
	}
	first := commit{State: state{N: 1, Version: 1, Applied: true}, Token: bson.NewObjectID(), At: time.Now(), Touches: []string{}}
	var err error
	if first.State.Messages, first.State.Activities, err = s.countAll(ctx); err != nil {
		return err
	}
	for _, c := range []*driver.Collection{s.c.messages, s.c.notices, s.c.activities} {
		newest, err := find[struct {
			ID bson.ObjectID `bson:"_id"`
		}](ctx, c, bson.D{}, options.Find().SetSort(bson.D{{Key: "_id", Value: -1}}).SetLimit(1).SetProjection(bson.D{{Key: "_id", Value: 1}}))
		if err != nil {
			return err
		}
		if len(newest) > 0 {
			first.State.Last = later(first.State.Last, newest[0].ID)
		}
	}
	_, err = s.c.commits.InsertOne(ctx, first)
	if driver.IsDuplicateKeyError(err) { // another process begins, too
		return nil
	}
	return err
}

// maxSteps is how many commits are followed one by one before a query looks at all that there are.
const maxSteps = 4

// countAll counts the messages, with the notices, and the activities.
func (s *Store) countAll(ctx context.Context) (messages, activities int64, err error) {
	ctx, cancel := context.WithTimeout(ctx, longTimeout)
	defer cancel()
	var notices int64
	err = together(
		func() (err error) { messages, err = s.c.messages.CountDocuments(ctx, bson.D{}); return err },
		func() (err error) { notices, err = s.c.notices.CountDocuments(ctx, bson.D{}); return err },
		func() (err error) { activities, err = s.c.activities.CountDocuments(ctx, bson.D{}); return err },
	)
	return messages + notices, activities, err
}

// renew makes a commit that only this process asks for. Prepare completes it, in the state that it is given with.
func (s *Store) renew(ctx context.Context, prepare func(context.Context, *commit) error) error {
	select {
	case s.turn <- struct{}{}:
		defer func() { <-s.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	for range maxTries {
		if err := s.advance(ctx); err != nil {
			return err
		}
		at, _ := s.head.get()
		at.N, at.Applied = at.N+1, false
		c := commit{State: at, Token: bson.NewObjectID(), At: time.Now(), Touches: []string{touchNotices("")}}
		if err := prepare(ctx, &c); err != nil {
			return err
		}
		err := s.record(ctx, &c)
		if errors.Is(err, errOvertaken) {
			continue
		}
		if err == nil {
			err = s.apply(ctx, &c)
		}
		if err == nil {
			c.State.Applied = true
			s.head.set(c.State)
		}
		return err
	}
	return belfry.Errorf(belfry.ErrUnavailable, "too many processes write to the database")
}

// recount makes the numbers of messages and activities right, the last place no lower than another state's and the
// version of the counts higher. It does ops as well.
func (s *Store) recount(ctx context.Context, other state, ops ...op) error {
	return s.renew(ctx, func(ctx context.Context, c *commit) (err error) {
		c.State.Version = max(c.State.Version, other.Version) + 1
		c.State.Last = later(c.State.Last, other.Last)
		c.Ops = ops
		c.State.Messages, c.State.Activities, err = s.countAll(ctx)
		return err
	})
}

// newest returns the newest commit, without its ops.
func (s *Store) newest(ctx context.Context) (commit, bool, error) {
	if known, _ := s.head.get(); known.N > 0 && !s.head.old() {
		// Mostly there are none after the one that is known, or few. Numbers have no gaps.
		c := commit{State: known}
		for range maxSteps {
			next, ok, err := s.commitAt(ctx, c.State.N+1)
			if err != nil || !ok {
				return c, err == nil, err
			}
			c = next
		}
	}
	var c commit
	err := s.c.commits.FindOne(ctx, bson.D{}, options.FindOne().SetSort(bson.D{{Key: "_id", Value: -1}}).
		SetProjection(bson.D{{Key: "ops", Value: 0}, {Key: "touches", Value: 0}})).Decode(&c)
	if errors.Is(err, driver.ErrNoDocuments) {
		return c, false, nil
	}
	return c, err == nil, err
}

// advance brings the head that this process knows up to the newest commit. It waits until
// that is applied, and applies it where its maker does not.
func (s *Store) advance(ctx context.Context) error {
	since, waiting, pause := time.Now(), number(0), time.Millisecond
	for {
		known, changed := s.head.get()
		c, ok, err := s.newest(ctx)
		if err != nil {
			return err
		}
		if !ok {
			return belfry.Errorf(belfry.ErrUnavailable, "the history of the database has gone")
		}
		if c.State.Applied || c.State.N <= known.N {
			s.head.set(c.State)
			return nil
		}
		if c.State.N != waiting {
			since, waiting, pause = time.Now(), c.State.N, time.Millisecond
		}
		if time.Since(since) > 2*s.patience {
			s.log.WarnContext(ctx, "a process has left a commit half applied, and it is completed", "commit", c.State.N)
			if err := s.heal(ctx, c.State.N); err != nil {
				return err
			}
			continue
		}
		timer := time.NewTimer(pause)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		pause = min(2*pause, 50*time.Millisecond)
	}
}

// heal applies a commit of another process.
func (s *Store) heal(ctx context.Context, n number) error {
	c, ok, err := findOne[commit](ctx, s.c.commits, n)
	if err != nil || !ok || c.State.Applied {
		return err
	}
	for i := range c.Parts {
		p, ok, err := findOne[part](ctx, s.c.parts, partKey(c.Token, i))
		if err != nil {
			return err
		}
		if !ok { // its parts go only after it is applied
			return nil
		}
		c.Ops = append(c.Ops, p.Ops...)
	}
	return s.apply(ctx, &c)
}

// apply carries out the ops of a commit and says so.
func (s *Store) apply(ctx context.Context, c *commit) error {
	models, updates := make(map[string][]driver.WriteModel), make(map[string][]driver.WriteModel)
	for i := range c.Ops {
		model := c.Ops[i].model(int64(c.State.N))
		models[c.Ops[i].In] = append(models[c.Ops[i].In], model)
		if c.Ops[i].Doc == nil {
			updates[c.Ops[i].In] = append(updates[c.Ops[i].In], model)
		}
	}
	var writes []func() error
	for name, of := range models {
		collection, ok := s.c.byName[name]
		if !ok {
			return belfry.Errorf(belfry.ErrUnavailable, "a newer program has written to the database: it knows the collection %q", name)
		}
		writes = append(writes, func() error {
			_, err := collection.BulkWrite(ctx, of, options.BulkWrite().SetOrdered(false))
			if err == nil || exceptDuplicates(err) != nil {
				return exceptDuplicates(err)
			}
			// A server may leave the updates behind a duplicate undone, ordered or not: FerretDB does (its issue 2612).
			for _, model := range updates[name] {
				_, err := collection.BulkWrite(ctx, []driver.WriteModel{model})
				if err = exceptDuplicates(err); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err := together(writes...); err != nil {
		return err
	}
	_, err := s.c.commits.UpdateOne(ctx, bson.D{{Key: "_id", Value: c.State.N}}, bson.D{
		{Key: "$set", Value: bson.D{{Key: "applied", Value: true}}}, {Key: "$unset", Value: bson.D{{Key: "ops", Value: ""}}},
	})
	if err == nil && c.Parts > 0 {
		_, err = s.c.parts.DeleteMany(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$in", Value: partKeys(c.Token, c.Parts)}}}})
	}
	return err
}

// exceptDuplicates forgives that documents are there already: of inserts that were done
// before, and of upserts of what a later commit has changed.
func exceptDuplicates(err error) error {
	var bulk driver.BulkWriteException
	if !errors.As(err, &bulk) || bulk.WriteConcernError != nil || len(bulk.WriteErrors) == 0 {
		return err
	}
	for _, one := range bulk.WriteErrors {
		if one.Code != 11000 {
			return err
		}
	}
	return nil
}

// errOvertaken says that another process has made the commit.
var errOvertaken = errors.New("another process has made this commit")

// record makes a commit. It fails with errOvertaken where another process was first.
// With any other error nothing has happened, or the database is away and it cannot be known.
func (s *Store) record(ctx context.Context, c *commit) error {
	if err := s.split(ctx, c); err != nil {
		return err
	}
	stored := *c
	if c.Parts > 0 {
		stored.Ops = nil
	}
	var failed error
	for ctx.Err() == nil {
		_, err := s.c.commits.InsertOne(ctx, stored)
		if err == nil {
			return s.linked(ctx, c)
		}
		if driver.IsDuplicateKeyError(err) {
			// If an attempt before seemed to fail, it may be this process's own.
			made, ok, err := findOne[commit](ctx, s.c.commits, c.State.N)
			if err == nil && ok && made.Token == c.Token {
				return s.linked(ctx, c)
			}
			if err == nil {
				return errOvertaken
			}
			failed = err
			continue
		}
		if failed = err; !uncertain(err) {
			return err
		}
	}
	return errors.Join(failed, ctx.Err())
}

// linked takes a commit back, and fails with errOvertaken, if the one before it is not there any more: a process that stood still for
// so long, with its clocks, may not know that its next number has been given, and deleted again. Where the one before is
// there after the insert, this number was not given before.
func (s *Store) linked(ctx context.Context, c *commit) error {
	before, err := find[struct{}](ctx, s.c.commits, bson.D{{Key: "_id", Value: c.State.N - 1}}, options.Find().SetProjection(bson.D{{Key: "_id", Value: 1}}))
	if err != nil || len(before) > 0 {
		return err
	}
	if _, err := s.c.commits.DeleteOne(ctx, bson.D{{Key: "_id", Value: c.State.N}, {Key: "token", Value: c.Token}}); err != nil {
		return err
	}
	s.head.forget()
	return errOvertaken
}

// uncertain reports whether a write may have been done although it failed, or may be done yet: a server that is no primary any more
// may have got it before.
func uncertain(err error) bool {
	var write driver.WriteException
	var labeled driver.LabeledError
	return driver.IsNetworkError(err) || driver.IsTimeout(err) || errors.As(err, &write) && write.WriteConcernError != nil ||
		errors.As(err, &labeled) && labeled.HasErrorLabel("RetryableWriteError")
}

// trim deletes commits that nobody needs any more: the oldest, up to one that is young by the clock of its maker. So those that are there
// follow each other, whatever the clocks of processes say.
func (s *Store) trim(ctx context.Context, n number) error {
	old, end := time.Now().Add(-keepFor), n-keepCommits
	young, err := find[commit](ctx, s.c.commits, bson.D{
		{Key: "_id", Value: bson.D{{Key: "$lt", Value: end}}}, {Key: "at", Value: bson.D{{Key: "$gte", Value: old}}},
	}, options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}).SetLimit(1).SetProjection(bson.D{{Key: "_id", Value: 1}}))
	if err != nil {
		return err
	}
	for _, c := range young {
		end = c.State.N
	}
	_, err = s.c.commits.DeleteMany(ctx, bson.D{{Key: "_id", Value: bson.D{{Key: "$lt", Value: end}}}})
	if err == nil { // parts of commits that were never made
		_, err = s.c.parts.DeleteMany(ctx, bson.D{{Key: "at", Value: bson.D{{Key: "$lt", Value: old}}}})
	}
	return err
}

// later returns the higher of two places.
func later(a, b bson.ObjectID) bson.ObjectID {
	if belfry.ID(a).Compare(belfry.ID(b)) > 0 {
		return a
	}
	return b
}
