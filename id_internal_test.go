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

func TestTheIDBeforeAnIDIsTheNextLowerOne(t *testing.T) {
	for id, want := range map[ID]ID{
		{11: 1}:       {},
		{10: 1}:       {11: 0xff},
		{0: 1}:        {1: 0xff, 2: 0xff, 3: 0xff, 4: 0xff, 5: 0xff, 6: 0xff, 7: 0xff, 8: 0xff, 9: 0xff, 10: 0xff, 11: 0xff},
		{0: 1, 11: 5}: {0: 1, 11: 4},
		{5: 2, 11: 0}: {5: 1, 6: 0xff, 7: 0xff, 8: 0xff, 9: 0xff, 10: 0xff, 11: 0xff},
	} {
		if got := id.prev(); got != want {
			t.Errorf("before %s is %s, want %s", id, got, want)
		}
	}
}
