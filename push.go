package belfry

import (
	"context"
	"sync"
)

// PushOptions alters a push. The zero value is the usual one.
type PushOptions struct {
	// Transient messages and activities are not stored: pages that are open
	// get them, nobody else ever does.
	Transient bool
}

// A Receipt tells the truth about a push.
type Receipt struct {
	IDs []ID // one for each receiver
	// Receivers are those of the messages, in the order given, without
	// repetitions; none of an activity or of a text to everybody.
	Receivers []UserID
	Stored    bool
	Pages     int // how many pages it was queued for, all receivers together
}

// PushMessage sends draft to every receiver: it checks it, stores one message for
// each receiver (all or none), and publishes them. The draft's ID, Receiver
// and IsRead are ignored; a zero Date means now and a zero Type [SystemNotice].
// A receiver who is named twice counts once.
//
// It fails with [ErrInvalid] naming the field that is wrong, or as the Store
// does; then nothing was stored or sent. Once stored, it goes on even if ctx ends.
// If the broker fails, the receipt says so by its Pages, and the
// message waits for the receiver's next login.
func (s *Service) PushMessage(ctx context.Context, draft Message, receivers []UserID, opt PushOptions) (Receipt, error) {
	draft, err := checkMessage(draft, s.now())
	if err != nil {
		return Receipt{}, err
	}
	to, err := s.checkReceivers(receivers)
	if err != nil {
		return Receipt{}, err
	}
	messages := make([]Message, len(to))
	group := newFlightGroup(s.inboxes, len(to))
	defer group.drop() // no-op once landed
	for i, receiver := range to {
		m := &messages[i]
		*m = draft
		m.Receiver = receiver
		group.depart(i, string(receiver), func() ID {
			m.ID = s.ids.New(s.now())
			return m.ID
		})
	}
	if !opt.Transient {
		if err := s.store.AddMessages(ctx, messages); err != nil {
			return Receipt{}, err
		}
	}
	ctx = context.WithoutCancel(ctx)
	pages := group.land(func(i int) int { return s.deliver(ctx, &messages[i], !opt.Transient) })
	receipt := Receipt{IDs: make([]ID, len(messages)), Receivers: to, Stored: !opt.Transient, Pages: pages}
	for i := range messages {
		receipt.IDs[i] = messages[i].ID
	}
	return receipt, nil
}

// deliver publishes a message to the pages of its receiver, and returns how
// many it was queued for. Its lane is locked.
func (s *Service) deliver(ctx context.Context, m *Message, stored bool) int {
	room := UserRoom(m.Receiver)
	if m.Company != "" {
		room = MemberRoom(Identity{m.Receiver, m.Company})
	}
	pages, err := s.broker.Publish(ctx, Envelope{Rooms: []string{room}, Event: EventMessage, Args: []any{m}})
	if err != nil {
		s.log.WarnContext(ctx, "message not published; it waits for the next login", "messageID", m.ID, "err", err)
		return 0
	}
	if pages > 0 && stored {
		s.markDelivered(ctx, m.Receiver, m.ID)
	}
	return pages
}

// markDelivered tells the store. If that fails, a later login gets the message
// once more, which is the better of the two faults.
func (s *Service) markDelivered(ctx context.Context, receiver UserID, ids ...ID) {
	if err := s.store.MarkDelivered(ctx, receiver, ids); err != nil {
		s.log.WarnContext(ctx, "delivery not recorded; the next login repeats it", "receiver", receiver, "messages", len(ids), "err", err)
	}
}

// PushActivity checks, stores and publishes an activity to every page of its
// company. The draft's ID is ignored; a zero Date means now. It fails as
// [Service.PushMessage] does.
func (s *Service) PushActivity(ctx context.Context, draft Activity, opt PushOptions) (Receipt, error) {
	activity, err := checkActivity(draft, s.now())
	if err != nil {
		return Receipt{}, err
	}
	group := newFlightGroup(s.feeds, 1)
	defer group.drop()
	group.depart(0, string(activity.Company), func() ID {
		activity.ID = s.ids.New(s.now())
		return activity.ID
	})
	if !opt.Transient {
		if err := s.store.AddActivity(ctx, activity); err != nil {
			return Receipt{}, err
		}
	}
	ctx = context.WithoutCancel(ctx)
	pages := group.land(func(int) int {
		pages, err := s.broker.Publish(ctx, Envelope{
			Rooms: []string{CompanyRoom(activity.Company)},
			Event: EventActivity,
			Args:  []any{&activity},
		})
		if err != nil {
			s.log.WarnContext(ctx, "activity not published", "activityID", activity.ID, "err", err)
			return 0
		}
		return pages
	})
	return Receipt{IDs: []ID{activity.ID}, Stored: !opt.Transient, Pages: pages}, nil
}

// PublishText sends a bare text, as web-msg-sender's callers do: to one user,
// stored, or to every page that is logged in if to is empty, not stored. It
// fails as [Service.PushMessage] does.
func (s *Service) PublishText(ctx context.Context, to UserID, content string) (Receipt, error) {
	draft := Message{Content: content, Bare: true}
	if to != "" {
		return s.PushMessage(ctx, draft, []UserID{to}, PushOptions{})
	}
	m, err := checkMessage(draft, s.now())
	if err != nil {
		return Receipt{}, err
	}
	m.ID = s.ids.New(s.now())
	pages, err := s.broker.Publish(ctx, Envelope{Rooms: []string{EverybodyRoom}, Event: EventMessage, Args: []any{&m}})
	if err != nil {
		return Receipt{}, &Error{Code: ErrUnavailable, Message: "the message could not be published", Err: err}
	}
	return Receipt{IDs: []ID{m.ID}, Pages: pages}, nil
}

// A flightGroup is the flights of one push.
type flightGroup struct {
	lanes   *lanes
	flights []flight
	landed  sync.WaitGroup
	done    bool
}

func newFlightGroup(l *lanes, n int) *flightGroup {
	return &flightGroup{lanes: l, flights: make([]flight, n)}
}

// depart puts flight i into the lane of key, with the ID that newID makes. IDs
// of a lane are made under its lock, hence in the order of the lane.
func (g *flightGroup) depart(i int, key string, newID func() ID) {
	g.lanes.depart(&g.flights[i], key, newID)
}

// land publishes every flight as soon as those before it in its lane are gone,
// waits for all, and returns the sum of what publish returned. publish may run
// in the goroutine of another push.
func (g *flightGroup) land(publish func(i int) int) int {
	g.done = true
	g.landed.Add(len(g.flights))
	for i := range g.flights {
		f := &g.flights[i]
		g.lanes.land(f, func() {
			defer g.landed.Done()
			f.pages = publish(i)
		})
	}
	g.landed.Wait()
	pages := 0
	for i := range g.flights {
		pages += g.flights[i].pages
	}
	return pages
}

// drop takes out flights that have not landed: the store refused them.
func (g *flightGroup) drop() {
	if g.done {
		return
	}
	for i := range g.flights {
		if g.flights[i].lane != nil {
			g.lanes.drop(&g.flights[i])
		}
	}
}
