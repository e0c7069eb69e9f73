package load

import (
	"fmt"
	"io"
	"math"
	"text/tabwriter"
)

// A Report is what a run has measured. Rates are per second, latencies in milliseconds.
type Report struct {
	Scenario    Scenario         `json:"scenario"`
	Pages       int              `json:"pages"`
	Companies   int              `json:"companies"`
	Users       int              `json:"users"`
	Polling     float64          `json:"polling"`
	Revision4   float64          `json:"revision4"`
	Rate        float64          `json:"rate"`
	Callers     int              `json:"callers"`
	Size        int              `json:"size"`
	Stored      bool             `json:"stored"`
	Interrupted bool             `json:"interrupted"`
	Seconds     float64          `json:"seconds"` // that were measured, after the warm-up
	Connect     ConnectReport    `json:"connect"`
	Pushes      PushReport       `json:"pushes"`
	Deliveries  DeliveryReport   `json:"deliveries"`
	Life        LifeReport       `json:"life"`
	Verify      *VerifyReport    `json:"verify,omitempty"`
	Server      *ServerReport    `json:"server,omitempty"`
	Generator   *GeneratorReport `json:"generator,omitempty"`
	Capacity    *Capacity        `json:"capacity,omitempty"`
	Errors      []Trouble        `json:"errors"`
}

// A ConnectReport tells of the first logins: from the beginning of a connection to the welcome.
type ConnectReport struct {
	Opened    int       `json:"opened"` // pages that were open at least once
	Failures  uint64    `json:"failures"`
	Seconds   float64   `json:"seconds"`
	PerSecond float64   `json:"perSecond"`
	Login     Latencies `json:"login"`
}

// A PushReport tells of what callers pushed. Counts are of the whole run, the rate and
// latencies of what was measured.
type PushReport struct {
	Count     uint64    `json:"count"`
	OK        uint64    `json:"ok"`
	Offline   uint64    `json:"offline"`
	Refused   uint64    `json:"refused"`
	Failed    uint64    `json:"failed"` // without an answer
	Behind    int64     `json:"behind"` // due and not pushed at the end, because all callers were busy
	Stalled   uint64    `json:"stalled"`
	PerSecond float64   `json:"perSecond"`
	Answer    Latencies `json:"answer"` // from when it was to be pushed to the answer
	Lag       Latencies `json:"lag"`    // from when it was to be pushed to when it was
}

// A DeliveryReport tells of what pages got.
type DeliveryReport struct {
	Count     uint64  `json:"count"`
	CaughtUp  uint64  `json:"caughtUp"` // of Count: while the page logged in, mostly what it had missed
	PerSecond float64 `json:"perSecond"`
	// Latency is from when it was to be pushed to receipt, of the pages that are not slow, without
	// what they caught up with.
	Latency Latencies `json:"latency"`
}

// A LifeReport tells how pages came and went after they were first open.
type LifeReport struct {
	Left             uint64 `json:"left"`             // by themselves
	Disconnected     uint64 `json:"disconnected"`     // by the server, slow pages left aside
	SlowDisconnected uint64 `json:"slowDisconnected"` // slow pages, by the server
	Resumed          uint64 `json:"resumed"`
	NotResumed       uint64 `json:"notResumed"` // asked for what they had missed and were not told
	Away             int    `json:"away"`       // at the end
	Heartbeats       uint64 `json:"heartbeats"`
}

// A VerifyReport is the verdict; see the package documentation for the words.
type VerifyReport struct {
	Faults       uint64   `json:"faults"`
	Lost         uint64   `json:"lost"`
	Doubled      uint64   `json:"doubled"`
	OutOfOrder   uint64   `json:"outOfOrder"`
	Misdelivered uint64   `json:"misdelivered"`
	Unknown      uint64   `json:"unknown"`
	First        []string `json:"first,omitempty"`
}

