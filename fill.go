package belfry

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
)

// A missed event is one that pages of this node are told from the store.
type missedEvent struct {
	place ID
	env   Envelope
	id    ID // of the message that it tells of, or zero
}

// fillTries is how often what somebody has missed is read in vain, though the store answers others, before his pages are told to load
// their lists anew: everybody else waits for it.
const fillTries = 10

// maxFillBytes bounds, about, what is kept in memory of what all pages of this node have missed.
const maxFillBytes = 64 << 20

// fill tells the pages of this node what is stored between two places, from the store. Who logs in meanwhile waits for it:
// a login is for what is stored after it has begun ([Service.settle]).
func (s *Service) fill(ctx context.Context, from, to ID) error {
	owners, known, err := s.store.Concerned(ctx, from)
	if err != nil {
		return err
	}
	concerned := concernedBy(owners, known)
	identities := slices.DeleteFunc(s.presence.Here(""), func(who Identity) bool { return !concerned(who) })
	missed, err := s.missedByAll(ctx, identities, from, to)
	if err != nil {
		if s.follower.tries++; s.follower.tries < fillTries || ctx.Err() != nil {
			return err
		}
		s.log.Error("what some have missed cannot be read; their pages load their lists anew", "err", err)
	}
	s.follower.tries = 0
	s.line.fill(to, func(told ID) {
		for i, who := range identities {
			s.tellMissedHere(ctx, who, missed[i], told, to)
		}
	})
	return ctx.Err()
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

// missedByAll reads what each of some identities has missed. Where all that is too much, the last have to load their lists anew; with an
// error, those of whom it is not known.
func (s *Service) missedByAll(ctx context.Context, identities []Identity, from, to ID) ([][]missedEvent, error) {
	missed, errs := make([][]missedEvent, len(identities)), make([]error, len(identities))
	slots := make(chan struct{}, fillReaders)
	var reading sync.WaitGroup
	var kept atomic.Int64 // bytes
	for i, who := range identities {
		slots <- struct{}{}
		reading.Go(func() {
			defer func() { <-slots }()
			if kept.Load() > s.fillBytes {
				missed[i] = missedTooMuch(who, to)
				return
			}
			var size int
			if missed[i], size, errs[i] = s.missedBy(ctx, who, from, to); errs[i] != nil {
				missed[i] = missedTooMuch(who, to)
			}
			kept.Add(int64(size))
		})
	}
	reading.Wait()
	return missed, errors.Join(errs...)
}

// missedBy returns the events of what an identity has missed, and about how many bytes they take.
func (s *Service) missedBy(ctx context.Context, who Identity, from, to ID) (events []missedEvent, size int, err error) {
	entries, complete, err := s.store.Since(ctx, who, from, to, s.catchUpLimit)
	if err != nil {
		return nil, 0, err
	}
	if !complete {
		return missedTooMuch(who, to), 0, nil
	}
	if len(entries) == 0 {
		return nil, 0, nil
	}
	counts := s.countsOf(ctx, who)
	preferences, err := s.preferencesOf(ctx, who.User)
	if err != nil {
		return nil, 0, err
	}
	room := []string{MemberRoom(who)}
	for i, e := range entries {
		if e.Message != nil && s.mutes(preferences, e.Message) {
			continue
		}
		event := missedEvent{place: e.Place, env: Envelope{Rooms: room}}
		var arg any
		event.env.Event, arg = e.event(counts)
		event.env.Args = []any{arg}
		if i+1 == len(entries) || entries[i+1].Place != e.Place {
			event.env.Cursor = Cursor(e.Place)
		}
		if e.Message != nil && !e.Message.IsNotice() {
			event.id = e.Message.ID
		}
		events = append(events, event)
		size += e.size()
	}
	if counts != nil {
		events = append(events, missedEvent{place: to, env: Envelope{Rooms: room, Event: EventCounts, Args: []any{*counts}}})
	}
	return events, size, nil
}

// missedTooMuch has an identity's pages load their lists anew.
func missedTooMuch(who Identity, to ID) []missedEvent {
	return []missedEvent{{place: to, env: Envelope{
		Rooms: []string{MemberRoom(who)}, Event: EventReset, Args: []any{struct{}{}}, Cursor: Cursor(to),
	}}}
}

// tellMissedHere tells an identity's pages what they have missed after a place, up to and including another. The line is locked.
func (s *Service) tellMissedHere(ctx context.Context, who Identity, events []missedEvent, after, to ID) {
	var sent []ID
	reached := false
	for _, e := range events {
		if e.place.Compare(after) <= 0 {
			continue // it has come meanwhile
		}
		if pages := s.emit(e.env); pages > 0 {
			reached = true
			if !e.id.IsZero() && !s.incoming.keep(who.User, who.Company, e.id, pages) {
				sent = append(sent, e.id)
			}
		}
	}
	if len(sent) > 0 {
		s.markDelivered(ctx, who.User, sent...)
	}
	if reached {
		s.markHeard(ctx, who, to)
	}
}
