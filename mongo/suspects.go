package mongo

import (
	"sync"

	"belfry"
)

// maxSuspects bounds the users who are remembered; a sweep over all users takes
// the place of those who are not.
const maxSuspects = 100_000

// suspects are the users who may have more messages than one user may: those
// who got one since they were looked at, and, until a sweep over all users has
// ended, everybody. Nothing is remembered until a limit is known.
type suspects struct {
	mu       sync.Mutex
	limit    int
	users    map[belfry.UserID]struct{}
	sweeping bool
	again    bool          // sweep once more after this one
	swept    belfry.UserID // up to and including
}

// watch says which limit counts. A new one makes everybody a suspect.
func (s *suspects) watch(limit int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if limit == s.limit {
		return
	}
	s.limit, s.sweeping, s.again, s.swept = limit, true, false, ""
	s.users = make(map[belfry.UserID]struct{})
}

// received says that messages have been stored, of which notices count for
// nobody. It comes after their commit: whoever takes the user afterwards finds them.
func (s *suspects) received(messages []belfry.Message) {
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

func (s *suspects) add(users ...belfry.UserID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, user := range users {
		s.put(user)
	}
}

func (s *suspects) put(user belfry.UserID) {
	if len(s.users) >= maxSuspects {
		clear(s.users)
		// A sweep that is under way goes on to its end first: one that starts
		// over again and again would never come to the last users.
		s.sweeping, s.again = true, s.sweeping
	}
	s.users[user] = struct{}{}
}

// take removes a user who is remembered.
func (s *suspects) take() (belfry.UserID, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for user := range s.users {
		delete(s.users, user)
		return user, true
	}
	return "", false
}

// sweepFrom returns the user after whom the sweep goes on, if there is one.
func (s *suspects) sweepFrom() (after belfry.UserID, sweeping bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.swept, s.sweeping
}

func (s *suspects) sweptTo(user belfry.UserID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.swept = user
}

func (s *suspects) sweptAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sweeping, s.again, s.swept = s.again, false, ""
}
