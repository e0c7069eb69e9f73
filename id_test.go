package belfry_test

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"belfry"
)

func TestIDsIncreaseStrictlyAlsoWhenTheClockStepsBack(t *testing.T) {
	s := belfry.NewIDSource()
	now := time.Unix(1_700_000_000, 0)
	last := s.New(now)
	for i := range 1000 {
		step := time.Duration(i%7-3) * time.Second
		now = now.Add(step)
		id := s.New(now)
		if id.Compare(last) <= 0 {
			t.Fatalf("%s follows %s", id, last)
		}
		last = id
	}
	if id := s.New(now.Add(time.Hour)); !id.Time().Equal(now.Add(time.Hour)) {
		t.Errorf("an id made at %v is of %v", now.Add(time.Hour), id.Time())
	}
}

func TestIDsAreUniqueAmongGoroutines(t *testing.T) {
	s := belfry.NewIDSource()
	made := make([][]belfry.ID, 8)
	var work sync.WaitGroup
	for g := range made {
		work.Go(func() {
			for range 1000 {
				made[g] = append(made[g], s.New(time.Now()))
			}
		})
	}
	work.Wait()
	seen := make(map[belfry.ID]bool)
	for _, ids := range made {
		for _, id := range ids {
			if seen[id] {
				t.Fatalf("%s was made twice", id)
			}
			seen[id] = true
		}
	}
}

func FuzzIDText(f *testing.F) {
	for _, s := range []string{"", "0", strings.Repeat("0", 24), "65a0B1c2d3e4F5a6b7c8d9e0", strings.Repeat("g", 24), strings.Repeat("é", 12)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		before := belfry.ID{1, 2, 3}
		id := before
		if err := id.UnmarshalText(text); err != nil {
			if belfry.ErrorCode(err) != belfry.ErrInvalid || id != before {
				t.Errorf("%q: %v leaves %v", text, err, id)
			}
			return
		}
		back, err := id.MarshalText()
		if err != nil || !bytes.EqualFold(back, text) || id.String() != string(back) {
			t.Errorf("%q comes back as %q, %v", text, back, err)
		}
		if again, err := belfry.ParseObjectID(string(back)); err != nil || again != id {
			t.Errorf("%q is read as %v, %v", back, again, err)
		}
	})
}

func FuzzParseID(f *testing.F) {
	for _, s := range []string{"", " ", "1", " 1 ", "王五", "\xff", "a\x00b", "a\u0085", strings.Repeat("x", 129), "\u00a0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		id, err := belfry.ParseID("uid", s)
		if err != nil {
			if belfry.ErrorCode(err) != belfry.ErrInvalid || !strings.HasPrefix(belfry.ErrorMessage(err), "uid ") || !utf8.ValidString(belfry.ErrorMessage(err)) {
				t.Errorf("%q: %v", s, err)
			}
			return
		}
		if id == "" || len(id) > belfry.MaxIDBytes || !utf8.ValidString(id) || !strings.Contains(s, id) {
			t.Errorf("%q is read as %q", s, id)
		}
		if again, err := belfry.ParseID("uid", id); err != nil || again != id {
			t.Errorf("%q is read as %q, %v", id, again, err)
		}
	})
}

func FuzzParseCursor(f *testing.F) {
	c := belfry.Cursor{0: 1, 11: 0xff}
	for _, s := range []string{"", c.String(), c.String() + "\n", c.String()[:17], strings.Repeat("_", 18), belfry.Cursor{}.String(), "+/=="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := belfry.ParseCursor(s)
		if err != nil {
			if belfry.ErrorCode(err) != belfry.ErrInvalid || c != (belfry.Cursor{}) {
				t.Errorf("%q: %v, %v", s, err, c)
			}
			return
		}
		if c.String() != s {
			t.Errorf("%q comes back as %q", s, c.String())
		}
	})
}

func TestACursorComesBackAsItWasWritten(t *testing.T) {
	s := belfry.NewIDSource()
	for _, want := range []belfry.Cursor{{}, belfry.Cursor(s.New(time.Now()))} {
		if got, err := belfry.ParseCursor(want.String()); err != nil || got != want {
			t.Errorf("%v comes back as %v, %v", want, got, err)
		}
	}
}
