package auth

import (
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func TestTopicsThatAGlobAllows(t *testing.T) {
	cases := []struct {
		glob, topic string
		allowed     bool
	}{
		{"news", "news", true},
		{"news", "News", false},
		{"news", "news.sport", false},
		{"*", "", true},
		{"*", "anything/at:all.*", true},
		{"project.*", "project.", true},
		{"project.*", "project.7.tasks", true},
		{"project.*", "project", false},
		{"*.tasks", "project.7.tasks", true},
		{"*.tasks", "project.7.tasks.x", false},
		{"a*a", "a", false},
		{"a*a", "aa", true},
		{"a**b", "ab", true},
		{"a*b*c", "a-c-b-c", true},
		{"a*b*c", "a-c-b", false},
		{"*ab*ab*", "ab-b", false},
		{"a.c", "abc", false},
		{"a?c", "abc", false},
		{"[ab]", "a", false},
		{`\*`, "*", false},
		{"会*", "会议", true},
	}
	for _, c := range cases {
		if got := TopicAllowed([]string{"other", c.glob}, c.topic); got != c.allowed {
			t.Errorf("%q allows %q: %v", c.glob, c.topic, got)
		}
	}
	if TopicAllowed(nil, "") || TopicAllowed(nil, "x") {
		t.Error("no glob allows a topic")
	}
}

func TestGlobsThatBlowUpElsewhereAreQuick(t *testing.T) {
	glob, topic := strings.Repeat("a*", 64), strings.Repeat("a", 100_000)+"b"
	begun := time.Now()
	for range 100 {
		if TopicAllowed([]string{glob + "c"}, topic) {
			t.Fatal("allowed")
		}
	}
	if took := time.Since(begun); took > 5*time.Second { // with backtracking: not in this life
		t.Errorf("took %v", took)
	}
}

func FuzzTopicAllowed(f *testing.F) {
	f.Add("a*b*c", "a-b-b-c")
	f.Add("**", "")
	f.Add("a*a", "a")
	f.Fuzz(func(t *testing.T, glob, topic string) {
		if len(glob) > 40 || len(topic) > 200 {
			return
		}
		if got, want := TopicAllowed([]string{glob}, topic), reference(glob, topic); got != want {
			t.Fatalf("%q allows %q: %v, want %v", glob, topic, got, want)
		}
		if utf8.ValidString(glob) && utf8.ValidString(topic) {
			parts := strings.Split(glob, "*")
			for i := range parts {
				parts[i] = regexp.QuoteMeta(parts[i])
			}
			if want := regexp.MustCompile(`(?s)^` + strings.Join(parts, ".*") + `$`).MatchString(topic); want != reference(glob, topic) {
				t.Fatal("the reference is wrong")
			}
		}
	})
}

// reference is the definition of a glob, letter by letter: can[j] says that the
// glob so far matches the first j bytes.
func reference(glob, s string) bool {
	can := make([]bool, len(s)+1)
	can[0] = true
	for i := range len(glob) {
		next := make([]bool, len(s)+1)
		for j := range next {
			if glob[i] == '*' {
				next[j] = can[j] || j > 0 && next[j-1]
			} else {
				next[j] = j > 0 && can[j-1] && s[j-1] == glob[i]
			}
		}
		can = next
	}
	return can[len(s)]
}
