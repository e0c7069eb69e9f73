package auth

import (
	"strings"
	"unicode/utf8"

	"belfry"
)

// The bounds of the topics claim. Of globs as long as the longest, fewer than
// MaxTopics fit into [MaxTokenBytes].
const (
	MaxTopics     = 100
	MaxTopicBytes = 128 // of one glob
)

// checkTopics checks the globs of a token. It fails with [belfry.ErrInvalid] and
// a message that names the place of the one that is wrong.
func checkTopics(globs []string) error {
	if len(globs) > MaxTopics {
		return belfry.Errorf(belfry.ErrInvalid, "topics lists %d globs; at most %d are allowed", len(globs), MaxTopics)
	}
	for i, g := range globs {
		switch {
		case g == "":
			return belfry.Errorf(belfry.ErrInvalid, "topics[%d] is empty", i)
		case len(g) > MaxTopicBytes:
			return belfry.Errorf(belfry.ErrInvalid, "topics[%d] is %d bytes long; at most %d are allowed", i, len(g), MaxTopicBytes)
		case !utf8.ValidString(g):
			return belfry.Errorf(belfry.ErrInvalid, "topics[%d] is not valid UTF-8", i)
		case strings.ContainsFunc(g, func(r rune) bool { return r < ' ' || r == 0x7f }):
			return belfry.Errorf(belfry.ErrInvalid, "topics[%d] contains a control character", i)
		}
	}
	return nil
}

// TopicAllowed reports whether a topic matches one of the globs. In a glob *
// stands for any run of characters, the empty one included; every other
// character for itself. It takes time linear in the length of the globs and, for
// each, of the topic.
func TopicAllowed(globs []string, topic string) bool {
	for _, g := range globs {
		if matches(g, topic) {
			return true
		}
	}
	return false
}

// matches takes every part between two stars where it occurs first. That leaves
// the most for the parts after it, so there is never a reason to go back.
func matches(glob, s string) bool {
	head, rest, starred := strings.Cut(glob, "*")
	if !starred {
		return glob == s
	}
	s, ok := strings.CutPrefix(s, head)
	if !ok {
		return false
	}
	for {
		part, after, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(s, part)
		}
		_, s, ok = strings.Cut(s, part)
		if !ok {
			return false
		}
		rest = after
	}
}
