package socketio

import (
	"bytes"
	"encoding/json"
	"strconv"
	"unicode/utf8"
)

// maxDepth bounds the nesting of JSON from a client, and of maps and slices
// given to Emit. It keeps recursion, here and in whoever decodes the value,
// far from any stack limit.
const maxDepth = 512

// A span is a part of a byte slice.
type span struct{ start, end int }

func (s span) of(b []byte) []byte { return b[s.start:s.end:s.end] }

// skipSpace returns the index of the first byte from i on that is not JSON
// white space.
func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// skipValue returns the index after the JSON value that starts at b[i], or -1
// if there is no valid value of at most depth levels (RFC 8259). It does not
// look at UTF-8; decodePacket has done that for the whole message.
func skipValue(b []byte, i, depth int) int {
	if i >= len(b) {
		return -1
	}
	switch c := b[i]; c {
	case '"':
		return skipString(b, i)
	case '{':
		return skipObject(b, i, depth)
	case '[':
		return skipArray(b, i, depth, nil)
	case 't':
		return skipLiteral(b, i, "true")
	case 'f':
		return skipLiteral(b, i, "false")
	case 'n':
		return skipLiteral(b, i, "null")
	default:
		return skipNumber(b, i)
	}
}

func skipLiteral(b []byte, i int, word string) int {
	if len(b)-i < len(word) || string(b[i:i+len(word)]) != word {
		return -1
	}
	return i + len(word)
}

func skipString(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			return i + 1
		case c < ' ':
			return -1
		case c == '\\':
			if i++; i >= len(b) {
				return -1
			}
			switch b[i] {
			case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
			case 'u':
				for range 4 {
					if i++; i >= len(b) || !isHex(b[i]) {
						return -1
					}
				}
			default:
				return -1
			}
		}
	}
	return -1
}

