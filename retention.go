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
}

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
	// pruneStep is what the janitor deletes at once. Smaller than what is allowed,
	// because a push that comes alone waits for a whole step at worst.
	pruneStep = 50
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
	Logger   *slog.Logger // nil means slog.Default()
}

// A Janitor enforces a [Retention]. It works through what is beyond the limits
// in small steps with rests between them, so that pushes never wait long. Pushes
// may therefore come faster than it deletes; it then catches up when they have
// slowed down.
type Janitor struct {
	store     Store
	retention Retention
	interval  time.Duration
	log       *slog.Logger
	cancel    context.CancelFunc
	ended     chan struct{}
}

// NewJanitor starts a Janitor; Close ends it. It panics without a Store.
func NewJanitor(o JanitorOptions) *Janitor {
	if o.Store == nil {
		panic("belfry: a Janitor needs a Store")
	}
	j := &Janitor{store: o.Store, retention: o.Retention, interval: o.Interval, log: o.Logger, ended: make(chan struct{})}
	if j.interval <= 0 {
		j.interval = DefaultPruneInterval
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
	if messages != (MessageLimits{}) {
		j.prune(ctx, "messages", func() (int, bool, error) {
			return j.store.PruneMessages(ctx, messages, pruneStep)
		})
	}
	activities := ActivityLimits{Since: since(now, r.ActivityAge), Rows: max(r.Activities, 0)}
	if activities != (ActivityLimits{}) {
		j.prune(ctx, "activities", func() (int, bool, error) {
			return j.store.PruneActivities(ctx, activities, pruneStep)
		})
	}
}

// prune repeats a step until nothing is left to do.
func (j *Janitor) prune(ctx context.Context, kind string, step func() (deleted int, more bool, err error)) {
	total := 0
	for {
		began := time.Now()
		deleted, more, err := step()
		total += deleted
		if err != nil && ctx.Err() == nil {
			j.log.WarnContext(ctx, "retention has failed; the next round goes on with it", "of", kind, "err", err)
		}
		if err != nil || !more || !rest(ctx, max(minPrunePause, prunePause*time.Since(began))) {
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
