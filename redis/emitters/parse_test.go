package emitters_test

import (
	"encoding/json"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"belfry"
	"belfry/redis/emitters"

	"github.com/vmihailenco/msgpack/v5"
)

type m = map[string]any

// pack is MessagePack as a test wants it.
func pack(t testing.TB, v any) []byte {
	t.Helper()
	b, err := msgpack.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func event(data ...any) m { return m{"type": 2, "data": data, "nsp": "/"} }

func nested(depth int) any {
	var v any
	for range depth {
		v = []any{v}
	}
	return v
}

func many(n int) []any {
	rooms := make([]any, n)
	for i := range rooms {
		rooms[i] = "uid:1"
	}
	return rooms
}

func TestWhatIsNotMeantForPagesIsRefused(t *testing.T) {
	noRooms := m{"rooms": []any{}}
	for name, tt := range map[string]struct {
		channel     string // where none, that of all pages
		message     any    // packed, unless it is []byte
		says        string
		unsupported bool
	}{
		"nothing":                         {message: []byte{}, says: "EOF"},
		"a message that is cut":           {message: pack(t, []any{"emitter", event("e", "hello"), noRooms})[:20], says: "EOF"},
		"a list that claims to be long":   {message: []byte{0xdd, 0xff, 0xff, 0xff, 0xff}, says: "too early"},
		"a map that claims to be long":    {message: []byte{0xdf, 0xff, 0xff, 0xff, 0xff}, says: "too early"},
		"bytes that claim to be long":     {message: []byte{0xc6, 0xff, 0xff, 0xff, 0xff}, says: "too early"},
		"text that claims to be long":     {message: []byte{0xdb, 0xff, 0xff, 0xff, 0xff}, says: "EOF"},
		"an extension that claims so":     {message: []byte{0xc9, 0xff, 0xff, 0xff, 0xff, 0}, says: "too early"},
		"the byte that is never used":     {message: []byte{0xc1}, says: "0xc1"},
		"something behind it":             {message: append(pack(t, []any{"emitter", event("e"), noRooms}), 1), says: "follows"},
		"a type that nobody knows":        {message: []byte{0x92, 0xd4, 5, 0, 0x80}, says: "unknown type 5"},
		"a date of a wrong size":          {message: []byte{0x92, 0xd4, 0xff, 0, 0x80}, says: "date of 1 bytes"},
		"a key that is a list":            {message: []byte{0x81, 0x90, 0x01}, says: "key of a map"},
		"a key that is null":              {message: []byte{0x81, 0xc0, 0x01}, says: "key of a map"},
		"too much":                        {message: []byte(strings.Repeat("x", emitters.MaxBytes+1)), says: "at most"},
		"too deep":                        {message: []any{"emitter", event("e", nested(70)), noRooms}, says: "nested"},
		"no list":                         {message: "hello", says: "[sender, packet, options]"},
		"one part":                        {message: []any{event("e")}, says: "[sender, packet, options]"},
		"no options":                      {message: []any{"emitter", event("e")}, says: "packet is no map"},
		"a number as sender":              {message: []any{1, event("e"), noRooms}, says: "sender"},
		"options that are a list":         {message: []any{"emitter", event("e"), []any{"uid:1"}}, says: "options"},
		"no event":                        {message: []any{"emitter", event(), noRooms}, says: "no event"},
		"data that is no list":            {message: []any{"emitter", m{"type": 2, "data": "e"}, noRooms}, says: "no event"},
		"an event that is a number":       {message: []any{"emitter", event(1), noRooms}, says: "no string"},
		"an event without a name":         {message: []any{"emitter", event(""), noRooms}, says: "1 to 128 bytes"},
		"an event with a long name":       {message: []any{"emitter", event(strings.Repeat("e", 129)), noRooms}, says: "1 to 128 bytes"},
		"an event that is no UTF-8":       {message: []any{"emitter", event("\xff"), noRooms}, says: "1 to 128 bytes"},
		"an event of Socket.IO's":         {message: []any{"emitter", event("disconnect"), noRooms}, says: `"disconnect"`},
		"an event of belfry's":            {message: []any{"emitter", event(belfry.EventMessage, "<b>"), noRooms}, says: `"new_msg"`},
		"a packet that is an ack":         {message: []any{"emitter", m{"type": 3, "data": []any{1}, "nsp": "/"}, noRooms}, says: "no event", unsupported: true},
		"a packet without a type":         {message: []any{"emitter", m{"data": []any{"e"}}, noRooms}, says: "no event", unsupported: true},
		"a namespace that is a number":    {message: []any{"emitter", m{"type": 2, "data": []any{"e"}, "nsp": 1}, noRooms}, says: "namespace"},
		"a room that is a number":         {message: []any{"emitter", event("e"), m{"rooms": []any{1}}}, says: "rooms"},
		"rooms that are text":             {message: []any{"emitter", event("e"), m{"rooms": "uid:1"}}, says: "rooms"},
		"excepted rooms that are text":    {message: []any{"emitter", event("e"), m{"except": "uid:1"}}, says: "except"},
		"too many rooms":                  {message: []any{"emitter", event("e"), m{"rooms": many(600), "except": many(401)}}, says: "1001 rooms"},
		"too many binary values":          {message: []any{"emitter", event("e", binaries(11)), noRooms}, says: "11 binary values"},
		"a placeholder beside binary":     {message: []any{"emitter", event("e", []byte{1}, m{"_placeholder": true, "num": 0}), noRooms}, says: "_placeholder"},
		"a channel of a room it has not":  {channel: "socket.io#/#uid:2#", message: []any{"emitter", event("e"), m{"rooms": []any{"uid:1"}}}, says: "which it does not name"},
		"a channel of a room, and none":   {channel: "socket.io#/#uid:2#", message: []any{"emitter", event("e"), noRooms}, says: "which it does not name"},
		"a channel that ends in the room": {channel: "socket.io#/#uid:1", message: []any{"emitter", event("e"), m{"rooms": []any{"uid:1"}}}, says: "which it does not name"},
		"another channel":                 {channel: "socket.io!", message: []any{"emitter", event("e"), noRooms}, says: "none of those"},
		"another prefix":                  {channel: "other#/#", message: []any{"emitter", event("e"), noRooms}, says: "another prefix"},
		"a request that is no JSON":       {channel: "socket.io-request#/#", message: []byte("{"), says: "JSON"},
		"a request without a type":        {channel: "socket.io-request#/#", message: []byte("{}"), says: "no type"},
		"a request of a new type":         {channel: "socket.io-request#/#", message: []byte(`{"type":9}`), says: "unknown type", unsupported: true},
		"a question between servers":      {channel: "socket.io-request#/#", message: []byte(`{"requestId":"x","type":1}`), says: "Socket.IO servers", unsupported: true},
		"an end of one socket":            {channel: "socket.io-request#/#", message: []byte(`{"requestId":"x","type":4,"sid":"abc","close":true}`), says: "which rooms"},
		"an end without rooms":            {channel: "socket.io-request#/#", message: []byte(`{"type":4,"opts":{"except":[]}}`), says: "which rooms"},
		"an end of too many rooms":        {channel: "socket.io-request#/#", message: []byte(`{"type":4,"opts":{"rooms":[` + strings.Repeat(`"a",`, 1000) + `"a"]}}`), says: "1001 rooms"},
		"an end in a namespace":           {channel: "socket.io-request#/chat#", message: []byte(`{"type":4,"opts":{"rooms":[]}}`), says: "namespace", unsupported: true},
		"a request on another channel":    {channel: "socket.io-request#/", message: []byte(`{"type":4,"opts":{"rooms":[]}}`), says: "not that of a request"},
	} {
		t.Run(name, func(t *testing.T) {
			channel := tt.channel
			if channel == "" {
				channel = "socket.io#/#"
			}
			payload, ok := tt.message.([]byte)
			if !ok {
				payload = pack(t, tt.message)
			}
			e, err := emitters.Parse("socket.io", channel, payload)
			if err == nil || !strings.Contains(err.Error(), tt.says) || errors.Is(err, emitters.ErrUnsupported) != tt.unsupported {
				t.Errorf("got %+v and the error %v, want one that says %q", e, err, tt.says)
			}
		})
	}
}

func binaries(n int) []any {
	list := make([]any, n)
	for i := range list {
		list[i] = []byte{1}
	}
	return list
}

func TestFormsThatMayVary(t *testing.T) {
	for name, message := range map[string]any{
		"no except, no flags":   []any{"x", event("e"), m{"rooms": []any{}}},
		"no options at all":     []any{"x", event("e"), []any{}},
		"rooms that are null":   []any{"x", event("e"), m{"rooms": nil, "except": nil}},
		"rooms as an empty map": []any{"x", event("e"), m{"rooms": m{}, "flags": []any{}}},
		"no namespace":          []any{"x", m{"type": 5, "data": []any{"e"}}, m{}},
		"no sender":             []any{event("e"), m{}},
	} {
		e, err := emitters.Parse("", "#/#", pack(t, message))
		if err != nil || !same(e.Envelope, belfry.Envelope{Rooms: everybody, Event: "e", Args: []any{}}) {
			t.Errorf("%s: got %+v, %v", name, e, err)
		}
	}
}

func TestOnlyTheMessageToTheFirstRoomCounts(t *testing.T) {
	message := pack(t, []any{"x", event("e"), m{"rooms": []any{"a#b", "a"}}})
	for channel, copied := range map[string]bool{"p#/#a#b#": false, "p#/#a#": true, "p#/#": false, "p#emitter": false} {
		if e, err := emitters.Parse("p", channel, message); err != nil || e.Copy != copied {
			t.Errorf("%s: copy is %t (%v), want %t", channel, e.Copy, err, copied)
		}
	}
}

func TestDatesAndNumbersAreAsInJavaScript(t *testing.T) {
	ext := func(code ...byte) msgpack.RawMessage { return code }
	for name, tt := range map[string]struct {
		packed any
		want   string // JSON
	}{
		"a date in 4 bytes":    {ext(0xd6, 0xff, 0, 0, 0, 1), `"1970-01-01T00:00:01.000Z"`},
		"a date in 8 bytes":    {time.Date(2026, 11, 25, 13, 20, 0, 250e6, time.UTC), `"2026-11-25T13:20:00.250Z"`},
		"a date before 1970":   {time.Date(1905, 1, 2, 3, 4, 5, 0, time.UTC), `"1905-01-02T03:04:05.000Z"`},
		"a date before Christ": {time.Date(-1, 1, 2, 3, 4, 5, 0, time.UTC), `"-000001-01-02T03:04:05.000Z"`},
		"a date after 9999":    {time.Date(12345, 1, 2, 3, 4, 5, 0, time.UTC), `"+012345-01-02T03:04:05.000Z"`},
		"the last date":        {time.Unix(8_640_000_000_000, 0), `"+275760-09-13T00:00:00.000Z"`},
		"one after the last":   {time.Unix(8_640_000_000_000, 1e6), `null`},
		"an old date":          {ext(0xd7, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), `"1969-12-31T23:59:59.999Z"`},
		"the farthest date":    {ext(0xd7, 0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), `null`},
		"undefined":            {ext(0xd4, 0, 0), `null`},
		"not a number":         {math.NaN(), `null`},
		"infinity":             {float32(math.Inf(-1)), `null`},
		"a float of 4 bytes":   {float32(0.5), `0.5`},
		"the largest integer":  {uint64(math.MaxUint64), `18446744073709551615`},
	} {
		e, err := emitters.Parse("p", "p#/#", pack(t, []any{"x", event("e", tt.packed), m{}}))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got, err := json.Marshal(e.Envelope.Args); err != nil || string(got) != "["+tt.want+"]" {
			t.Errorf("%s: got %s (%v), want [%s]", name, got, err, tt.want)
		}
	}
}
