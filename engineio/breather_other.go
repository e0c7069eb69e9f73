//go:build !linux

package engineio

import "runtime"

// A breather lets a goroutine that never waits give its processor away.
type breather struct{}

func (*breather) breathe() { runtime.Gosched() }

func (*breather) close() {}
