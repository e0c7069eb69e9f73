package engineio

import (
	"crypto/rand"
	"encoding/base64"
	"strings"
)

// MaxNodeLen bounds the name of a node.
const MaxNodeLen = 16

// nodeSeparator stands before the node in a session id. It needs no escaping in a URL, and base64url does not have it.
const nodeSeparator = "."

// newSessionID returns 120 random bits in 20 characters and, where the server has a name, the separator and that.
func newSessionID(node string) string {
	var b [15]byte
	rand.Read(b[:])
	id := base64.RawURLEncoding.EncodeToString(b[:])
	if node != "" {
		id += nodeSeparator + node
	}
	return id
}

// ValidNode reports whether a word can name a node: 1 to [MaxNodeLen] letters, digits, - and _ of ASCII.
func ValidNode(word string) bool {
	if word == "" || len(word) > MaxNodeLen {
		return false
	}
	for _, c := range []byte(word) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		default:
			return false
		}
	}
	return true
}

// NodeOf returns the node that a session id names: the [Options.Node] of the server that made it. It reports false
// where the id names none. The id may come from anybody; a node is a [ValidNode] in any case, but nothing says that there
// is one of that name.
func NodeOf(sid string) (node string, ok bool) {
	at := strings.LastIndex(sid, nodeSeparator)
	if at < 0 || !ValidNode(sid[at+len(nodeSeparator):]) {
		return "", false
	}
	return sid[at+len(nodeSeparator):], true
}
