package socketio

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestValidJSONAgreesWithEncodingJSON(t *testing.T) {
	for _, text := range []string{
		``, ` `, `null`, `true`, `fals`, `nul`, `0`, `-0`, `01`, `-`, `1.`, `.5`, `1.5e`, `1e+`, `1E-7`, `12 3`,
		`""`, `"a`, `"\u00e9"`, `"\u00g9"`, `"\x"`, "\"\n\"", `"\`, `[]`, `[ ]`, `[1,]`, `[,1]`, `[1 2]`, `[[[]]]`, `[`, `]`,
		`{}`, `{ }`, `{"a":1}`, `{"a":1,}`, `{"a" : {"b":[1,2,{"c":null}]}}`, `{a:1}`, `{"a"}`, `{"a":}`, `{1:2}`, `{"a":1 "b":2}`, "[1]\n\t ",
	} {
		if got, want := validJSON([]byte(text)), json.Valid([]byte(text)); got != want {
			t.Errorf("validJSON(%q) = %v, want %v", text, got, want)
		}
	}
}

func TestJSONNestingIsBounded(t *testing.T) {
	nest := func(n int) []byte { return []byte(strings.Repeat("[", n) + strings.Repeat("]", n)) }
	if !validJSON(nest(maxDepth)) {
		t.Errorf("%d levels are refused", maxDepth)
	}
	for _, n := range []int{maxDepth + 1, 1_000_000} {
		if validJSON(nest(n)) {
			t.Errorf("%d levels are accepted", n)
		}
	}
}

func TestFindPlaceholders(t *testing.T) {
	for _, test := range []struct {
		text string
		want []int
	}{
		{`[1,"_placeholder",{"num":0}]`, nil},
		{`["e",{"_placeholder":true,"num":0},{"a":[{"num":1,"_placeholder":true}]}]`, []int{0, 1}},
		{`{"_placeholder":false,"num":0}`, nil},
		{`{"_placeholder":false,"_placeholder":true,"num":3,"num":2}`, []int{2}},
		{`{"_pl\u0061ceholder":true,"num":7}`, []int{7}},
		{`{ "_placeholder" : true , "num" : 1 }`, []int{1}},
		{`{"_placeholder":true}`, []int{-1}},
		{`{"_placeholder":true,"num":-1}`, []int{-1}},
		{`{"_placeholder":true,"num":0.5}`, []int{-1}},
		{`{"_placeholder":true,"num":"0"}`, []int{-1}},
		{`{"_placeholder":true,"num":0,"x":{"_placeholder":true,"num":1}}`, []int{0}},
	} {
		found, end := findPlaceholders([]byte(test.text), 0, nil)
		var nums []int
		for _, p := range found {
			nums = append(nums, p.num)
			if got := p.of([]byte(test.text)); got[0] != '{' || got[len(got)-1] != '}' {
				t.Errorf("%s: a placeholder is at %q", test.text, got)
			}
		}
		if !reflect.DeepEqual(nums, test.want) || end != len(test.text) {
			t.Errorf("%s: found %v up to %d, want %v", test.text, nums, end, test.want)
		}
	}
}

func TestAppendASCIIEscapesWhatIsBeyondASCII(t *testing.T) {
	const text = `["a\u00e9","é 消息 😀","\n"]`
	const want = `["a\u00e9","\u00e9 \u6d88\u606f \ud83d\ude00","\n"]`
	if got := string(appendASCII(nil, []byte(text))); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func FuzzJSON(f *testing.F) {
	for _, seed := range []string{
		`[1,{"a":[true,false,null]},"\u00e9\n"]`, `{"_placeholder":true,"num":0}`, `[1e5,-0.5]`, `{"a":{"_placeholder":true,"num":1},"b":[[]]}`, `"\ud800"`, "\x80", `[1,]`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		valid := validJSON(text)
		if want := json.Valid(text); valid && !want || !valid && want && strings.Count(string(text), "[")+strings.Count(string(text), "{") < maxDepth {
			t.Fatalf("validJSON = %v, encoding/json says %v", valid, want)
		}
		if !valid || !utf8.Valid(text) {
			return
		}
		if _, end := findPlaceholders(text, skipSpace(text, 0), nil); skipSpace(text, end) != len(text) {
			t.Fatalf("findPlaceholders ends at %d of %d", end, len(text))
		}
		ascii := appendASCII(nil, text)
		a, errA := decodeNumbers(text)
		b, errB := decodeNumbers(ascii)
		if !isASCII(ascii) || errA != nil || errB != nil || !reflect.DeepEqual(a, b) {
			t.Fatalf("%s is not the same as %s", ascii, text)
		}
	})
}

// decodeNumbers keeps numbers as they are written: JSON allows larger ones than
// a float64 holds.
func decodeNumbers(text []byte) (v any, err error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	err = dec.Decode(&v)
	return v, err
}

func FuzzAppendString(f *testing.F) {
	for _, seed := range []string{"", "a\"\\\b\f\n\r\t\x00\x7f", "é消😀\u2028", "\xff\xc3("} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var got string
		if err := json.Unmarshal(AppendString(nil, s), &got); err != nil {
			t.Fatal(err)
		}
		if want := strings.ToValidUTF8(strings.Map(func(r rune) rune { return r }, s), "\uFFFD"); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	})
}
