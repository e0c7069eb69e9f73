package socketio

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
)

// Binary is an argument that travels as an attachment, not as JSON. Decoding
// an argument into a *any, *map[string]any or *[]any gives attachments as
// Binary.
type Binary []byte

// Args are the arguments of an event or of an acknowledgement. They stay valid
// for as long as they are kept, and must not be changed. The zero value has
// none.
type Args struct {
	items  []json.RawMessage
	binary *binaryArgs // nil where there are no attachments
}

// binaryArgs are the attachments of Args and the places where they belong.
type binaryArgs struct {
	files [][]byte
	holes [][]placeholder // per item, spans relative to it
}

func (b *binaryArgs) holesOf(i int) []placeholder {
	if b == nil {
		return nil
	}
	return b.holes[i]
}

// Len returns how many arguments there are.
func (a Args) Len() int { return len(a.items) }

// Raw returns argument i as it came, or nil if there is none. An attachment is
// the object {"_placeholder":true,"num":n} there.
func (a Args) Raw(i int) json.RawMessage {
	if i < 0 || i >= len(a.items) {
		return nil
	}
	return a.items[i]
}

// Decode stores argument i in the value that v points to, as [json.Unmarshal]
// does. Fields of type []byte and [Binary] receive attachments. A missing
// argument is [ErrNoArgument].
func (a Args) Decode(i int, v any) error {
	if i < 0 || i >= len(a.items) {
		return fmt.Errorf("argument %d: %w", i, ErrNoArgument)
	}
	item, holes := a.items[i], a.binary.holesOf(i)
	if len(holes) == 0 {
		return json.Unmarshal(item, v)
	}
	switch v := v.(type) {
	case *Binary, *[]byte:
		return a.decodeFile(i, holes, v)
	case *any:
		value, err := a.decodeTree(i)
		if err == nil {
			*v = value
		}
		return err
	case *map[string]any:
		return decodeTreeInto(a, i, v)
	case *[]any:
		return decodeTreeInto(a, i, v)
	}
	return json.Unmarshal(a.withBase64(item, holes), v)
}

// decodeFile stores an argument that is one attachment.
func (a Args) decodeFile(i int, holes []placeholder, v any) error {
	if holes[0].span != (span{0, len(a.items[i])}) {
		return fmt.Errorf("argument %d is not binary", i)
	}
	file := bytes.Clone(a.binary.files[holes[0].num])
	switch v := v.(type) {
	case *Binary:
		*v = file
	case *[]byte:
		*v = file
	}
	return nil
}

func decodeTreeInto[T any](a Args, i int, v *T) error {
	tree, err := a.decodeTree(i)
	if err != nil {
		return err
	}
	value, ok := tree.(T)
	if !ok {
		return fmt.Errorf("argument %d cannot be decoded into %T", i, *v)
	}
	*v = value
	return nil
}

// decodeTree decodes an argument into plain values, attachments in their
// places.
func (a Args) decodeTree(i int) (any, error) {
	var tree any
	if err := json.Unmarshal(a.items[i], &tree); err != nil {
		return nil, err
	}
	return a.binary.fill(tree), nil
}

// fill puts the attachments into a decoded value. The placeholders have been
// checked when the packet came.
func (b *binaryArgs) fill(v any) any {
	switch v := v.(type) {
	case []any:
		for i := range v {
			v[i] = b.fill(v[i])
		}
	case map[string]any:
		if v["_placeholder"] == true {
			n, _ := v["num"].(float64)
			return Binary(bytes.Clone(b.files[int(n)]))
		}
		for k := range v {
			v[k] = b.fill(v[k])
		}
	}
	return v
}

// withBase64 returns the argument with its attachments as encoding/json
// writes bytes.
func (a Args) withBase64(item []byte, holes []placeholder) []byte {
	var b []byte
	at := 0
	for _, h := range holes {
		b = append(append(b, item[at:h.start]...), '"')
		b = base64.StdEncoding.AppendEncode(b, a.binary.files[h.num])
		b = append(b, '"')
		at = h.end
	}
	return append(b, item[at:]...)
}

// All returns the arguments in a form that Emit and Ack pass on byte for byte,
// attachments included.
func (a Args) All() []any {
	all := make([]any, len(a.items))
	for i := range all {
		all[i] = passedOn{a.items[i], a.binary, a.binary.holesOf(i)}
	}
	return all
}

// passedOn is an argument of Args on its way out again. Its JSON is valid.
type passedOn struct {
	json   json.RawMessage
	binary *binaryArgs
	holes  []placeholder
}
