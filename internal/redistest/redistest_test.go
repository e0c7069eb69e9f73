package redistest

import (
	"errors"
	"strings"
	"syscall"
	"testing"
)

// launched is a server that is there until the test has ended.
func launched(t *testing.T) *Server {
	t.Helper()
	s, err := Launch()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestAServerIsKilledAndComesBackEmptyAtItsPort(t *testing.T) {
	s := launched(t)
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

func TestAServerIsNotTakenForAnotherAtItsPort(t *testing.T) {
	s := launched(t)
	late := &Server{dir: t.TempDir(), port: s.port}
	if err := late.Restart(); err == nil {
		t.Error("a server has started at a port that another has")
		if err := late.Kill(); err != nil {
			t.Error(err)
		}
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

func TestSentinelsHaveTheReplicaTakeOver(t *testing.T) {
	s, err := LaunchSentinels()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	}()
	old, replica, err := s.Master()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := old.Command("SET a 1"); err != nil {
		t.Fatal(err)
	}
	err = eventually(func() error {
		if n, err := replica.Command("GET a"); n != "1" {
			return errors.Join(errors.New("the replica has not got what was written"), err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := old.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := s.Elect(replica); err != nil {
		t.Fatal(err)
	}
	if n, err := replica.Command("GET a"); n != "1" || err != nil {
		t.Errorf("the replica has %q (%v), want what the master had", n, err)
	}
	if err := old.Restart(); err != nil {
		t.Fatal(err)
	}
	if err := old.Follows(); err != nil {
		t.Error(err)
	}
	if now, _, err := s.Master(); now != replica || err != nil {
		t.Errorf("the sentinels have another master than the replica (%v)", err)
	}
}
