package socketio

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// show writes a decoded packet in one line.
func show(p packet) string {
	s := fmt.Sprintf("type=%d nsp=%s", p.typ, p.namespace)
	if p.query != nil {
		s += fmt.Sprintf(" query=%s", p.query)
	}
	if p.binary {
		s += fmt.Sprintf(" attachments=%d", p.attachments)
	}
	if p.id != noAck {
		s += fmt.Sprintf(" id=%d", p.id)
	}
	for _, i := range p.items {
		s += " " + string(i.of(p.payload))
	}
	if p.items == nil && p.payload != nil {
		s += " " + string(p.payload)
	}
	return s
}

func TestDecodePacket(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{`0`, `type=0 nsp=/`},
		{`0{"token":"123"}`, `type=0 nsp=/ {"token":"123"}`},
		{`0/admin`, `type=0 nsp=/admin`},
		{`0/admin,{"sid":"x"}`, `type=0 nsp=/admin {"sid":"x"}`},
		{`1`, `type=1 nsp=/`},
		{`1/admin,`, `type=1 nsp=/admin`},
		{`2["foo"]`, `type=2 nsp=/ "foo"`},
		{`2 [ "foo" , 1 ] `, `type=2 nsp=/ "foo" 1`},
		{`2/admin,["bar",{"a":[1, 2]}]`, `type=2 nsp=/admin "bar" {"a":[1, 2]}`},
		{`212["foo"]`, `type=2 nsp=/ id=12 "foo"`},
		{`2/admin,9007199254740991["foo"]`, `type=2 nsp=/admin id=9007199254740991 "foo"`},
		{`2[1,2]`, `type=2 nsp=/ 1 2`},
		{`3/admin,13["bar"]`, `type=3 nsp=/admin id=13 "bar"`},
		{`313[]`, `type=3 nsp=/ id=13 []`},
		{`4{"message":"Not authorized"}`, `type=4 nsp=/ {"message":"Not authorized"}`},
		{`4"encode error"`, `type=4 nsp=/ "encode error"`},
		{`51-["baz",{"_placeholder":true,"num":0}]`, `type=2 nsp=/ attachments=1 "baz" {"_placeholder":true,"num":0}`},
		{`510-/admin,7["baz"]`, `type=2 nsp=/admin attachments=10 id=7 "baz"`},
		{`61-15["bar",{"_placeholder":true,"num":0}]`, `type=3 nsp=/ attachments=1 id=15 "bar" {"_placeholder":true,"num":0}`},
		{`0/a?b=c`, `type=0 nsp=/a?b=c`},
	} {
		p, err := decodePacket([]byte(test.text), 5, 10, nil)
		if err != nil || show(p) != test.want {
			t.Errorf("%s: got %s, %v; want %s", test.text, show(p), err, test.want)
		}
	}
}

func TestDecodePacketOfRevision4(t *testing.T) {
	for _, test := range []struct{ text, want string }{
		{`0/admin?token=1234&uid=abcd,`, `type=0 nsp=/admin query=token=1234&uid=abcd`},
		{`0/admin?a=b`, `type=0 nsp=/admin query=a=b`},
		{`50-["no binary after all"]`, `type=2 nsp=/ attachments=0 "no binary after all"`},
	} {
		p, err := decodePacket([]byte(test.text), 4, 10, nil)
		if err != nil || show(p) != test.want {
			t.Errorf("%s: got %s, %v; want %s", test.text, show(p), err, test.want)
		}
	}
}

