package main

import (
	"fmt"
	"time"
)

// A loadSpec is one load.
type loadSpec struct {
	name     string
	scenario string
	flags    []string // of the generator
	duration time.Duration
	warmUp   time.Duration
	// rehearsal is how many pages log in and leave before the measured run, so that the server
	// has run hot; 0 for none.
	rehearsal int
}

// size makes messages of about 200 bytes: with its frame, the article's fields and the stamp of the
// generator, what Node sends is 220 to 230.
const size = 60

// loads are what the servers are measured with. They run in this order.
var loads = []loadSpec{
	{name: "fanout-1000-ahead", scenario: "fanout", flags: []string{"--pages", "1000", "--ahead", "8"}, duration: 5 * time.Second, warmUp: 2 * time.Second},
	{name: "fanout-10000-ahead", scenario: "fanout", flags: []string{"--pages", "10000", "--ahead", "8"}, duration: 6 * time.Second, warmUp: 3 * time.Second},
	{name: "fanout-1000-single", scenario: "fanout", flags: []string{"--pages", "1000", "--ahead", "1"}, duration: 5 * time.Second, warmUp: 2 * time.Second},
	{name: "unicast-10000", scenario: "unicast", flags: []string{"--pages", "10000", "--callers", "32"}, duration: 5 * time.Second, warmUp: 2 * time.Second},
	{name: "storm-10000", scenario: "storm", flags: []string{"--pages", "10000"}, rehearsal: 1000},
	{name: "idle-10000", scenario: "idle", flags: []string{"--pages", "10000"}, duration: 10 * time.Second},
}

// args are the generator's arguments, addresses left aside; quick makes the run short.
func (l *loadSpec) args(quick bool) []string {
	duration, warmUp := l.duration, l.warmUp
	if quick {
		duration, warmUp = min(duration, time.Second), min(warmUp, 500*time.Millisecond)
	}
	args := append([]string{l.scenario}, l.flags...)
	if l.scenario != "storm" {
		args = append(args, "--duration", duration.String(), "--warm-up", warmUp.String())
	}
	return append(args, "--size", fmt.Sprint(size), "--verify", "--json")
}

// rehearse are the arguments of the run before.
func (l *loadSpec) rehearse() []string {
	return []string{"storm", "--pages", fmt.Sprint(l.rehearsal), "--json"}
}
