package server

import (
	"encoding/json"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// walkStep is a command of the page and, if it has one, its answer.
var walkStep = regexp.MustCompile("(?s)```sh\n(.*?)```\n(?:```json\n(.*?)```)?")

var walkID = regexp.MustCompile("^[0-9a-f]{24}$")

// alike reports whether an answer is the one of the page, apart from what differs from
// run to run: ids, times, versions and cursors, and what follows "…".
func alike(page, got any) bool {
	switch page := page.(type) {
	case map[string]any:
		object, ok := got.(map[string]any)
		if !ok || !slices.Equal(slices.Sorted(maps.Keys(page)), slices.Sorted(maps.Keys(object))) {
			return false
		}
		for name, value := range page {
			if name != "version" && name != "next" && !alike(value, object[name]) {
				return false
			}
		}
		return true
	case []any:
		list, ok := got.([]any)
		return ok && slices.EqualFunc(page, list, alike)
	case string:
		text, ok := got.(string)
		_, pageErr := time.Parse(time.RFC3339, page)
		_, gotErr := time.Parse(time.RFC3339, text)
		begin, _, open := strings.Cut(page, "…")
		return ok && (page == text || walkID.MatchString(page) && walkID.MatchString(text) || pageErr == nil && gotErr == nil || open && strings.HasPrefix(text, begin))
	}
	return page == got
}

// values reads several values, one after the other.
func values(t *testing.T, text string) []any {
	t.Helper()
	var all []any
	for dec := json.NewDecoder(strings.NewReader(text)); ; {
		var v any
		if err := dec.Decode(&v); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		all = append(all, v)
	}
}

func TestWalkThroughTheRestAPI(t *testing.T) {
	f := start(t, recording(t))
	page, err := os.ReadFile("../docs/rest.md")
	if err != nil {
		t.Fatal(err)
	}
	steps := walkStep.FindAllStringSubmatch(string(page), -1)
	if n := strings.Count(string(page), "```") / 2; len(steps) < 25 || n != 2*len(steps)-1 {
		t.Fatalf("%d steps were found, and %d blocks", len(steps), n)
	}
	dir := t.TempDir() // variables are kept there from step to step
	for _, step := range steps {
		cmd := exec.Command("sh", "-ec", "touch variables; . ./variables; set -a\n"+step[1]+"\nexport -p >variables")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "PUSH=http://"+f.PushAddr(), "PUBLIC=http://"+f.Addr(), "KEY="+testKey)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v", step[1], err)
		}
		if !slices.EqualFunc(values(t, step[2]), values(t, string(out)), alike) {
			t.Errorf("%s answers\n%s\nthe page says\n%s", step[1], out, step[2])
		}
	}
}

func TestTheWalkLeavesNoOperationOut(t *testing.T) {
	f := start(t)
	page, err := os.ReadFile("../docs/rest.md")
	if err != nil {
		t.Fatal(err)
	}
	var walked []string // METHOD $PORT/path
	call := regexp.MustCompile(`(\$PUSH|\$PUBLIC)(/v1/[^ "?]*)`)
	method := regexp.MustCompile(`-X (\w+)`)
	for _, step := range walkStep.FindAllStringSubmatch(string(page), -1) {
		for _, curl := range strings.Split(strings.ReplaceAll(step[1], "\\\n", " "), "curl ")[1:] {
			called := call.FindStringSubmatch(curl)
			if called == nil {
				t.Fatalf("%s calls nothing", curl)
			}
			m := "GET"
			if strings.Contains(curl, " -d ") {
				m = "POST"
			}
			if x := method.FindStringSubmatch(curl); x != nil {
				m = x[1]
			}
			walked = append(walked, m+" "+called[1]+called[2])
		}
	}
	for port, addr := range map[string]string{"$PUSH": f.PushAddr(), "$PUBLIC": f.Addr()} {
		for path, methods := range documentAt(t, addr).Paths {
			for m := range methods {
				pattern := regexp.MustCompile("^" + strings.ToUpper(m) + " " + regexp.QuoteMeta(port) + regexp.MustCompile(`\{\w+\}`).ReplaceAllString(path, `[^/]+`) + "$")
				if !slices.ContainsFunc(walked, pattern.MatchString) {
					t.Errorf("%s %s%s is not walked", strings.ToUpper(m), port, path)
				}
			}
		}
	}
}
