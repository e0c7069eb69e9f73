package belfry

import (
	"context"
	"log/slog"
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
	// IDs names messages and activities. One process has one source.
	IDs *IDSource
	Now func() time.Time // nil means time.Now
	// ReplayLimit bounds the messages that one login replays; 0 means 100.
	// What is beyond it waits for the next login, and is in the inbox.
	ReplayLimit int
	// MaxReceivers bounds the receivers of one push; 0 means 10,000.
	MaxReceivers int
	Logger       *slog.Logger // nil means slog.Default()
}

// The defaults of [ServiceOptions].
const (
	DefaultReplayLimit  = 100
	DefaultMaxReceivers = 10_000
)

// A Service is the rules: what may be pushed, who gets it and in which order,
// what counts. It is safe for concurrent use.
//
// Of one receiver, pages get messages in the order of their IDs, each once; of
// one company, activities likewise. That holds for all pushes and logins that go
// through one Service.
type Service struct {
	store        Store
	broker       Broker
	presence     Presence
	ownPresence  *MemoryPresence // to be closed, or nil
	ids          *IDSource
	now          func() time.Time
	replayLimit  int
	maxReceivers int
	log          *slog.Logger

	inboxes *lanes // pushes in flight, by receiver
	feeds   *lanes // pushes in flight, by company
}

// NewService makes a Service. It panics without a Store or a Broker.
func NewService(o ServiceOptions) *Service {
	if o.Store == nil || o.Broker == nil {
		panic("belfry: a Service needs a Store and a Broker")
	}
	s := &Service{
		store: o.Store, broker: o.Broker, presence: o.Presence, ids: o.IDs, now: o.Now,
		replayLimit: o.ReplayLimit, maxReceivers: o.MaxReceivers, log: o.Logger,
		inboxes: newLanes(), feeds: newLanes(),
	}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.presence == nil {
		s.ownPresence = NewMemoryPresence(PresenceOptions{Changed: AnnounceOnline(s.broker, s.log)})
		s.presence = s.ownPresence
	}
	if s.ids == nil {
		s.ids = NewIDSource()
	}
	if s.now == nil {
		s.now = time.Now
	}
	if s.replayLimit <= 0 {
		s.replayLimit = DefaultReplayLimit
	}
	if s.maxReceivers <= 0 {
		s.maxReceivers = DefaultMaxReceivers
	}
	return s
}

// Close ends what the service itself has started. Store, broker and a presence
// that was handed to it are their owner's to close.
func (s *Service) Close() {
	if s.ownPresence != nil {
		s.ownPresence.Close()
	}
}

// AnnounceOnline returns a function for [PresenceOptions].Changed that tells all
// pages of a company how many of its users are online.
func AnnounceOnline(broker Broker, log *slog.Logger) func(company CompanyID, users int) {
	return func(company CompanyID, users int) {
		_, err := broker.Publish(context.Background(), Envelope{
			Rooms: []string{CompanyRoom(company)},
			Event: EventOnlineCount,
			Args:  []any{users},
		})
		if err != nil {
			log.Warn("online count not announced", "company", company, "err", err)
		}
	}
}
