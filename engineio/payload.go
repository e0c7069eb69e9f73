package engineio

import (
	"bytes"
	"encoding/base64"
	"errors"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"unicode/utf8"
)

// separator stands between the packets of a payload of protocol 4 (EIO4,
// "Packet encoding").
const separator = 0x1e

// errPayload says that a POST body is not a payload.
var errPayload = errors.New("engineio: malformed payload")

// decodePayload calls on for every packet in the body of a POST. The packets
// before a malformed one are handed over.
func decodePayload(p Protocol, body []byte, octets bool, on func(packet) error) error {
	switch {
	case p == Protocol4:
		return decodePayload4(body, on)
	case octets:
		return decodePayload3Binary(body, on)
	}
	return decodePayload3Text(body, on)
}

func decodePayload4(body []byte, on func(packet) error) error {
	if !utf8.Valid(body) {
		return errPayload
	}
	for more := true; more; {
		var text []byte
		text, body, more = bytes.Cut(body, []byte{separator})
		pkt, err := decodeText(Protocol4, text)
		if err != nil {
			return err
		}
		if err := on(pkt); err != nil {
			return err
		}
	}
	return nil
}

// decodePayload3Text decodes "<length>:<packet>…", the length counted in UTF-16
// code units (EIO3, "Payload"; JavaScript's string length).
func decodePayload3Text(body []byte, on func(packet) error) error {
	if len(body) == 0 {
		return errPayload
	}
	for len(body) > 0 {
		digits, rest, found := bytes.Cut(body, []byte{':'})
		units, err := payloadLength(digits)
		if !found || err != nil || units == 0 {
			return errPayload
		}
		size, ok := utf16Prefix(rest, units)
		if !ok {
			return errPayload
		}
		pkt, err := decodeText(Protocol3, decodeTwice(rest[:size]))
		if err != nil {
			return err
		}
		if err := on(pkt); err != nil {
			return err
		}
		body = rest[size:]
	}
	return nil
}

// decodePayload3Binary decodes "<0|1><digits as bytes 0 to 9><255><packet>…"
// (EIO3, "Payload", where XHR2 is supported).
func decodePayload3Binary(body []byte, on func(packet) error) error {
	if len(body) == 0 {
		return errPayload
	}
	for len(body) > 0 {
		kind := body[0]
		digits, rest, found := bytes.Cut(body[1:], []byte{255})
		if !found || kind > 1 || len(digits) > maxLengthDigits {
			return errPayload
		}
		var ascii [maxLengthDigits]byte
		for i, d := range digits {
			ascii[i] = '0' + d
		}
		size, err := payloadLength(ascii[:len(digits)])
		if err != nil || size == 0 || size > len(rest) {
			return errPayload
		}
		var pkt packet
		if kind == 1 {
			pkt, err = decodeBinary(Protocol3, rest[:size])
		} else if utf8.Valid(rest[:size]) {
			pkt, err = decodeText(Protocol3, rest[:size])
		} else {
			err = errPayload
		}
		if err != nil {
			return err
		}
		if err := on(pkt); err != nil {
			return err
		}
		body = rest[size:]
	}
	return nil
}

// maxLengthDigits allows any length below MaxPayload's largest sensible value.
const maxLengthDigits = 9

func payloadLength(digits []byte) (int, error) {
	if len(digits) == 0 || len(digits) > maxLengthDigits {
		return 0, errPayload
	}
	n := 0
	for _, d := range digits {
		if d < '0' || d > '9' {
			return 0, errPayload
		}
		n = 10*n + int(d-'0')
	}
	return n, nil
}

