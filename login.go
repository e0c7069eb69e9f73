package belfry

import (
	"context"
	"sync"
	"time"
)

// LoginOptions alters a login.
type LoginOptions struct {
	// Cursor, where set, is what the page has been told up to: it is told what came
	// after it instead of what waits.
	Cursor Cursor
	// Stale says that the page shows a cursor that nobody can read any more: it has to load its
	// lists anew.
	Stale bool
	// Resumed says that the page was promised everything after its cursor: it fails with
	// [ErrConflict] rather than be told to load its lists anew.
	Resumed bool
	// Missed is what [Service.CanCatchUp] has just found of Cursor, if it was asked.
	Missed Missed
	// Issued is when the token was issued that the page has shown, or zero if
	// it does not say. [Service.Revoke] makes older ones void.
	Issued time.Time
	// Checked is what [Service.CheckToken] has just said of the token, if it was asked.
	Checked TokenCheck
	// Trusted says that the page did not log in by a token, so that none can be void.
	Trusted bool
	// Greet, where set, is called once with the welcome of a page that is let in, when the page has been sent
	// what it missed and before it hears anything that is published: what Greet sends is in
	// the order of the cursors. It must not wait.
	Greet func(Welcome)
}

// A Welcome is what a page learns when it has logged in.
type Welcome struct {
	Online   int    // users of the company who are online, this one included
	Counts   Counts // of the identity
	Cursor   Cursor // what the page has been told up to
	Replayed int    // messages that waited, or log entries after a cursor, that were sent to the page
	// Reset says that too much came after the page's cursor, or that the log does not reach back
	// to it: the page has to load its lists anew.
	Reset bool
}

// Login makes page one of who's pages: it counts it as online, tells it
// how many users of the company are online ([EventOnlineCount]), puts it into the
// rooms of its user, member, company and everybody, and sends it the messages
// that waited ([EventMessage], oldest first, at most [ServiceOptions].ReplayLimit), or with a cursor
// everything after it in the order of the log.
// Everything published later follows, so that the page misses nothing, gets
// nothing twice and keeps the order.
//
// Ctx bounds how long it waits for its turn to ask the store; what it asks then may take 15 s. A page that has missed much is told
// nearly all of it before it enters the rooms, for as long as it goes on taking it, whenever ctx ends.
//
// It fails with [ErrUnauthorized] if the token is void, or as Store and Presence do; then the page is in
// no room and its user not online, or no longer than for the grace period. Otherwise Logout must follow when the page is gone. A page logs in once; the
// caller sees to that.
func (s *Service) Login(ctx context.Context, who Identity, page Page, o LoginOptions) (Welcome, error) {
	var err error
	if o.Checked, err = s.checked(ctx, who, o); err != nil {
		return Welcome{}, err
	}
	a := &arrival{who: who, page: page, options: o}
	if err := s.approach(ctx, a); err != nil {
		return Welcome{}, err
	}
	if a.told > 0 { // which may have taken all the time that there was for a login
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(context.WithoutCancel(ctx), stepTimeout)
		defer cancel()
	}
	if err := s.logins.enter(ctx, string(who.User)); err != nil {
		return Welcome{}, err
	}
	defer s.logins.leave(string(who.User))
	if a.turn, err = s.ask(ctx, true); err != nil {
		return Welcome{}, err
	}
	defer a.turn.close()
	ctx = a.turn.ctx
	if !o.Checked.member {
		if err := s.enrol(ctx, who); err != nil {
			return Welcome{}, err
		}
	}
	if a.preferences, err = s.preferencesOf(ctx, who.User); err != nil {
		return Welcome{}, err
	}
	rooms := []string{UserRoom(who.User), MemberRoom(who), CompanyRoom(who.Company), EverybodyRoom}
	online, err := s.attend(ctx, a, rooms)
	if err != nil {
		return Welcome{}, err
	}
	// From here on the page is told what is published, but hears it only after
	// what came before.
	s.line.at(func(place ID) {
		page.Hold()
		page.Join(rooms...)
		a.at = place
		s.incoming.add(who)
	})
	admitted := false
	defer func() { s.release(context.WithoutCancel(ctx), a, admitted) }()
	// Whoever made the token void meanwhile may not have seen the page; who does it from now on
	// will.
	var w Welcome
	if err = s.checkRevoked(ctx, who, a.options); err == nil {
		w, err = s.welcome(ctx, a)
	}
	if err != nil {
		page.Leave(rooms...)
		s.behind.take(page.ID())
		s.forgetPage(who, page.ID())
		return Welcome{}, err
	}
	w.Online = s.showOnline(ctx, who.Company, page, online.Users)
	if o.Greet != nil {
		o.Greet(w)
	}
	admitted = true
	s.journal.Note(Fact{At: s.now(), Kind: FactLogin, User: who.User, Company: who.Company, Page: page.ID()})
	return w, nil
}

