package main

import (
	"fmt"
	"slices"
	"strings"

	"belfry/bench/result"
)

// A metric is what a load says of a server: a rate, or bytes, and the processor time behind it.
type metric struct {
	load    string
	title   string // of a plot
	column  string // of the table
	rate    string // what is counted
	less    bool   // less is better
	perUnit string // what the CPU time is for; empty for none
	value   func(*result.Run) float64
	cost    func(*result.Run) float64 // in µs
	busy    func(*result.Run) (server, generator float64)
}

var metrics = []metric{
	fanout("fanout-1000-ahead", "Fan-out to 1,000 pages, publisher 8 ahead", "fan-out, 1,000 pages, 8 ahead"),
	fanout("fanout-10000-ahead", "Fan-out to 10,000 pages, publisher 8 ahead", "fan-out, 10,000 pages, 8 ahead"),
	fanout("fanout-1000-single", "Fan-out to 1,000 pages, one publication at a time", "fan-out, 1,000 pages, one at a time"),
	{
		load: "unicast-10000", title: "Messages to single users, 10,000 pages, 32 callers", column: "unicast", rate: "pushes a second", perUnit: "a push",
		value: func(r *result.Run) float64 { return r.Report.Pushes.PerSecond },
		cost: func(r *result.Run) float64 {
			return r.Report.Server.CPUSeconds / (r.Report.Pushes.PerSecond * r.Report.Seconds) * 1e6
		},
		busy: measured,
	},
	{
		load: "storm-10000", title: "10,000 pages connect and log in", column: "storm", rate: "logins a second", perUnit: "a login",
		value: func(r *result.Run) float64 { return r.Report.Connect.PerSecond },
		cost: func(r *result.Run) float64 {
			return r.Report.Server.CPUConnecting / float64(r.Report.Connect.Opened) * 1e6
		},
		busy: func(r *result.Run) (server, generator float64) {
			return r.Report.Server.CPUConnecting / r.Report.Connect.Seconds, r.Report.Generator.CPUConnecting / r.Report.Connect.Seconds
		},
	},
	{
		load: "idle-10000", title: "Memory of an idle page, 10,000 logged in", column: "idle", rate: "bytes a page", less: true,
		value: (*result.Run).IdleBytes, busy: measured,
	},
}

func fanout(load, title, column string) metric {
	return metric{
		load: load, title: title, column: column, rate: "deliveries a second", perUnit: "a delivery",
		value: func(r *result.Run) float64 { return r.Report.Deliveries.PerSecond },
		cost:  func(r *result.Run) float64 { return r.Report.Server.CPUPerMillion },
		busy:  measured,
	}
}

// measured is how busy both were while the load was measured, in cores.
func measured(r *result.Run) (server, generator float64) {
	return r.Report.Server.CPUCores, r.Report.Generator.CPUCores
}

// A spread is the median of some numbers, and their range.
type spread struct{ median, min, max float64 }

func spreadOf(values []float64) spread {
	slices.Sort(values)
	n := len(values)
	return spread{(values[(n-1)/2] + values[n/2]) / 2, values[0], values[n-1]}
}

// A figure is what one load has said of one server.
type figure struct {
	metric            *metric
	peer              string
	rounds            int
	value, cost       spread
	p50, p99          float64 // ms to receipt, or of a login
	server, generator float64 // cores that were busy
	wrong             []string
}

// bound reports whether the load generator had no more to give while the server had.
func (f *figure) bound() bool { return f.generator > 0.93 && f.server < 0.9 }

// figures are those of a metric, one for each of the peers that were measured, in their order.
func figures(m *metric, peers []string, runs []result.Run) []figure {
	var all []figure
	for _, peer := range peers {
		var values, costs, p50s, p99s, servers, generators []float64
		f := figure{metric: m, peer: peer}
		for i := range runs {
			r := &runs[i]
			if r.Peer != peer || r.Load != m.load {
				continue
			}
			values = append(values, m.value(r))
			if m.cost != nil {
				costs = append(costs, m.cost(r))
			}
			latency := r.Report.Deliveries.Latency
			if latency.Count == 0 {
				latency = r.Report.Connect.Login
			}
			p50s, p99s = append(p50s, latency.P50), append(p99s, latency.P99)
			server, generator := m.busy(r)
			servers, generators = append(servers, server), append(generators, generator)
			if wrong := r.Wrong(); wrong != "" {
				f.wrong = append(f.wrong, fmt.Sprintf("round %d: %s", r.Round, wrong))
			}
		}
		if f.rounds = len(values); f.rounds == 0 {
			continue
		}
		f.value = spreadOf(values)
		if len(costs) > 0 {
			f.cost = spreadOf(costs)
		}
		f.p50, f.p99 = spreadOf(p50s).median, spreadOf(p99s).median
		f.server, f.generator = spreadOf(servers).median, spreadOf(generators).median
		all = append(all, f)
	}
	return all
}

// rounded writes a number with three digits, and commas.
func rounded(x float64) string {
	unit := 1.0
	for x/unit >= 1000 {
		unit *= 10
	}
	return commas(int64(x/unit+0.5) * int64(unit))
}

func commas(n int64) string {
	s := fmt.Sprint(n)
	var parts []string
	for len(s) > 3 {
		parts = append([]string{s[len(s)-3:]}, parts...)
		s = s[:len(s)-3]
	}
	return strings.Join(append([]string{s}, parts...), ",")
}

// micros writes a number of µs: two digits below 10, none after the point beyond 100.
func micros(x float64) string {
	switch {
	case x < 10:
		return fmt.Sprintf("%.2f", x)
	case x < 100:
		return fmt.Sprintf("%.1f", x)
	}
	return fmt.Sprintf("%.0f", x)
}
