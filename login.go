package belfry

import "context"

// A Welcome is what a page learns when it has logged in.
type Welcome struct {
	Online   int    // users of the company who are online, this one included
	Counts   Counts // of the identity
	Cursor   string // see [Cursor]: from where the page catches up later
	Replayed int    // messages that waited and were sent to the page
}

// Login makes page one of who's pages: it counts it as online, tells it
// how many users of the company are online ([EventOnlineCount]), puts it into the
// rooms of its user, member, company and everybody, and sends it the messages
// that waited ([EventMessage], oldest first, at most [ServiceOptions].ReplayLimit).
// Everything pushed later follows, so that the page misses nothing, gets
// nothing twice and keeps the order.
//
// If it fails (as Store and Presence do) the page is in no room and not counted.
// Otherwise Logout must follow when the page is gone. A page logs in once; the
// caller sees to that.
func (s *Service) Login(ctx context.Context, who Identity, page Page) (Welcome, error) {
	lane := s.inboxes.hold(string(who.User))
	defer s.inboxes.release(lane, 1)
	lane.mu.Lock()
	defer lane.mu.Unlock()

	// Whatever can fail comes before the page changes.
	waiting, err := s.store.Undelivered(ctx, who, s.replayLimit)
	if err != nil {
		return Welcome{}, err
	}
	counts, err := s.store.Counts(ctx, who)
	if err != nil {
		return Welcome{}, err
	}
	online, err := s.presence.Join(ctx, who, page.ID())
	if err != nil {
		return Welcome{}, err
	}
	page.Join(UserRoom(who.User), MemberRoom(who), CompanyRoom(who.Company), EverybodyRoom)
	users := s.showOnline(ctx, who.Company, page, online.Users)
	return Welcome{
		Online:   users,
		Counts:   counts,
		Cursor:   s.place(who.Company, lane).String(),
		Replayed: s.replay(ctx, who.User, lane, page, waiting),
	}, nil
}

// showOnline sends the page the number of online users, which it returns. The
// page is in the company's room already, so the number may have changed and been
// announced meanwhile; an older one must not stand over that.
func (s *Service) showOnline(ctx context.Context, company CompanyID, page Page, users int) int {
	page.Emit(EventOnlineCount, users)
	for range 3 {
		now, err := s.presence.Online(ctx, company)
		if err != nil || now.Users == users {
			break
		}
		users = now.Users
		page.Emit(EventOnlineCount, users)
	}
	return users
}

// replay sends the page what waited. Messages that are still in flight are left
// out: they are published as soon as the lane is free, and the page is in
// the room by then.
func (s *Service) replay(ctx context.Context, user UserID, lane *lane, page Page, waiting []Message) int {
	sent := make([]ID, 0, len(waiting))
	for i := range waiting {
		if lane.carries(waiting[i].ID) {
			continue
		}
		if !page.Emit(EventMessage, &waiting[i]) {
			break
		}
		sent = append(sent, waiting[i].ID)
	}
	if len(sent) > 0 {
		s.markDelivered(context.WithoutCancel(ctx), user, sent...)
	}
	return len(sent)
}

// place returns the cursor after everything that the page has been sent or
// could have read before: what is in flight, and all that comes later, is beyond it. The
// lane of the inbox is locked.
func (s *Service) place(company CompanyID, inbox *lane) Cursor {
	feed := s.feeds.hold(string(company))
	defer s.feeds.release(feed, 1)
	feed.mu.Lock()
	defer feed.mu.Unlock()
	return Cursor{Message: s.before(inbox), Activity: s.before(feed)}
}

// before returns an ID that is lower than all in flight and all to come.
func (s *Service) before(l *lane) ID {
	if f := l.head(); f != nil {
		return f.id.prev()
	}
	return s.ids.New(s.now())
}

// Logout says that a page that had logged in is gone. Its rooms are its
// owner's to leave.
func (s *Service) Logout(who Identity, page Page) {
	if err := s.presence.Leave(context.Background(), who, page.ID()); err != nil {
		s.log.Warn("page not counted out", "company", who.Company, "page", page.ID(), "err", err)
	}
}
