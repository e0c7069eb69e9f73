package proctest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"belfry/internal/proctest"
)

const patience = time.Minute

func TestAProgramThatEndsIsNoticed(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	p, err := proctest.Start(log, []string{"WORD=there"}, "sh", "-c", `echo "it is $WORD"; echo "$1" >&2`, "sh", "and gone")
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Exited:
	case <-time.After(patience):
		t.Fatal("it has not ended")
	}
	if err := p.Kill(); err != nil {
		t.Error(err)
	}
	if said, err := os.ReadFile(log); string(said) != "it is there\nand gone\n" || err != nil {
		t.Errorf("it said %q, %v", said, err)
	}
}

func TestAProgramIsKilledAlsoWhileItIsPaused(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	p, err := proctest.Start(log, nil, "sh", "-c", "echo $$; exec sleep 1000")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := p.Kill(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-p.Exited:
	default:
		t.Error("it is there after Kill")
	}
	if err := p.Kill(); err != nil {
		t.Error(err)
	}
}

func TestAProgramThatIsNotThereSaysSoInItsLog(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log")
	p, err := proctest.Start(log, nil, filepath.Join(t.TempDir(), "missing"))
	if err != nil {
		t.Fatal(err)
	}
	<-p.Exited
	if err := p.Kill(); err != nil {
		t.Error(err)
	}
	if said, _ := os.ReadFile(log); !strings.Contains(string(said), "not found") {
		t.Errorf("the log says %q", said)
	}
}
