package redistest

import (
	"strings"
	"syscall"
	"testing"
)

func TestAServerIsKilledAndComesBackEmptyAtItsPort(t *testing.T) {
	s, err := Launch()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}()
	if _, err := command(s.Addr(), "SET a 1"); err != nil {
		t.Fatal(err)
	}
	if err := s.Pause(); err != nil {
		t.Fatal(err)
	}
	pid := s.process.PID()
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, 0); err != syscall.ESRCH {
		t.Errorf("the process is still there after Kill: %v", err)
	}
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	if n, err := command(s.Addr(), "DBSIZE"); n != ":0" || err != nil {
		t.Errorf("the server has %s keys (%v), want none", n, err)
	}
}

func TestAClusterOfThreeMastersForms(t *testing.T) {
	c, err := LaunchCluster()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Stop(); err != nil {
			t.Error(err)
		}
	}()
	moved := 0
	for _, s := range c.Masters {
		if _, err := command(s.Addr(), "SET a 1"); err != nil && strings.HasPrefix(err.Error(), "MOVED") {
			moved++
		}
	}
	if moved != 2 {
		t.Errorf("%d of 3 masters refer to another for a key, want 2", moved)
	}
}
