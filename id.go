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
// ObjectId (seconds, five bytes that tell processes apart, a counter; see the BSON
// specification, "ObjectId"), so that a document's _id and a messageID are one
// thing. Of the five bytes, 20 bits are the microseconds and 20 bits random, so that IDs of several
// processes are nearly in the order of time. IDs of one [IDSource] are strictly increasing: their order is the
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
	process uint32 // 20 random bits
	time    uint64 // see timeOf
	counter uint32
}

const (
	processBits = 20
	microBits   = 20
	maxCounter  = 1<<24 - 1 // what three bytes hold: the IDs of one microsecond
)

// NewIDSource makes a source with its own random process bits.
func NewIDSource() *IDSource {
	var b [4]byte
	rand.Read(b[:])
	return &IDSource{process: binary.BigEndian.Uint32(b[:]) >> (32 - processBits)}
}

// timeOf is the time of IDs: seconds, and in the lower 20 bits microseconds.
func timeOf(t time.Time) uint64 {
	return uint64(uint32(t.Unix()))<<microBits | uint64(t.Nanosecond()/1000)
}

// Skip makes all IDs to come higher than last, which another source has made: it
// may have had a clock that was ahead.
func (s *IDSource) Skip(last ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.skip(last)
}

func (s *IDSource) skip(last ID) {
	// What was made before IDs had microseconds has other bits there, which are skipped like them.
	time := binary.BigEndian.Uint64(last[:8]) >> (64 - 32 - microBits)
	if !last.IsZero() && time >= s.time {
		s.time, s.counter = time+1, 0
	}
}

// New returns the next ID. More than 2^24 in one microsecond run ahead into the
// next one rather than repeat.
func (s *IDSource) New(now time.Time) ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next(timeOf(now))
}

// After appends n IDs to ids that are higher than last, and all that the source has made.
func (s *IDSource) After(last ID, now time.Time, n int, ids []ID) []ID {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.skip(last)
	time := timeOf(now)
	for range n {
		ids = append(ids, s.next(time))
	}
	return ids
}

func (s *IDSource) next(now uint64) ID {
	switch {
	case now > s.time:
		s.time, s.counter = now, 0
	case s.counter == maxCounter:
		s.time, s.counter = s.time+1, 0
	default:
		s.counter++
	}
	var id ID
	binary.BigEndian.PutUint64(id[:8], s.time<<(64-32-microBits)|uint64(s.process>>(processBits-12)))
	id[8] = byte(s.process)
	id[9], id[10], id[11] = byte(s.counter>>16), byte(s.counter>>8), byte(s.counter)
	return id
}
