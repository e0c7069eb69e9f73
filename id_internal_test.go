package belfry

import (
	"bytes"
	"testing"
	"time"
)

func TestIDsBeyondThoseOfAMicrosecondRunAheadRatherThanRepeat(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	s := NewIDSource()
	s.time, s.counter = timeOf(now), maxCounter-2
	last := s.New(now)
	for range 4 {
		id := s.New(now)
		if bytes.Compare(id[:], last[:]) <= 0 {
			t.Fatalf("%s follows %s", id, last)
		}
		last = id
	}
	if want := timeOf(now.Add(time.Microsecond)); s.time != want {
		t.Errorf("the last is of %x, want %x", s.time, want)
	}
}

func TestASourceSkipsWhatAnotherHasMade(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	ahead := NewIDSource().New(now.Add(time.Hour))
	s := NewIDSource()
	s.Skip(ahead)
	if id := s.New(now); id.Compare(ahead) <= 0 {
		t.Errorf("%s follows %s", id, ahead)
	}
	s.Skip(ID{})
	last := s.New(now)
	s.Skip(NewIDSource().New(now.Add(-time.Hour)))
	if id := s.New(now); id.Compare(last) <= 0 {
		t.Errorf("%s follows %s after skipping what is lower", id, last)
	}
}
