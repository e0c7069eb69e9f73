package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"belfry/bench/result"
	"belfry/load"
)

// Bounds of what a server and a generator may take.
const (
	startTimeout = time.Minute
	stopTimeout  = time.Minute
	runTimeout   = 4 * time.Minute
)

// measure starts a server, puts the load on it and stops it.
func (p *plan) measure(ctx context.Context, who *peer, l *loadSpec) (r result.Run, err error) {
	ctx, cancel := context.WithTimeout(ctx, runTimeout)
	defer cancel()
	s, err := p.start(ctx, who)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.stop()) }()
	if l.rehearsal > 0 {
		if _, err := p.generate(ctx, s, l.rehearse()); err != nil {
			return r, fmt.Errorf("rehearsing: %w", err)
		}
		if err := sleep(ctx, time.Second); err != nil { // its pages are forgotten
			return r, err
		}
	}
	return p.generate(ctx, s, l.args(p.quick))
}

// generate runs the load generator. That it finds faults is a result, no error.
func (p *plan) generate(ctx context.Context, s *server, args []string) (r result.Run, err error) {
	command := append(s.peer.generator(p.paths), args...)
	command = append(command, s.peer.extra...)
	r = result.Run{Peer: s.peer.name, Command: shown(command)}
	command = append(command, "--url", "http://"+s.pages, "--push", "http://"+s.backends, "--server-pid", strconv.Itoa(s.cmd.Process.Pid))
	cmd := pinned(ctx, p.loadCore, command)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	before, serverBefore := busyCores(), cpuOf(s.cmd.Process.Pid)
	began := time.Now()
	runErr := cmd.Run()
	if cmd.ProcessState == nil {
		return r, runErr // it has not begun
	}
	seconds := time.Since(began).Seconds()
	own := cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	r.Others = max(0, (busyCores()-before)-(cpuOf(s.cmd.Process.Pid)-serverBefore)-own.Seconds()) / seconds
	r.Report = new(load.Report)
	if err := json.Unmarshal(stdout.Bytes(), r.Report); err != nil {
		return r, errors.Join(runErr, fmt.Errorf("%w: %s%s", err, &stdout, &stderr))
	}
	if r.Report.Server == nil || r.Report.Interrupted {
		return r, errors.Join(runErr, ctx.Err(), errors.New("the run is not complete"))
	}
	return r, nil
}

// shown is a command without the paths of this machine.
func shown(command []string) string {
	return strings.Join(append([]string{program(command[0])}, command[1:]...), " ")
}

// A server is one that runs.
type server struct {
	peer *peer
	addresses
	cmd    *exec.Cmd
	output bytes.Buffer
	ended  chan struct{}
}

// errTaken says that somebody else listens where a server was to.
var errTaken = errors.New("the address is taken")

// start starts a server and waits until it listens. Nothing keeps its addresses free until it does: where somebody else has taken one, it
// gets others.
func (p *plan) start(ctx context.Context, who *peer) (s *server, err error) {
	for range 5 {
		if s, err = p.startOnce(ctx, who); !errors.Is(err, errTaken) {
			break
		}
	}
	return s, err
}

func (p *plan) startOnce(ctx context.Context, who *peer) (s *server, err error) {
	s = &server{peer: who, ended: make(chan struct{})}
	if s.pages, s.backends, err = freeAddresses(); err != nil {
		return nil, err
	}
	if s.dir, err = os.MkdirTemp("", "bench-"+who.name+"-"); err != nil {
		return nil, err
	}
	s.cmd = pinned(context.WithoutCancel(ctx), p.serverCore, who.server(p.paths, s.addresses))
	s.cmd.Stdout, s.cmd.Stderr = &s.output, &s.output
	if err := s.cmd.Start(); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.dir))
	}
	go func() {
		s.cmd.Wait()
		close(s.ended)
	}()
	if err := s.listens(ctx); err != nil {
		err = errors.Join(err, s.stop())
		if strings.Contains(strings.ToLower(s.output.String()), "address already in use") {
			err = errors.Join(err, errTaken)
		}
		return nil, err
	}
	return s, nil
}

// listens waits until the server listens.
func (s *server) listens(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for _, address := range []string{s.pages, s.backends} {
		for {
			conn, err := net.Dial("tcp", address)
			if err == nil {
				conn.Close()
				break
			}
			select {
			case <-s.ended:
				return fmt.Errorf("it has ended: %s", &s.output)
			case <-ctx.Done():
				return fmt.Errorf("it does not listen: %w", err)
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	return nil
}

// stop ends the server and takes its files away. That it had ended by itself is an error.
func (s *server) stop() (err error) {
	select {
	case <-s.ended:
		err = fmt.Errorf("%s had ended by itself: %s", s.peer.name, &s.output)
	default:
		s.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-s.ended:
		case <-time.After(stopTimeout):
			s.cmd.Process.Kill()
			<-s.ended
			err = fmt.Errorf("%s did not stop in %v", s.peer.name, stopTimeout)
		}
	}
	return errors.Join(err, os.RemoveAll(s.dir))
}

// pinned makes a command that has one core. When ctx ends it is told to stop.
func pinned(ctx context.Context, core int, command []string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "taskset", append([]string{"-c", strconv.Itoa(core)}, command...)...)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopTimeout
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return cmd
}

// freeAddresses returns two that nobody listens on.
func freeAddresses() (a, b string, err error) {
	var found [2]string
	for i := range found {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", "", err
		}
		defer l.Close()
		found[i] = l.Addr().String()
	}
	return found[0], found[1], nil
}

func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
