package engineio

import (
	"fmt"
	"testing"
	"time"
)

func TestPaceWaitsUntilTheQueueIsWritten(t *testing.T) {
	o := slow
	o.MaxQueue = 1000
	_, sessions, b := openBookWith(t, 1, o)
	s := sessions[0]
	send := func(n int) {
		t.Helper()
		for range n {
			if !s.Send(frameOf(fmt.Sprintf("%0100d", 0))) {
				t.Fatal("refused")
			}
		}
	}
	send(4)
	if !s.Pace(0) {
		t.Fatal("it waits although less than half is queued")
	}
	send(2)
	paced := make(chan bool)
	go func() { paced <- s.Pace(time.Hour) }()
	go func() { paced <- s.Pace(time.Hour) }()
	eventually(t, "somebody waits", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.paced
	})
	select {
	case <-paced:
		t.Fatal("it did not wait")
	default:
	}
	b.read(t, 1)
	for range 2 {
		if !receive(t, paced, "Pace") {
			t.Error("the session is not open")
		}
	}
	if !s.Pace(0) {
		t.Error("it waits although nothing is queued")
	}
}

func TestPaceEndsWithTheSession(t *testing.T) {
	for name, end := range map[string]func(*Session){
		"too slow": nil,
		"closed":   func(s *Session) { s.abort(ReasonForcedClose) },
		"closing":  func(s *Session) { s.Close(ReasonForcedClose) },
	} {
		t.Run(name, func(t *testing.T) {
			o := slow
			o.MaxQueue = 100
			_, sessions, b := openBookWith(t, 1, o)
			s := sessions[0]
			for range 2 {
				s.Send(frameOf(fmt.Sprintf("%0100d", 0)))
			}
			limit := time.Hour
			if end == nil {
				limit = 0
			}
			paced := make(chan bool)
			go func() { paced <- s.Pace(limit) }()
			if end != nil {
				eventually(t, "somebody waits", func() bool {
					s.mu.Lock()
					defer s.mu.Unlock()
					return s.paced
				})
				end(s)
			}
			if receive(t, paced, "Pace") || s.isOpen() {
				t.Error("the session is open")
			}
			if s.Pace(time.Hour) {
				t.Error("the session is open again")
			}
			s.mu.Lock()
			if waits := s.state == stateClosing; waits != (name == "closing") {
				t.Errorf("what is queued waits to be written: %t", waits)
			}
			s.mu.Unlock()
			close(b.opened)
		})
	}
}