func isHex(c byte) bool {
	return '0' <= c && c <= '9' || 'a' <= c && c <= 'f' || 'A' <= c && c <= 'F'
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func skipDigits(b []byte, i int) int {
	for i < len(b) && isDigit(b[i]) {
		i++
	}
	return i
}

func skipNumber(b []byte, i int) int {
	if i < len(b) && b[i] == '-' {
		i++
	}
	switch {
	case i >= len(b) || !isDigit(b[i]):
		return -1
	case b[i] == '0':
		i++
	default:
		i = skipDigits(b, i)
	}
	if i < len(b) && b[i] == '.' {
		end := skipDigits(b, i+1)
		if end == i+1 {
			return -1
		}
		i = end
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		end := skipDigits(b, i)
		if end == i {
			return -1
		}
		i = end
	}
	return i
}

// skipArray is skipValue for the array at b[i]. It tells element, where given,
// the place of every element.
func skipArray(b []byte, i, depth int, element func(span)) int {
	if depth == 0 {
		return -1
	}
	if i = skipSpace(b, i+1); i < len(b) && b[i] == ']' {
		return i + 1
	}
	for {
		start := skipSpace(b, i)
		end := skipValue(b, start, depth-1)
		if end < 0 {
			return -1
		}
		if element != nil {
			element(span{start, end})
		}
		if i = skipSpace(b, end); i >= len(b) {
			return -1
		}
		switch b[i] {
		case ',':
			i++
		case ']':
			return i + 1
		default:
			return -1
		}
	}
}

// skipObject is skipValue for the object at b[i].
func skipObject(b []byte, i, depth int) int {
	if depth == 0 {
		return -1
	}
	if i = skipSpace(b, i+1); i < len(b) && b[i] == '}' {
		return i + 1
	}
	for {
		if i = skipSpace(b, i); i >= len(b) || b[i] != '"' {
			return -1
		}
		if i = skipString(b, i); i < 0 {
			return -1
		}
		if i = skipSpace(b, i); i >= len(b) || b[i] != ':' {
			return -1
		}
		if i = skipValue(b, skipSpace(b, i+1), depth-1); i < 0 {
			return -1
		}
		if i = skipSpace(b, i); i >= len(b) {
			return -1
		}
		switch b[i] {
		case ',':
			i++
		case '}':
			return i + 1
		default:
			return -1
		}
	}
}

// validJSON reports whether b is one JSON value of at most maxDepth levels.
func validJSON(b []byte) bool {
	end := skipValue(b, skipSpace(b, 0), maxDepth)
	return end >= 0 && skipSpace(b, end) == len(b)
}

// splitArray appends the places of the elements of the JSON array b to spans.
// It reports false if b is not one valid array and nothing else.
func splitArray(b []byte, spans []span) ([]span, bool) {
	i := skipSpace(b, 0)
	if i >= len(b) || b[i] != '[' {
		return spans, false
	}
	end := skipArray(b, i, maxDepth, func(s span) { spans = append(spans, s) })
	return spans, end >= 0 && skipSpace(b, end) == len(b)
}

// A placeholder is an object {"_placeholder":true,"num":n} that stands for the
// n-th attachment of a packet; num is -1 where n is no index.
type placeholder struct {
	span
	num int
}

// findPlaceholders appends the placeholders in the valid JSON value at b[i] to
// list, in the order of their places, and returns the index after the value.
// As in JavaScript the last of several members with one name counts, and what
// a placeholder contains does not. Every byte is looked at once.
func findPlaceholders(b []byte, i int, list []placeholder) ([]placeholder, int) {
	switch b[i] {
	case '[':
		for i = skipSpace(b, i+1); b[i] != ']'; i = skipSpace(b, i) {
			if b[i] == ',' {
				i = skipSpace(b, i+1)
			}
			list, i = findPlaceholders(b, i, list)
		}
		return list, i + 1
	case '{':
		start, before, marked, num := i, len(list), false, -1
		for i = skipSpace(b, i+1); b[i] != '}'; i = skipSpace(b, i) {
			if b[i] == ',' {
				i = skipSpace(b, i+1)
			}
			key := span{i, skipString(b, i)}
			value := span{start: skipSpace(b, skipSpace(b, key.end)+1)}
			list, value.end = findPlaceholders(b, value.start, list)
			switch i = value.end; string(unquote(key.of(b))) {
			case "_placeholder":
				marked = string(value.of(b)) == "true"
			case "num":
				num = parseIndex(value.of(b))
			}
		}
		i++
		if marked {
			list = append(list[:before], placeholder{span{start, i}, num})
		}
		return list, i
	}
	return list, skipValue(b, i, maxDepth)
}

// unquote returns the text of a JSON string. Without escapes, the rule in
// practice, it is a part of quoted.
func unquote(quoted []byte) []byte {
	if bytes.IndexByte(quoted, '\\') < 0 {
		return quoted[1 : len(quoted)-1]
	}
	var s string
	if json.Unmarshal(quoted, &s) != nil {
		return nil
	}
	return []byte(s)
}

// parseIndex reads a small number written in digits only; else it is -1.
func parseIndex(b []byte) int {
	if len(b) == 0 || len(b) > 4 {
		return -1
	}
	n := 0
	for _, c := range b {
		if !isDigit(c) {
			return -1
		}
		n = n*10 + int(c-'0')
	}
	return n
}

// AppendString appends s as a JSON string, escaped as JSON.stringify does.
// Bytes that are not UTF-8 become U+FFFD.
func AppendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				b = append(append(b, s[start:i]...), "\uFFFD"...)
				start = i + 1
			}
			i += size
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		b = appendEscape(append(b, s[start:i]...), c)
		i++
		start = i
	}
	return append(append(b, s[start:]...), '"')
}

func appendEscape(b []byte, c byte) []byte {
	switch c {
	case '"', '\\':
		return append(b, '\\', c)
	case '\b':
		return append(b, `\b`...)
	case '\f':
		return append(b, `\f`...)
	case '\n':
		return append(b, `\n`...)
	case '\r':
		return append(b, `\r`...)
	case '\t':
		return append(b, `\t`...)
	}
	return appendUnit(b, uint16(c))
}

// appendUnit appends one UTF-16 code unit as a JSON escape.
func appendUnit(b []byte, u uint16) []byte {
	const hex = "0123456789abcdef"
	return append(b, '\\', 'u', hex[u>>12], hex[u>>8&15], hex[u>>4&15], hex[u&15])
}

// appendASCII appends JSON with every character beyond ASCII escaped. Such
// characters stand in strings only, where an escape means the same.
func appendASCII(b, text []byte) []byte {
	for len(text) > 0 {
		n := 0
		for n < len(text) && text[n] < utf8.RuneSelf {
			n++
		}
		b, text = append(b, text[:n]...), text[n:]
		if len(text) == 0 {
			break
		}
		r, size := utf8.DecodeRune(text)
		text = text[size:]
		if r >= 0x10000 {
			b = appendUnit(b, uint16(0xD800+(r-0x10000)>>10))
			r = 0xDC00 + (r-0x10000)&0x3FF
		}
		b = appendUnit(b, uint16(r))
	}
	return b
}

// appendInt appends a decimal number.
func appendInt(b []byte, n int64) []byte { return strconv.AppendInt(b, n, 10) }
