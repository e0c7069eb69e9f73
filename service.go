package belfry

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// ServiceOptions says what a [Service] works with. Store and Broker are
// needed; the zero value of everything else is useful.
type ServiceOptions struct {
	Store  Store
	Broker Broker
	// Presence counts who is online. Nil means a [MemoryPresence] of the
	// service's own, which [Service.Close] closes.
	Presence Presence
	// Journal is the delivery record; nil means that none is kept.
	Journal Journal
	// IDs names messages and activities. One process has one source.
	IDs *IDSource
	Now func() time.Time // nil means time.Now
	// ReplayLimit bounds the messages that one login replays; 0 means 100.
	// What is beyond it waits for the next login, and is in the inbox.
	ReplayLimit int
	// CatchUpLimit bounds what a page is told that catches up from a cursor; 0
	// means 500. Beyond it the page has to load its lists anew.
	CatchUpLimit int
	// CatchUpStep is how much a page that catches up is told at once, in bytes: so much is kept in
	// memory for it. It should be no more than a quarter of what may be queued for a page. 0 means 64 KiB.
	CatchUpStep int
	// MaxReceivers bounds the receivers of one push; 0 means 10,000.
	MaxReceivers int
	// ForcedCategories lists the categories of messages that no preference turns off.
	ForcedCategories []string
	Logger           *slog.Logger // nil means slog.Default()
}

// The defaults of [ServiceOptions].
const (
	DefaultReplayLimit  = 100
	DefaultCatchUpLimit = 500
	DefaultCatchUpStep  = 64 << 10
	DefaultMaxReceivers = 10_000
)

// A Service is the rules: what may be pushed, who gets it and in which order,
// what counts. It is safe for concurrent use.
//
// Pages get messages, activities and changes in the order of their places in the log, each
// once. That holds for all pushes and logins that go through one Service, and where the [Broker] says that the log is shared,
// for those of all nodes.
type Service struct {
	store        Store
	revocations  atomic.Uint64 // by this process
	broker       Broker
	presence     Presence
	ownPresence  *MemoryPresence // to be closed, or nil
	journal      Journal
	now          func() time.Time
	replayLimit  int
	catchUpLimit int
	catchUpStep  int
	maxReceivers int
	forced       []string
	log          *slog.Logger

	line        *line
	inLine      time.Duration // inLineTimeout
	slowInLine  time.Time     // when the store last took too long for who holds the line, which guards it
	shared      bool          // other nodes store into the same log
	follower    follower
	fillBytes   int64 // maxFillBytes
	requests    gate  // by key
	logins      gate  // by user: what waits is replayed to one page
	arriving    turns // of logins to ask the store
	marks       gate  // by user: marks are stored in the order of their places
	edits       gate  // by message, likewise
	preferences preferenceCache
	choosers    choosers
	incoming    incoming
	behind      laggards
	notices     noticePlaces
	agenda      agenda
	teller      teller

	background context.Context // ends with Close
	stop       context.CancelFunc
	running    sync.WaitGroup
}

// NewService makes a Service and starts what it does by itself: scheduled pushes,
// expiry, and the counts that follow a notice. It fails as the Store does. It
// panics without a Store or a Broker.
func NewService(ctx context.Context, o ServiceOptions) (*Service, error) {
	if o.Store == nil || o.Broker == nil {
		panic("belfry: a Service needs a Store and a Broker")
	}
	s := &Service{
		store: o.Store, broker: o.Broker, presence: o.Presence, journal: o.Journal, now: o.Now,
		replayLimit: o.ReplayLimit, catchUpLimit: o.CatchUpLimit, catchUpStep: o.CatchUpStep, maxReceivers: o.MaxReceivers,
		forced: o.ForcedCategories, log: o.Logger,
		agenda: newAgenda(), teller: newTeller(), follower: newFollower(),
		incoming: make(incoming), fillBytes: maxFillBytes, inLine: inLineTimeout,
	}
	s.setDefaults()
	ids := o.IDs
	if ids == nil {
		ids = NewIDSource()
	}
	last, err := s.store.Last(ctx)
	if err != nil {
		return nil, fmt.Errorf("the last place in the log: %w", err)
	}
	ids.Skip(last)
	s.line = newLine(ids, last, s.now, s.log)
	if s.presence == nil {
		s.ownPresence = NewMemoryPresence(PresenceOptions{Changed: AnnounceOnline(s.broker)})
		s.presence = s.ownPresence
	}
	s.background, s.stop = context.WithCancel(context.Background())
	s.shared = s.broker.Serve(s)
	s.beginLine(last)
	if s.shared {
		s.running.Go(s.follow)
		s.running.Go(s.keepRefreshing)
	}
	s.running.Go(s.keepAgenda)
	s.running.Go(s.keepTelling)
	return s, nil
}

// beginLine says where pages begin, last being the last place in the log. Other nodes may be sending already.
func (s *Service) beginLine(last ID) {
	l := s.line
	l.mu.Lock()
	defer l.mu.Unlock()
	if !s.shared {
		l.told = l.ids.New(s.now()) // no cursor of this process is in the past of another
		return
	}
	l.share, l.ended = s.broker.Share, s.background.Done()
	if last.IsZero() {
		l.told = ID{len(ID{}) - 1: 1} // a cursor that is none would be that of a page which comes for the first time
	}
}

func (s *Service) setDefaults() {
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.journal == nil {
		s.journal = noJournal{}
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.replayLimit <= 0 {
		s.replayLimit = DefaultReplayLimit
	}
	if s.catchUpLimit <= 0 {
		s.catchUpLimit = DefaultCatchUpLimit
	}
	if s.catchUpStep <= 0 {
		s.catchUpStep = DefaultCatchUpStep
	}
	if s.maxReceivers <= 0 {
		s.maxReceivers = DefaultMaxReceivers
	}
}

// Close ends what the service does by itself and returns when nothing of it is under way. Store, broker,
// journal and a presence that was handed to it are their owner's to close.
func (s *Service) Close() {
	s.stop()
	s.running.Wait()
	if s.ownPresence != nil {
		s.ownPresence.Close()
	}
}

// AnnounceOnline returns a function for [PresenceOptions].Changed that tells the
// pages of a company on this node how many of its users are online.
func AnnounceOnline(broker Broker) func(company CompanyID, users int) {
	return func(company CompanyID, users int) {
		broker.Emit(Envelope{
			Rooms: []string{CompanyRoom(company)},
			Event: EventOnlineCount,
			Args:  []any{users},
		})
	}
}
