package main

import (
	"bytes"
	"fmt"
	"strings"
)

// markdown is the text with the tables.
func (c *comparison) markdown() []byte {
	var b bytes.Buffer
	m := &c.machine
	fmt.Fprintf(&b, "%s, on %d cores of an %s, %s, %s. Medians of %d rounds.\n\n", m.Date[:10], m.Cores, m.CPU, m.Kernel, m.Go, m.Rounds)
	c.overview(&b)
	b.WriteString("\n![What each server does in a second](plots/peers-rates.svg)\n\n![What each thing costs in processor time](plots/peers-costs.svg)\n\n")
	c.details(&b)
	c.commands(&b)
	return b.Bytes()
}

// overview has a row for each server, as people compare them.
func (c *comparison) overview(b *bytes.Buffer) {
	b.WriteString("| server |")
	for _, group := range c.groups {
		m := group[0].metric
		unit := m.rate
		if m.perUnit != "" {
			unit += " (µs)"
		}
		fmt.Fprintf(b, " %s: %s |", m.column, unit)
	}
	b.WriteString("\n|" + strings.Repeat("---|", len(c.groups)+1) + "\n")
	for _, peer := range c.peers {
		fmt.Fprintf(b, "| %s |", c.title(peer))
		for _, group := range c.groups {
			b.WriteString(" " + cell(group, peer) + " |")
		}
		b.WriteString("\n")
	}
	b.WriteString("\nIn brackets: processor time of the server for each delivery, push or login.\n")
}

// cell is what a group says of a peer; the best is set in bold.
func cell(group []figure, peer string) string {
	best := &group[0]
	var own *figure
	for i := range group {
		f := &group[i]
		if f.peer == peer {
			own = f
		}
		if f.metric.less == (f.value.median < best.value.median) && f.value.median != best.value.median {
			best = f
		}
	}
	if own == nil {
		return "-"
	}
	text := rounded(own.value.median)
	if own.bound() {
		text += "†"
	}
	if own == best {
		text = "**" + text + "**"
	}
	if own.metric.cost != nil {
		text += fmt.Sprintf(" (%s)", micros(own.cost.median))
	}
	return text
}

// title is the name and version of a peer.
func (c *comparison) title(peer string) string {
	version := c.machine.Versions[peer]
	if peer == "belfry" {
		return "belfry" // of this repository
	}
	return titles[peer] + " " + strings.TrimPrefix(version, "v")
}

// details has a row for each server and load.
func (c *comparison) details(b *bytes.Buffer) {
	b.WriteString("| load | server | median | rounds | CPU µs | p50 ms | p99 ms | server busy | generator busy |\n|---|---|---|---|---|---|---|---|---|\n")
	var wrong []string
	for _, group := range c.groups {
		for i, f := range group {
			name := ""
			if i == 0 {
				name = f.metric.column + ", " + f.metric.rate
			}
			mark := ""
			if f.bound() {
				mark = "†"
			}
			cost := ""
			if f.metric.cost != nil {
				cost = micros(f.cost.median)
			}
			fmt.Fprintf(b, "| %s | %s | %s%s | %s to %s | %s | %s | %s | %.2f | %.2f |\n", name, titles[f.peer], rounded(f.value.median), mark,
				rounded(f.value.min), rounded(f.value.max), cost, micros(f.p50), micros(f.p99), f.server, f.generator)
			for _, w := range f.wrong {
				wrong = append(wrong, fmt.Sprintf("%s, %s, %s", titles[f.peer], f.metric.column, w))
			}
		}
	}
	b.WriteString("\np50 and p99 are from push to receipt; of storm and idle, of a login. Busy: cores, of one.")
	if c.anyBound() {
		b.WriteString(" †: the load generator's core was full and the server's was not; the server could do more.")
	}
	if len(wrong) == 0 {
		b.WriteString("\nNothing was lost, doubled or out of order in any run, and every page was let in and stayed.\n\n")
		return
	}
	b.WriteString("\nWhat went wrong:\n\n")
	for _, w := range wrong {
		b.WriteString("* " + w + "\n")
	}
	b.WriteString("\n")
}

// anyBound reports whether the generator was the bound of any figure.
func (c *comparison) anyBound() bool {
	for _, group := range c.groups {
		for i := range group {
			if group[i].bound() {
				return true
			}
		}
	}
	return false
}

// commands lists what was run.
func (c *comparison) commands(b *bytes.Buffer) {
	b.WriteString("The generator's commands (addresses left out; for centrifuge `load` stands in for `belfry bench`):\n\n```sh\n")
	for _, group := range c.groups {
		for _, r := range c.runs {
			if r.Load == group[0].metric.load && r.Peer == group[0].peer {
				b.WriteString(r.Command + "\n")
				break
			}
		}
	}
	b.WriteString("```\n\n")
	var others []float64
	for _, r := range c.runs {
		others = append(others, r.Others)
	}
	s := spreadOf(others)
	fmt.Fprintf(b, "Meanwhile other processes used %.2f cores in the median, %.2f at most.\n", s.median, s.max)
}
