package socketio

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"unicode/utf8"

	"belfry/engineio"
)

// An encoder turns arguments into the JSON and the attachments of a packet,
// and these into frames. Its buffers are reused; frames are copies.
type encoder struct {
	payload []byte   // JSON array
	files   [][]byte // attachments, by number
	sources []source // of the attachments that came from Args
	text    []byte   // scratch for a whole packet
	holes   int      // placeholders written
	max     int      // most attachments
	json    *json.Encoder
}

// A source says where an attachment came from, so that one attachment that is
// referred to twice is sent once.
type source struct {
	binary   *binaryArgs
	num, new int
}

var encoders = sync.Pool{New: func() any {
	e := new(encoder)
	e.json = json.NewEncoder((*payloadWriter)(e))
	e.json.SetEscapeHTML(false)
	return e
}}

// payloadWriter appends what encoding/json writes to the payload.
type payloadWriter encoder

func (w *payloadWriter) Write(p []byte) (int, error) {
	w.payload = append(w.payload, p...)
	return len(p), nil
}

// maxKeptBuffer is the most that a pooled encoder holds on to.
const maxKeptBuffer = 64 << 10

// newEncoder returns an encoder that free takes back.
func newEncoder(maxAttachments int) *encoder {
	e := encoders.Get().(*encoder)
	e.max = maxAttachments
	return e
}

func (e *encoder) free() {
	if cap(e.payload) > maxKeptBuffer || cap(e.text) > maxKeptBuffer {
		return
	}
	clear(e.files)
	clear(e.sources)
	e.payload, e.text, e.files, e.sources, e.holes = e.payload[:0], e.text[:0], e.files[:0], e.sources[:0], 0
	encoders.Put(e)
}

// event encodes an event's name and arguments.
func (e *encoder) event(name string, args []any) error {
	if isReserved(name) {
		return fmt.Errorf("%w: %q", ErrReservedEvent, name)
	}
	e.payload = AppendString(append(e.payload, '['), name)
	return e.args(args, true)
}

// ack encodes the arguments of an acknowledgement.
func (e *encoder) ack(args []any) error {
	e.payload = append(e.payload, '[')
	return e.args(args, false)
}

func (e *encoder) args(args []any, comma bool) error {
	for i, v := range args {
		if comma || i > 0 {
			e.payload = append(e.payload, ',')
		}
		if err := e.value(v, maxDepth); err != nil {
			return fmt.Errorf("argument %d: %w", i, err)
		}
	}
	e.payload = append(e.payload, ']')
	if !utf8.Valid(e.payload) {
		e.payload = []byte(string([]rune(string(e.payload))))
	}
	return e.checkBinary()
}

// checkBinary sees to it that the receiver finds the attachments' placeholders
// and no others.
func (e *encoder) checkBinary() error {
	switch {
	case len(e.files) == 0:
		return nil
	case len(e.files) > e.max:
		return ErrTooManyAttachments
	}
	if found, _ := findPlaceholders(e.payload, 0, nil); len(found) != e.holes {
		return ErrPlaceholder
	}
	return nil
}

func (e *encoder) value(v any, depth int) error {
	if depth == 0 {
		return ErrNesting
	}
	switch v := v.(type) {
	case nil:
		e.payload = append(e.payload, "null"...)
	case string:
		e.payload = AppendString(e.payload, v)
	case bool:
		if v {
			e.payload = append(e.payload, "true"...)
		} else {
			e.payload = append(e.payload, "false"...)
		}
	case int:
		e.payload = appendInt(e.payload, int64(v))
	case int64:
		e.payload = appendInt(e.payload, v)
	case passedOn:
		e.passOn(v)
	case Binary:
		e.attach(v)
	case []byte:
		e.attach(v)
	case json.RawMessage:
		return e.raw(v)
	case Appender:
		return e.append(v)
	case []any:
		return e.list(v, depth)
	case map[string]any:
		return e.object(v, depth)
	default:
		if err := e.json.Encode(v); err != nil {
			return err
		}
		e.payload = e.payload[:len(e.payload)-1] // the newline
	}
	return nil
}

// An Appender is a value that writes itself: AppendJSON appends it to b as JSON,
// which is not checked. It saves what encoding/json takes for a value that is sent very often.
type Appender interface {
	AppendJSON(b []byte) ([]byte, error)
}

func (e *encoder) append(v Appender) error {
	b, err := v.AppendJSON(e.payload)
	if err == nil {
		e.payload = b
	}
	return err
}

