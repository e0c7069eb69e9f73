package emitters_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"belfry"
	"belfry/redis/emitters"
)

// A record is what one emitter published for one call; see testdata/README.md.
type record struct {
	Name      string
	Published []struct {
		Channel string
		Payload string // base64
	}
}

func records(t testing.TB) []record {
	t.Helper()
	var all []record
	for _, file := range []string{"testdata/emissions.json", "testdata/php.json"} {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var some []record
		if err := json.Unmarshal(content, &some); err != nil {
			t.Fatal(err)
		}
		all = append(all, some...)
	}
	return all
}

func decoded(t testing.TB, payload string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(payload)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

var everybody = []string{belfry.EverybodyRoom}

// heard is what pages should get, by what was called.
var heard = map[string]belfry.Envelope{
	"to all":    {Rooms: everybody, Event: "tick", Args: []any{}},
	"to a room": {Rooms: []string{"uid:1"}, Event: "note", Args: []any{"hello", int64(7)}},
	"to two rooms": {Rooms: []string{"uid:1", "company:2"}, Event: "note", Args: []any{
		map[string]any{"title": "é", "list": []any{int64(1), int64(-1), 2.5, nil, true}}}},
	"volatile": {Rooms: []string{"uid:1"}, Event: "note", Args: []any{map[string]any{"n": int64(1)}}},
	"numbers of all sizes": {Rooms: everybody, Event: "note", Args: []any{[]any{
		int64(0), int64(127), int64(255), int64(65535), int64(4294967295), int64(9007199254740991),
		int64(-32), int64(-128), int64(-32768), int64(-2147483648), int64(-9007199254740991), 0.1}}},
	"long text":             {Rooms: everybody, Event: "note", Args: []any{strings.Repeat("x", 40), strings.Repeat("y", 300)}},
	"keys that are numbers": {Rooms: everybody, Event: "note", Args: []any{map[string]any{"3": "a", "5": "b"}}},
	"a date and undefined": {Rooms: everybody, Event: "note", Args: []any{
		map[string]any{"at": "2026-11-25T13:20:00.250Z"}, []any{nil, int64(1)}, "2026-11-25T13:20:00.250Z"}},
	"binary":                   {Rooms: []string{"uid:1"}, Event: "file", Args: []any{map[string]any{"name": "a", "data": []byte{1, 2, 255}}}},
	"an ArrayBuffer":           {Rooms: everybody, Event: "file", Args: []any{[]byte{1, 2, 255}}},
	"a Uint8Array":             {Rooms: everybody, Event: "file", Args: []any{[]byte{1, 2, 255}}},
	"except a room":            {Rooms: []string{"company:2", "company:3"}, Except: []string{"uid:1"}, Event: "note", Args: []any{"hello"}},
	"disconnectSockets":        {Rooms: []string{"uid:1"}, Except: []string{"uid:2"}, Disconnect: true},
	"disconnectSockets of all": {Rooms: everybody, Disconnect: true},
}

// unsupported is what belfry does not do.
var unsupported = map[string]string{
	"in a namespace": `the namespace "/chat"`,
	"socketsJoin":    "socketsJoin",
	"socketsLeave":   "socketsLeave",
	"serverSideEmit": "serverSideEmit",
}

func TestWhatRealEmittersPublishIsUnderstoodOnce(t *testing.T) {
	calls := map[string]int{}
	for _, r := range records(t) {
		_, call, _ := strings.Cut(r.Name, ": ")
		calls[call]++
		t.Run(r.Name, func(t *testing.T) {
			var got []belfry.Envelope
			for _, p := range r.Published {
				e, err := emitters.Parse("socket.io", p.Channel, decoded(t, p.Payload))
				if says := unsupported[call]; says != "" {
					if !errors.Is(err, emitters.ErrUnsupported) || !strings.Contains(err.Error(), says) {
						t.Errorf("got the error %v, want one that says %q", err, says)
					}
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				if !e.Copy {
					got = append(got, e.Envelope)
				}
			}
			if unsupported[call] != "" {
				return
			}
			if want := heard[call]; len(got) != 1 || !same(got[0], want) {
				t.Errorf("got  %#v\nwant %#v", got, want)
			}
		})
	}
	for call := range heard {
		if calls[call] == 0 {
			t.Errorf("there is no record of %q", call)
		}
	}
	for call := range unsupported {
		if calls[call] == 0 {
			t.Errorf("there is no record of %q", call)
		}
	}
}

// same compares envelopes. Excepting nothing is an empty list or none, and numbers are equal as they are in JavaScript.
func same(a, b belfry.Envelope) bool {
	if len(a.Except) == 0 && len(b.Except) == 0 {
		a.Except, b.Except = nil, nil
	}
	a.Args, b.Args = floats(a.Args).([]any), floats(b.Args).([]any)
	return reflect.DeepEqual(a, b)
}

func floats(v any) any {
	switch v := v.(type) {
	case int64:
		return float64(v)
	case []any:
		list := make([]any, len(v))
		for i, one := range v {
			list[i] = floats(one)
		}
		return list
	case map[string]any:
		object := make(map[string]any, len(v))
		for key, one := range v {
			object[key] = floats(one)
		}
		return object
	}
	return v
}
