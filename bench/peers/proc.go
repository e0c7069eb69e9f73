package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
)

// ticksPerSecond is the unit of times in /proc (USER_HZ).
const ticksPerSecond = 100

// busyCores returns the seconds that all cores together have been busy, stolen time included.
func busyCores() float64 {
	stat, _ := os.ReadFile("/proc/stat")
	first, _, _ := bytes.Cut(stat, []byte("\n"))
	fields := bytes.Fields(first)
	if len(fields) < 9 {
		return 0
	}
	var ticks float64
	for _, i := range []int{1, 2, 3, 6, 7, 8} { // user, nice, system, irq, softirq, steal (proc_stat(5))
		ticks += number(fields[i])
	}
	return ticks / ticksPerSecond
}

// cpuOf returns the seconds of CPU time that a process has used.
func cpuOf(pid int) float64 {
	stat, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 13 {
		return 0
	}
	return (number(fields[11]) + number(fields[12])) / ticksPerSecond // utime, stime (proc_pid_stat(5))
}

func number(b []byte) float64 {
	n, _ := strconv.ParseFloat(string(b), 64)
	return n
}
