package storage

import (
	"fmt"
	"testing"

	"belfry"
)

func TestSuspectsBeyondTheirBoundAreFoundByASweep(t *testing.T) {
	var s Suspects
	s.Received([]belfry.Message{{Receiver: "before there is a limit"}})
	if _, ok := s.Take(); ok {
		t.Error("somebody is remembered although there is no limit")
	}
	s.Watch(1)
	s.SweptTo("m")
	messages := make([]belfry.Message, maxSuspects+1)
	for i := range messages {
		messages[i].Receiver = belfry.UserID(fmt.Sprint(i))
	}
	s.Received(messages)
	if after, sweeping := s.SweepFrom(); after != "m" || !sweeping {
		t.Errorf("the sweep is at %q, %t; it should go on from m", after, sweeping)
	}
	s.SweptAll()
	if after, sweeping := s.SweepFrom(); after != "" || !sweeping {
		t.Errorf("the next sweep is at %q, %t; it should begin", after, sweeping)
	}
	s.SweptAll()
	if _, sweeping := s.SweepFrom(); sweeping {
		t.Error("it sweeps for ever")
	}
	if user, ok := s.Take(); user != messages[maxSuspects].Receiver || !ok {
		t.Errorf("%q is remembered, want the last one", user)
	}
}
