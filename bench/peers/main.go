// Peers puts the same loads on belfry and on other servers, in turns, and writes what comes out as
// JSON lines. The server has one core and the load generator another. It is started by bench/run, which
// builds what it needs.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"belfry/bench/result"
)

// A plan is what to run.
type plan struct {
	paths
	out        string
	rounds     int
	quick      bool
	only       string // peers and loads, separated by commas; empty for all
	serverCore int
	loadCore   int
}

func main() {
	log.SetFlags(0)
	p := plan{}
	flag.StringVar(&p.bin, "bin", "", "directory of the built programs")
	flag.StringVar(&p.bench, "bench", ".", "directory of this module")
	flag.StringVar(&p.out, "out", "", "file for the results")
	flag.IntVar(&p.rounds, "rounds", 3, "how often everything runs")
	flag.BoolVar(&p.quick, "quick", false, "measure for a second each, to try it out")
	flag.StringVar(&p.only, "only", "", "names of peers and loads, separated by commas; default: all")
	flag.IntVar(&p.serverCore, "server-core", 0, "core of the server")
	flag.IntVar(&p.loadCore, "load-core", 1, "core of the load generator")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := p.run(ctx); err != nil {
		log.Fatal(err)
	}
}

// run runs the plan. A run that goes wrong stops it: a comparison with holes is none.
func (p *plan) run(ctx context.Context) error {
	chosenPeers, chosenLoads, err := p.choose()
	if err != nil {
		return err
	}
	if runtime.NumCPU() < 2 || p.serverCore == p.loadCore {
		return errors.New("server and load generator need a core each")
	}
	machine, err := p.machine(chosenPeers)
	if err != nil {
		return err
	}
	file, err := os.Create(p.out)
	if err != nil {
		return err
	}
	defer file.Close()
	results, err := result.NewWriter(file, machine)
	if err != nil {
		return err
	}
	began := time.Now()
	for round := 1; round <= p.rounds; round++ {
		for n, l := range chosenLoads {
			for place := range chosenPeers {
				// Another begins in every round, and with every load.
				who := chosenPeers[(place+round+n)%len(chosenPeers)]
				r, err := p.measure(ctx, &who, &l)
				if err != nil {
					return fmt.Errorf("%s, %s: %w", who.name, l.name, err)
				}
				r.Load, r.Round, r.Place = l.name, round, place+1
				if err := results.Write(r); err != nil {
					return err
				}
				log.Printf("%4.0fs  round %d  %-18s  %-10s  %s", time.Since(began).Seconds(), round, l.name, who.name, summary(&r))
			}
		}
	}
	return file.Close()
}

// choose returns the peers and loads that were asked for.
func (p *plan) choose() ([]peer, []loadSpec, error) {
	asked := strings.FieldsFunc(p.only, func(r rune) bool { return r == ',' })
	known := 0
	pick := func(name string) bool {
		found := slices.Contains(asked, name)
		if found {
			known++
		}
		return found
	}
	var somePeers []peer
	for _, c := range peers {
		if pick(c.name) {
			somePeers = append(somePeers, c)
		}
	}
	var someLoads []loadSpec
	for _, l := range loads {
		if pick(l.name) || pick(l.scenario) {
			someLoads = append(someLoads, l)
		}
	}
	if len(somePeers) == 0 {
		somePeers = peers
	}
	if len(someLoads) == 0 {
		someLoads = loads
	}
	if known < len(asked) {
		return nil, nil, fmt.Errorf("%q names what is neither a peer nor a load", p.only)
	}
	return somePeers, someLoads, nil
}

// summary is a line for whoever waits.
func summary(r *result.Run) string {
	if wrong := r.Wrong(); wrong != "" {
		return wrong
	}
	switch r.Report.Scenario {
	case "storm":
		return fmt.Sprintf("%.0f logins/s", r.Report.Connect.PerSecond)
	case "idle":
		return fmt.Sprintf("%.0f bytes a page", r.IdleBytes())
	case "unicast":
		return fmt.Sprintf("%.0f pushes/s, %.1f µs", r.Report.Pushes.PerSecond, r.Report.Server.CPUPerMillion)
	}
	return fmt.Sprintf("%.0f deliveries/s, %.2f µs", r.Report.Deliveries.PerSecond, r.Report.Server.CPUPerMillion)
}

// machine says where this runs.
func (p *plan) machine(who []peer) (result.Machine, error) {
	m := result.Machine{
		Date: time.Now().UTC().Format(time.RFC3339), CPU: cpuModel(), Cores: runtime.NumCPU(), Kernel: kernel(),
		Go: runtime.Version(), Rounds: p.rounds, Versions: map[string]string{},
	}
	for _, c := range who {
		version, err := c.version(p.paths)
		if err != nil {
			return m, err
		}
		m.Versions[c.name] = version
	}
	return m, nil
}

func cpuModel() string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return runtime.GOARCH
}

func kernel() string {
	release, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return "Linux " + strings.TrimSpace(string(release))
}

// program shortens the path of a program in a command that is shown.
func program(path string) string { return filepath.Base(path) }