// A ServerReport tells what the server's process used.
type ServerReport struct {
	MemoryBefore  int64   `json:"memoryBefore"` // bytes, without pages
	MemoryIdle    int64   `json:"memoryIdle"`   // when all pages were open
	MemoryBusy    int64   `json:"memoryBusy"`   // at the end
	BytesPerPage  float64 `json:"bytesPerPage"`
	CPUConnecting float64 `json:"cpuConnecting"` // seconds
	CPUSeconds    float64 `json:"cpuSeconds"`    // while it was measured
	CPUCores      float64 `json:"cpuCores"`      // cores that were busy
	// CPUPerMillion is CPU seconds for a million deliveries; 0 where there were none.
	CPUPerMillion float64 `json:"cpuPerMillionDeliveries"`
}

// A GeneratorReport tells what the generator itself used.
type GeneratorReport struct {
	CPUConnecting float64 `json:"cpuConnecting"` // seconds
	CPUSeconds    float64 `json:"cpuSeconds"`    // while it was measured
	CPUCores      float64 `json:"cpuCores"`      // cores that were busy
}

// report makes the report of a run whose pages have finished.
func (r *run) report(m *measurement) *Report {
	o, c := &r.o, &r.count
	seconds := m.measured.Seconds()
	per := func(n uint64) float64 {
		if seconds == 0 {
			return 0
		}
		return float64(n) / seconds
	}
	latency := new(histogram)
	var deliveries, measured, caughtUp, heartbeats uint64
	for _, t := range r.tallies {
		latency.take(&t.latency)
		caughtUp += t.caughtUp.Load()
		deliveries += t.deliveries.Load()
		measured += t.measured.Load()
		heartbeats += t.heartbeats.Load()
	}
	report := &Report{
		Scenario: o.Scenario, Pages: o.Pages, Companies: o.Companies, Users: len(r.users), Polling: o.Polling, Revision4: o.Revision4,
		Rate: o.Rate, Callers: len(r.callers), Size: o.Size, Stored: o.Stored, Interrupted: m.interrupted, Seconds: seconds,
		Connect: ConnectReport{
			Opened: m.opened, Failures: c.loginFailures.Load(), Seconds: m.connect.Seconds(),
			PerSecond: float64(m.opened) / m.connect.Seconds(), Login: c.login.latencies(),
		},
		Pushes: PushReport{
			Count: c.pushes.Load(), OK: c.ok.Load(), Offline: c.offline.Load(), Refused: c.refused.Load(), Failed: c.failed.Load(),
			Behind: m.behind, Stalled: c.stalled.Load(), PerSecond: per(c.measuredPushes.Load()),
			Answer: c.push.latencies(), Lag: c.lag.latencies(),
		},
		Deliveries: DeliveryReport{Count: deliveries, CaughtUp: caughtUp, PerSecond: per(measured), Latency: latency.latencies()},
		Life: LifeReport{
			Left: c.left.Load(), Disconnected: c.disconnected.Load(), SlowDisconnected: c.slowDisconnected.Load(),
			Resumed: c.resumed.Load(), NotResumed: c.notResumed.Load(), Away: m.away, Heartbeats: heartbeats,
		},
		Errors: r.troubles.list(),
	}
	if o.Verify {
		report.Verify = r.faults.report()
	}
	report.Server = m.server(o.Pages, measured)
	report.Generator = m.generator()
	if report.Server != nil {
		report.Capacity = capacity(report, newProcess(o.ServerPID).machine())
	}
	return report
}

func (f *faults) report() *VerifyReport {
	f.mu.Lock()
	defer f.mu.Unlock()
	return &VerifyReport{
		Faults: f.total(), Lost: f.lost.Load(), Doubled: f.doubled.Load(), OutOfOrder: f.reordered.Load(),
		Misdelivered: f.misdelivered.Load(), Unknown: f.unknown.Load(), First: f.first,
	}
}

// server is what the samples say of it, or nil.
func (m *measurement) server(pages int, deliveries uint64) *ServerReport {
	if !m.before.ok || !m.idle.ok {
		return nil
	}
	s := &ServerReport{
		MemoryBefore: m.before.rss, MemoryIdle: m.idle.rss, MemoryBusy: m.end.rss,
		BytesPerPage:  math.Round(float64(m.idle.rss-m.before.rss) / float64(pages)),
		CPUConnecting: m.idle.cpu - m.before.cpu,
	}
	if m.start.ok && m.end.ok && m.measured > 0 {
		s.CPUSeconds = m.end.cpu - m.start.cpu
		s.CPUCores = s.CPUSeconds / m.measured.Seconds()
		if deliveries > 0 {
			s.CPUPerMillion = s.CPUSeconds / float64(deliveries) * 1e6
		}
	}
	return s
}

