package load

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// A frameList keeps frames.
type frameList struct{ all []string }

func (l *frameList) frame(op byte, payload []byte) error {
	l.all = append(l.all, fmt.Sprintf("%x:%s", op, payload))
	return nil
}

// serverFrame is a frame as a server sends it.
func serverFrame(first byte, payload string) []byte {
	b := appendFrame(nil, 0, []byte(payload))
	b[0] = first
	head := headerSize(b[1])
	b[1] &= 0x7F
	return slices.Delete(b, head, head+4)
}

func TestFramesAreReadHoweverTheyAreSplit(t *testing.T) {
	long, longer := strings.Repeat("a", 300), strings.Repeat("b", 70_000)
	wire := slices.Concat(
		serverFrame(0x81, "hello"), serverFrame(0x81, ""), serverFrame(0x81, long), serverFrame(0x81, longer),
		serverFrame(0x01, "one "), serverFrame(0x89, "ping"), serverFrame(0x00, "two "), serverFrame(0x80, "three"),
		serverFrame(0x82, "binary"), serverFrame(0x88, "\x03\xe8"),
	)
	want := []string{"1:hello", "1:", "1:" + long, "1:" + longer, "9:ping", "1:one two three", "2:binary", "8:\x03\xe8"}
	for _, size := range []int{1, 2, 3, 7, 100, 1000, len(wire)} {
		var r frameReader
		var got frameList
		for piece := range slices.Chunk(wire, size) {
			if err := r.feed(piece, &got); err != nil {
				t.Fatalf("in pieces of %d: %v", size, err)
			}
		}
		if !slices.Equal(got.all, want) {
			t.Errorf("in pieces of %d the frames are %.100q", size, got.all)
		}
	}
}

