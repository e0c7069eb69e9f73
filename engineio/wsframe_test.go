package engineio

import (
	"bytes"
	"fmt"
	"testing"
)

// A frameLog is a frameSink that writes down what it gets.
type frameLog []string

func (l *frameLog) frame(op opcode, payload []byte) error {
	*l = append(*l, fmt.Sprintf("%x %x", op, payload))
	return nil
}

// readAll feeds data in pieces whose sizes cycle through splits.
func readAll(data, splits []byte) (frames frameLog, err error) {
	r := frameReader{maxMessage: 1000}
	for i := 0; len(data) > 0; i++ {
		n := len(data)
		if len(splits) > 0 {
			n = min(n, 1+int(splits[i%len(splits)]))
		}
		// A piece of its own: the reader may change it, and must not keep it.
		piece := bytes.Clone(data[:n])
		err := r.feed(piece, &frames)
		clear(piece)
		if err != nil {
			return frames, err
		}
		data = data[n:]
	}
	return frames, nil
}

func FuzzFrameReader(f *testing.F) {
	join := func(frames ...[]byte) []byte { return bytes.Join(frames, nil) }
	for _, data := range [][]byte{
		clientFrame(0x81, []byte("4hello")),
		join(clientFrame(0x01, []byte("4he")), clientFrame(0x89, []byte("ping")), clientFrame(0x00, nil), clientFrame(0x80, []byte("llo"))),
		join(clientFrame(0x82, bytes.Repeat([]byte{7}, 500)), clientFrame(0x8A, nil), clientFrame(0x88, []byte{3, 232})),
		clientFrame(0x82, make([]byte, 1001)),
		clientFrame(0x81, []byte("4\xff")),
		{0x81, 0x02, '4', 'a'},
		{0x82, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0},
	} {
		f.Add(data, []byte{0})
		f.Add(data, []byte{2, 0, 5})
	}
	f.Fuzz(func(t *testing.T, data, splits []byte) {
		whole, err := readAll(data, nil)
		split, err2 := readAll(data, splits)
		if fmt.Sprint(err) != fmt.Sprint(err2) || fmt.Sprint(whole) != fmt.Sprint(split) {
			t.Fatalf("whole: %v, %v\nsplit: %v, %v", whole, err, split, err2)
		}
	})
}
