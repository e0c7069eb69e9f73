package belfry

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// MaxPreferences bounds the preferences of one user.
const MaxPreferences = 100

// Preferences returns what a user has turned off.
func (s *Service) Preferences(ctx context.Context, user UserID) ([]Preference, error) {
	return s.preferencesOf(ctx, user)
}

// SetPreferences replaces what a user has turned off. It fails with [ErrInvalid] where
// a preference names a forced category or does nothing. Messages that are in the
// inbox stay there; notices that match are hidden while the preference stands, and pages are told the
// counts after it.
func (s *Service) SetPreferences(ctx context.Context, user UserID, preferences []Preference) error {
	if len(preferences) > MaxPreferences {
		return invalidField("preferences", "lists %d entries; at most %d are allowed", len(preferences), MaxPreferences)
	}
	checked := slices.Clone(preferences)
	var wrong []error
	for i := range checked {
		wrong = append(wrong, s.checkPreference(fmt.Sprintf("preferences[%d].", i), &checked[i]))
	}
	if err := allInvalid(wrong...); err != nil {
		return err
	}
	// A login of the user reads and notes them, too.
	if err := s.logins.enter(ctx, string(user)); err != nil {
		return err
	}
	defer s.logins.leave(string(user))
	if err := s.store.SetPreferences(ctx, user, checked); err != nil {
		return err
	}
	s.preferences.change(user, checked, s.now())
	ctx = context.WithoutCancel(ctx)
	s.choosers.set(user, checked)
	s.forgetChooser(user)
	s.publish(ctx, Envelope{Recount: []Identity{{User: user}}, Resettle: true})
	s.recount(ctx, []Identity{{User: user}})
	return nil
}

func (s *Service) checkPreference(place string, p *Preference) error {
	p.MuteUntil = p.MuteUntil.Truncate(time.Second)
	var typeErr, forced, nothing error
	if p.Type != 0 {
		typeErr = checkType(place+"typeID", int64(p.Type), 1)
	}
	if s.isForced(p.Category) {
		forced = invalidField(place+"category", "%q cannot be turned off", p.Category)
	}
	if !p.Off && p.MuteUntil.IsZero() {
		nothing = invalidField(place+"inApp", "is on and nothing is muted: leave the entry out")
	}
	return allInvalid(typeErr, checkWord(place+"category", &p.Category), forced, nothing)
}

// A preferenceCache spares most pushes the question whether their receivers have
// turned something off: hardly anybody has. What another node sets is known here
// after [preferenceTTL].
type preferenceCache struct {
	mu      sync.Mutex
	changes int // by this process: what was read before one may be outdated
	users   map[UserID]cachedPreferences
}

type cachedPreferences struct {
	preferences []Preference
	until       time.Time
}

const (
	preferenceTTL       = 10 * time.Second
	maxCachedPreference = 100_000
)

// get returns what is known of users, who is not known, and how many changes there were.
func (c *preferenceCache) get(users []UserID, now time.Time) (known map[UserID][]Preference, unknown []UserID, changes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, user := range users {
		cached, ok := c.users[user]
		switch {
		case !ok || !now.Before(cached.until):
			unknown = append(unknown, user)
		case len(cached.preferences) > 0:
			if known == nil {
				known = make(map[UserID][]Preference)
			}
			known[user] = cached.preferences
		}
	}
	return known, unknown, c.changes
}

// change notes preferences that were set.
func (c *preferenceCache) change(user UserID, preferences []Preference, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changes++
	c.put(user, preferences, now)
}

// learn notes what was read of users, unless there were changes since the reading began.
func (c *preferenceCache) learn(users []UserID, found map[UserID][]Preference, changes int, now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.changes != changes {
		return
	}
	for _, user := range users {
		c.put(user, found[user], now)
	}
}

// forget has a user's preferences read anew.
func (c *preferenceCache) forget(user UserID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changes++
	delete(c.users, user)
}