// utf16Prefix returns how many bytes of text make n UTF-16 code units.
func utf16Prefix(text []byte, n int) (size int, ok bool) {
	for n > 0 {
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

func utf16Len(text []byte) int {
	n := 0
	for _, r := range string(text) {
		if n++; r > 0xFFFF {
			n++
		}
	}
	return n
}

// decodeTwice undoes what clients 1.x do to text in polling payloads: they
// encode it as UTF-8 and hand the bytes, each as a character, to XHR, which
// encodes them again. Text whose characters are all at most U+00FF and, taken as
// bytes, are valid UTF-8 with something beyond ASCII in it is decoded once more.
func decodeTwice(text []byte) []byte {
	ascii := true
	for _, c := range text {
		if c >= utf8.RuneSelf {
			ascii = false
			// U+0080 to U+00FF have the lead bytes C2 and C3.
			if c > 0xC3 {
				return text
			}
		}
	}
	if ascii {
		return text
	}
	once := make([]byte, 0, len(text))
	for _, r := range string(text) {
		if r > 0xFF {
			return text
		}
		once = append(once, byte(r))
	}
	if !utf8.Valid(once) {
		return text
	}
	return once
}

// A binaryForm is how a session of protocol 3 gets what is binary.
type binaryForm uint8

const (
	// binaryWhereNeeded is for clients since 1.4: a binary payload where one of
	// its packets is binary, a text payload otherwise.
	binaryWhereNeeded binaryForm = iota
	// binaryAlways is for clients 1.0 to 1.3, which over XHR read nothing but
	// binary payloads (engine.io-client 1.5, polling-xhr.js, onLoad).
	binaryAlways
	// binaryAsText is for clients that said b64, and for JSONP: base64.
	binaryAsText
)

// binaryFormOf tells it from the query of the handshake. What gives clients 1.0
// to 1.3 away is the time with which they force every request past caches:
// milliseconds and a counter, where later ones have letters.
func binaryFormOf(query url.Values) binaryForm {
	switch {
	case query.Has("b64") || query.Has("j"):
		return binaryAsText
	case oldTimestamp.MatchString(query.Get("t")):
		return binaryAlways
	}
	return binaryWhereNeeded
}

var oldTimestamp = regexp.MustCompile(`^[0-9]{12,}-[0-9]+$`)

// appendPayload appends frames as one polling payload. Octets reports whether it
// is a binary one.
func appendPayload(dst []byte, p Protocol, form binaryForm, frames []*Frame) (payload []byte, octets bool) {
	if p == Protocol4 {
		return appendPayload4(dst, frames), false
	}
	if form == binaryAlways || form == binaryWhereNeeded && slices.ContainsFunc(frames, (*Frame).hasBinary) {
		return appendPayload3Binary(dst, frames), true
	}
	return appendPayload3Text(dst, frames), false
}

func appendPayload4(dst []byte, frames []*Frame) []byte {
	first := true
	for _, f := range frames {
		for _, part := range f.parts {
			if !first {
				dst = append(dst, separator)
			}
			first = false
			if part.binary {
				dst = appendBase64Packet(dst, Protocol4, f.data(part))
			} else {
				dst = append(dst, f.data(part)...)
			}
		}
	}
	return dst
}

func appendPayload3Text(dst []byte, frames []*Frame) []byte {
	for _, f := range frames {
		for _, part := range f.parts {
			data := f.data(part)
			if part.binary {
				size := len("b4") + base64.StdEncoding.EncodedLen(len(data)-1)
				dst = append(strconv.AppendInt(dst, int64(size), 10), ':')
				dst = appendBase64Packet(dst, Protocol3, data[1:])
				continue
			}
			dst = append(strconv.AppendInt(dst, int64(utf16Len(data)), 10), ':')
			dst = append(dst, data...)
		}
	}
	return dst
}

func appendPayload3Binary(dst []byte, frames []*Frame) []byte {
	for _, f := range frames {
		for _, part := range f.parts {
			kind := byte(0)
			if part.binary {
				kind = 1
			}
			data := f.data(part)
			dst = append(dst, kind)
			at := len(dst)
			dst = strconv.AppendInt(dst, int64(len(data)), 10)
			for i := at; i < len(dst); i++ {
				dst[i] -= '0'
			}
			dst = append(append(dst, 255), data...)
		}
	}
	return dst
}
