// Package result is what a comparison writes down: a file of JSON lines, the first about the
// machine, one for each run after it.
package result

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"belfry/load"
)

// A Machine is where it ran, and what.
type Machine struct {
	Date     string            `json:"date"` // RFC 3339
	CPU      string            `json:"cpu"`
	Cores    int               `json:"cores"`
	Kernel   string            `json:"kernel"`
	Go       string            `json:"go"`
	Rounds   int               `json:"rounds"`
	Versions map[string]string `json:"versions"` // of the peers, by name
}

// A Run is one load on one peer.
type Run struct {
	Peer    string `json:"peer"`
	Load    string `json:"load"`
	Round   int    `json:"round"` // from 1
	Place   int    `json:"place"` // of the peer in the round, from 1
	Command string `json:"command"`
	// Others is how many cores other processes kept busy meanwhile.
	Others float64      `json:"others"`
	Report *load.Report `json:"report"`
}

// A line is a line of the file.
type line struct {
	Machine *Machine `json:"machine,omitempty"`
	Run     *Run     `json:"run,omitempty"`
}

// A Writer writes a file.
type Writer struct{ enc *json.Encoder }

// NewWriter begins a file.
func NewWriter(w io.Writer, m Machine) (*Writer, error) {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return &Writer{enc}, enc.Encode(line{Machine: &m})
}

// Write adds a run.
func (w *Writer) Write(r Run) error { return w.enc.Encode(line{Run: &r}) }

// Read reads a file.
func Read(r io.Reader) (m Machine, runs []Run, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		var l line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return m, nil, fmt.Errorf("line %d: %w", n, err)
		}
		switch {
		case l.Machine != nil:
			m = *l.Machine
		case l.Run != nil && l.Run.Report != nil:
			runs = append(runs, *l.Run)
		default:
			return m, nil, fmt.Errorf("line %d holds neither a machine nor a run", n)
		}
	}
	return m, runs, lines.Err()
}

// Wrong says what did not go as it should: faults, pages that were not let in or were disconnected, pushes
// that were not done. It is empty where all is well.
func (r *Run) Wrong() string {
	var wrong []string
	for _, c := range []struct {
		n    uint64
		what string
	}{
		{r.faults(), "faults"},
		{r.Report.Connect.Failures, "failed logins"},
		{r.Report.Life.Disconnected, "disconnected"},
		{uint64(r.Report.Life.Away), "away at the end"},
		{r.Report.Pushes.Failed + r.Report.Pushes.Refused, "failed pushes"},
		{r.Report.Pushes.Offline, "pushes to nobody"},
		{r.Report.Pushes.Stalled, "pushes that did not reach all in time"},
	} {
		if c.n > 0 {
			wrong = append(wrong, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	return strings.Join(wrong, ", ")
}

func (r *Run) faults() uint64 {
	if r.Report.Verify == nil {
		return 0
	}
	return r.Report.Verify.Faults
}

// IdleBytes is how much the server's resident memory has grown for each page by the end of the run.
func (r *Run) IdleBytes() float64 {
	s := r.Report.Server
	return float64(s.MemoryBusy-s.MemoryBefore) / float64(r.Report.Pages)
}
