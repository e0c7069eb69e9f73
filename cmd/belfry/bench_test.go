package main

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"belfry/load"
)

// bench runs the command for a moment against a process and returns its exit code and what it writes.
func (p *process) bench(args ...string) (code int, stdout, stderr string) {
	p.t.Helper()
	var out, errs strings.Builder
	args = append(args, "--url", "http://"+p.public, "--push", "http://"+p.push, "--server-pid", strconv.Itoa(p.cmd.Process.Pid),
		"--pages", "10", "--companies", "2", "--duration", "300ms", "--warm-up", "50ms", "--verify")
	code = run(append([]string{"bench"}, args...), &out, &errs)
	return code, out.String(), errs.String()
}

func TestBenchMeasuresAServerThatRuns(t *testing.T) {
	for name, serve := range map[string][]string{"with secrets": nil, "in development": {"--dev"}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			p := launch(t, append([]string{"serve", "--data", dir}, serve...)...)
			code, stdout, stderr := p.bench("mixed", "--data", dir, "--transport", "mixed", "--revision", "mixed", "--stored")
			if code != 0 || !strings.Contains(stdout, "10 of 10 pages") || !strings.Contains(stdout, "0 faults") {
				t.Errorf("exit code %d:\n%s%s", code, stdout, stderr)
			}
			code, stdout, stderr = p.bench("fanout", "--data", dir, "--json")
			var r load.Report
			if err := json.Unmarshal([]byte(stdout), &r); err != nil || code != 0 || stderr != "" {
				t.Fatalf("exit code %d, %v:\n%s%s", code, err, stdout, stderr)
			}
			if r.Connect.Opened != 10 || r.Deliveries.Count != 5*r.Pushes.OK || r.Server == nil || r.Verify.Faults > 0 || len(r.Errors) > 0 {
				t.Errorf("the report is %s", stdout)
			}
		})
	}
}

func TestBenchFailsWhereNoPageCanLogIn(t *testing.T) {
	p := launch(t, "serve", "--data", t.TempDir())
	code, stdout, stderr := p.bench("idle", "--data", t.TempDir())
	if code != 1 || !strings.Contains(stderr, "no page could log in") || !strings.Contains(stdout, "login refused") {
		t.Errorf("exit code %d:\n%s%s", code, stdout, stderr)
	}
}

func TestTheVerdictOfBench(t *testing.T) {
	report := func(opened, away int, faults uint64) *load.Report {
		return &load.Report{Connect: load.ConnectReport{Opened: opened}, Life: load.LifeReport{Away: away}, Verify: &load.VerifyReport{Faults: faults}}
	}
	interrupted := report(0, 5, 0)
	interrupted.Interrupted = true
	for _, tt := range []struct {
		name   string
		verify bool
		report *load.Report
		fails  bool
	}{
		{"all is well", true, report(5, 0, 0), false},
		{"no page got in", false, report(0, 5, 0), true},
		{"there were faults", true, report(5, 0, 1), true},
		{"a page did not come back", true, report(5, 1, 0), true},
		{"a page did not come back, and nobody asked", false, report(5, 1, 0), false},
		{"it was interrupted", true, interrupted, false},
	} {
		if err := (&benchCmd{Verify: tt.verify}).verdict(tt.report); (err != nil) != tt.fails {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

func TestBenchRefusesWhatMakesNoSense(t *testing.T) {
	for _, args := range [][]string{{"fanout", "--pages", "0"}, {"fanout", "--slow", "2"}, {"fanout", "--url", "localhost"}, {"everything"}} {
		var out, errs strings.Builder
		if code := run(append([]string{"bench"}, args...), &out, &errs); code == 0 || errs.Len() == 0 {
			t.Errorf("%q: exit code %d, %q", args, code, errs.String())
		}
	}
}
