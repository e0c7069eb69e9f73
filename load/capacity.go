package load

import (
	"fmt"
	"math"
)

// A Capacity is a guess at how many pages the machine holds, with the arithmetic.
type Capacity struct {
	Pages    int    `json:"pages"`
	ByCPU    int    `json:"byCPU"` // 0 where the run did not use enough to tell
	ByMemory int    `json:"byMemory"`
	Says     string `json:"says"`
}

// usable is the share of a machine that the guess fills: what is left is for peaks.
const usable = 0.7

// capacity guesses from a run. It takes CPU time and memory to grow with the pages; what does not
// makes the guess too low. A run whose server was less than a twentieth busy says nothing of CPU.
func capacity(r *Report, m machine) *Capacity {
	s := r.Server
	c := &Capacity{Pages: math.MaxInt}
	says := ""
	if s.CPUCores > 0.05*float64(m.cores) {
		c.ByCPU = int(float64(r.Pages) * usable * float64(m.cores) / s.CPUCores)
		c.Pages = c.ByCPU
		says = fmt.Sprintf("CPU: %d pages × %.0f%% of %d cores ÷ %.2f busy = %d. ", r.Pages, usable*100, m.cores, s.CPUCores, c.ByCPU)
	}
	if s.BytesPerPage > 0 && m.available > 0 {
		free := float64(m.available+s.MemoryIdle-s.MemoryBefore) * usable
		c.ByMemory = int(free / s.BytesPerPage)
		c.Pages = min(c.Pages, c.ByMemory)
		says += fmt.Sprintf("Memory: %.0f%% of the %.1f GB free without pages ÷ %.1f KB a page = %d. ", usable*100, free/usable/1e9, s.BytesPerPage/1000, c.ByMemory)
	}
	if c.Pages == math.MaxInt {
		return nil
	}
	c.Says = fmt.Sprintf("at %.3g deliveries a second to each page this machine holds about %d pages. %sBoth are taken to grow with the pages.",
		r.Deliveries.PerSecond/float64(r.Pages), round(c.Pages), says)
	if r.Rate == 0 && r.Pushes.Count > 0 {
		c.Says += " This run pushed as fast as it could: set the rate that you expect."
	}
	return c
}

// round keeps two digits: it is a guess.
func round(n int) int {
	unit := 1
	for n/unit >= 100 {
		unit *= 10
	}
	return n / unit * unit
}
