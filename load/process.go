package load

// A process is the server's, if it runs on this machine and its number is known.
type process struct{ pid int }

func newProcess(pid int) *process { return &process{pid} }

// A sample is what a process uses at a moment.
type sample struct {
	ok  bool
	rss int64   // bytes of memory
	cpu float64 // seconds of CPU time since it began
}

// A machine is what the server may use of it.
type machine struct {
	cores     int
	available int64 // bytes of memory that are free, or could be
}
