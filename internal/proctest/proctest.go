// Package proctest runs the programs that tests need, none of which outlives its test, however that ends.
package proctest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// A Process is a program that runs until it ends or is killed. Its methods are for one goroutine at a time.
type Process struct {
	// Exited is closed when the program has ended.
	Exited <-chan struct{}

	pid   int
	shell *exec.Cmd
	alive io.Closer
}

// watch runs the program until the standard input ends, which it does also where the test is killed: the shell then
// kills the program, stopped or not. It has not waited for it by then, so the number is still the program's.
// The program alone keeps descriptor 3, which so ends with it.
const watch = `exec 4<&0; "$@" <&4 >>"$WATCH_LOG" 2>&1 & exec 3>&- 4<&-; echo $!; read -r _; kill -9 $! 2>/dev/null; wait`

// Start runs a program, which appends what it says to the file log. Env is added to the environment of the test.
// Its standard input ends with the test.
func Start(log string, env []string, program string, args ...string) (*Process, error) {
	ended, end, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer end.Close()
	shell := exec.Command("sh", append([]string{"-c", watch, "sh", program}, args...)...)
	shell.Env = append(append(os.Environ(), env...), "WATCH_LOG="+log)
	shell.ExtraFiles = []*os.File{end}
	alive, err := shell.StdinPipe()
	if err != nil {
		return nil, errors.Join(err, ended.Close())
	}
	out, err := shell.StdoutPipe()
	if err == nil {
		err = shell.Start()
	}
	if err != nil {
		return nil, errors.Join(err, ended.Close())
	}
	exited := make(chan struct{})
	p := &Process{Exited: exited, shell: shell, alive: alive}
	go func() {
		defer close(exited)
		defer ended.Close()
		io.Copy(io.Discard, ended) // ends with the program, and fails never
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err == nil {
		p.pid, err = strconv.Atoi(strings.TrimSpace(line))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("%s has not started: %w", program, err), p.Kill())
	}
	return p, nil
}

// PID is the program's number, also when it has ended.
func (p *Process) PID() int { return p.pid }

// Pause stops the program, which then keeps its connections and answers nothing, until Resume or Kill.
func (p *Process) Pause() error { return syscall.Kill(p.pid, syscall.SIGSTOP) }

// Resume lets a paused program go on.
func (p *Process) Resume() error { return syscall.Kill(p.pid, syscall.SIGCONT) }

// Kill ends the program without warning, as a power failure does. It is gone when Kill returns. Kill may follow Kill.
func (p *Process) Kill() error {
	if p.shell == nil {
		return nil
	}
	shell := p.shell
	p.shell = nil
	err := errors.Join(p.alive.Close(), shell.Wait())
	<-p.Exited
	return err
}
