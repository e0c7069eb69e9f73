package belfry

import (
	"bytes"
	"testing"
	"time"
)

func TestIDsBeyondThoseOfASecondRunAheadRatherThanRepeat(t *testing.T) {
	now := time.Unix(1_700_000_000, 0)
	s := NewIDSource()
	s.second, s.counter = uint32(now.Unix()), maxCounter-2
	last := s.New(now)
	for range 4 {
		id := s.New(now)
		if bytes.Compare(id[:], last[:]) <= 0 {
			t.Fatalf("%s follows %s", id, last)
		}
		last = id
	}
	if want := now.Add(time.Second); !last.Time().Equal(want) {
		t.Errorf("the last is of %v, want %v", last.Time(), want)
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
