package belfry

import (
	"context"
	"encoding/binary"
	"log/slog"
	"time"
)

// A Retention says how much is kept. What is beyond a limit goes, the oldest
// first, read or not. Zero means no limit: the zero value keeps everything.
type Retention struct {
	// MessageAge is how long a message is kept after belfry got it, whatever
	// date it carries; ActivityAge likewise.
	MessageAge time.Duration
	// Messages bounds the messages of all users together.
	Messages int
	// MessagesPerUser bounds the messages of one user, in all companies together.
	MessagesPerUser int

	ActivityAge time.Duration
	// Activities bounds the activities of all companies together.
	Activities int
	// LogAge is how long it is kept that messages were read, changed or withdrawn, for pages that come back;
	// 0 means 30 days. A page that was away for longer loads its lists anew.
	LogAge time.Duration
}

// DefaultLogAge is the LogAge of a zero [Retention].
const DefaultLogAge = 30 * 24 * time.Hour

// MaxPruneStep bounds what one call of PruneMessages or PruneActivities
// deletes: more would keep pushes waiting.
const MaxPruneStep = 200

// MessageLimits say which messages a store keeps. Zero fields set no limit.
type MessageLimits struct {
	Since       ID  // messages with lower IDs go
	Rows        int // of all receivers together
	RowsPerUser int // of one receiver, whatever their company
}

// ActivityLimits say which activities a store keeps. Zero fields set no limit.
type ActivityLimits struct {
	Since ID  // activities with lower IDs go
	Rows  int // of all companies together
}

const (
	// A step of the janitor has minPruneStep to maxPruneStep rows, because a push that comes alone waits
	// for a whole step at worst. It has one for each rowTime that the step before took: where that
	// waited for the disk or for other pushes, a few rows more are not noticed.
	minPruneStep = 6
	maxPruneStep = 50
	rowTime      = 500 * time.Microsecond
	// prunePause is how long the janitor rests after a step, as a multiple of
	// the time of the step: its share of the writer is one in prunePause+1.
	prunePause = 2
	// minPrunePause is the least of these rests.
	minPrunePause = 2 * time.Millisecond
)

// DefaultPruneInterval is the rest of a [Janitor] when nothing is left to do.
const DefaultPruneInterval = time.Minute

// JanitorOptions says what a [Janitor] works on. Store is needed.
type JanitorOptions struct {
	Store     Store
	Retention Retention
	// Interval is the rest between two rounds; 0 means one minute. Within it, there
	// may be more rows than the limits allow.
	Interval time.Duration
	// Pruned is told who has lost unread messages; see [Pruned]. It may be nil.
	Pruned func(ctx context.Context, owners []Identity)
	Logger *slog.Logger // nil means slog.Default()
}

// A Janitor enforces a [Retention]. It works through what is beyond the limits
// in small steps with rests between them, so that pushes never wait long. Pushes
// may therefore come faster than it deletes; it then catches up when they have
// slowed down.
type Janitor struct {
	store     Store
	retention Retention
	interval  time.Duration
	pruned    func(ctx context.Context, owners []Identity)
	log       *slog.Logger
	cancel    context.CancelFunc
	ended     chan struct{}
}

// NewJanitor starts a Janitor; Close ends it. It panics without a Store.
func NewJanitor(o JanitorOptions) *Janitor {
	if o.Store == nil {
		panic("belfry: a Janitor needs a Store")
	}
	j := &Janitor{store: o.Store, retention: o.Retention, interval: o.Interval, pruned: o.Pruned, log: o.Logger, ended: make(chan struct{})}
	if j.interval <= 0 {
		j.interval = DefaultPruneInterval
	}
	if j.pruned == nil {
		j.pruned = func(context.Context, []Identity) {}
	}
	if j.retention.LogAge <= 0 {
		j.retention.LogAge = DefaultLogAge
	}
	if j.log == nil {
		j.log = slog.Default()
	}
	ctx, cancel := context.WithCancel(context.Background())
	j.cancel = cancel
	go j.loop(ctx)
	return j
}

// Close ends the work and returns when nothing of it is under way any more. The
// store is its owner's to close, afterwards.
func (j *Janitor) Close() {
	j.cancel()
	<-j.ended
}

func (j *Janitor) loop(ctx context.Context) {
	defer close(j.ended)
	for {
		j.round(ctx)
		if !rest(ctx, j.interval) {
			return
		}
	}
}

// round enforces every limit once. Of a kind that fails, the rest waits for the
// next round.
func (j *Janitor) round(ctx context.Context) {
	now := time.Now()
	r := j.retention
	messages := MessageLimits{Since: since(now, r.MessageAge), Rows: max(r.Messages, 0), RowsPerUser: max(r.MessagesPerUser, 0)}
	// Without limits, too: a store may have to find out what its server has deleted.
	j.prune(ctx, "messages", func(step int) (Pruned, error) {
		return j.store.PruneMessages(ctx, messages, step)
	})
	activities := ActivityLimits{Since: since(now, r.ActivityAge), Rows: max(r.Activities, 0)}
	j.prune(ctx, "activities", func(step int) (Pruned, error) {
		return j.store.PruneActivities(ctx, activities, step)
	})
	j.prune(ctx, "revisions", steps(func(step int) (int, error) {
		return j.store.PruneRevisions(ctx, since(now, r.LogAge), step)
	}))
	j.prune(ctx, "requests", steps(func(step int) (int, error) {
		return j.store.PruneRequests(ctx, now.Add(-RequestLifetime), step)
	}))
}

// steps makes a step of prune from one that only counts.
func steps(prune func(step int) (deleted int, err error)) func(step int) (Pruned, error) {
	return func(step int) (Pruned, error) {
		deleted, err := prune(step)
		return Pruned{Deleted: deleted, More: deleted == step}, err
	}
}

// prune repeats a step until nothing is left to do.
func (j *Janitor) prune(ctx context.Context, kind string, prune func(step int) (Pruned, error)) {
	total, step := 0, minPruneStep
	for {
		began := time.Now()
		pruned, err := prune(step)
		took := time.Since(began)
		step = min(max(minPruneStep, int(took/rowTime)), maxPruneStep)
		total += pruned.Deleted
		j.pruned(ctx, pruned.Unread)
		if err != nil && ctx.Err() == nil {
			j.log.WarnContext(ctx, "retention has failed; the next round goes on with it", "of", kind, "err", err)
		}
		if err != nil || !pruned.More || !rest(ctx, max(minPrunePause, prunePause*took)) {
			break
		}
	}
	if total > 0 {
		j.log.DebugContext(ctx, "retention has deleted the oldest", "of", kind, "rows", total)
	}
}

// rest waits and reports whether to go on.
func rest(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// since returns the lowest ID that is not older than age, or zero where age
// sets no limit.
func since(now time.Time, age time.Duration) ID {
	var id ID
	if oldest := now.Add(-age).Unix(); age > 0 && oldest > 0 {
		binary.BigEndian.PutUint32(id[:4], uint32(oldest))
	}
	return id
}
