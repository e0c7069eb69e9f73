// Package archtest checks that the packages of the house import each other only
// as the house is built: arrows point downwards.
package archtest

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// module is the path of the module, and of the root package.
const module = "belfry"

// A rule says what a package, and the packages in folders below it, may import.
// The standard library and the package's own folders are always allowed.
type rule struct {
	packages   string   // path below the module; "." is the root package, which has no folders below it
	belfry     []string // packages of this module, likewise
	thirdParty bool     // modules of others
}

// all stands for every package of the module.
const all = "*"

// rules are the arrows. Test files are not bound by them: they may reach for
// the contract suites and for any implementation.
var rules = []rule{
	{packages: "."},
	{packages: "engineio", thirdParty: true},
	{packages: "socketio", belfry: []string{"engineio"}, thirdParty: true},
	{packages: "sqlite", belfry: []string{".", "internal/storage", "internal/transfer"}, thirdParty: true},
	{packages: "mongo", belfry: []string{".", "internal/storage", "internal/transfer"}, thirdParty: true},
	{packages: "redis", belfry: []string{"."}, thirdParty: true},
	{packages: "auth", belfry: []string{"."}, thirdParty: true},
	{packages: "load"}, // knows the wire alone
	{packages: "web"},
	{packages: "server", belfry: []string{".", "socketio", "engineio", "auth", "web", "internal/plainhttp", "internal/handover", "internal/hop"}, thirdParty: true},
	{packages: "cmd/belfry", belfry: []string{all}, thirdParty: true},
	{packages: "examples/engineio-echo", belfry: []string{"engineio"}},
	{packages: "examples/socketio-echo", belfry: []string{"socketio", "engineio"}},
	{packages: "internal/storage", belfry: []string{"."}},
	{packages: "internal/transfer", belfry: []string{"."}},
	{packages: "internal/porttest", belfry: []string{"."}},
	{packages: "internal/plainhttp", belfry: []string{"internal/handover"}},
	{packages: "internal/handover"},
	{packages: "internal/hop", thirdParty: true},
	{packages: "internal/mongotest", belfry: []string{"internal/proctest"}},
	{packages: "internal/redistest", belfry: []string{"internal/proctest"}},
	{packages: "internal/pagetest"},
	{packages: "internal/proctest"},
	{packages: "internal/archtest"},
}

// rulesFor returns the rule of a package: the one with the longest path.
func rulesFor(pkg string) (rule, bool) {
	for p := pkg; ; p = path.Dir(p) {
		for _, r := range rules {
			if r.packages == p && (p != "." || pkg == ".") {
				return r, true
			}
		}
		if p == "." {
			return rule{}, false
		}
	}
}

// allows says whether the rule lets its package import a path.
func (r rule) allows(imported string) bool {
	if below, ok := strings.CutPrefix(imported+"/", module+"/"); ok {
		below = path.Clean(below)
		return slices.Contains(r.belfry, all) || slices.Contains(r.belfry, below) ||
			r.packages != "." && (below == r.packages || strings.HasPrefix(below, r.packages+"/"))
	}
	first, _, _ := strings.Cut(imported, "/")
	return r.thirdParty || !strings.Contains(first, ".") && imported != "C"
}

// An arrow is one import of one file.
type arrow struct {
	file     string
	pkg      string // path below the module
	imported string
}

// arrows reads the imports of all Go files below root that are not tests,
// whatever system they are for.
func arrows(root fs.FS) ([]arrow, error) {
	var found []arrow
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			return skipFolder(root, name)
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		source, err := fs.ReadFile(root, name)
		if err != nil {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
			found = append(found, arrow{name, path.Dir(name), imported})
		}
		return nil
	})
	return found, err
}

// skipFolder leaves out what the go command leaves out: hidden folders, test
// data, what npm installs, and other modules.
func skipFolder(root fs.FS, name string) error {
	if name == "." {
		return nil
	}
	base := path.Base(name)
	if strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || base == "testdata" || base == "node_modules" {
		return fs.SkipDir
	}
	if _, err := fs.Stat(root, path.Join(name, "go.mod")); err == nil {
		return fs.SkipDir
	}
	return nil
}

// check returns a sentence for every arrow that no rule allows.
func check(arrows []arrow) []string {
	var wrong []string
	for _, a := range arrows {
		r, ok := rulesFor(a.pkg)
		switch {
		case !ok:
			wrong = append(wrong, fmt.Sprintf("%s: no rule says what package %s may import", a.file, a.pkg))
		case !r.allows(a.imported):
			wrong = append(wrong, fmt.Sprintf("%s: package %s must not import %s", a.file, a.pkg, a.imported))
		}
	}
	return wrong
}

// moduleRoot is the folder of go.mod.
func moduleRoot(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		up := filepath.Dir(dir)
		if up == dir {
			t.Fatal("no go.mod above the test")
		}
		dir = up
	}
}

func TestArrowsPointDownwards(t *testing.T) {
	found, err := arrows(os.DirFS(moduleRoot(t)))
	if err != nil {
		t.Fatal(err)
	}
	seen := make(map[string]bool)
	for _, a := range found {
		seen[a.pkg] = true
	}
	for _, pkg := range []string{".", "sqlite", "internal/porttest"} {
		if !seen[pkg] {
			t.Errorf("no imports of package %s were found: the tree was not read", pkg)
		}
	}
	for _, sentence := range check(found) {
		t.Error(sentence)
	}
}
