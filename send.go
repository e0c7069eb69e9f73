package belfry

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"
)

// A parcel is one push on its way: an activity, a message to its receivers, or both.
type parcel struct {
	err error // why it is refused; then nothing else is of interest

	activity  *Activity
	message   *Message // what every receiver gets, or nil
	receivers []UserID
	notice    bool
	off       []UserID            // receivers who have turned it off
	muted     map[UserID]struct{} // who are not told of it
	transient bool
	due       time.Time

	messages []Message // made of message, one for each receiver
	receipt  Receipt
}

// pack makes the messages of a parcel that is sent now.
func (p *parcel) pack() {
	switch {
	case p.message == nil:
	case p.notice:
		p.messages = []Message{*p.message}
	default:
		p.messages = make([]Message, len(p.receivers))
		for i, receiver := range p.receivers {
			p.messages[i] = *p.message
			p.messages[i].Receiver = receiver
		}
	}
}

// places returns how many places in the log the parcel takes.
func (p *parcel) places() int {
	n := len(p.messages)
	if p.activity != nil {
		n++
	}
	return n
}

// settle gives the parcel its places, and writes its receipt as far as it is
// known before it is sent.
func (p *parcel) settle(places []ID) {
	if a := p.activity; a != nil {
		a.ID, places = places[0], places[1:]
		p.receipt = Receipt{IDs: []ID{a.ID}, Stored: !p.transient}
		if p.message != nil {
			data := activityData(a)
			for i := range p.messages {
				p.messages[i].Data = data
			}
		}
	}
	if p.message == nil {
		return
	}
	for i := range p.messages {
		p.messages[i].ID = places[i]
	}
	r := Receipt{IDs: places, Receivers: p.receivers, Off: p.off, Stored: !p.transient && len(p.messages) > 0}
	if p.activity != nil {
		p.receipt.Notified = &r
		return
	}
	p.receipt = r
}

// send stores parcels in one transaction and publishes them. With fulfils, they carry
// out scheduled pushes. Keep makes the request that is to be stored with them from the answer
// as far as it is known then, or nil.
//
// It fails, and nothing is stored, if a parcel could not be judged; where all are refused nothing is
// kept either.
func (s *Service) send(ctx context.Context, parcels []*parcel, fulfils []ID, keep func([]Result) *Request) ([]Result, error) {
	live := 0
	for _, p := range parcels {
		switch ErrorCode(p.err) {
		case ErrUnavailable, ErrInternal:
			return nil, p.err
		case "":
			live++
		}
	}
	if live == 0 {
		return results(parcels), nil
	}
	stored, transient := sorted(parcels)
	n := 0
	for _, p := range stored {
		n += p.places()
	}
	f := s.line.depart(n)
	defer s.line.drop(f) // no-op once landed
	entries := Entries{Fulfils: fulfils}
	rest := f.places
	for _, p := range stored {
		p.settle(rest[:p.places():p.places()])
		rest = rest[p.places():]
		entries.take(p)
	}
	for _, p := range slices.Concat(transient, waiting(parcels)) {
		s.settleElsewhere(p, &entries)
	}
	entries.Request = keep(results(parcels))
	replaced, err := s.add(ctx, entries)
	if err != nil {
		return nil, err
	}
	ctx = context.WithoutCancel(ctx)
	if len(entries.Scheduled) > 0 || expires(entries.Messages) {
		s.agenda.rouse()
	}
	s.noteScheduled(entries.Scheduled)
	if len(stored) > 0 {
		s.publishParcels(ctx, f, stored, &entries, replaced)
	}
	for _, p := range transient {
		s.publishTransient(ctx, p)
	}
	s.pace(parcels)
	return results(parcels), nil
}

// paceFrom is the number of pages that were reached from which on a sender is
// held back while others like it are under way.
const paceFrom = 256

// pace holds back who has sent parcels to many pages, so that no number of them
// keeps belfry from its other work.
func (s *Service) pace(parcels []*parcel) {
	pages := 0
	for _, p := range parcels {
		pages += p.receipt.Pages
		if p.receipt.Notified != nil {
			pages += p.receipt.Notified.Pages
		}
	}
	if pages >= paceFrom {
		s.broker.Pace()
	}
}

// add stores entries, if there are any.
func (s *Service) add(ctx context.Context, e Entries) ([]Replaced, error) {
	if len(e.Messages) == 0 && len(e.Activities) == 0 && len(e.Scheduled) == 0 && len(e.Fulfils) == 0 && e.Request == nil {
		return nil, nil
	}
	return s.store.Add(ctx, e)
}

