package belfry

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"sync"
	"time"
)

// An ID names a message or an activity. It has the twelve bytes of a MongoDB
// ObjectId (seconds, five random bytes of the process, a counter; see the BSON
// specification, "ObjectId"), so that a document's _id and a messageID are one
// thing, and IDs of one [IDSource] are strictly increasing: their order is the
// order in which messages are shown. The zero ID names nothing.
type ID [12]byte

// String returns the 24 hexadecimal digits that stand for the ID on every wire.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// IsZero reports whether id names nothing.
func (id ID) IsZero() bool { return id == ID{} }

// Time returns the second in which the ID was made.
func (id ID) Time() time.Time {
	return time.Unix(int64(binary.BigEndian.Uint32(id[:4])), 0)
}

// AppendText implements [encoding.TextAppender].
func (id ID) AppendText(b []byte) ([]byte, error) { return hex.AppendEncode(b, id[:]), nil }

// MarshalText implements [encoding.TextMarshaler].
func (id ID) MarshalText() ([]byte, error) { return id.AppendText(nil) }

// UnmarshalText implements [encoding.TextUnmarshaler]. It takes upper and lower
// case digits, and leaves id as it is where it fails.
func (id *ID) UnmarshalText(text []byte) error {
	if len(text) != 2*len(id) {
		return Errorf(ErrInvalid, "an id has %d hexadecimal digits", 2*len(id))
	}
	var decoded ID
	if _, err := hex.Decode(decoded[:], text); err != nil {
		return Errorf(ErrInvalid, "an id has %d hexadecimal digits", 2*len(id))
	}
	*id = decoded
	return nil
}

// Compare orders IDs: -1, 0 or 1 as id is lower than, equal to or higher than other.
func (id ID) Compare(other ID) int { return bytes.Compare(id[:], other[:]) }

// ParseObjectID reads the 24 hexadecimal digits of an ID.
func ParseObjectID(s string) (ID, error) {
	var id ID
	err := id.UnmarshalText([]byte(s))
	return id, err
}

// An IDSource makes IDs that increase strictly, also when the clock steps
// back. It is safe for concurrent use.
type IDSource struct {
	mu      sync.Mutex
	process [5]byte
	second  uint32
	counter uint32
}

// NewIDSource makes a source with its own random process bytes.
func NewIDSource() *IDSource {
	s := &IDSource{}
	rand.Read(s.process[:])
	return s
}

// Skip makes all IDs to come higher than last, which another source has made: it
// may have had a clock that was ahead.
func (s *IDSource) Skip(last ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if second := binary.BigEndian.Uint32(last[:4]); !last.IsZero() && second >= s.second {
		s.second, s.counter = second+1, 0
	}
}

// maxCounter is what three bytes hold: the IDs of one second.
const maxCounter = 1<<24 - 1

// New returns the next ID. More than 2^24 in one second run ahead into the
// next one rather than repeat. The first call skips the rest of its second: a
// process that follows another within a second must not make IDs that are lower
// than its predecessor's, as their random bytes may be.
func (s *IDSource) New(now time.Time) ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch sec := uint32(now.Unix()); {
	case s.second == 0:
		s.second = sec + 1
	case sec > s.second:
		s.second, s.counter = sec, 0
	case s.counter == maxCounter:
		s.second, s.counter = s.second+1, 0
	default:
		s.counter++
	}
	var id ID
	binary.BigEndian.PutUint32(id[:4], s.second)
	copy(id[4:9], s.process[:])
	id[9], id[10], id[11] = byte(s.counter>>16), byte(s.counter>>8), byte(s.counter)
	return id
}
