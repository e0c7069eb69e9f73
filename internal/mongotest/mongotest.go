// Package mongotest gives tests a server that speaks MongoDB's protocol: the one that the
// environment names, or FerretDB, which it builds once and starts on a free port of the loopback.
package mongotest

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"belfry/internal/proctest"
)

// Variable names another server for the tests, as a mongodb:// URI.
const Variable = "BELFRY_TEST_MONGO"

// patience is how long a server may take to start.
const patience = time.Minute

// A Server is there until Stop. Its methods are for one goroutine at a time.
type Server struct {
	URI string
	// Slow says that it reads whole collections, as FerretDB does: the suites
	// have shorter forms for such servers.
	Slow bool

	program, dir, addr string
	run                *proctest.Process // nil while it is not running, or where the environment has named the server
}

// Start finds or starts a server, and says on log which.
func Start(log io.Writer) (*Server, error) {
	if uri := os.Getenv(Variable); uri != "" {
		fmt.Fprintf(log, "mongotest: the server is the one that %s names\n", Variable)
		return &Server{URI: uri}, nil
	}
	return Launch(log)
}

// Launch starts FerretDB, whatever the environment names: a server that the test may pause and kill.
func Launch(log io.Writer) (*Server, error) {
	program, err := build(log)
	if err != nil {
		return nil, err
	}
	s := &Server{Slow: true, program: program}
	if s.dir, err = os.MkdirTemp("", "belfry-ferretdb-"); err != nil {
		return nil, err
	}
	for range 5 { // another process may take the port meanwhile
		if s.addr, err = proctest.FreeAddr(); err == nil {
			if err = s.Restart(); err == nil {
				s.URI = "mongodb://" + s.addr + "/"
				fmt.Fprintf(log, "mongotest: the server is FerretDB at %s, its files are in %s\n", s.URI, s.dir)
				return s, nil
			}
		}
	}
	return nil, errors.Join(fmt.Errorf("name another server by %s: %w", Variable, err), os.RemoveAll(s.dir))
}

// Restart starts the server, which must not be running, with what it has stored and at its port.
func (s *Server) Restart() (err error) {
	said := filepath.Join(s.dir, "log")
	// It decodes every document of a collection for most queries.
	if s.run, err = proctest.Start(said, []string{"GOGC=400"}, s.program, s.dir, s.addr); err != nil {
		return err
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.Dial("tcp", s.addr)
		if err == nil {
			return c.Close()
		}
		select {
		case <-s.run.Exited:
		default:
			if time.Now().Before(deadline) {
				continue
			}
		}
		why, _ := os.ReadFile(said)
		return errors.Join(fmt.Errorf("FerretDB has not started: %w\n%s", err, why), s.Kill())
	}
}

// Kill ends the server without warning. It is gone when Kill returns.
func (s *Server) Kill() error { return s.run.Kill() }

// Pause stops the server, which then keeps its connections and answers nothing, until Resume or Kill.
func (s *Server) Pause() error { return s.run.Pause() }

// Resume lets a paused server go on.
func (s *Server) Resume() error { return s.run.Resume() }

// Stop ends what was started, and deletes its files.
func (s *Server) Stop() error {
	if s.run == nil {
		return nil
	}
	return errors.Join(s.Kill(), os.RemoveAll(s.dir))
}

// build returns the program. It is kept in the user's cache, under a name that changes with all
// that goes into it.
func build(log io.Writer) (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	module := filepath.Join(root, "internal", "ferretdb")
	key := sha256.New()
	fmt.Fprintln(key, runtime.Version(), runtime.GOOS, runtime.GOARCH)
	sources, err := filepath.Glob(filepath.Join(module, "*.go"))
	if err != nil {
		return "", err
	}
	for _, name := range append(sources, filepath.Join(module, "go.mod"), filepath.Join(module, "go.sum")) {
		content, err := os.ReadFile(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintln(key, len(content))
		key.Write(content)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	dir := filepath.Join(cache, "belfry-tests")
	program := filepath.Join(dir, fmt.Sprintf("ferretdb-%x", key.Sum(nil)[:8]))
	if _, err := os.Stat(program); err == nil {
		return program, nil
	}
	fmt.Fprintf(log, "mongotest: building FerretDB, once\n")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	own, err := os.MkdirTemp(dir, "build-") // others may build as well
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(own)
	made := filepath.Join(own, "ferretdb")
	if out, err := exec.Command("go", "build", "-C", module, "-o", made, ".").CombinedOutput(); err != nil {
		return "", fmt.Errorf("FerretDB does not build; run: go build -C %s -o /dev/null . or name another server by %s: %w\n%s", module, Variable, err, out)
	}
	return program, os.Rename(made, program)
}

// moduleRoot is the folder of belfry's go.mod, above the folder of the test.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, missing := os.Stat(filepath.Join(dir, "internal", "ferretdb", "go.mod")); missing == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", errors.New("no folder above this one has internal/ferretdb: run the tests in belfry's tree")
		}
		dir = filepath.Dir(dir)
	}
	return "", err
}
