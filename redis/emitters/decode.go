package emitters

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// maxDepth bounds how deep values are nested, the message itself included.
const maxDepth = 64

// A decoder turns MessagePack into the values that an [Emission] holds.
type decoder struct {
	r           *bytes.Reader
	m           *msgpack.Decoder
	files       int  // binary values
	placeholder bool // a map looks like what Socket.IO writes in place of one
}

func newDecoder(payload []byte) *decoder {
	r := bytes.NewReader(payload)
	return &decoder{r: r, m: msgpack.NewDecoder(r)}
}

// undefined is JavaScript's: null in a list, and nothing in a map.
type undefined struct{}

// whole reads the one value that the payload is.
func (d *decoder) whole() (any, error) {
	v, err := d.value(maxDepth)
	if err == nil && d.r.Len() > 0 {
		err = errors.New("something follows the message")
	}
	return v, err
}

func (d *decoder) value(depth int) (any, error) {
	if depth == 0 {
		return nil, fmt.Errorf("it is nested more than %d deep", maxDepth)
	}
	code, err := d.m.PeekCode()
	switch {
	case err != nil:
		return nil, err
	case code == msgpcode.Nil:
		return nil, d.m.DecodeNil()
	case code == msgpcode.True || code == msgpcode.False:
		return d.m.DecodeBool()
	case code == msgpcode.Float || code == msgpcode.Double:
		return d.float()
	case code == msgpcode.Uint64:
		return d.large()
	case msgpcode.IsFixedNum(code) || code >= msgpcode.Uint8 && code <= msgpcode.Int64:
		return d.m.DecodeInt64()
	case msgpcode.IsString(code):
		return d.m.DecodeString()
	case msgpcode.IsBin(code):
		return d.file()
	case msgpcode.IsFixedArray(code) || code == msgpcode.Array16 || code == msgpcode.Array32:
		return d.list(depth)
	case msgpcode.IsFixedMap(code) || code == msgpcode.Map16 || code == msgpcode.Map32:
		return d.object(depth)
	case msgpcode.IsExt(code):
		return d.extension(code)
	}
	return nil, fmt.Errorf("it has the byte %#x, which begins no value", code)
}

// float is null where JSON has no number, as in JavaScript.
func (d *decoder) float() (any, error) {
	f, err := d.m.DecodeFloat64()
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return nil, err
	}
	return f, err
}

func (d *decoder) large() (any, error) {
	n, err := d.m.DecodeUint64()
	if n > math.MaxInt64 {
		return n, err
	}
	return int64(n), err
}

func (d *decoder) file() (any, error) {
	n, err := d.m.DecodeBytesLen()
	if err != nil {
		return nil, err
	}
	return d.bytes(n)
}

func (d *decoder) bytes(n int) ([]byte, error) {
	if n > d.r.Len() {
		return nil, errShort
	}
	d.files++
	b := make([]byte, n)
	return b, d.m.ReadFull(b)
}

var errShort = errors.New("it ends too early")

func (d *decoder) list(depth int) (any, error) {
	n, err := d.m.DecodeArrayLen()
	if err != nil {
		return nil, err
	}
	if n > d.r.Len() {
		return nil, errShort
	}
	list := make([]any, n)
	for i := range list {
		v, err := d.value(depth - 1)
		if err != nil {
			return nil, err
		}
		if v != (undefined{}) {
			list[i] = v
		}
	}
	return list, nil
}

func (d *decoder) object(depth int) (any, error) {
	n, err := d.m.DecodeMapLen()
	if err != nil {
		return nil, err
	}
	if n > d.r.Len()/2 {
		return nil, errShort
	}
	object := make(map[string]any, n)
	for range n {
		key, err := d.key()
		if err != nil {
			return nil, err
		}
		v, err := d.value(depth - 1)
		if err != nil {
			return nil, err
		}
		if v != (undefined{}) {
			object[key] = v
		}
	}
	d.placeholder = d.placeholder || object["_placeholder"] == true
	return object, nil
}

// key reads the key of a map. PHP has numbers there, and in JavaScript they are strings.
func (d *decoder) key() (string, error) {
	v, err := d.value(1)
	if err != nil {
		return "", err
	}
	switch v := v.(type) {
	case string:
		return v, nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	}
	return "", errors.New("a key of a map is neither a string nor an integer")
}

// timestamp is the type that MessagePack itself has for dates. Type 0 is what notepack.io 2, in
// socket.io-emitter 2 and 3, has for a date in 8 bytes, undefined in 1, and an ArrayBuffer with a length.
const timestamp = -1

func (d *decoder) extension(code byte) (any, error) {
	id, n, err := d.m.DecodeExtHeader()
	if err != nil {
		return nil, err
	}
	if n > d.r.Len() {
		return nil, errShort
	}
	switch {
	case id == 0 && (code == msgpcode.Ext8 || code == msgpcode.Ext16 || code == msgpcode.Ext32):
		return d.bytes(n)
	case id != timestamp && (id != 0 || n != 1 && n != 8) || n > 12:
		return nil, fmt.Errorf("it has a value of the unknown type %d with %d bytes", id, n)
	}
	b := make([]byte, n)
	if err := d.m.ReadFull(b); err != nil {
		return nil, err
	}
	switch {
	case id == 0 && n == 1:
		return undefined{}, nil
	case id == 0:
		return date(time.UnixMilli(int64(binary.BigEndian.Uint64(b)))), nil
	case n == 4:
		return date(time.Unix(int64(binary.BigEndian.Uint32(b)), 0)), nil
	case n == 8:
		both := binary.BigEndian.Uint64(b)
		return date(time.Unix(int64(both&(1<<34-1)), int64(both>>34))), nil
	case n == 12:
		return date(time.Unix(int64(binary.BigEndian.Uint64(b[4:])), int64(binary.BigEndian.Uint32(b)))), nil
	}
	return nil, fmt.Errorf("it has a date of %d bytes", n)
}

// date is what JavaScript makes of a date in JSON (ECMA-262, Date.prototype.toISOString), or null beyond the
// last and the first date that it has.
func date(t time.Time) any {
	const most = 8_640_000_000_000 // seconds
	t = t.UTC()
	if s := t.Unix(); s < -most || s > most || s == most && t.Nanosecond() > 0 {
		return nil
	}
	year := fmt.Sprintf("%04d", t.Year())
	if t.Year() < 0 || t.Year() > 9999 {
		year = fmt.Sprintf("%+07d", t.Year())
	}
	return year + t.Format("-01-02T15:04:05.000Z")
}