func TestDecodePacketRefuses(t *testing.T) {
	for _, test := range []struct {
		name, text string
		revision   int
		want       error
	}{
		{"an empty packet", ``, 5, errEmptyPacket},
		{"an unknown type", `abc`, 5, errPacketType},
		{"type 7", `7`, 5, errPacketType},
		{"bytes that are not UTF-8", "2[\"a\xff\"]", 5, errUTF8},
		{"an object as event", `2{}`, 5, errPayload},
		{"letters as id", `2abc["e",1]`, 5, errPayload},
		{"an event without payload", `2`, 5, errPayload},
		{"an empty event", `2[]`, 5, errPayload},
		{"a name that is an object", `2[{}]`, 5, errPayload},
		{"a name that is null", `2[null]`, 5, errPayload},
		{"two payloads", `2["a"]["b"]`, 5, errPayload},
		{"broken JSON", `2["a"`, 5, errPayload},
		{"a reserved event", `2["disconnect"]`, 5, errReserved},
		{"a reserved event, escaped", `2["connec\u0074"]`, 5, errReserved},
		{"an id beyond 2^53", `29007199254740992["a"]`, 5, errAckID},
		{"an endless id", `2` + strings.Repeat("1", 400) + `["a"]`, 5, errAckID},
		{"an ack without id", `3[1]`, 5, errAckID},
		{"an ack without payload", `31`, 5, errPayload},
		{"an ack with an object", `31{}`, 5, errPayload},
		{"auth that is an array", `0[1]`, 5, errPayload},
		{"auth that is null", `0null`, 5, errPayload},
		{"auth that is a string", `0"x"`, 5, errPayload},
		{"auth that is cut off", `0{"a":`, 5, errPayload},
		{"a disconnect with payload", `1{}`, 5, errPayload},
		{"a connect with id", `01`, 5, errAckID},
		{"no number of attachments", `5["a"]`, 5, errAttachments},
		{"a number without dash", `51`, 5, errAttachments},
		{"no attachments", `50-["a"]`, 5, errAttachments},
		{"eleven attachments", `511-["a"]`, 5, errAttachments},
		{"a negative number of attachments", `5-1-["a"]`, 5, errAttachments},
		{"a fraction of an attachment", `51.5-["a"]`, 5, errAttachments},
		{"a long query", `0/x?` + strings.Repeat("x", maxNamespaceQuery+1), 4, errNamespace},
		{"a namespace beyond ASCII in revision 4", `0/é`, 4, errNamespace},
		{"deep nesting", `2["a",` + strings.Repeat("[", 200_000) + strings.Repeat("]", 200_000) + `]`, 5, errPayload},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, err := decodePacket([]byte(test.text), test.revision, 10, nil); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
}

// encoded returns the payload of an event with these arguments, and the
// attachments.
func encoded(args ...any) (string, [][]byte, error) {
	e := newEncoder(10)
	err := e.event("e", args)
	return string(e.payload), e.files, err
}

func TestEncodeArguments(t *testing.T) {
	type point struct {
		X int    `json:"x"`
		S string `json:"s,omitempty"`
	}
	for _, test := range []struct {
		name  string
		args  []any
		want  string
		files int
	}{
		{"nothing", nil, `["e"]`, 0},
		{"plain values", []any{nil, true, false, 1, int64(-2), uint8(3), 1.5, "é<&>\n"}, `["e",null,true,false,1,-2,3,1.5,"é<&>\n"]`, 0},
		{"a struct", []any{point{X: 1, S: "<b>"}}, `["e",{"x":1,"s":"<b>"}]`, 0},
		{"maps in order", []any{map[string]any{"b": 1, "a": []any{nil}}}, `["e",{"a":[null],"b":1}]`, 0},
		{"nil maps and slices", []any{map[string]any(nil), []any(nil), []string(nil)}, `["e",null,null,null]`, 0},
		{"raw JSON as it is", []any{rawJSON(`{ "a" : 1.0 }`)}, `["e",{ "a" : 1.0 }]`, 0},
		{"broken UTF-8", []any{"a\xffb", rawJSON("\"a\xffb\"")}, `["e","a` + "\uFFFD" + `b","a` + "\uFFFD" + `b"]`, 0},
		{"bytes", []any{[]byte{1}, Binary{2}}, `["e",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`, 2},
		{"nested bytes", []any{map[string]any{"f": []any{[]byte{1}}}}, `["e",{"f":[{"_placeholder":true,"num":0}]}]`, 1},
		{"a placeholder that is data", []any{rawJSON(`{"_placeholder":true,"num":0}`)}, `["e",{"_placeholder":true,"num":0}]`, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, files, err := encoded(test.args...)
			if err != nil || got != test.want || len(files) != test.files {
				t.Errorf("got %s with %d attachments, %v\nwant %s with %d", got, len(files), err, test.want, test.files)
			}
		})
	}
}

