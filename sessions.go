package belfry

import (
	"context"
	"time"
)

// Revoke makes all tokens void that a user was given up to now, and disconnects the user's
// pages: they come back with a new token or not at all. It returns how many pages.
func (s *Service) Revoke(ctx context.Context, user UserID) (pages int, err error) {
	now := s.now()
	if err := s.store.Revoke(ctx, user, now); err != nil {
		return 0, err
	}
	s.revocations.Add(1)
	s.journal.Note(Fact{At: now, Kind: FactRevoked, User: user})
	return s.Disconnect(context.WithoutCancel(ctx), user, "")
}

// Disconnect ends the pages of a user, in one company where that is set. Official
// clients do not come back by themselves. It returns how many pages.
func (s *Service) Disconnect(ctx context.Context, user UserID, company CompanyID) (pages int, err error) {
	room := UserRoom(user)
	if company != "" {
		room = MemberRoom(Identity{user, company})
	}
	reach, err := s.broker.Publish(ctx, Envelope{Rooms: []string{room}, Disconnect: true})
	if err == nil {
		pages, err = reach.Pages(ctx)
	}
	if err != nil {
		return pages, &Error{Code: ErrUnavailable, Message: "the pages could not be reached", Err: err}
	}
	return pages, nil
}

// WatchTopic has a page get what other nodes publish in a topic; it joins the topic's room then. It fails when ctx ends.
func (s *Service) WatchTopic(ctx context.Context, page Page, topic string) error {
	return s.broker.Watch(ctx, page.ID(), []string{TopicRoom(topic)})
}

// UnwatchTopic ends that. So does Logout.
func (s *Service) UnwatchTopic(page Page, topic string) {
	s.broker.Unwatch(page.ID(), []string{TopicRoom(topic)})
}

// TokenVoid reports whether a token is void that was issued at a time, or does not say when, if those of its user were made
// void at another, if ever. Both are seconds: a token of the very second is void, too.
func TokenVoid(issued, revoked time.Time) bool { return !revoked.IsZero() && !issued.After(revoked) }

// checkRevoked refuses a token that was issued before the user's were made void.
func (s *Service) checkRevoked(ctx context.Context, who Identity, o LoginOptions) error {
	if o.Trusted || o.Checked.revocations == s.revocations.Load()+1 { // nothing has happened since
		return nil
	}
	_, err := s.checkToken(ctx, who, o.Issued)
	return err
}

// A TokenCheck is what CheckToken has found out. Zero stands for no check.
type TokenCheck struct {
	revocations uint64 // how many there had been, and one
	member      bool   // the identity is a member of its company
}

// CheckToken fails with [ErrUnauthorized] if an identity's tokens that were issued at a time,
// or do not say when, are void. It waits for its turn as a login does.
func (s *Service) CheckToken(ctx context.Context, who Identity, issued time.Time) (TokenCheck, error) {
	turn, err := s.ask(ctx, false)
	if err != nil {
		return TokenCheck{}, err
	}
	defer turn.close()
	return s.checkToken(turn.ctx, who, issued)
}

func (s *Service) checkToken(ctx context.Context, who Identity, issued time.Time) (TokenCheck, error) {
	check, profile, err := s.look(ctx, who)
	if err == nil {
		err = profile.allows(issued)
	}
	if err != nil {
		return TokenCheck{}, err
	}
	return check, nil
}

// allows fails with [ErrUnauthorized] if a token that was issued then is void.
func (p *Profile) allows(issued time.Time) error {
	switch {
	case !TokenVoid(issued, p.Revoked):
		return nil
	case issued.IsZero():
		return Errorf(ErrUnauthorized, "the user's tokens were made void; ask the application for a new one that says when it was issued (iat)")
	}
	return Errorf(ErrUnauthorized, "the token was made void; ask the application for a new one")
}

// look reads what a login has to know, and keeps what the rest of it asks for.
func (s *Service) look(ctx context.Context, who Identity) (check TokenCheck, profile Profile, err error) {
	check.revocations = s.revocations.Load() + 1 // before the question
	_, _, changes := s.preferences.get(nil, time.Time{})
	if profile, err = s.store.Profile(ctx, who); err != nil {
		return TokenCheck{}, Profile{}, err
	}
	check.member = profile.Member
	s.preferences.learn([]UserID{who.User}, map[UserID][]Preference{who.User: profile.Preferences}, changes, s.now())
	return check, profile, nil
}

// endVoid ends the pages here of users whose tokens were made void while this node did not hear of it.
func (s *Service) endVoid(ctx context.Context, users []UserID) error {
	all, err := s.store.Revoked(ctx, users)
	if err != nil || len(all) == 0 {
		return err
	}
	s.revocations.Add(1) // for pages that are in no room yet
	for user, revoked := range all {
		s.broker.Emit(Envelope{Rooms: []string{UserRoom(user)}, Disconnect: true, Revoked: revoked})
	}
	return nil
}

// lookAgain reads what other nodes may have made void or set before this one listened for the user of a page that logs in. What they do
// from now on they tell this one.
func (s *Service) lookAgain(ctx context.Context, a *arrival) error {
	check, profile, err := s.look(ctx, a.who)
	if err == nil && !a.options.Trusted {
		err = profile.allows(a.options.Issued)
	}
	a.options.Checked, a.preferences = check, profile.Preferences
	return err
}

// NoteRefused notes in the delivery record that a page of a user was refused, where it is
// known whose it claimed to be.
func (s *Service) NoteRefused(who Identity, reason string) {
	s.journal.Note(Fact{At: s.now(), Kind: FactRefused, User: who.User, Company: who.Company, Detail: reason})
}

// AddMembers makes users known as members of a company from now on: notices that are not
// for later members are shown to them although they have not logged in yet. It fails with [ErrInvalid].
func (s *Service) AddMembers(ctx context.Context, company CompanyID, users []UserID) error {
	if err := checkID("companyID", (*string)(&company)); err != nil {
		return err
	}
	users, err := s.checkReceivers("users", users)
	if err != nil {
		return err
	}
	var at ID
	s.line.at(func(place ID) { at = place })
	return s.store.AddMembers(ctx, company, users, at)
}
