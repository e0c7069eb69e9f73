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
	f := s.line.book(n)
	defer f.drop() // no-op once landed
	var entries Entries
	for _, p := range slices.Concat(transient, waiting(parcels)) {
		s.settleElsewhere(p, &entries)
	}
	entries.Fulfils = fulfils
	for _, p := range stored {
		entries.take(p)
	}
	request := keep(results(parcels))
	entries.Request = request
	entries.Place = func(after ID, e *Entries) {
		f.depart(after)
		rest, messages, activities := f.places, e.Messages, e.Activities
		for _, p := range stored {
			p.settle(rest[:p.places():p.places()])
			rest = rest[p.places():]
			messages = messages[copy(messages, p.messages):]
			if p.activity != nil {
				activities[0] = *p.activity
				activities = activities[1:]
			}
		}
		if request != nil {
			*request = *keep(results(parcels))
		}
	}
	replaced, err := s.add(ctx, &entries)
	if err != nil {
		return nil, err
	}
	ctx = context.WithoutCancel(ctx)
	if len(entries.Scheduled) > 0 || expires(entries.Messages) {
		s.agenda.rouse()
	}
	s.noteScheduled(entries.Scheduled)
	if len(stored) > 0 {
		s.publishParcels(ctx, f, stored, replaced)
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
func (s *Service) add(ctx context.Context, e *Entries) ([]Replaced, error) {
	if len(e.Messages) == 0 && len(e.Activities) == 0 && len(e.Scheduled) == 0 && len(e.Fulfils) == 0 && e.Request == nil {
		e.Place(ID{}, e) // there are receipts all the same
		return nil, nil
	}
	return s.store.Add(ctx, *e)
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

// A delivery is a message that pages are told of, and what came of it.
type delivery struct {
	parcel *parcel
	m      *Message
	muted  bool
	gone   []ID // messages that it has replaced
	pages  int
	names  []string // of the pages on this node
}

// publishParcels publishes what is stored, in the order of its places.
func (s *Service) publishParcels(ctx context.Context, f *flight, parcels []*parcel, replaced []Replaced) {
	counts := s.newCounting(ctx)
	taken := make(map[int][]ID, len(replaced)) // by the index of the message that replaced them
	for _, r := range replaced {
		taken[r.By] = append(taken[r.By], r.ID)
	}
	// At each place is a delivery, or an activity, which has none.
	var deliveries []*delivery
	var activities []*parcel
	at := 0
	for _, p := range parcels {
		s.noteOff(p)
		if p.activity != nil {
			deliveries, activities = append(deliveries, nil), append(activities, p)
		}
		for i := range p.messages {
			m := &p.messages[i]
			_, muted := p.muted[m.Receiver]
			deliveries = append(deliveries, &delivery{parcel: p, m: m, muted: muted, gone: taken[at]})
			at++
			counts.prepare(m.Receiver, m.Company)
		}
	}
	var news []News
	if s.shared {
		news = newsOf(deliveries, activities)
	}
	next := 0 // of the activities
	f.land(func(i int) int {
		d := deliveries[i]
		if d == nil {
			p := activities[next]
			next++
			p.receipt.Pages = s.tellActivity(p.activity)
			return p.receipt.Pages
		}
		d.pages, d.names = s.tellMessage(ctx, d.m, d.muted, d.gone, counts)
		return d.pages
	}, news)
	s.addElsewhere(ctx, f.reach, deliveries, activities)
	for _, d := range deliveries {
		if d != nil {
			s.noteReplaced(d.m, d.gone)
			d.parcel.count(d.pages)
			s.noteDelivery(d)
		}
	}
}

// newsOf is what other nodes are told of deliveries and activities.
func newsOf(deliveries []*delivery, activities []*parcel) []News {
	news := make([]News, 0, len(deliveries))
	for _, d := range deliveries {
		if d == nil {
			a := activities[0].activity
			activities = activities[1:]
			news = append(news, News{LogEntry: LogEntry{Place: a.ID, Activity: a}})
			continue
		}
		if len(d.gone) > 0 {
			r := replacedBy(d.m, d.gone).Revision
			news = append(news, News{LogEntry: LogEntry{Place: r.Place, Revision: &r}, Receiver: d.m.Receiver})
		}
		news = append(news, News{LogEntry: LogEntry{Place: d.m.ID, Message: d.m}, Muted: d.muted})
	}
	return news
}

// addElsewhere adds the pages of other nodes.
func (s *Service) addElsewhere(ctx context.Context, reach Reach, deliveries []*delivery, activities []*parcel) {
	if reach.Elsewhere == nil {
		return
	}
	pages, err := reach.Elsewhere(ctx)
	if err != nil {
		s.log.DebugContext(ctx, "not all nodes have said whom they reached", "err", err)
	}
	for _, d := range deliveries {
		if len(pages) == 0 {
			return
		}
		switch {
		case d == nil:
			activities[0].receipt.Pages += pages[0]
			activities = activities[1:]
		case len(d.gone) > 0:
			pages = pages[1:]
			fallthrough
		default:
			d.pages += pages[0]
		}
		pages = pages[1:]
	}
}

// pages returns how many pages are known to have been reached.
func (s *Service) pages(ctx context.Context, reach Reach) int {
	pages, err := reach.Pages(ctx)
	if err != nil {
		s.log.DebugContext(ctx, "not all nodes have said whom they reached", "err", err)
	}
	return pages
}

// publish hands an envelope that has no place in the log to the broker.
func (s *Service) publish(ctx context.Context, env Envelope) Reach {
	reach, err := s.broker.Publish(ctx, env)
	if err != nil {
		s.log.WarnContext(ctx, "not published to all nodes", "event", env.Event, "err", err)
	}
	return reach
}

// count adds to the number of pages that got the parcel's messages.
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

func (s *Service) noteDelivery(d *delivery) {
	fact := Fact{At: s.now(), Kind: FactNoPage, Message: d.m.ID, User: d.m.Receiver, Company: d.m.Company, Count: d.pages}
	switch {
	case d.muted:
		fact.Kind = FactMuted
	case d.pages > 0:
		fact.Kind, fact.Detail = FactSent, strings.Join(d.names, " ")
	case d.m.IsNotice():
		fact.Kind = FactSent
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
	var activity Reach
	var messages []Reach
	s.line.at(func(place ID) {
		cursor := Cursor(place)
		if a := p.activity; a != nil {
			activity = s.publish(ctx, Envelope{Rooms: []string{CompanyRoom(a.Company)}, Event: EventActivity, Args: []any{a}, Cursor: cursor})
		}
		for i := range p.messages {
			m := &p.messages[i]
			if _, muted := p.muted[m.Receiver]; muted {
				continue
			}
			messages = append(messages, s.publish(ctx, Envelope{
				Rooms: []string{m.room()}, Event: EventMessage, Args: []any{MessageEvent{Message: m}}, Cursor: cursor,
				Except: s.exceptOf(m),
			}))
		}
	})
	p.receipt.Pages += s.pages(ctx, activity)
	for _, reach := range messages {
		p.count(s.pages(ctx, reach))
	}
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
