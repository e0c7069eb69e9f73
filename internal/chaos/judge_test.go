package chaos

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// faults are what should not be, by kind.
type faults struct {
	counts map[string]int
	first  []string
}

// maxFirst bounds the descriptions that are kept.
const maxFirst = 40

func (f *faults) note(kind, format string, args ...any) {
	if f.counts == nil {
		f.counts = make(map[string]int)
	}
	f.counts[kind]++
	if len(f.first) < maxFirst {
		f.first = append(f.first, kind+": "+fmt.Sprintf(format, args...))
	}
}

func (f *faults) String() string {
	if len(f.counts) == 0 {
		return "0"
	}
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(f.counts)) {
		parts = append(parts, fmt.Sprintf("%d %s", f.counts[kind], kind))
	}
	return strings.Join(parts, ", ")
}

// judge compares what a page was told with what was pushed: each push that was answered once, in the order of the
// IDs, which is that of the log, and each lane's in the order in which it pushed; one of which nothing is
// known once or not at all; one that was refused not at all.
func judge(f *faults, name string, who identity, seen []told, pushes []*push) {
	byTitle := make(map[string]*push, len(pushes))
	order := make(map[string]int, len(pushes)) // of the pushes in their lane
	for i, p := range pushes {
		byTitle[p.Title] = p
		order[p.Title] = i
	}
	ids := make(map[string]string, len(seen)) // by title
	var last told
	lanes := make(map[int]*push) // the latest that has come, by lane
	for _, t := range seen {
		p := byTitle[t.Title]
		before, again := ids[t.Title]
		switch {
		case p == nil:
			f.note("unknown", "page %s was told of %q %s at %s, which nobody pushed", name, t.Title, t.ID, clock(t.At))
			continue
		case !p.reaches(who):
			f.note("misdelivered", "page %s was told at %s of %v", name, clock(t.At), p)
			continue
		case again && before == t.ID:
			f.note("doubled", "page %s was told again at %s of %s: %v", name, clock(t.At), t.ID, p)
			continue
		case again:
			f.note("stored twice", "page %s was told at %s of %s, and before as %s: %v", name, clock(t.At), t.ID, before, p)
			continue
		case p.Answer == answerRefused:
			f.note("refused, yet sent", "page %s was told at %s of %s: %v", name, clock(t.At), t.ID, p)
		}
		ids[t.Title] = t.ID
		if t.ID <= last.ID {
			f.note("out of order", "page %s was told at %s of %s after %s (%s at %s): %v", name, clock(t.At), t.ID, last.ID, last.Title, clock(last.At), p)
			continue
		}
		last = t
		if !p.Answer.stored() {
			continue
		}
		if earlier := lanes[p.Lane]; earlier != nil && order[earlier.Title] > order[p.Title] {
			f.note("out of order", "page %s was told at %s of what was pushed before %s: %v", name, clock(t.At), earlier.Title, p)
		}
		lanes[p.Lane] = p
	}
	for _, p := range pushes {
		if _, came := ids[p.Title]; !came && p.Answer.stored() && p.reaches(who) {
			f.note("lost", "page %s was not told of %v", name, p)
		}
	}
}