func (e *encoder) raw(v json.RawMessage) error {
	switch {
	case v == nil:
		e.payload = append(e.payload, "null"...)
	case !validJSON(v):
		return ErrInvalidJSON
	default:
		e.payload = append(e.payload, v...)
	}
	return nil
}

func (e *encoder) list(v []any, depth int) error {
	if v == nil {
		e.payload = append(e.payload, "null"...)
		return nil
	}
	e.payload = append(e.payload, '[')
	for i, item := range v {
		if i > 0 {
			e.payload = append(e.payload, ',')
		}
		if err := e.value(item, depth-1); err != nil {
			return err
		}
	}
	e.payload = append(e.payload, ']')
	return nil
}

// object writes the members in the order of their names, as encoding/json does.
func (e *encoder) object(v map[string]any, depth int) error {
	if v == nil {
		e.payload = append(e.payload, "null"...)
		return nil
	}
	e.payload = append(e.payload, '{')
	for i, name := range slices.Sorted(maps.Keys(v)) {
		if i > 0 {
			e.payload = append(e.payload, ',')
		}
		e.payload = append(AppendString(e.payload, name), ':')
		if err := e.value(v[name], depth-1); err != nil {
			return err
		}
	}
	e.payload = append(e.payload, '}')
	return nil
}

// attach adds an attachment and writes its placeholder.
func (e *encoder) attach(data []byte) {
	e.files = append(e.files, data)
	e.placeholder(len(e.files) - 1)
}

func (e *encoder) placeholder(num int) {
	e.holes++
	e.payload = appendInt(append(e.payload, `{"_placeholder":true,"num":`...), int64(num))
	e.payload = append(e.payload, '}')
}

// passOn writes an argument as it came, its placeholders numbered anew.
func (e *encoder) passOn(v passedOn) {
	at := 0
	for _, h := range v.holes {
		e.payload = append(e.payload, v.json[at:h.start]...)
		e.placeholder(e.number(v.binary, h.num))
		at = h.end
	}
	e.payload = append(e.payload, v.json[at:]...)
}

// number returns the new number of an attachment of Args, which it adds at its
// first use.
func (e *encoder) number(b *binaryArgs, num int) int {
	for _, s := range e.sources {
		if s.binary == b && s.num == num {
			return s.new
		}
	}
	e.files = append(e.files, b.files[num])
	e.sources = append(e.sources, source{b, num, len(e.files) - 1})
	return len(e.files) - 1
}

// frame returns the encoded payload as a packet of the given type.
func (e *encoder) frame(revision int, typ packetType, namespace string, id int64) *engineio.Frame {
	if len(e.files) > 0 {
		typ += packetBinaryEvent - packetEvent
	}
	e.text = appendHeader(e.text[:0], typ, len(e.files), namespace, id)
	e.text = appendPayload(e.text, e.payload, revision)
	if len(e.files) == 0 {
		return engineio.NewFrame(protocol(revision), engineio.Message{Data: e.text})
	}
	messages := make([]engineio.Message, 1, 1+len(e.files))
	messages[0].Data = e.text
	for _, file := range e.files {
		messages = append(messages, engineio.Message{Data: file, Binary: true})
	}
	return engineio.NewFrame(protocol(revision), messages...)
}

// controlFrame returns a packet of a type other than event and ack. payload is
// JSON, or nil for none.
func controlFrame(revision int, typ packetType, namespace string, payload []byte) *engineio.Frame {
	text := make([]byte, 0, 64)
	text = appendPayload(appendHeader(text, typ, 0, namespace, noAck), payload, revision)
	return engineio.NewFrame(protocol(revision), engineio.Message{Data: text})
}

func appendHeader(b []byte, typ packetType, attachments int, namespace string, id int64) []byte {
	b = append(b, '0'+byte(typ))
	if typ >= packetBinaryEvent {
		b = append(appendInt(b, int64(attachments)), '-')
	}
	if namespace != "/" {
		b = append(append(b, namespace...), ',')
	}
	if id != noAck {
		b = appendInt(b, id)
	}
	return b
}

// appendPayload appends JSON as the revision wants it: a client of 1.x decodes
// UTF-8 twice in text payloads, so revision 4 gets ASCII only.
func appendPayload(b, payload []byte, revision int) []byte {
	if revision < 5 {
		return appendASCII(b, payload)
	}
	return append(b, payload...)
}

// protocol returns the Engine.IO protocol below a revision.
func protocol(revision int) engineio.Protocol {
	if revision < 5 {
		return engineio.Protocol3
	}
	return engineio.Protocol4
}
