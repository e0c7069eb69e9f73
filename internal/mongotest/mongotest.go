// Package mongotest gives tests a server that speaks MongoDB's protocol: the one that the
// environment names, or FerretDB, which it builds once and starts on a free port of the loopback.
package mongotest

import (
	"bufio"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
)

// Variable names another server for the tests, as a mongodb:// URI.
const Variable = "BELFRY_TEST_MONGO"

// A Server is there until Stop.
type Server struct {
	URI string
	// Slow says that it reads whole collections, as FerretDB does: the suites
	// have shorter forms for such servers.
	Slow bool

	stop func() error
}

// Start finds or starts a server, and says on log which.
func Start(log io.Writer) (*Server, error) {
	if uri := os.Getenv(Variable); uri != "" {
		fmt.Fprintf(log, "mongotest: the server is the one that %s names\n", Variable)
		return &Server{URI: uri, stop: func() error { return nil }}, nil
	}
	program, err := build(log)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "belfry-ferretdb-")
	if err != nil {
		return nil, err
	}
	s, err := launch(program, dir)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("FerretDB has not started; see what %s %s says, or name another server by %s: %w", program, dir, Variable, err), os.RemoveAll(dir))
	}
	fmt.Fprintf(log, "mongotest: the server is FerretDB at %s, its files are in %s\n", s.URI, dir)
	return s, nil
}

// Stop ends what Start has started, and deletes its files.
func (s *Server) Stop() error { return s.stop() }

// launch starts FerretDB on files in dir. It ends with its standard input: also where the test is killed.
func launch(program, dir string) (*Server, error) {
	server := exec.Command(program, dir)
	server.Stderr = os.Stderr
	server.Env = append(os.Environ(), "GOGC=400") // it decodes every document of a collection for most queries
	alive, err := server.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := server.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := server.Start(); err != nil {
		return nil, err
	}
	stop := func() error { return errors.Join(alive.Close(), server.Wait(), os.RemoveAll(dir)) }
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return nil, errors.Join(err, stop())
	}
	return &Server{URI: strings.TrimSpace(line), Slow: true, stop: stop}, nil
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
	for _, name := range []string{"go.mod", "go.sum", "main.go"} {
		content, err := os.ReadFile(filepath.Join(module, name))
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