func TestEncodeRefuses(t *testing.T) {
	cycle := map[string]any{}
	cycle["self"] = cycle
	eleven := make([]any, 11)
	for i := range eleven {
		eleven[i] = []byte{byte(i)}
	}
	for _, test := range []struct {
		name string
		args []any
		want error
	}{
		{"a cycle", []any{cycle}, ErrNesting},
		{"eleven attachments", eleven, ErrTooManyAttachments},
		{"raw JSON that is none", []any{rawJSON(`{`)}, ErrInvalidJSON},
		{"a foreign placeholder beside an attachment", []any{[]byte{1}, rawJSON(`{"_placeholder":true,"num":0}`)}, ErrPlaceholder},
	} {
		t.Run(test.name, func(t *testing.T) {
			if _, _, err := encoded(test.args...); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
	if _, _, err := encoded(make(chan int)); err == nil {
		t.Error("a channel was encoded")
	}
	if err := newEncoder(10).event("disconnect", nil); !errors.Is(err, ErrReservedEvent) {
		t.Errorf("reserved event: %v", err)
	}
}

// received decodes an event and returns its arguments.
func received(t *testing.T, text string, files ...[]byte) Args {
	t.Helper()
	p, err := decodePacket([]byte(text), 5, 10, nil)
	if err != nil {
		t.Fatal(err)
	}
	a, err := p.args(1, files)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestArgumentsArePassedOnByteForByte(t *testing.T) {
	a := received(t, `53-["x", 1.0 ,{"f":{"num":2,"_placeholder":true},"g":"é"},{"_placeholder":true,"num":0},{"_placeholder":true,"num":2}]`,
		[]byte("zero"), []byte("one"), []byte("two"))
	got, files, err := encoded(append([]any{[]byte("first")}, a.All()...)...)
	const want = `["e",{"_placeholder":true,"num":0},1.0,{"f":{"_placeholder":true,"num":1},"g":"é"},{"_placeholder":true,"num":2},{"_placeholder":true,"num":1}]`
	if err != nil || got != want {
		t.Errorf("got %s, %v\nwant %s", got, err, want)
	}
	if s := string(bytes.Join(files, []byte(","))); s != "first,two,zero" {
		t.Errorf("attachments: %s", s)
	}
}

func TestDecodeArguments(t *testing.T) {
	a := received(t, `52-["x",{"name":"n","file":{"_placeholder":true,"num":1}},{"_placeholder":true,"num":0},7]`, []byte("zero"), []byte("one"))
	var doc struct {
		Name string
		File []byte
	}
	if err := a.Decode(0, &doc); err != nil || doc.Name != "n" || string(doc.File) != "one" {
		t.Errorf("struct: %+v, %v", doc, err)
	}
	var tree map[string]any
	if err := a.Decode(0, &tree); err != nil || string(tree["file"].(Binary)) != "one" {
		t.Errorf("map: %v, %v", tree, err)
	}
	var file Binary
	if err := a.Decode(1, &file); err != nil || string(file) != "zero" {
		t.Errorf("binary: %q, %v", file, err)
	}
	if err := a.Decode(0, &file); err == nil {
		t.Error("an object was decoded as binary")
	}
	var n int
	if err := a.Decode(2, &n); err != nil || n != 7 {
		t.Errorf("number: %d, %v", n, err)
	}
	if err := a.Decode(3, &n); !errors.Is(err, ErrNoArgument) {
		t.Errorf("missing argument: %v", err)
	}
	if a.Len() != 3 || a.Raw(3) != nil || string(a.Raw(2)) != "7" {
		t.Errorf("Len %d, Raw %s", a.Len(), a.Raw(2))
	}
}

func FuzzDecodePacket(f *testing.F) {
	for _, seed := range []string{
		`0`, `0/admin,{"a":1}`, `1/x`, `2["a",1]`, `2/x,12["a"]`, `31[]`, `4"x"`, `52-["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`,
		`61-3[{"_placeholder":true,"num":0}]`, `50-["a"]`, `0/a?b=c`, `2[`, "2[\"\xff\"]",
	} {
		f.Add([]byte(seed), true)
		f.Add([]byte(seed), false)
	}
	f.Fuzz(func(t *testing.T, text []byte, modern bool) {
		revision := 4
		if modern {
			revision = 5
		}
		p, err := decodePacket(text, revision, 3, nil)
		if err != nil {
			return
		}
		files := make([][]byte, p.attachments)
		for i := range files {
			files[i] = []byte{byte(i)}
		}
		a, err := p.args(0, files)
		if err != nil || p.typ != packetEvent && p.typ != packetAck {
			return
		}
		e := newEncoder(3)
		defer e.free()
		if err := e.ack(a.All()); err != nil {
			if errors.Is(err, ErrPlaceholder) {
				return
			}
			t.Fatalf("%q cannot be passed on: %v", text, err)
		}
		if _, ok := splitArray(e.payload, nil); !ok {
			t.Fatalf("%q became %q", text, e.payload)
		}
	})
}

// FuzzRecovery holds what is found in the payload of a CONNECT against what
// encoding/json finds.
func FuzzRecovery(f *testing.F) {
	for _, seed := range []string{
		`0{}`, `0{"pid":"p","offset":"o"}`, `0/n,{ "pid" : "p" , "offset" : 7 }`, `0{"pid":"p","pid":null}`, `0{"\u0070id":"\ud800"}`,
		`0{"a":{"pid":"x"},"pid":["p"],"offset":"o"}`, `0 {"PID":"p"}`, `0{"pid":""}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		p, err := decodePacket(text, 5, 3, nil)
		if err != nil || p.typ != packetConnect || p.payload == nil {
			return
		}
		var members map[string]json.RawMessage
		if err := json.Unmarshal(p.payload, &members); err != nil {
			t.Fatalf("%q is no object: %v", p.payload, err)
		}
		find := func(name string, max int) string {
			var s string
			if json.Unmarshal(members[name], &s) != nil || len(s) > max {
				return ""
			}
			return s
		}
		wantPID, wantOffset := find("pid", maxPIDLen), find("offset", maxOffsetLen)
		if wantPID == "" {
			wantOffset = ""
		}
		pid, offset, ok := recoveryIn(p.payload)
		if pid != wantPID || offset != wantOffset || ok != (pid != "") {
			t.Fatalf("%q has %q and %q, %v; want %q and %q", p.payload, pid, offset, ok, wantPID, wantOffset)
		}
	})
}

func rawJSON(s string) json.RawMessage { return json.RawMessage(s) }