// release lets a page hear what it was told while it was let in, or drops that.
func (s *Service) release(ctx context.Context, a *arrival, admitted bool) {
	var held []ID
	s.line.at(func(ID) { held = s.incoming.take(a.who.User) })
	if !admitted {
		a.page.Drop() // or the page would come back from after what it has missed
		return
	}
	if len(held) > 0 {
		s.markDelivered(ctx, a.who.User, held...)
	}
	a.page.Release()
}

// incoming are the users of whom a page is being let in, one at a time. The line guards it.
type incoming map[UserID]*incomer

// An incomer is a page that is being let in, with the messages that nobody has got but this page, if it is.
type incomer struct {
	company CompanyID
	held    []ID
}

func (in incoming) add(who Identity) { in[who.User] = &incomer{company: who.Company} }

// keep notes a message to a user, in a company or in all, that was queued for so many pages, and reports whether it may yet be that
// none gets it.
func (in incoming) keep(user UserID, company CompanyID, id ID, pages int) bool {
	page := in[user]
	if page == nil || pages > 1 || company != "" && company != page.company {
		return false
	}
	page.held = append(page.held, id)
	return true
}

// take forgets a user and returns the messages.
func (in incoming) take(user UserID) []ID {
	page := in[user]
	delete(in, user)
	if page == nil { // no place was made for it
		return nil
	}
	return page.held
}

// attend has other nodes tell this one what is for a page's rooms and counts the page. When it returns, this node has told its
// pages what was stored before; what is stored later it will be told.
func (s *Service) attend(ctx context.Context, a *arrival, rooms []string) (OnlineCount, error) {
	page := a.page.ID()
	if err := s.broker.Watch(ctx, page, rooms); err != nil {
		return OnlineCount{}, err
	}
	online, err := s.presence.Join(ctx, a.who, page)
	if err != nil {
		s.broker.Unwatch(page, nil)
		return OnlineCount{}, err
	}
	if s.shared {
		err = s.lookAgain(ctx, a)
	}
	if err == nil {
		s.choosers.set(a.who.User, a.preferences)
		err = s.settle(ctx)
	}
	if err != nil {
		s.forgetPage(a.who, page)
		return OnlineCount{}, err
	}
	return online, nil
}

// checked returns what was found out of a page's token before, or finds it out.
func (s *Service) checked(ctx context.Context, who Identity, o LoginOptions) (check TokenCheck, err error) {
	if (o.Checked != TokenCheck{}) {
		return o.Checked, nil
	}
	turn, err := s.ask(ctx, false)
	if err != nil {
		return TokenCheck{}, err
	}
	defer turn.close()
	if o.Trusted {
		check, _, err = s.look(turn.ctx, who)
		return check, err
	}
	return s.checkToken(turn.ctx, who, o.Issued)
}

// An arrival is a page that logs in.
type arrival struct {
	who         Identity
	page        Page
	at          ID // the place up to which it is told what came before
	preferences []Preference
	options     LoginOptions
	counts      Counts
	told        int   // log entries that it was sent before at
	turn        *turn // ends when it asks the store nothing more
}

// fresh reports whether the page is told what waits, not what came after its cursor.
func (a *arrival) fresh() bool { return a.options.Stale || a.options.Cursor == Cursor{} }

// welcome sends the page what it has missed up to a place.
func (s *Service) welcome(ctx context.Context, a *arrival) (Welcome, error) {
	w := Welcome{Cursor: Cursor(a.at), Reset: a.options.Stale}
	var missed []LogEntry
	var err error
	fresh := a.fresh()
	if !fresh {
		if missed, w.Reset, err = s.missed(ctx, a); err != nil {
			return Welcome{}, err
		}
		fresh = w.Reset
	}
	var waiting []Message
	if fresh {
		if waiting, err = s.store.Undelivered(ctx, a.who, s.replayLimit); err != nil {
			return Welcome{}, err
		}
		if s.shared && len(waiting) > 0 {
			if waiting, err = s.stillWaiting(ctx, a); err != nil {
				return Welcome{}, err
			}
		}
		s.behind.note(a.page.ID(), len(waiting) == s.replayLimit)
	}
	if a.counts, err = s.store.Counts(ctx, a.who); err != nil {
		return Welcome{}, err
	}
	w.Counts = a.counts
	// Whatever can fail is over, and a page may be slow to take what it is told.
	a.turn.end()
	ctx = context.WithoutCancel(ctx)
	if fresh {
		w.Replayed = s.replay(ctx, a, waiting)
	} else {
		n, _ := s.tellMissed(ctx, a, missed)
		w.Replayed = a.told + n
	}
	return w, nil
}

