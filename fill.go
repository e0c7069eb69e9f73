package belfry

import (
	"context"
	"slices"
	"sync"
)

// A missed event is one that pages of this node are told from the store.
type missedEvent struct {
	place ID
	env   Envelope
	id    ID // of the message that it tells of, or zero
}

// A filling collects what is between two places, for all who have pages here.
type filling struct {
	service  *Service
	from, to ID
	concerns func(Identity) bool

	mu    sync.Mutex
	known map[Identity][]missedEvent // who has been looked up
}

// fill tells the pages of this node what is stored between two places, from the store.
func (s *Service) fill(ctx context.Context, from, to ID) error {
	owners, known, err := s.store.Concerned(ctx, from)
	if err != nil {
		return err
	}
	f := &filling{service: s, from: from, to: to, known: make(map[Identity][]missedEvent), concerns: concernedBy(owners, known)}
	for {
		if err := f.lookUp(ctx, f.missing()); err != nil {
			return err
		}
		if done := f.land(ctx); done {
			return ctx.Err()
		}
	}
}

// concernedBy returns whether an identity is concerned by what concerns owners.
func concernedBy(owners []Identity, known bool) func(Identity) bool {
	if !known {
		return func(Identity) bool { return true }
	}
	set := make(map[Identity]struct{}, len(owners))
	for _, owner := range owners {
		set[owner] = struct{}{}
	}
	return func(who Identity) bool {
		for _, owner := range []Identity{{}, {User: who.User}, {Company: who.Company}} {
			if _, is := set[owner]; is {
				return true
			}
		}
		return false
	}
}

// missing returns who has pages here, is concerned and has not been looked up.
func (f *filling) missing() []Identity {
	all := f.service.presence.Here("")
	return slices.DeleteFunc(all, func(who Identity) bool {
		_, known := f.known[who]
		return known || !f.concerns(who)
	})
}

// lookUp reads what identities have missed.
func (f *filling) lookUp(ctx context.Context, identities []Identity) error {
	slots := make(chan struct{}, fillReaders)
	var reading sync.WaitGroup
	var failed error
	for _, who := range identities {
		slots <- struct{}{}
		reading.Go(func() {
			defer func() { <-slots }()
			events, err := f.service.missedBy(ctx, who, f.from, f.to)
			f.mu.Lock()
			defer f.mu.Unlock()
			if err != nil {
				failed = err
				return
			}
			f.known[who] = events
		})
	}
	reading.Wait()
	return failed
}

// missedBy returns the events of what an identity has missed.
func (s *Service) missedBy(ctx context.Context, who Identity, from, to ID) ([]missedEvent, error) {
	entries, complete, err := s.store.Since(ctx, who, from, to, s.catchUpLimit)
	if err != nil {
		return nil, err
	}
	room := []string{MemberRoom(who)}
	if !complete {
		return []missedEvent{{place: to, env: Envelope{Rooms: room, Event: EventReset, Args: []any{struct{}{}}, Cursor: Cursor(to)}}}, nil
	}
	if len(entries) == 0 {
		return nil, nil
	}
	counts, err := s.store.Counts(ctx, who)
	if err != nil {
		return nil, err
	}
	preferences, err := s.preferencesOf(ctx, who.User)
	if err != nil {
		return nil, err
	}
	var events []missedEvent
	for i, e := range entries {
		if e.Message != nil && s.mutes(preferences, e.Message) {
			continue
		}
		event := missedEvent{place: e.Place, env: Envelope{Rooms: room}}
		var arg any
		event.env.Event, arg = e.event(&counts)
		event.env.Args = []any{arg}
		if i+1 == len(entries) || entries[i+1].Place != e.Place {
			event.env.Cursor = Cursor(e.Place)
		}
		if e.Message != nil && !e.Message.IsNotice() {
			event.id = e.Message.ID
		}
		events = append(events, event)
	}
	return append(events, missedEvent{place: to, env: Envelope{Rooms: room, Event: EventCounts, Args: []any{counts}}}), nil
}

// land tells the pages, unless some have come meanwhile who have to be looked up first.
func (f *filling) land(ctx context.Context) (done bool) {
	return f.service.line.fill(f.to, func(told ID) bool {
		if len(f.missing()) > 0 {
			return false
		}
		for who, events := range f.known {
			f.tell(ctx, who, events, told)
		}
		return true
	})
}

// tell tells an identity what it has missed after a place. The line is locked.
func (f *filling) tell(ctx context.Context, who Identity, events []missedEvent, after ID) {
	s := f.service
	var sent []ID
	reached := false
	for _, e := range events {
		if e.place.Compare(after) <= 0 {
			continue // it has come meanwhile
		}
		if s.emit(e.env) > 0 {
			reached = true
			if !e.id.IsZero() {
				sent = append(sent, e.id)
			}
		}
	}
	if len(sent) > 0 {
		s.markDelivered(ctx, who.User, sent...)
	}
	if reached {
		s.markHeard(ctx, who, f.to)
	}
}
