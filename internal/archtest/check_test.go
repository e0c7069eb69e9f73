package archtest

import (
	"slices"
	"testing"
	"testing/fstest"
)

func TestForbiddenArrowsAreFound(t *testing.T) {
	for _, tt := range []struct {
		pkg, imported string
		allowed       bool
	}{
		{".", "context", true},
		{".", "encoding/json", true},
		{".", "golang.org/x/sys/unix", false},
		{".", "C", false},
		{".", "belfry/sqlite", false},
		{".", "belfry/internal/porttest", false},
		{"engineio", "golang.org/x/sys/unix", true},
		{"engineio", "belfry/engineio/internal/wheel", true},
		{"engineio", "belfry", false},
		{"engineio", "belfry/socketio", false},
		{"engineio/internal/wheel", "belfry/engineio", true},
		{"socketio", "belfry/engineio", true},
		{"socketio", "belfry/engineio/internal/wheel", false},
		{"socketio", "belfry", false},
		{"sqlite", "belfry", true},
		{"sqlite", "belfryx", true}, // not a package of the module
		{"sqlite", "belfry/sqlitex", false},
		{"mongo", "belfry/sqlite", false},
		{"redis", "belfry", true},
		{"redis", "github.com/redis/rueidis", true},
		{"redis", "belfry/mongo", false},
		{".", "belfry/redis", false},
		{"server", "belfry/auth", true},
		{"server", "belfry/sqlite", false},
		{"server", "belfry/cmd/belfry", false},
		{"load", "syscall", true},
		{"load", "belfry/engineio", false},
		{"load", "belfry", false},
		{"web", "belfry", false},
		{"web", "embed", true},
		{"cmd/belfry", "belfry/sqlite", true},
		{"examples/engineio-echo", "belfry/socketio", false},
		{"internal/porttest", "belfry", true},
		{"internal/porttest", "belfry/sqlite", false},
		{"newcomer", "context", false},
		{"cmd/newcomer", "context", false},
	} {
		wrong := check([]arrow{{"file.go", tt.pkg, tt.imported}})
		if allowed := len(wrong) == 0; allowed != tt.allowed {
			t.Errorf("%s imports %s: allowed is %t, want %t", tt.pkg, tt.imported, allowed, tt.allowed)
		}
	}
}

func TestAllFilesButTestsAndOtherModulesAreRead(t *testing.T) {
	file := func(imported string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte("//go:build plan9\n\npackage x\n\nimport \"" + imported + "\"\n")}
	}
	found, err := arrows(fstest.MapFS{
		"go.mod":                  {},
		"root.go":                 file("belfry/server"),
		"root_test.go":            file("belfry/sqlite"),
		"engineio/x.go":           file("belfry"),
		"engineio/testdata/x.go":  file("a"),
		"web/node_modules/p/x.go": file("b"),
		".hidden/x.go":            file("c"),
		"other/go.mod":            {},
		"other/x.go":              file("d"),
	})
	if err != nil {
		t.Fatal(err)
	}
	got := check(found)
	want := []string{
		"engineio/x.go: package engineio must not import belfry",
		"root.go: package . must not import belfry/server",
	}
	if len(found) != 2 || !slices.Equal(got, want) {
		t.Errorf("found %v and said %q, want %q", found, got, want)
	}
}