func TestFramesThatBreakTheProtocolEndTheReading(t *testing.T) {
	for name, wire := range map[string][]byte{
		"a reserved bit":                   {0xC1, 0},
		"a mask":                           {0x81, 0x80, 0, 0, 0, 0},
		"an unknown opcode":                {0x83, 0},
		"an unknown control opcode":        {0x8B, 0},
		"a control frame in fragments":     {0x09, 0},
		"a control frame that is long":     {0x89, 126, 0, 126},
		"a continuation of nothing":        {0x80, 0},
		"a message inside another":         slices.Concat(serverFrame(0x01, "a"), serverFrame(0x81, "b")),
		"a message that is far too long":   {0x81, 127, 0, 0, 0, 0, 0x7F, 0, 0, 0},
		"a message of more than 2^63":      {0x81, 127, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF},
		"fragments that are too long":      slices.Concat(serverFrame(0x01, "a"), []byte{0x80, 127, 0, 0, 0, 0, 1, 0, 0, 0}),
		"a length in more bytes than much": {0x82, 127, 1, 0, 0, 0, 0, 0, 0, 0},
	} {
		var r frameReader
		if err := r.feed(wire, &frameList{}); !errors.Is(err, errFrame) && !errors.Is(err, errTooBig) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestAMessageInOnePieceIsNotCopied(t *testing.T) {
	var r frameReader
	wire := bytes.Repeat(serverFrame(0x81, `42["update_dynamic",{}]`), 10)
	sink := discard{}
	if n := testing.AllocsPerRun(100, func() { r.feed(wire, sink) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

type discard struct{}

func (discard) frame(byte, []byte) error { return nil }

// A responseList keeps answers.
type responseList struct{ all []string }

func (l *responseList) response(r *response) (bool, error) {
	l.all = append(l.all, fmt.Sprintf("%d:%s:%v", r.status, r.body, r.close))
	return r.status != 101, nil
}

func TestAnswersAreReadHoweverTheyAreSplit(t *testing.T) {
	wire := []byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" +
		"HTTP/1.1 100 Continue\r\n\r\n" +
		"HTTP/1.1 200 OK\r\ncontent-length:0\r\nConnection: close\r\n\r\n" +
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1;x=y\r\n \r\nA\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n" +
		"HTTP/1.1 204 No Content\r\n\r\n" +
		"HTTP/1.0 404 Not Found\r\nX: y\r\nContent-Length: 3\r\n\r\nno\n" +
		"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\nrest")
	want := []string{"200:ok:false", "200::true", "200:hello 0123456789:false", "204::false", "404:no\n:false", "101::false"}
	for _, size := range []int{1, 2, 3, 10, 50, len(wire)} {
		var r responseReader
		var got responseList
		var rest []byte
		for piece := range slices.Chunk(wire, size) {
			if len(got.all) == len(want) {
				rest = append(rest, piece...)
				continue
			}
			more, err := r.feed(piece, &got)
			if err != nil {
				t.Fatalf("in pieces of %d: %v", size, err)
			}
			rest = append(rest, more...)
		}
		if !slices.Equal(got.all, want) || string(rest) != "rest" {
			t.Errorf("in pieces of %d the answers are %q, the rest %q", size, got.all, rest)
		}
	}
}

func TestMalformedAnswersEndTheReading(t *testing.T) {
	for _, wire := range []string{
		"SSH-2.0-OpenSSH\r\n\r\n",
		"HTTP/1.1 abc OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\naa\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFF\r\n",
		"HTTP/1.1 200 OK\r\nX: " + strings.Repeat("y", 2*maxHead),
	} {
		var r responseReader
		var got responseList
		if _, err := r.feed([]byte(wire), &got); err == nil || len(got.all) > 0 {
			t.Errorf("%.60q: error %v, answers %q", wire, err, got.all)
		}
	}
}

func TestPayloadsAreDividedIntoPackets(t *testing.T) {
	for _, tt := range []struct {
		protocol int
		body     string
		want     []string
	}{
		{4, "0{}\x1e40\x1e2", []string{"0{}", "40", "2"}},
		{4, "6", []string{"6"}},
		{3, "3:0{}2:40", []string{"0{}", "40"}},
		{3, "4:4ü😀1:6", []string{"4ü😀", "6"}},
	} {
		var got []string
		err := eachPacket(tt.protocol, []byte(tt.body), func(p []byte) error {
			got = append(got, string(p))
			return nil
		})
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%q: packets %q, %v; want %q", tt.body, got, err, tt.want)
		}
	}
	for _, body := range []string{"x", "5:ab", "3", "2:😀a"[:3], ":a", "1:\xff"} {
		if err := eachPacket(3, []byte(body), func([]byte) error { return nil }); err == nil {
			t.Errorf("%q is taken for a payload", body)
		}
	}
	var body []byte
	for i, packet := range []string{"40", "3"} {
		body = appendPayload(body, 4, []byte(packet), i == 0)
	}
	if string(body) != "40\x1e3" {
		t.Errorf("the payload is %q", body)
	}
}

func TestAStampComesBackAsItWas(t *testing.T) {
	m := marker("0a1b2c3d")
	for _, s := range []stamp{{'c', 0, 0, 1, 0}, {'u', 999_999, 0, 4_000_000_000, 1 << 58}, {'c', 3, 15, 7, 123456789}} {
		packet := append(s.append([]byte(`2["new_msg",{"title":"`), m), `","content":"x"},"cursor"]`...)
		if got, ok := findStamp(packet, m); !ok || got != s {
			t.Errorf("%s is read as %+v", packet, got)
		}
	}
	for _, text := range []string{"", "~bench-0a1b2c3d~", "~bench-0a1b2c3d~c1.2.3", "~bench-0a1b2c3d~x1.2.3.4~", "~bench-0a1b2c3d~c1..3.4~", "~bench-0a1b2c3d~c1.2.3.4567890123456789012345~", "~bench-ffffffff~c1.2.3.4~"} {
		if s, ok := findStamp([]byte(text), m); ok {
			t.Errorf("%q is taken for the stamp %+v", text, s)
		}
	}
}

// divide cuts data at places that are drawn from the bytes of cuts.
func divide(data, cuts []byte) [][]byte {
	var pieces [][]byte
	for _, c := range cuts {
		n := min(int(c), len(data))
		pieces, data = append(pieces, data[:n]), data[n:]
	}
	return append(pieces, data)
}

func FuzzFrames(f *testing.F) {
	f.Add(slices.Concat(serverFrame(0x01, "one"), serverFrame(0x89, "p"), serverFrame(0x80, "two")), []byte{1, 2, 3})
	f.Add(serverFrame(0x81, strings.Repeat("x", 200)), []byte{3, 100})
	f.Fuzz(func(t *testing.T, wire, cuts []byte) {
		var whole, split frameReader
		var a, b frameList
		errA := whole.feed(wire, &a)
		var errB error
		for _, piece := range divide(wire, cuts) {
			if errB = split.feed(piece, &b); errB != nil {
				break
			}
		}
		if (errA == nil) != (errB == nil) || !slices.Equal(a.all, b.all) {
			t.Errorf("at once %q, %v; in pieces %q, %v", a.all, errA, b.all, errB)
		}
	})
}

func FuzzAnswers(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 204 No\r\n\r\n"), []byte{3, 30})
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"), []byte{46, 1})
	f.Fuzz(func(t *testing.T, wire, cuts []byte) {
		read := func(pieces ...[]byte) (responseList, error) {
			var r responseReader
			var got responseList
			for _, piece := range pieces {
				n := len(got.all)
				if _, err := r.feed(piece, &got); err != nil {
					return got, err
				}
				if len(got.all) > n && strings.HasPrefix(got.all[len(got.all)-1], "101") {
					break
				}
			}
			return got, nil
		}
		a, errA := read(wire)
		b, errB := read(divide(wire, cuts)...)
		if (errA == nil) != (errB == nil) || !slices.Equal(a.all, b.all) {
			t.Errorf("at once %q, %v; in pieces %q, %v", a.all, errA, b.all, errB)
		}
	})
}

func FuzzPackets(f *testing.F) {
	f.Add(`2["new_msg",{"title":"~bench-0~c0.0.1.5~"},"cursor"]`)
	f.Add(`0{"sid":"x","pingInterval":1}`)
	f.Fuzz(func(t *testing.T, body string) {
		for _, protocol := range []int{3, 4} {
			eachPacket(protocol, []byte(body), func(p []byte) error {
				if len(p) > len(body) {
					t.Errorf("the packet %q is not in %q", p, body)
				}
				return nil
			})
		}
		eventName([]byte(body))
		findStamp([]byte(body), marker("0"))
		(&page{}).noteOffset([]byte(body))
	})
}
