package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"belfry/internal/transfer"
)

// newReporter shows a bar where there is a terminal, and lines otherwise.
func newReporter(out *surroundings) transfer.Reporter {
	if file, ok := out.stderr.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		return &barReporter{lines: lineReporter{out: out.stdout}, bars: file}
	}
	return &lineReporter{out: out.stdout}
}

// lineEvery is the pause between the lines of one phase.
const lineEvery = 10 * time.Second

// A lineReporter writes lines.
type lineReporter struct {
	out         io.Writer
	phase       string
	kind        transfer.Kind
	total, done int64
	last        time.Time // when there was a line
}

// Begin implements [transfer.Reporter].
func (r *lineReporter) Begin(phase string, kind transfer.Kind, records int64) {
	r.phase, r.kind, r.total, r.done, r.last = phase, kind, records, 0, time.Now()
	if records > 0 {
		fmt.Fprintf(r.out, "%s %s: about %d records\n", phase, kind, records)
	}
}

// Add implements [transfer.Reporter].
func (r *lineReporter) Add(records int) {
	r.done += int64(records)
	if time.Since(r.last) >= lineEvery {
		r.last = time.Now()
		fmt.Fprintf(r.out, "%s %s: %d of about %d\n", r.phase, r.kind, r.done, r.total)
	}
}

// End implements [transfer.Reporter].
func (r *lineReporter) End(sum transfer.Sum) {
	if r.phase == "comparing" && sum.Records > 0 {
		fmt.Fprintf(r.out, "%s are the same in both: %v\n", r.kind, sum)
	}
}

// A barReporter shows a bar for each phase, and then what there is to say of it.
type barReporter struct {
	lines lineReporter
	bars  io.Writer
	bar   *progressbar.ProgressBar // nil where there is nothing to do
}

// Begin implements [transfer.Reporter].
func (r *barReporter) Begin(phase string, kind transfer.Kind, records int64) {
	r.lines.phase, r.lines.kind, r.lines.total, r.lines.done = phase, kind, records, 0
	if r.bar = nil; records > 0 {
		r.bar = progressbar.NewOptions64(records, progressbar.OptionSetWriter(r.bars), progressbar.OptionSetDescription(phase+" "+string(kind)),
			progressbar.OptionShowCount(), progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish())
	}
}

// Add implements [transfer.Reporter]. There may be more records than there were said to be.
func (r *barReporter) Add(records int) {
	r.lines.done += int64(records)
	if r.bar != nil {
		_ = r.bar.Set64(min(r.lines.done, r.lines.total)) // it fails where the terminal does
	}
}

// End implements [transfer.Reporter].
func (r *barReporter) End(sum transfer.Sum) {
	if r.bar != nil {
		_ = r.bar.Finish()
	}
	r.lines.End(sum)
}
