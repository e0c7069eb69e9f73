package storage

import (
	"sync"

	"belfry"
)

// maxSuspects bounds the users who are remembered; a sweep over all users takes
// the place of those who are not.
const maxSuspects = 100_000

// Suspects are the users who may have more messages than one user may: those
// who got one since they were looked at, and, until a sweep over all users has
// ended, everybody. Nothing is remembered until a limit is known. They are safe for concurrent use.
type Suspects struct {
	mu       sync.Mutex
	limit    int
	users    map[belfry.UserID]struct{}
	sweeping bool
	again    bool          // sweep once more after this one
	swept    belfry.UserID // up to and including
}

// Watch says which limit counts. A new one makes everybody a suspect.
func (s *Suspects) Watch(limit int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if limit == s.limit {
		return
	}
	s.limit, s.sweeping, s.again, s.swept = limit, true, false, ""
	s.users = make(map[belfry.UserID]struct{})
}

// Received says that messages have been stored, of which notices count for
// nobody. It comes after their commit: whoever takes the user afterwards finds them.
func (s *Suspects) Received(messages []belfry.Message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.limit == 0 {
		return
	}
	for i := range messages {
		if !messages[i].IsNotice() {
			s.put(messages[i].Receiver)
		}
	}
}

// Add makes users suspects.
func (s *Suspects) Add(users ...belfry.UserID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, user := range users {
		s.put(user)
	}
}

func (s *Suspects) put(user belfry.UserID) {
	if len(s.users) >= maxSuspects {
		clear(s.users)
		// A sweep that is under way goes on to its end first: one that starts
		// over again and again would never come to the last users.
		s.sweeping, s.again = true, s.sweeping
	}
	s.users[user] = struct{}{}
}

// Take removes a user who is remembered.
func (s *Suspects) Take() (belfry.UserID, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for user := range s.users {
		delete(s.users, user)
		return user, true
	}
	return "", false
}

// SweepFrom returns the user after whom the sweep goes on, if there is one.
func (s *Suspects) SweepFrom() (after belfry.UserID, sweeping bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.swept, s.sweeping
}

// SweptTo says that the sweep has come to a user.
func (s *Suspects) SweptTo(user belfry.UserID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.swept = user
}

// SweptAll says that the sweep has found nobody more.
func (s *Suspects) SweptAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweeping, s.again, s.swept = s.again, false, ""
}