// sorted packs the parcels that are sent now, and parts them.
func sorted(parcels []*parcel) (stored, transient []*parcel) {
	for _, p := range parcels {
		switch {
		case p.err != nil || !p.due.IsZero():
			continue
		case p.transient:
			transient = append(transient, p)
		default:
			stored = append(stored, p)
		}
		p.pack()
	}
	return stored, transient
}

// waiting returns the parcels that are sent later.
func waiting(parcels []*parcel) []*parcel {
	var late []*parcel
	for _, p := range parcels {
		if p.err == nil && !p.due.IsZero() {
			late = append(late, p)
		}
	}
	return late
}

// settleElsewhere gives names to a parcel that takes no places in the log: a
// transient one, and one that waits for its time.
func (s *Service) settleElsewhere(p *parcel, entries *Entries) {
	if p.due.IsZero() {
		ids := make([]ID, p.places())
		for i := range ids {
			ids[i] = s.line.ids.New(s.now())
		}
		p.settle(ids)
		return
	}
	id := s.line.ids.New(s.now())
	p.receipt = Receipt{Receivers: p.receivers, Stored: true, Scheduled: id}
	entries.Scheduled = append(entries.Scheduled, Scheduled{ID: id, Due: p.due, Message: *p.message, Receivers: p.receivers})
}

// take adds what a parcel stores.
func (e *Entries) take(p *parcel) {
	e.Messages = append(e.Messages, p.messages...)
	if p.activity != nil {
		e.Activities = append(e.Activities, *p.activity)
	}
}

func expires(messages []Message) bool {
	return slices.ContainsFunc(messages, func(m Message) bool { return !m.Expires.IsZero() })
}

func results(parcels []*parcel) []Result {
	all := make([]Result, len(parcels))
	for i, p := range parcels {
		all[i].Receipt = p.receipt
		if p.err != nil {
			all[i].Refused = refusalOf(p.err)
		}
	}
	return all
}

// refusalOf is an error as it is answered, and kept for when it is asked again.
func refusalOf(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return &Error{Code: e.Code, Message: e.Message, Fields: e.Fields}
	}
	return &Error{Code: ErrorCode(err), Message: ErrorMessage(err)}
}

// publishParcels publishes what is stored, in the order of its places.
func (s *Service) publishParcels(ctx context.Context, f *flight, parcels []*parcel, entries *Entries, replaced []Replaced) {
	counts := s.newCounting(ctx)
	for i := range entries.Messages {
		counts.prepare(&entries.Messages[i])
	}
	taken := make(map[int][]ID, len(replaced)) // by the index of the message that replaced them
	for _, r := range replaced {
		taken[r.By] = append(taken[r.By], r.ID)
	}
	for _, p := range parcels {
		s.noteOff(p)
	}
	type publication func() int
	var publications []publication
	at := 0
	for _, p := range parcels {
		if p.activity != nil {
			publications = append(publications, func() int {
				p.receipt.Pages = s.publishActivity(ctx, p.activity)
				return p.receipt.Pages
			})
		}
		for i := range p.messages {
			m, gone := &p.messages[i], taken[at]
			at++
			publications = append(publications, func() int { return s.deliver(ctx, p, m, gone, counts) })
		}
	}
	s.line.land(f, func(i int) int { return publications[i]() })
}

// publishActivity shows an activity to its company. The line is locked.
func (s *Service) publishActivity(ctx context.Context, a *Activity) int {
	return s.publish(ctx, Envelope{
		Rooms: []string{CompanyRoom(a.Company)}, Event: EventActivity, Args: []any{a}, Cursor: Cursor(a.ID),
	})
}

// publish hands an envelope to the broker. What has a place in the log is not lost
// if that fails: pages catch up with it.
func (s *Service) publish(ctx context.Context, env Envelope) int {
	pages, err := s.broker.Publish(ctx, env)
	if err != nil {
		s.log.WarnContext(ctx, "not published; pages catch up with what is stored", "event", env.Event, "err", err)
		return 0
	}
	return pages
}