// generator is what this process has used, or nil where the system does not tell.
func (m *measurement) generator() *GeneratorReport {
	if m.ownIdle == 0 {
		return nil
	}
	g := &GeneratorReport{CPUConnecting: m.ownIdle - m.ownBefore}
	if m.measured > 0 {
		g.CPUSeconds = m.ownEnd - m.ownStart
		g.CPUCores = g.CPUSeconds / m.measured.Seconds()
	}
	return g
}

// Print writes the report for people.
func (r *Report) Print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	line := func(name, format string, args ...any) { fmt.Fprintf(t, name+"\t"+format+"\n", args...) }
	if r.Interrupted {
		line("", "interrupted: what was measured until then")
	}
	line("connect", "%d of %d pages in %.2f s, %.0f/s; %d failures; login %s", r.Connect.Opened, r.Pages, r.Connect.Seconds, r.Connect.PerSecond, r.Connect.Failures, r.Connect.Login)
	if r.Pushes.Count > 0 {
		line("push", "%d, %.0f/s; %d ok, %d offline, %d refused, %d failed; answer %s", r.Pushes.Count, r.Pushes.PerSecond, r.Pushes.OK, r.Pushes.Offline, r.Pushes.Refused, r.Pushes.Failed, r.Pushes.Answer)
		line("deliver", "%d, %.0f/s, %d of them caught up; %s", r.Deliveries.Count, r.Deliveries.PerSecond, r.Deliveries.CaughtUp, r.Deliveries.Latency)
		if r.Rate > 0 {
			line("generator", "pushed late by %s; %d were due and not pushed", r.Pushes.Lag, r.Pushes.Behind)
		}
		if r.Pushes.Stalled > 0 {
			line("", "%d times a caller went on after %v though not all pages had its push", r.Pushes.Stalled, spreadTimeout)
		}
	}
	l := r.Life
	line("pages", "%d left; the server disconnected %d, and %d slow ones; %d resumed, %d not; %d away at the end; %d heartbeats", l.Left, l.Disconnected, l.SlowDisconnected, l.Resumed, l.NotResumed, l.Away, l.Heartbeats)
	r.printUse(line)
	for _, e := range r.Errors {
		line("error", "%d × %s", e.Count, e.What)
	}
	if v := r.Verify; v != nil {
		line("verify", "%d faults: %d lost, %d doubled, %d out of order, %d misdelivered, %d unknown", v.Faults, v.Lost, v.Doubled, v.OutOfOrder, v.Misdelivered, v.Unknown)
		for _, first := range v.First {
			line("", "%s", first)
		}
	}
	return t.Flush()
}

func (r *Report) printUse(line func(name, format string, args ...any)) {
	if s := r.Server; s != nil {
		line("memory", "%.1f MB without pages, %.1f MB with them, %.1f MB at the end: %.1f KB a page", mb(s.MemoryBefore), mb(s.MemoryIdle), mb(s.MemoryBusy), s.BytesPerPage/1000)
		line("server CPU", "%.2f s to connect; %.2f s measured, %.2f cores, %.2f s a million deliveries", s.CPUConnecting, s.CPUSeconds, s.CPUCores, s.CPUPerMillion)
	}
	if g := r.Generator; g != nil {
		line("own CPU", "%.2f s to connect; %.2f s measured, %.2f cores", g.CPUConnecting, g.CPUSeconds, g.CPUCores)
	}
	if c := r.Capacity; c != nil {
		line("capacity", "%s", c.Says)
	}
}

func mb(n int64) float64 { return float64(n) / 1e6 }

// String is a line of it.
func (l Latencies) String() string {
	if l.Count == 0 {
		return "-"
	}
	return fmt.Sprintf("p50 %.2f, p90 %.2f, p99 %.2f, p99.9 %.2f, max %.2f ms", l.P50, l.P90, l.P99, l.P999, l.Max)
}
