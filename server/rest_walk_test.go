package server

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"testing"
)

var walkStep = regexp.MustCompile("(?s)```sh\n(.*?)```\n```json\n(.*?)```")

// shape is a JSON value without what differs from run to run: fields and types.
func shape(v any) string {
	switch v := v.(type) {
	case map[string]any:
		s := "{"
		for _, name := range slices.Sorted(maps.Keys(v)) {
			s += name + ":" + shape(v[name]) + " "
		}
		return s + "}"
	case []any:
		s := "["
		for _, e := range v {
			s += shape(e) + " "
		}
		return s + "]"
	}
	return fmt.Sprintf("%T", v)
}

func TestWalkThroughTheRestAPI(t *testing.T) {
	f := start(t)
	page, err := os.ReadFile("../docs/rest.md")
	if err != nil {
		t.Fatal(err)
	}
	steps := walkStep.FindAllSubmatch(page, -1)
	if len(steps) != 5 {
		t.Fatalf("%d steps were found", len(steps))
	}
	for _, step := range steps {
		cmd := exec.Command("sh", "-ec", string(step[1]))
		cmd.Env = append(os.Environ(), "PUSH=http://"+f.PushAddr(), "PUBLIC=http://"+f.Addr(), "KEY="+testKey)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v", step[1], err)
		}
		var got, want any
		if err := json.Unmarshal(step[2], &want); err != nil {
			t.Fatalf("%s: %v", step[2], err)
		}
		if err := json.Unmarshal(out, &got); err != nil || shape(got) != shape(want) {
			t.Errorf("%s answers\n%s\nthe page says\n%s", step[1], out, step[2])
		}
	}
}
