package belfry

import (
	"context"
	"slices"
)

// What follows tells the pages of this node what is stored, whichever node has stored it. The line is locked.

// emit hands an envelope to the pages of this node.
func (s *Service) emit(env Envelope) (pages int) { return s.broker.Emit(env) }

// tellActivity shows an activity to its company.
func (s *Service) tellActivity(a *Activity) (pages int) {
	return s.emit(Envelope{
		Rooms: []string{CompanyRoom(a.Company)}, Event: EventActivity, Args: []any{a}, Cursor: Cursor(a.ID),
	})
}

// tellMessage tells of a message, after those that it has replaced, and returns which pages have got it.
func (s *Service) tellMessage(ctx context.Context, m *Message, muted bool, replaced []ID, counts *counting) (pages int, names []string) {
	if m.IsNotice() {
		return s.tellNotice(m, replaced), nil
	}
	for _, at := range counts.of(m.Receiver, m.Company) {
		c := at.counts
		room := []string{MemberRoom(at.who)}
		if len(replaced) > 0 {
			s.emit(Envelope{Rooms: room, Event: EventChanged, Args: []any{replacedBy(m, replaced)}})
		}
		switch {
		case !muted:
			pages += s.emit(Envelope{Rooms: room, Event: EventMessage, Args: []any{MessageEvent{m, c}}, Cursor: Cursor(m.ID)})
			names = append(names, at.pages...)
		case c != nil:
			s.emit(Envelope{Rooms: room, Event: EventCounts, Args: []any{*c}})
		}
		if m.Bare && !muted && c != nil {
			s.emit(Envelope{Rooms: room, Event: EventCounts, Args: []any{*c}})
		}
	}
	if muted || pages > 0 && !s.incoming.keep(m.Receiver, m.Company, m.ID, pages) {
		s.markDelivered(ctx, m.Receiver, m.ID)
	}
	return pages, names
}

func replacedBy(m *Message, replaced []ID) RevisionEvent {
	return RevisionEvent{Revision: Revision{Place: m.ID, Kind: RevisionReplaced, Company: m.Company, IDs: replaced}}
}

// tellNotice shows a notice to all pages that may, in one envelope. Each
// identity's counts follow.
func (s *Service) tellNotice(m *Message, replaced []ID) (pages int) {
	s.notices.note(m.Company, m.ID)
	rooms := []string{m.room()}
	if len(replaced) > 0 {
		s.emit(Envelope{Rooms: rooms, Event: EventChanged, Args: []any{replacedBy(m, replaced)}})
	}
	pages = s.emit(Envelope{
		Rooms: rooms, Except: s.exceptOf(m), Event: EventMessage, Args: []any{MessageEvent{Message: m}}, Cursor: Cursor(m.ID),
	})
	s.teller.add(m.Company)
	return pages
}

// tellRevisions tells of revisions at one place: all pages that may show the messages concerned. The last that a page is
// told of says that it has been told all of the place, where that can be said.
func (s *Service) tellRevisions(news []News, counts *counting) {
	common := slices.ContainsFunc(news, func(n News) bool { return n.Receiver == "" })
	var told []UserID
	for i := range news {
		n := &news[i]
		switch {
		case n.Receiver == "":
			s.tellNoticeRevised(n, len(news) == 1)
		case !slices.Contains(told, n.Receiver):
			told = append(told, n.Receiver)
			s.tellRevised(n.Receiver, news, !common, counts)
		}
	}
}

// tellRevised tells the pages of a user, and then their counts.
func (s *Service) tellRevised(user UserID, news []News, all bool, counts *counting) {
	for _, a := range counts.of(user, "") {
		var mine []*News
		for i := range news {
			if n := &news[i]; n.Receiver == user && (n.Revision.Company == "" || n.Revision.Company == a.who.Company) {
				mine = append(mine, n)
			}
		}
		for i, n := range mine {
			env := Envelope{
				Rooms: []string{MemberRoom(a.who)}, Event: EventOf(n.Revision.Kind),
				Args: []any{RevisionEvent{Revision: *n.Revision, Message: n.Edited}},
			}
			if all && i+1 == len(mine) {
				env.Cursor = Cursor(n.Place)
			}
			s.emit(env)
		}
		if len(mine) > 0 && a.counts != nil {
			s.emit(Envelope{Rooms: []string{MemberRoom(a.who)}, Event: EventCounts, Args: []any{*a.counts}})
		}
	}
}

// tellNoticeRevised tells what has happened to notices.
//
// A notice that is not for later members is told as edited without its text: pages of later members
// are in the room, too. Those that show it load it anew.
func (s *Service) tellNoticeRevised(n *News, all bool) {
	notice := Message{Company: n.Revision.Company}
	env := Envelope{Rooms: []string{notice.room()}, Event: EventOf(n.Revision.Kind)}
	now := n.Edited
	if now != nil {
		env.Except = s.exceptOf(now)
		if !now.Later {
			now = nil
		}
	}
	if all {
		env.Cursor = Cursor(n.Place)
	}
	env.Args = []any{RevisionEvent{Revision: *n.Revision, Message: now}}
	s.emit(env)
	s.teller.add(n.Revision.Company)
}
