package load

import (
	"fmt"
	"sync"
	"time"
)

// A Progress is how far a run has come.
type Progress struct {
	At         time.Duration // since the run began
	Phase      string        // connecting, warming up, measuring, finishing
	Open       int           // pages
	Pages      int           // that the run has
	Logins     float64       // per second, since the Progress before; so are
	Pushes     float64
	Deliveries float64
	P50, P99   time.Duration // from push to receipt
	Errors     uint64        // since the run began
	Faults     uint64        // likewise
	Done       bool          // nothing follows; the rest is of no interest
}

// String is a line of it.
func (p Progress) String() string {
	return fmt.Sprintf("%5.0fs %-11s pages %d/%d  logins/s %.0f  pushes/s %.0f  deliveries/s %.0f  p50 %s  p99 %s  errors %d  faults %d",
		p.At.Seconds(), p.Phase, p.Open, p.Pages, p.Logins, p.Pushes, p.Deliveries, short(p.P50), short(p.P99), p.Errors, p.Faults)
}

// short writes a duration with three digits.
func short(d time.Duration) string {
	switch {
	case d == 0:
		return "-"
	case d < time.Millisecond:
		return fmt.Sprintf("%dµs", d.Microseconds())
	case d < 100*time.Millisecond:
		return fmt.Sprintf("%.1fms", milliseconds(d))
	case d < 10*time.Second:
		return fmt.Sprintf("%.0fms", milliseconds(d))
	}
	return fmt.Sprintf("%.0fs", d.Seconds())
}

// reportProgress calls Options.Progress until the function that it returns is called.
func (r *run) reportProgress() (stop func()) {
	if r.o.Progress == nil {
		return func() {}
	}
	last := time.Now()
	var opened, pushes, deliveries uint64
	before := new(histogram)
	end := r.every(time.Second, func() {
		all := new(histogram)
		var came uint64
		for _, t := range r.tallies {
			all.take(&t.recent)
			came += t.deliveries.Load()
		}
		now := time.Now()
		seconds := now.Sub(last).Seconds()
		logins, sent := r.count.opened.Load(), r.count.pushes.Load()
		fresh := all.since(before)
		r.o.Progress(Progress{
			At: now.Sub(r.began), Phase: r.phase(), Pages: len(r.pages), Open: len(r.pages) - int(r.out.Load()),
			Logins: float64(logins-opened) / seconds, Pushes: float64(sent-pushes) / seconds, Deliveries: float64(came-deliveries) / seconds,
			P50: fresh.quantile(0.5), P99: fresh.quantile(0.99),
			Errors: r.troubles.count(), Faults: r.faults.total(),
		})
		last, opened, pushes, deliveries, before = now, logins, sent, came, all
	})
	return sync.OnceFunc(func() {
		end()
		r.o.Progress(Progress{Done: true})
	})
}

func (r *run) phase() string {
	now := r.now()
	switch {
	case r.from.Load() == never:
		return "connecting"
	case now < r.from.Load():
		return "warming up"
	case now < r.to.Load():
		return "measuring"
	}
	return "finishing"
}

// never is a time that does not come.
const never = 1<<63 - 1
