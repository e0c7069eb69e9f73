package server

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"time"

	"belfry"
	"belfry/socketio"
)

// An object is a JSON object that is being written, member by member. What goes to
// every page is written this way, the rest by encoding/json.
type object struct {
	b     []byte
	begun bool
	err   error // the first
}

func (o *object) name(name string) {
	c := byte(',')
	if !o.begun {
		c, o.begun = '{', true
	}
	o.b = append(append(append(o.b, c, '"'), name...), '"', ':')
}

func (o *object) text(name, value string) {
	o.name(name)
	o.b = socketio.AppendString(o.b, value)
}

// textIf writes no empty text.
func (o *object) textIf(name, value string) {
	if value != "" {
		o.text(name, value)
	}
}

func (o *object) number(name string, n int) {
	o.name(name)
	o.b = strconv.AppendInt(o.b, int64(n), 10)
}

func (o *object) id(name string, id belfry.ID) {
	o.name(name)
	o.b = append(o.b, '"')
	o.b, _ = id.AppendText(o.b)
	o.b = append(o.b, '"')
}

func (o *object) date(name string, t time.Time) {
	o.name(name)
	o.b = append(t.AppendFormat(append(o.b, '"'), dateLayout), '"')
}

// any writes whatever encoding/json can.
func (o *object) any(name string, v any) {
	o.name(name)
	b, err := marshal(v)
	if o.err == nil {
		o.err = err
	}
	o.b = append(o.b, b...)
}

// raw writes what is JSON already.
func (o *object) raw(name string, v json.RawMessage, err error) {
	if o.err == nil {
		o.err = err
	}
	o.name(name)
	o.b = append(o.b, v...)
}

func (o *object) counts(name string, c *belfry.Counts) {
	o.name(name)
	counts := object{b: o.b}
	counts.number("unread", c.Unread)
	counts.number("unseen", c.Unseen)
	counts.name("byType")
	byType := object{b: counts.b}
	for _, t := range slices.Sorted(maps.Keys(c.ByType)) {
		byType.number(strconv.Itoa(int(t)), c.ByType[t])
	}
	counts.b = byType.close()
	counts.number("version", int(c.Version))
	o.b = counts.close()
}

// close ends the object and returns what has been written.
func (o *object) close() []byte {
	if !o.begun {
		o.b = append(o.b, '{')
	}
	return append(o.b, '}')
}
