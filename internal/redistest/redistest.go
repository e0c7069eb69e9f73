// Package redistest gives tests a Redis server: the one that the environment names, or the system's
// redis-server, which it starts on a free port of the loopback, without persistence.
package redistest

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"belfry/internal/proctest"
)

// Variable names another server for the tests, as a redis:// URL.
const Variable = "BELFRY_TEST_REDIS"

// patience is how long a server may take to start, and a cluster to agree: an election that fails is held again after four times the
// timeout of its nodes, or twice that of a failover by Sentinel (8 and 10 s here).
const patience = time.Minute

// commandPatience is how long one command may take. The caller may ask again.
const commandPatience = 20 * time.Second

// A Server is there until Stop. Its methods are for one goroutine at a time.
type Server struct {
	URL string

	dir     string
	port    int
	config  string // what its file says; "" for none
	flags   []string
	process *proctest.Process // nil before it has run, and where the environment has named the server
}

// Start finds or starts a server, and says on log which. The server that the environment
// names may hold anything: the tests use prefixes of their own.
func Start(log io.Writer) (*Server, error) {
	if url := os.Getenv(Variable); url != "" {
		fmt.Fprintf(log, "redistest: the server is the one that %s names\n", Variable)
		return &Server{URL: url}, nil
	}
	return Launch()
}

// Launch starts a server of the test's own, whatever the environment names: one that it may
// pause and kill.
func Launch(flags ...string) (*Server, error) { return launch("", flags...) }

// launch starts a server that has a file of settings, too.
func launch(config string, flags ...string) (*Server, error) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		return nil, fmt.Errorf("there is no redis-server; run: apt-get install redis-server, or name a server by %s: %w", Variable, err)
	}
	dir, err := os.MkdirTemp("", "belfry-redis-")
	if err != nil {
		return nil, err
	}
	s := &Server{dir: dir, config: config, flags: flags}
	for range 5 { // another process may take the port meanwhile
		if s.port, err = freePort(); err == nil {
			if err = s.Restart(); err == nil {
				s.URL = "redis://" + s.Addr()
				return s, nil
			}
		}
	}
	return nil, errors.Join(err, os.RemoveAll(dir))
}

// Addr is the host and the port of a server that was launched.
func (s *Server) Addr() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.port)) }

// freePort returns a port that is free together with the one 10,000 above it, where a
// cluster's nodes talk to each other. Both are below the ports that the system gives to clients.
func freePort() (int, error) {
	var err error
	for range 50 {
		port := 10_000 + rand.IntN(12_000)
		if err = free(port); err == nil {
			if err = free(port + 10_000); err == nil {
				return port, nil
			}
		}
	}
	return 0, err
}

func free(port int) error {
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return err
	}
	return l.Close()
}

// Restart starts the server, which must not be running, at its port: empty, unless it was told to SAVE.
func (s *Server) Restart() error {
	args := append([]string{"--bind", "127.0.0.1", "--port", strconv.Itoa(s.port),
		"--dir", s.dir, "--save", "", "--appendonly", "no", "--daemonize", "no"}, s.flags...)
	if s.config != "" {
		file := filepath.Join(s.dir, "config")
		if err := os.WriteFile(file, []byte(s.config), 0o600); err != nil {
			return err
		}
		args = append([]string{file}, args...) // which come after what the file says
	}
	log := filepath.Join(s.dir, "log")
	process, err := proctest.Start(log, nil, "redis-server", args...)
	s.process = process
	if err == nil {
		err = eventually(s.answers)
	}
	if err != nil {
		said, _ := os.ReadFile(log)
		return errors.Join(fmt.Errorf("redis-server has not started: %w\n%s", err, said), s.Kill())
	}
	return nil
}

// answers fails unless it is this server that answers at its port, and not one of another test that has taken it.
func (s *Server) answers() error {
	info, err := s.Command("INFO server")
	if err == nil && !strings.Contains(info, fmt.Sprintf("process_id:%d\r\n", s.process.PID())) {
		err = errors.New("another server has the port")
	}
	select {
	case <-s.process.Exited:
		return errors.Join(errEnded, err)
	default:
		return err
	}
}

// errEnded says that there is nothing to wait for.
var errEnded = errors.New("it has ended")

// Kill ends the server without warning, as a power failure does. It is gone when Kill returns.
func (s *Server) Kill() error {
	if s.process == nil {
		return nil
	}
	return s.process.Kill()
}

// Pause stops the server's process, which then accepts connections and answers nothing, until Resume or Kill.
func (s *Server) Pause() error { return s.process.Pause() }

// Resume lets a paused server go on.
func (s *Server) Resume() error { return s.process.Resume() }

// Command sends one command, whose words hold no spaces, and returns the answer: one value, or those of a list, a line for each.
func (s *Server) Command(line string) (string, error) { return command(s.Addr(), line) }

// Stop ends what was started, and deletes its files.
func (s *Server) Stop() error {
	if s.dir == "" {
		return nil
	}
	return errors.Join(s.Kill(), os.RemoveAll(s.dir))
}

// eventually asks until there is no error.
func eventually(ask func() error) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		err := ask()
		if err == nil || errors.Is(err, errEnded) || time.Now().After(deadline) {
			return err
		}
	}
}

// command sends one command and returns the answer: one value, or the values of a list, a line for each.
func command(addr, line string) (string, error) {
	c, err := net.DialTimeout("tcp", addr, commandPatience)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(commandPatience)); err != nil {
		return "", err
	}
	if _, err := io.WriteString(c, line+"\r\n"); err != nil {
		return "", err
	}
	return readAnswer(bufio.NewReader(c))
}

func readAnswer(r *bufio.Reader) (string, error) {
	answer, err := r.ReadString('\n')
	if err != nil {
		return "", err
	}
	answer = strings.TrimSpace(answer)
	switch kind, rest := answer[:min(1, len(answer))], answer[min(1, len(answer)):]; kind {
	case "-":
		return "", errors.New(rest)
	case "$":
		n, err := strconv.Atoi(rest)
		if err != nil || n < 0 {
			return "", err
		}
		body := make([]byte, n+len("\r\n"))
		_, err = io.ReadFull(r, body)
		return string(body[:n]), err
	case "*":
		n, err := strconv.Atoi(rest)
		if err != nil {
			return "", err
		}
		values := make([]string, max(n, 0))
		for i := range values {
			if values[i], err = readAnswer(r); err != nil {
				return "", err
			}
		}
		return strings.Join(values, "\n"), nil
	}
	return answer, nil
}
