package load

import (
	"bytes"
	"strconv"
)

// A stamp is what a publication carries in its title: which stream it belongs to, its
// number there, and when it was meant to be pushed. Written it is
//
//	~bench-RUN~KIND COMPANY-OR-USER.LANE.SEQ.TIME~
//
// of characters that neither HTML, JSON nor URLs change. RUN sets it apart from what an earlier
// run has left behind.
type stamp struct {
	kind   byte // 'c' to a company, 'u' to a user
	target int
	lane   int
	seq    uint32
	at     int64 // nanoseconds since the run began
}

// marker begins the stamps of a run.
func marker(run string) []byte { return []byte("~bench-" + run + "~") }

func (s stamp) append(b, marker []byte) []byte {
	b = append(append(b, marker...), s.kind)
	b = append(strconv.AppendInt(b, int64(s.target), 10), '.')
	b = append(strconv.AppendInt(b, int64(s.lane), 10), '.')
	b = append(strconv.AppendUint(b, uint64(s.seq), 10), '.')
	return append(strconv.AppendInt(b, s.at, 10), '~')
}

// findStamp finds the stamp in a packet.
func findStamp(packet, marker []byte) (s stamp, ok bool) {
	i := bytes.Index(packet, marker)
	if i < 0 {
		return stamp{}, false
	}
	rest := packet[i+len(marker):]
	if len(rest) == 0 || rest[0] != 'c' && rest[0] != 'u' {
		return stamp{}, false
	}
	s.kind, rest = rest[0], rest[1:]
	var numbers [4]int64
	for i := range numbers {
		end := byte('.')
		if i == len(numbers)-1 {
			end = '~'
		}
		if numbers[i], rest, ok = cutNumber(rest, end); !ok {
			return stamp{}, false
		}
	}
	s.target, s.lane, s.seq, s.at = int(numbers[0]), int(numbers[1]), uint32(numbers[2]), numbers[3]
	return s, true
}

// cutNumber reads digits up to a character.
func cutNumber(b []byte, end byte) (n int64, rest []byte, ok bool) {
	for i, c := range b {
		switch {
		case c == end && i > 0:
			return n, b[i+1:], true
		case c < '0' || c > '9' || i == 18:
			return 0, nil, false
		}
		n = 10*n + int64(c-'0')
	}
	return 0, nil, false
}