func (c *preferenceCache) put(user UserID, preferences []Preference, now time.Time) {
	if c.users == nil || len(c.users) >= maxCachedPreference {
		c.users = make(map[UserID]cachedPreferences)
	}
	c.users[user] = cachedPreferences{preferences, now.Add(preferenceTTL)}
}

// preferencesOf returns the preferences of one user.
func (s *Service) preferencesOf(ctx context.Context, user UserID) ([]Preference, error) {
	all, err := s.preferencesOfAll(ctx, []UserID{user})
	return all[user], err
}

// preferencesOfAll returns the preferences of those users who have any.
func (s *Service) preferencesOfAll(ctx context.Context, users []UserID) (map[UserID][]Preference, error) {
	now := s.now()
	all, unknown, changes := s.preferences.get(users, now)
	if len(unknown) == 0 {
		return all, nil
	}
	found, err := s.store.Preferences(ctx, unknown)
	if err != nil {
		return nil, err
	}
	s.preferences.learn(unknown, found, changes, now)
	for _, user := range unknown {
		if len(found[user]) > 0 {
			if all == nil {
				all = make(map[UserID][]Preference)
			}
			all[user] = found[user]
		}
	}
	return all, nil
}

// choose takes out of a parcel the receivers who have turned its message off, and
// notes those who have muted it.
func (s *Service) choose(ctx context.Context, p *parcel) error {
	if p.message.Forced || p.notice {
		return nil
	}
	preferences, err := s.preferencesOfAll(ctx, p.receivers)
	if err != nil || len(preferences) == 0 {
		return err
	}
	var on []UserID
	for _, user := range p.receivers {
		off, muted := judge(preferences[user], p.message, s.now())
		switch {
		case off:
			p.off = append(p.off, user)
			continue
		case muted:
			if p.muted == nil {
				p.muted = make(map[UserID]struct{})
			}
			p.muted[user] = struct{}{}
		}
		on = append(on, user)
	}
	p.receivers = on
	return nil
}

// judge says what preferences do to a message that is not forced.
func judge(preferences []Preference, m *Message, now time.Time) (off, muted bool) {
	for _, p := range preferences {
		if p.matches(m.Type, m.Category) {
			off = off || p.Off
			muted = muted || now.Before(p.MuteUntil)
		}
	}
	return off, muted
}

// choosers are the users with preferences who have pages here: what is for
// a whole company is kept from those who have turned it off.
type choosers struct {
	mu    sync.Mutex
	users map[UserID][]Preference
}

// set notes the preferences of a user who has pages; none make it forget the user.
func (c *choosers) set(user UserID, preferences []Preference) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(preferences) == 0 {
		delete(c.users, user)
		return
	}
	if c.users == nil {
		c.users = make(map[UserID][]Preference)
	}
	c.users[user] = preferences
}

// has reports whether these are the preferences that are known of a user.
func (c *choosers) has(user UserID, preferences []Preference) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.EqualFunc(c.users[user], preferences, func(a, b Preference) bool {
		until := b.MuteUntil
		b.MuteUntil = a.MuteUntil
		return a == b && a.MuteUntil.Equal(until)
	})
}

func (c *choosers) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.users)
}

// against returns the users who have turned a notice off or muted it.
func (c *choosers) against(m *Message, now time.Time) []UserID {
	c.mu.Lock()
	defer c.mu.Unlock()
	var users []UserID
	for user, preferences := range c.users {
		if off, muted := judge(preferences, m, now); off || muted {
			users = append(users, user)
		}
	}
	return users
}

// forgetChooser forgets a user who has no page any more.
func (s *Service) forgetChooser(user UserID) {
	if s.choosers.len() > 0 && len(s.presence.PagesHere(user)) == 0 {
		s.choosers.set(user, nil)
	}
}

// exceptOf returns the rooms of those who have turned a notice off or muted it.
func (s *Service) exceptOf(m *Message) []string {
	if !m.IsNotice() || m.Forced {
		return nil
	}
	var rooms []string
	for _, user := range s.choosers.against(m, s.now()) {
		rooms = append(rooms, UserRoom(user))
	}
	return rooms
}