// stillWaiting returns what waits when the other nodes have recorded what they have delivered in the last moment: a page that
// is loaded anew may come from one of them.
func (s *Service) stillWaiting(ctx context.Context, a *arrival) ([]Message, error) {
	s.pages(ctx, s.publish(ctx, Envelope{Record: a.who.User}))
	return s.store.Undelivered(ctx, a.who, s.replayLimit)
}

// enrol makes a member of who logs in for the first time. Who has just been made one by another page stays one
// since then.
func (s *Service) enrol(ctx context.Context, who Identity) error {
	var at ID
	s.line.at(func(place ID) { at = place })
	return s.store.Enrol(ctx, who, at)
}

// showOnline sends the page the number of online users, which it returns. The
// page is in the company's room already, so the number may have changed and been
// announced meanwhile; an older one must not stand over that.
func (s *Service) showOnline(ctx context.Context, company CompanyID, page Page, users int) int {
	page.Emit(EventOnlineCount, Cursor{}, users)
	for range 3 {
		now, err := s.presence.Online(ctx, company)
		if err != nil || now.Users == users {
			break
		}
		users = now.Users
		page.Emit(EventOnlineCount, Cursor{}, users)
	}
	return users
}

// replay sends the page the messages that waited. Those after its place are published as soon as the page
// is released. A page that is lost half way goes on after the last that it got.
func (s *Service) replay(ctx context.Context, a *arrival, waiting []Message) int {
	sent := make([]ID, 0, len(waiting))
	n := 0
	var heard ID
	for i := range waiting {
		m := &waiting[i]
		if m.ID.Compare(a.at) > 0 {
			break
		}
		if !s.mutes(a.preferences, m) {
			if !a.page.Pace() || !a.page.Emit(EventMessage, Cursor(m.ID), MessageEvent{m, &a.counts}) {
				break
			}
			n++
			s.noteReplay(a.who, a.page, m.ID)
		}
		if m.IsNotice() {
			heard = m.ID
		} else {
			sent = append(sent, m.ID)
		}
	}
	if len(sent) > 0 {
		s.markDelivered(ctx, a.who.User, sent...)
	}
	if !heard.IsZero() {
		s.markHeard(ctx, a.who, heard)
	}
	return n
}

// mutes reports whether pages are not to be told of a message now.
func (s *Service) mutes(preferences []Preference, m *Message) bool {
	if m.Forced {
		return false
	}
	_, muted := judge(preferences, m, s.now())
	return muted
}

func (s *Service) noteReplay(who Identity, page Page, id ID) {
	s.journal.Note(Fact{At: s.now(), Kind: FactReplayed, Message: id, User: who.User, Company: who.Company, Page: page.ID()})
}

// markHeard tells the store. If that fails, a later login gets notices once more.
func (s *Service) markHeard(ctx context.Context, who Identity, place ID) {
	if err := s.store.MarkHeard(ctx, who, place); err != nil {
		s.log.WarnContext(ctx, "not recorded that notices were heard; the next login repeats them", "user", who.User, "err", err)
	}
}

// Logout says that a page that had logged in is gone, and why. Its rooms are its
// owner's to leave, before. Since is the cursor of its welcome.
func (s *Service) Logout(who Identity, page Page, since Cursor, reason string) {
	ctx := context.Background()
	if !s.behind.take(page.ID()) && s.notices.since(who.Company, ID(since)) {
		s.line.at(func(place ID) { s.markHeard(ctx, who, place) })
	}
	s.forgetPage(who, page.ID())
	s.journal.Note(Fact{At: s.now(), Kind: FactLogout, User: who.User, Company: who.Company, Page: page.ID(), Detail: reason})
}

// laggards are the pages to which not all that waited was replayed: what waits must go on to when they leave.
type laggards struct {
	mu    sync.Mutex
	pages map[string]struct{}
}

func (l *laggards) note(page string, lags bool) {
	if !lags {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.pages == nil {
		l.pages = make(map[string]struct{})
	}
	l.pages[page] = struct{}{}
}

// take forgets a page and reports whether it was one.
func (l *laggards) take(page string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, lags := l.pages[page]
	delete(l.pages, page)
	return lags
}

// forgetPage counts a page out.
func (s *Service) forgetPage(who Identity, id string) {
	ctx := context.Background()
	s.broker.Unwatch(id, nil)
	if err := s.presence.Leave(ctx, who, id); err != nil {
		s.log.Warn("page not counted out", "company", who.Company, "page", id, "err", err)
	}
	s.forgetChooser(who.User)
}
