package main

import (
	"bytes"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
)

// A peer is a server that is compared.
type peer struct {
	name      string
	version   func(p paths) (string, error)
	server    func(p paths, a addresses) []string // the command; it leaves its files in a.dir
	generator func(p paths) []string              // the command up to the scenario
	extra     []string                            // arguments of the generator
}

// paths are where things are.
type paths struct {
	bin   string // of the Go programs
	bench string // this module
}

// addresses are where a server listens, host:port, and a directory for its files.
type addresses struct{ pages, backends, dir string }

// peers are the servers, each with the settings that its documentation recommends for
// production. Nobody checks tokens or keys.
var peers = []peer{
	{
		name:    "belfry",
		version: func(p paths) (string, error) { return output(filepath.Join(p.bin, "belfry"), "version") },
		server: func(p paths, a addresses) []string {
			return []string{filepath.Join(p.bin, "belfry"), "serve", "--dev", "--listen", a.pages, "--push-listen", a.backends, "--data", a.dir}
		},
		generator: belfryBench, extra: []string{"--dev"},
	},
	{
		name: "socketio",
		version: func(p paths) (string, error) {
			return output("node", "-p", fmt.Sprintf("require(%q).version + ' on Node ' + process.versions.node", filepath.Join(p.bench, "socketio/node_modules/socket.io/package.json")))
		},
		server: func(p paths, a addresses) []string {
			return []string{"env", "NODE_ENV=production", "node", filepath.Join(p.bench, "socketio/app.mjs"), a.pages, a.backends}
		},
		generator: belfryBench, extra: []string{"--dev"},
	},
	{
		name: "centrifuge",
		version: func(p paths) (string, error) {
			return output("go", "-C", p.bench, "list", "-m", "-f", "{{.Version}}", "github.com/centrifugal/centrifuge")
		},
		server: func(p paths, a addresses) []string {
			return []string{filepath.Join(p.bin, "centrifuge"), a.pages, a.backends}
		},
		generator: func(p paths) []string { return []string{filepath.Join(p.bin, "load")} },
	},
}

func belfryBench(p paths) []string { return []string{filepath.Join(p.bin, "belfry"), "bench"} }

func output(name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, stderr.String())
	}
	return strings.TrimSpace(string(out)), nil
}
