package web

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
)

func TestChoose(t *testing.T) {
	tests := []struct {
		name  string
		dist  fs.FS
		built bool
		says  string
	}{
		{
			name:  "a fresh checkout gets the page that says how to build",
			dist:  fstest.MapFS{"dist/.gitkeep": {}},
			built: false,
			says:  "make web",
		},
		{
			name:  "a build that broke off before its page counts as none",
			dist:  fstest.MapFS{"dist/demo/assets/index.js": {}},
			built: false,
			says:  "make web",
		},
		{
			name:  "a finished build is served",
			dist:  fstest.MapFS{"dist/demo/index.html": {Data: []byte("the demo")}},
			built: true,
			says:  "the demo",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			files, built := choose(test.dist)
			if built != test.built {
				t.Errorf("built = %v, want %v", built, test.built)
			}
			page, err := fs.ReadFile(files, "index.html")
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(string(page), test.says) {
				t.Errorf("index.html does not say %q:\n%s", test.says, page)
			}
		})
	}
}

func TestDemoHasAPageWhetherBuiltOrNot(t *testing.T) {
	files, _ := Demo()
	if _, err := fs.Stat(files, "index.html"); err != nil {
		t.Error(err)
	}
}
