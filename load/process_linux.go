package load

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ticksPerSecond is the unit of times in /proc, on every architecture that Go knows (USER_HZ).
const ticksPerSecond = 100

// sample looks at the process.
func (p *process) sample() sample {
	if p.pid <= 0 {
		return sample{}
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.pid))
	if err != nil {
		return sample{}
	}
	// The name of the program, in brackets, may hold anything.
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 22 {
		return sample{}
	}
	number := func(i int) int64 { // as proc_pid_stat(5) counts
		n, _ := strconv.ParseInt(string(fields[i-3]), 10, 64)
		return n
	}
	return sample{
		ok:  true,
		cpu: float64(number(14)+number(15)) / ticksPerSecond,
		rss: number(24) * int64(os.Getpagesize()),
	}
}

// machine tells what the process may use: the cores that it is bound to, and the memory
// that is available.
func (p *process) machine() machine {
	m := machine{cores: runtime.NumCPU()}
	if status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid)); err == nil {
		if n := listed(field(status, "Cpus_allowed_list:")); n > 0 {
			m.cores = n
		}
	}
	if info, err := os.ReadFile("/proc/meminfo"); err == nil {
		kb, _ := strconv.ParseInt(strings.TrimSuffix(field(info, "MemAvailable:"), " kB"), 10, 64)
		m.available = kb << 10
	}
	return m
}

// field returns the rest of the line that begins with name.
func field(file []byte, name string) string {
	for line := range strings.Lines(string(file)) {
		if rest, ok := strings.CutPrefix(line, name); ok {
			return strings.TrimSpace(rest)
		}
	}
	return ""
}

// listed returns how many numbers a list such as 0-3,8 names.
func listed(list string) (n int) {
	for part := range strings.SplitSeq(list, ",") {
		from, to, isRange := strings.Cut(part, "-")
		a, err := strconv.Atoi(from)
		if err != nil {
			return 0
		}
		b := a
		if isRange {
			if b, err = strconv.Atoi(to); err != nil {
				return 0
			}
		}
		n += b - a + 1
	}
	return n
}

// ownCPU returns the seconds of CPU time that this process has used.
func ownCPU() float64 {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}
