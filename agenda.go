package belfry

import (
	"context"
	"strings"
	"time"
)

// An agenda is what is to happen at a time: scheduled pushes and expiry. The store keeps it;
// this wakes the goroutine that works on it.
type agenda struct{ wake chan struct{} }

const (
	// agendaLook is how long the agenda rests at most: another node may have put something into it.
	agendaLook = 5 * time.Second
	// agendaRetry is the rest after a failure.
	agendaRetry = time.Second
	// agendaStep bounds what is taken from the agenda at once.
	agendaStep = 50
)

func newAgenda() agenda { return agenda{wake: make(chan struct{}, 1)} }

// rouse says that the agenda may have changed.
func (a *agenda) rouse() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// keepAgenda is the goroutine. What was due while no process ran is done at once.
func (s *Service) keepAgenda() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-s.agenda.wake:
		case <-s.background.Done():
			return
		}
		timer.Reset(s.workAgenda(s.background))
	}
}

// workAgenda does all that is due and returns when to look again.
func (s *Service) workAgenda(ctx context.Context) time.Duration {
	for {
		next, err := s.store.NextDue(ctx)
		if err == nil && next.IsZero() {
			return agendaLook
		}
		if wait := next.Sub(s.now()); err == nil && wait > 0 {
			return min(wait, agendaLook)
		}
		if err == nil {
			err = s.doDue(ctx)
		}
		if err != nil {
			if ctx.Err() == nil {
				s.log.Warn("the agenda waits", "err", err)
			}
			return agendaRetry
		}
	}
}

// doDue does one step of what is due. Expiry comes first: what expires now is not sent any more.
func (s *Service) doDue(ctx context.Context) error {
	if err := s.expire(ctx); err != nil {
		return err
	}
	due, err := s.store.Due(ctx, s.now(), agendaStep)
	if err != nil {
		return err
	}
	for i := range due {
		if err := s.fulfil(ctx, &due[i]); err != nil {
			return err
		}
	}
	return nil
}

// fulfil carries out a scheduled push.
func (s *Service) fulfil(ctx context.Context, due *Scheduled) error {
	if e := due.Message.Expires; !e.IsZero() && !e.After(s.now()) {
		return s.dropExpired(ctx, due)
	}
	m := due.Message
	p := &parcel{message: &m, receivers: due.Receivers, notice: len(due.Receivers) == 0}
	if err := s.choose(ctx, p); err != nil {
		return err
	}
	sent, err := s.send(ctx, []*parcel{p}, []ID{due.ID}, func([]Result) *Request { return nil })
	switch {
	case ErrorCode(err) == ErrConflict: // cancelled meanwhile, or another node has done it
		return nil
	case err != nil:
		return err
	}
	var ids []string
	for _, id := range sent[0].Receipt.IDs {
		ids = append(ids, id.String())
	}
	s.journal.Note(Fact{At: s.now(), Kind: FactFulfilled, Message: due.ID, Company: m.Company, Detail: strings.Join(ids, " ")})
	return nil
}

// dropExpired ends a scheduled push that nobody could be sent in time.
func (s *Service) dropExpired(ctx context.Context, due *Scheduled) error {
	err := s.store.Cancel(ctx, due.ID)
	if err != nil && ErrorCode(err) != ErrNotFound {
		return err
	}
	s.journal.Note(Fact{At: s.now(), Kind: FactExpired, Message: due.ID, Company: due.Message.Company})
	return nil
}

func (s *Service) noteScheduled(scheduled []Scheduled) {
	for i := range scheduled {
		s.journal.Note(Fact{
			At: s.now(), Kind: FactScheduled, Message: scheduled[i].ID, Company: scheduled[i].Message.Company,
			Detail: scheduled[i].Due.UTC().Format(time.RFC3339),
		})
	}
}

// ScheduledPush returns a push that waits for its time, or [ErrNotFound].
func (s *Service) ScheduledPush(ctx context.Context, id ID) (Scheduled, error) {
	return s.store.ScheduledPush(ctx, id)
}

// expire takes back the messages whose time is over, until none are left.
func (s *Service) expire(ctx context.Context) error {
	for {
		expired, err := s.expireStep(ctx)
		if err != nil || expired < agendaStep {
			return err
		}
	}
}

func (s *Service) expireStep(ctx context.Context) (int, error) {
	f := s.line.book(1)
	defer f.drop() // no-op once landed
	messages, err := s.store.Expire(ctx, s.now(), f.place, agendaStep)
	if err != nil || len(messages) == 0 {
		return 0, err
	}
	s.landRevisions(f, goneNews(f.places[0], RevisionExpired, messages), s.newCounting(context.WithoutCancel(ctx)))
	for i := range messages {
		m := &messages[i]
		s.journal.Note(Fact{At: s.now(), Kind: FactExpired, Message: m.ID, Company: m.Company})
	}
	return len(messages), nil
}
