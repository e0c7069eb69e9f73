package belfry

import (
	"context"
	"slices"
	"time"
)

// promisedMore is how much more than the usual a page is told that was promised
// everything: a little may have come since.
const promisedMore = 2

// Missed is what [Service.CanCatchUp] has found of a cursor. Zero stands for nothing.
type Missed struct {
	near    bool       // it is little
	entries []LogEntry // if it is
	until   ID         // a place
}

// CanCatchUp reports whether a page of the identity can be told all that came after a
// cursor, so that it need not load its lists anew. It fails as the Store does, and waits for
// its turn as a login does.
func (s *Service) CanCatchUp(ctx context.Context, who Identity, cursor Cursor) (can bool, m Missed, err error) {
	turn, err := s.ask(ctx, true)
	if err != nil {
		return false, Missed{}, err
	}
	defer turn.close()
	m.until = s.place()
	entries, complete, err := s.store.Since(turn.ctx, who, ID(cursor), m.until, s.catchUpLimit)
	if m.near = complete && len(stepsOf(entries, s.catchUpStep)) <= 1; m.near {
		m.entries = entries
	}
	return complete, m, err
}

// place returns the place up to which pages have been told.
func (s *Service) place() (at ID) {
	s.line.at(func(place ID) { at = place })
	return at
}

// mostMissed is how many log entries a page is told.
func (s *Service) mostMissed(a *arrival) int {
	if a.options.Resumed {
		return promisedMore * s.catchUpLimit
	}
	return s.catchUpLimit
}

// missed returns what came after a page's cursor, or that it has to load its lists anew.
func (s *Service) missed(ctx context.Context, a *arrival) (entries []LogEntry, reset bool, err error) {
	if m := a.options.Missed; m.near && m.until == a.at { // nothing has come since
		return m.entries, false, nil
	}
	entries, complete, err := s.since(ctx, a, a.at)
	if err == nil && !complete && a.options.Resumed {
		err = errMissedMore
	}
	return entries, !complete, err
}

var errMissedMore = Errorf(ErrConflict, "too much has come since; connect again")

// approach tells a page that has missed much nearly all of it, in steps, as it takes them, and moves its cursor.
// No more than a step is kept in memory: that it is read again costs less than what thousands of slow
// pages would keep, which come back together after a restart.
// What is published meanwhile it is told in its turn, from the log: only for the little that is left
// at the end what comes then has to be kept for it, and others of the user have to wait. If
// approach fails, the page has been told less, but nothing later than that.
func (s *Service) approach(ctx context.Context, a *arrival) (err error) {
	if a.fresh() || a.options.Missed.near {
		return nil
	}
	if a.preferences, err = s.preferencesOf(ctx, a.who.User); err != nil {
		return err
	}
	ctx = context.WithoutCancel(ctx) // it lasts as long as the page goes on taking it, see Page.Pace
	for {
		at := s.place()
		missed, complete, err := s.since(ctx, a, at)
		if err != nil {
			return err
		}
		ends := stepsOf(missed, s.catchUpStep)
		if !complete || len(ends) <= 1 {
			return nil
		}
		if a.counts, err = s.store.Counts(ctx, a.who); err != nil {
			return err
		}
		for _, end := range ends {
			if err := s.step(ctx, a, end); err != nil {
				return err
			}
		}
		a.options.Cursor = Cursor(at)
	}
}

// step tells a page what it has missed up to and including a place.
func (s *Service) step(ctx context.Context, a *arrival, end ID) error {
	if err := s.checkRevoked(ctx, a.who, a.options); err != nil {
		return err
	}
	entries, complete, err := s.since(ctx, a, end)
	if err == nil && !complete {
		err = errMissedMore // retention has deleted some meanwhile
	}
	if err != nil {
		return err
	}
	n, all := s.tellMissed(ctx, a, entries)
	a.told += n
	if !all || !a.page.Pace() {
		return errPageGone
	}
	a.options.Cursor = Cursor(end)
	return nil
}

var errPageGone = Errorf(ErrConflict, "the page has gone, or does not take what it has missed")

// stepTimeout bounds how long it may take to read a step, and the rest of a login after the steps.
const stepTimeout = 10 * time.Second

// since reads what was missed, up to and including a place.
func (s *Service) since(ctx context.Context, a *arrival, until ID) (entries []LogEntry, complete bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, stepTimeout)
	defer cancel()
	return s.store.Since(ctx, a.who, ID(a.options.Cursor), until, s.mostMissed(a))
}

// stepsOf divides entries into steps of about size bytes and returns the places at which they
// end. One entry, or all of one place, may be more.
func stepsOf(entries []LogEntry, size int) (ends []ID) {
	n := 0
	for i := range entries {
		n += entries[i].size()
		last := i+1 == len(entries)
		if last || n >= size && entries[i+1].Place != entries[i].Place {
			ends, n = append(ends, entries[i].Place), 0
		}
	}
	return ends
}

// tellMissed sends the page entries of the log. All is false if the page is gone before it was
// sent the last one.
func (s *Service) tellMissed(ctx context.Context, a *arrival, entries []LogEntry) (n int, all bool) {
	var sent []ID
	entries = slices.DeleteFunc(entries, func(e LogEntry) bool { return e.Message != nil && s.mutes(a.preferences, e.Message) })
	for i, e := range entries {
		cursor := Cursor(e.Place)
		if i+1 < len(entries) && entries[i+1].Place == e.Place {
			cursor = Cursor{} // not all of this place yet
		}
		event, arg := e.event(&a.counts)
		if !a.page.Pace() || !a.page.Emit(event, cursor, arg) {
			break
		}
		n++
		if m := e.Message; m != nil {
			if !m.IsNotice() {
				sent = append(sent, m.ID)
			}
			s.noteReplay(a.who, a.page, m.ID)
		}
	}
	all = n == len(entries)
	ctx = context.WithoutCancel(ctx) // the page has been told
	if len(sent) > 0 {
		s.markDelivered(ctx, a.who.User, sent...)
	}
	if all && n > 0 {
		s.markHeard(ctx, a.who, entries[n-1].Place)
	}
	return n, all
}

// event returns the event that tells of an entry.
func (e *LogEntry) event(counts *Counts) (name string, arg any) {
	switch {
	case e.Message != nil:
		return EventMessage, MessageEvent{e.Message, counts}
	case e.Activity != nil:
		return EventActivity, e.Activity
	}
	return EventOf(e.Revision.Kind), RevisionEvent{Revision: *e.Revision, Message: e.Edited}
}

// entryBytes is about what an entry takes beside what its texts do.
const entryBytes = 500

// size is about what the entry takes, in bytes.
func (e *LogEntry) size() int {
	n := entryBytes
	for _, m := range []*Message{e.Message, e.Edited} {
		if m != nil {
			n += entryBytes + len(m.Title) + len(m.Content) + len(m.URL) + len(m.Portrait) + len(m.Data) + bytesOf(m.Extra)
		}
	}
	if a := e.Activity; a != nil {
		n += entryBytes + len(a.Title) + len(a.Content) + len(a.URL) + len(a.Portrait) + bytesOf(a.Extra)
		for _, c := range a.Changes {
			n += len(c.Field) + len(c.Before) + len(c.After)
		}
	}
	if e.Revision != nil {
		n += len(e.Revision.IDs) * len(ID{})
	}
	return n
}

func bytesOf(extra map[string]string) (n int) {
	for name, value := range extra {
		n += len(name) + len(value)
	}
	return n
}
