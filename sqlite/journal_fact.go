package sqlite

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"time"
	"unicode/utf8"

	"belfry"
)

// maxText bounds the detail of a fact, and the name of its page, in bytes.
const maxText = 256

// blockSize bounds the bytes of the facts in one block, unless one fact has more.
// With the rest of its row it fits into a page of the file.
const blockSize = 3900

// errDamaged reports facts that cannot be read.
var errDamaged = errors.New("the record is damaged")

// A key is what facts are sorted by and found by: the bytes of the message, zero in
// facts about pages, and then the user.
type key []byte

func appendKey(b []byte, message belfry.ID, user belfry.UserID) key {
	return append(append(b, message[:]...), user...)
}

// A factEncoder appends facts to a body, each as its length and its fields.
type factEncoder struct {
	body  []byte
	entry []byte
}

// add appends the fact that has the number n among those of its generation.
func (e *factEncoder) add(f *belfry.Fact, n int) {
	b := binary.AppendUvarint(e.entry[:0], uint64(len(f.Message)+len(f.User)))
	b = appendKey(b, f.Message, f.User)
	b = binary.AppendUvarint(b, uint64(n))
	b = binary.AppendVarint(b, f.At.UnixMilli())
	b = binary.AppendVarint(b, int64(f.Kind))
	b = binary.AppendVarint(b, int64(f.Count))
	b = appendText(b, string(f.Company))
	b = appendText(b, cut(f.Page))
	b = appendText(b, cut(f.Detail))
	e.body = binary.AppendUvarint(e.body, uint64(len(b)))
	e.body = append(e.body, b...)
	e.entry = b
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// cut returns what of s fits into a fact, in whole characters.
func cut(s string) string {
	if len(s) <= maxText {
		return s
	}
	n := maxText
	for n > maxText-utf8.UTFMax && !utf8.RuneStart(s[n]) {
		n--
	}
	if !utf8.RuneStart(s[n]) { // no text at all
		n = maxText
	}
	return s[:n]
}

// An entry is an encoded fact. It lies in the body that it was read from.
type entry struct {
	key key
	raw []byte // with its length
}

// eachEntry calls f for the entries of a body, in their order.
func eachEntry(body []byte, f func(entry) error) error {
	for len(body) > 0 {
		r := factReader{rest: body}
		fields := factReader{rest: r.bytes()}
		e := entry{key: fields.bytes()}
		if r.failed || fields.failed || len(e.key) < len(belfry.ID{}) {
			return errDamaged
		}
		e.raw, body = body[:len(body)-len(r.rest)], r.rest
		if err := f(e); err != nil {
			return err
		}
	}
	return nil
}

// fact decodes the entry, and returns its number in its generation too.
func (e entry) fact() (f belfry.Fact, n int, err error) {
	outer := factReader{rest: e.raw}
	r := factReader{rest: outer.bytes()}
	k := r.bytes()
	n = int(r.uvarint())
	f = belfry.Fact{
		At:      time.UnixMilli(r.varint()),
		Kind:    belfry.FactKind(r.varint()),
		Count:   int(r.varint()),
		Company: belfry.CompanyID(r.bytes()),
		Page:    string(r.bytes()),
		Detail:  string(r.bytes()),
	}
	if outer.failed || r.failed || len(k) < len(f.Message) {
		return belfry.Fact{}, 0, errDamaged
	}
	f.User = belfry.UserID(k[copy(f.Message[:], k):])
	return f, n, nil
}

// A factReader reads fields. What it returns after it has failed is void.
type factReader struct {
	rest   []byte
	failed bool
}

func (r *factReader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	return advance(r, v, n)
}

func (r *factReader) varint() int64 {
	v, n := binary.Varint(r.rest)
	return advance(r, v, n)
}

func advance[T any](r *factReader, v T, n int) (read T) {
	if n <= 0 {
		r.failed = true
		return read
	}
	r.rest = r.rest[n:]
	return v
}

func (r *factReader) bytes() []byte {
	n := r.uvarint()
	if n > uint64(len(r.rest)) {
		r.failed = true
	}
	if r.failed {
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

// cutBlocks sorts entries by their keys, those of one key as they are, and calls f
// for every block of them, with the key of its first. body is valid during the call.
func cutBlocks(entries []entry, f func(first key, body []byte) error) error {
	slices.SortStableFunc(entries, func(a, b entry) int { return bytes.Compare(a.key, b.key) })
	var first key
	body := make([]byte, 0, blockSize)
	for _, e := range entries {
		if len(body) > 0 && len(body)+len(e.raw) > blockSize {
			if err := f(first, body); err != nil {
				return err
			}
			body = body[:0]
		}
		if len(body) == 0 {
			first = e.key
		}
		body = append(body, e.raw...)
	}
	if len(body) == 0 {
		return nil
	}
	return f(first, body)
}
