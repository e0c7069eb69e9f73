package load

import (
	"fmt"
	"strings"
	"testing"
)

// A judged is what happens to a page of one stream: publications that it gets, by number, and other
// steps by name.
type judged struct {
	stored, replayed bool
	steps            string
}

// play has a witness see the steps: a number is a publication that comes, "push 3" three that
// are answered, "doubt" one that fails without an answer.
func (j judged) play(t *testing.T) *faults {
	t.Helper()
	f := &faults{}
	s := &stream{stored: j.stored, replayed: j.replayed}
	w := newWitness(0, []*stream{s}, f)
	push := func(n int) {
		for range n {
			s.accept(s.next())
		}
	}
	for step := range strings.SplitSeq(j.steps, ", ") {
		var n int
		switch {
		case step == "login":
			w.login(false)
		case step == "resume":
			w.login(true)
		case step == "fresh":
			w.fresh()
		case step == "welcome":
			w.welcome()
		case step == "leave":
			w.leave()
		case step == "cut":
			w.cut()
		case step == "end":
			w.settle()
		case step == "doubt":
			s.doubt(s.next())
		case step == "refused":
			s.refuse(s.next())
		case step == "begin":
			s.next()
		case scan(step, "push %d", &n):
			push(n)
		case scan(step, "owes %d", &n):
			if got := w.owed(); got != uint64(n) {
				t.Errorf("owes %d, want %d", got, n)
			}
		case scan(step, "%d", &n):
			w.take(0, uint32(n))
		default:
			t.Fatalf("no such step: %s", step)
		}
	}
	return f
}

func scan(s, format string, n *int) bool {
	_, err := fmt.Sscanf(s, format, n)
	return err == nil
}

func (f *faults) String() string {
	return fmt.Sprintf("lost %d doubled %d reordered %d unknown %d", f.lost.Load(), f.doubled.Load(), f.reordered.Load(), f.unknown.Load())
}

