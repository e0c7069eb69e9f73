package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"
)

// build builds the programs, and returns a plan that measures for a moment.
func build(t *testing.T) *plan {
	t.Helper()
	if _, err := os.Stat("../socketio/node_modules/socket.io"); err != nil {
		t.Fatal("run npm ci in bench/socketio first: ", err)
	}
	bench, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	p := &plan{paths: paths{bin: t.TempDir(), bench: bench}, rounds: 1, loadCore: runtime.NumCPU() - 1}
	for dir, pkg := range map[string][]string{"..": {"./centrifuge", "./load"}, "../..": {"./cmd/belfry"}} {
		cmd := exec.Command("go", append([]string{"build", "-o", p.bin + "/"}, pkg...)...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	return p
}

func TestEveryServerCarriesEveryScenarioAndLeavesNothing(t *testing.T) {
	p := build(t)
	t.Setenv("TMPDIR", t.TempDir())
	for _, who := range peers {
		for _, scenario := range []string{"fanout", "unicast", "storm", "idle"} {
			t.Run(who.name+" "+scenario, func(t *testing.T) {
				l := loadSpec{
					name: scenario, scenario: scenario, flags: []string{"--pages", "40", "--ahead", "4"},
					duration: 300 * time.Millisecond, warmUp: 50 * time.Millisecond,
				}
				if scenario == "storm" {
					l.rehearsal = 10
				}
				silent := scenario == "storm" || scenario == "idle"
				r, err := p.measure(t.Context(), &who, &l)
				// While the machine stands still, a short run pushes nothing, and pages do not get in time what was pushed.
				for try := 0; err == nil && try < 4 && (r.Report.Pushes.OK == 0 && !silent || r.Report.Pushes.Stalled > 0); try++ {
					l.duration *= 2
					r, err = p.measure(t.Context(), &who, &l)
				}
				if err != nil {
					t.Fatal(err)
				}
				if wrong := r.Wrong(); wrong != "" || r.Report.Connect.Opened != 40 || r.Report.Verify == nil || r.Report.Server.MemoryIdle == 0 {
					t.Errorf("%s: %+v", wrong, r.Report)
				}
				deliveries := map[string]uint64{"fanout": 40, "unicast": 1}[scenario] * r.Report.Pushes.OK
				if r.Report.Deliveries.Count != deliveries || (deliveries == 0) != silent {
					t.Errorf("%d pushes were delivered %d times", r.Report.Pushes.OK, r.Report.Deliveries.Count)
				}
				if strings.Contains(r.Command, p.bin) || strings.Contains(r.Command, "127.0.0.1") {
					t.Errorf("the command %q is of this machine alone", r.Command)
				}
			})
		}
		t.Run(who.name+" interrupted", func(t *testing.T) { interrupted(t, p, who) })
		if version, err := who.version(p.paths); err != nil || version == "" {
			t.Errorf("%s has version %q, %v", who.name, version, err)
		}
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("%v, %v are left", err, left)
	}
}

func TestAServerThatDoesNotStartSaysWhy(t *testing.T) {
	p := &plan{}
	who := peer{name: "broken", server: func(paths, addresses) []string { return []string{"sh", "-c", "echo no such thing; exit 1"} }}
	if _, err := p.measure(t.Context(), &who, &loads[0]); err == nil || !strings.Contains(err.Error(), "no such thing") {
		t.Error(err)
	}
}

// interrupted measures a server, and is told to end when the generator is to begin.
func interrupted(t *testing.T, p *plan, who peer) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	generator := who.generator
	who.generator = func(p paths) []string {
		cancel()
		return generator(p)
	}
	l := loadSpec{name: "idle", scenario: "idle", flags: []string{"--pages", "5"}, duration: time.Hour}
	if _, err := p.measure(ctx, &who, &l); err == nil {
		t.Error("no error")
	}
}

func TestPeersAndLoadsAreChosenByName(t *testing.T) {
	for only, want := range map[string][2]int{"": {len(peers), len(loads)}, "belfry": {1, len(loads)}, "fanout": {len(peers), 3}, "centrifuge,storm,idle-10000": {1, 2}} {
		somePeers, someLoads, err := (&plan{only: only}).choose()
		if err != nil || len(somePeers) != want[0] || len(someLoads) != want[1] {
			t.Errorf("%q: %d peers, %d loads, %v", only, len(somePeers), len(someLoads), err)
		}
	}
	if _, _, err := (&plan{only: "belfy"}).choose(); err == nil {
		t.Error("a name that is none is no error")
	}
}
