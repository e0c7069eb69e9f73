package load

import (
	"bytes"
	"errors"
	"strconv"
	"unicode/utf8"
)

var errPayload = errors.New("the server sent a malformed polling payload")

// eachPacket calls on for the packets in the answer of a GET, of Engine.IO 3 or 4.
func eachPacket(protocol int, body []byte, on func(packet []byte) error) error {
	if protocol == 4 {
		for more := true; more; {
			var packet []byte
			packet, body, more = bytes.Cut(body, []byte{0x1e})
			if err := on(packet); err != nil {
				return err
			}
		}
		return nil
	}
	for len(body) > 0 {
		length, rest, ok := cutNumber(body, ':')
		if !ok {
			return errPayload
		}
		size, ok := unitsPrefix(rest, length)
		if !ok {
			return errPayload
		}
		if err := on(rest[:size]); err != nil {
			return err
		}
		body = rest[size:]
	}
	return nil
}

// unitsPrefix returns how many bytes make n UTF-16 code units, which is what Engine.IO 3
// counts.
func unitsPrefix(text []byte, n int64) (size int, ok bool) {
	for n > 0 && size < len(text) {
		r, width := utf8.DecodeRune(text[size:])
		if r == utf8.RuneError && width <= 1 {
			return 0, false
		}
		if n--; r > 0xFFFF {
			n--
		}
		size += width
	}
	return size, n == 0
}

// appendPayload appends a packet as the body of a POST. The packets of a page are ASCII.
func appendPayload(b []byte, protocol int, packet []byte, first bool) []byte {
	switch {
	case protocol == 3:
		b = append(strconv.AppendInt(b, int64(len(packet)), 10), ':')
	case !first:
		b = append(b, 0x1e)
	}
	return append(b, packet...)
}