func TestTheWitnessFindsWhatIsWrongAndNothingElse(t *testing.T) {
	const none = "lost 0 doubled 0 reordered 0 unknown 0"
	transient, stored, message := judged{}, judged{stored: true}, judged{stored: true, replayed: true}
	for _, tt := range []struct {
		name  string
		of    judged
		steps string
		want  string
	}{
		{"all in order", transient, "login, welcome, push 3, 1, 2, 3, owes 0, end", none},
		{"nothing was pushed", transient, "login, welcome, end", none},
		{"one is lost between others", transient, "login, welcome, push 3, 1, 3, end", "lost 1 doubled 0 reordered 0 unknown 0"},
		{"the first is lost", transient, "login, welcome, push 3, 2, 3, end", "lost 1 doubled 0 reordered 0 unknown 0"},
		{"the last are lost", transient, "login, welcome, push 3, 1, owes 2, end", "lost 2 doubled 0 reordered 0 unknown 0"},
		{"all are lost", transient, "login, welcome, push 3, end", "lost 3 doubled 0 reordered 0 unknown 0"},
		{"one comes twice", transient, "login, welcome, push 2, 1, 1, 2, end", "lost 0 doubled 1 reordered 0 unknown 0"},
		{"an earlier one comes again", transient, "login, welcome, push 3, 1, 2, 3, 1, end", "lost 0 doubled 1 reordered 0 unknown 0"},
		{"two change places", transient, "login, welcome, push 3, 2, 1, 3, end", "lost 0 doubled 0 reordered 1 unknown 0"},
		{"one is late by two, and comes again", transient, "login, welcome, push 4, 1, 3, 4, 2, 2, end", "lost 0 doubled 1 reordered 1 unknown 0"},
		{"of a range that was passed over the middle comes late", transient, "login, welcome, push 6, 1, 6, 4, 4, end", "lost 3 doubled 1 reordered 1 unknown 0"},
		{"one that was never pushed", transient, "login, welcome, push 1, 1, 2, 0, end", "lost 0 doubled 0 reordered 0 unknown 2"},

		{"what failed without an answer did not come", transient, "login, welcome, push 1, doubt, push 1, 1, 3, owes 0, end", none},
		{"what failed without an answer came", transient, "login, welcome, push 1, doubt, push 1, 1, 2, 3, end", none},
		{"what failed last did not come", transient, "login, welcome, push 1, doubt, 1, owes 0, end", none},
		{"beside what failed one is lost", transient, "login, welcome, push 1, doubt, push 2, 1, 4, end", "lost 1 doubled 0 reordered 0 unknown 0"},
		{"what was refused has no number", transient, "login, welcome, refused, push 1, 1, refused, push 1, 2, end", none},
		{"what was refused came", transient, "login, welcome, push 1, 1, refused, 2, end", "lost 0 doubled 0 reordered 0 unknown 1"},
		{"what is not answered yet is not owed", transient, "login, welcome, push 1, 1, begin, owes 0, end", none},

		{"what was pushed before the login does not come", transient, "push 5, login, welcome, push 1, 6, end", none},
		{"what was answered before the login comes", transient, "push 5, login, 5, welcome, end", "lost 0 doubled 1 reordered 0 unknown 0"},
		{"what was pushed while it logged in comes in part", transient, "login, push 3, 2, 3, welcome, push 1, 4, end", none},
		{"what was pushed while it logged in does not come", transient, "login, push 3, welcome, push 1, 4, end", none},
		{"after the first that came while it logged in one is lost", transient, "login, push 3, 1, 3, welcome, end", "lost 1 doubled 0 reordered 0 unknown 0"},

		{"a page that is cut off has no right to the rest", transient, "login, welcome, push 3, 1, cut", none},
		{"what was passed over before a cut is lost", transient, "login, welcome, push 3, 1, 3, cut", "lost 1 doubled 0 reordered 0 unknown 0"},
		{"a page that comes back goes on with what is new", transient, "login, welcome, push 1, 1, cut, push 2, login, welcome, push 1, 4, end", none},
		{"a page that comes back is told of what it missed and should not be", transient, "login, welcome, push 1, 1, cut, push 2, login, 3, welcome, end", "lost 0 doubled 1 reordered 0 unknown 0"},
		{"a page that leaves has all that was answered", transient, "login, welcome, push 2, 1, leave, push 3, owes 1, 2, owes 0, cut", none},
		{"a page that leaves lacks one", transient, "login, welcome, push 2, 1, leave, push 3, end", "lost 1 doubled 0 reordered 0 unknown 0"},

		{"a message that waited is replayed", message, "push 3, login, 1, 2, 3, welcome, push 1, 4, end", none},
		{"some messages that waited are not replayed", message, "push 3, login, 2, welcome, push 1, 4, end", none},
		{"a message comes at two logins", message, "push 1, login, 1, welcome, cut, login, 1, welcome, end", "lost 0 doubled 1 reordered 0 unknown 0"},
		{"messages are replayed in disorder", message, "push 3, login, 1, 3, 2, welcome, end", "lost 0 doubled 1 reordered 0 unknown 0"},
		{"a message is lost after the welcome", message, "push 3, login, 3, welcome, push 2, 5, end", "lost 1 doubled 0 reordered 0 unknown 0"},

		{"a page recovers all that it missed", stored, "login, welcome, push 1, 1, cut, push 3, resume, 2, 3, 4, welcome, push 1, 5, end", none},
		{"a page recovers all but one", stored, "login, welcome, push 1, 1, cut, push 3, resume, 2, 4, welcome, end", "lost 1 doubled 0 reordered 0 unknown 0"},
		{"a page recovers nothing though it was promised", stored, "login, welcome, push 1, 1, cut, push 3, resume, welcome, end", "lost 3 doubled 0 reordered 0 unknown 0"},
		{"a page recovers one that it had", stored, "login, welcome, push 2, 1, 2, cut, push 1, resume, 2, 3, welcome, end", "lost 0 doubled 1 reordered 0 unknown 0"},
		{"a page is told that it cannot recover", stored, "login, welcome, push 1, 1, cut, push 3, resume, fresh, welcome, push 1, 5, end", none},
		{"a page learns late that it cannot recover", message, "login, welcome, push 1, 1, cut, push 3, resume, 3, 4, fresh, welcome, push 1, 5, end", none},
		{"what is not stored need not be recovered", transient, "login, welcome, push 1, 1, cut, push 3, resume, welcome, push 1, 5, end", none},
		{"a page that never was open resumes nothing", stored, "login, cut, push 3, resume, welcome, push 1, 4, end", none},
		{"after the end nothing is told twice", transient, "login, welcome, push 2, 1, end, end", "lost 1 doubled 0 reordered 0 unknown 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.of.steps = tt.steps
			if got := tt.of.play(t).String(); got != tt.want {
				t.Errorf("%s: found %s, want %s", tt.steps, got, tt.want)
			}
		})
	}
}

func TestGapsAreBounded(t *testing.T) {
	f := &faults{}
	s := &stream{}
	w := newWitness(0, []*stream{s}, f)
	w.login(false)
	w.welcome()
	const n = 3 * maxGaps
	for range 2 * n {
		s.accept(s.next())
	}
	for i := range n {
		w.take(0, uint32(2*i+2))
		if len(w.gaps) > maxGaps {
			t.Fatalf("%d gaps are kept", len(w.gaps))
		}
	}
	w.settle()
	if got := f.lost.Load(); got != n {
		t.Errorf("%d are lost, want %d", got, n)
	}
	if len(f.first) != maxFirst {
		t.Errorf("%d descriptions, want %d", len(f.first), maxFirst)
	}
}