// deliver tells pages of a message that is stored, after those that it has replaced. The line is locked.
func (s *Service) deliver(ctx context.Context, p *parcel, m *Message, replaced []ID, counts *counting) int {
	if m.IsNotice() {
		pages := s.publishNotice(ctx, m, replaced)
		p.count(pages)
		return pages
	}
	_, muted := p.muted[m.Receiver]
	pages, names := 0, []string(nil)
	for _, at := range counts.of(m) {
		c := at.counts
		room := []string{MemberRoom(at.who)}
		if len(replaced) > 0 {
			revision := Revision{Place: m.ID, Kind: RevisionReplaced, Company: m.Company, IDs: replaced}
			s.publish(ctx, Envelope{Rooms: room, Event: EventChanged, Args: []any{RevisionEvent{Revision: revision}}})
		}
		switch {
		case !muted:
			pages += s.publish(ctx, Envelope{Rooms: room, Event: EventMessage, Args: []any{MessageEvent{m, c}}, Cursor: Cursor(m.ID)})
			names = append(names, at.pages...)
		case c != nil:
			s.publish(ctx, Envelope{Rooms: room, Event: EventCounts, Args: []any{*c}})
		}
		if m.Bare && !muted && c != nil {
			s.publish(ctx, Envelope{Rooms: room, Event: EventCounts, Args: []any{*c}})
		}
	}
	s.noteReplaced(m, replaced)
	if pages > 0 || muted {
		s.markDelivered(ctx, m.Receiver, m.ID)
	}
	p.count(pages)
	s.noteDelivery(m, pages, names, muted)
	return pages
}

// count adds to the number of pages that got the parcel's messages. The line is locked.
func (p *parcel) count(pages int) {
	if p.receipt.Notified != nil {
		p.receipt.Notified.Pages += pages
		return
	}
	p.receipt.Pages += pages
}

// noteReplaced notes which messages a newer one has replaced.
func (s *Service) noteReplaced(m *Message, replaced []ID) {
	for _, id := range replaced {
		s.journal.Note(Fact{At: s.now(), Kind: FactReplaced, Message: id, Company: m.Company, Detail: m.ID.String()})
	}
}

// noteOff notes at the first message of a parcel who has turned it off.
func (s *Service) noteOff(p *parcel) {
	if len(p.messages) == 0 {
		return
	}
	for _, user := range p.off {
		s.journal.Note(Fact{At: s.now(), Kind: FactOff, Message: p.messages[0].ID, User: user, Company: p.message.Company})
	}
}

func (s *Service) noteDelivery(m *Message, pages int, names []string, muted bool) {
	fact := Fact{At: s.now(), Kind: FactNoPage, Message: m.ID, User: m.Receiver, Company: m.Company, Count: pages}
	switch {
	case muted:
		fact.Kind = FactMuted
	case pages > 0:
		fact.Kind, fact.Detail = FactSent, strings.Join(names, " ")
	}
	s.journal.Note(fact)
}

// markDelivered tells the store. If that fails, a later login gets the message
// once more, which is the better of the two faults.
func (s *Service) markDelivered(ctx context.Context, receiver UserID, ids ...ID) {
	if err := s.store.MarkDelivered(ctx, receiver, ids); err != nil {
		s.log.WarnContext(ctx, "delivery not recorded; the next login repeats it", "receiver", receiver, "messages", len(ids), "err", err)
	}
}

// publishTransient sends what is not stored to the pages that are open. It has no
// place in the log, so it comes as soon as nothing is being published.
func (s *Service) publishTransient(ctx context.Context, p *parcel) {
	s.line.at(func(place ID) {
		cursor := Cursor(place)
		if a := p.activity; a != nil {
			p.receipt.Pages += s.publish(ctx, Envelope{Rooms: []string{CompanyRoom(a.Company)}, Event: EventActivity, Args: []any{a}, Cursor: cursor})
		}
		for i := range p.messages {
			m := &p.messages[i]
			if _, muted := p.muted[m.Receiver]; muted {
				continue
			}
			p.count(s.publish(ctx, Envelope{
				Rooms: []string{m.room()}, Event: EventMessage, Args: []any{MessageEvent{Message: m}}, Cursor: cursor,
				Except: s.exceptOf(m),
			}))
		}
	})
}

// room returns the room of all pages that may show the message.
func (m *Message) room() string {
	switch {
	case !m.IsNotice() && m.Company == "":
		return UserRoom(m.Receiver)
	case !m.IsNotice():
		return MemberRoom(Identity{m.Receiver, m.Company})
	case m.Company == "":
		return EverybodyRoom
	}
	return CompanyRoom(m.Company)
}
