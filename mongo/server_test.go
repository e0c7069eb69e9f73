package mongo_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// serverVariable names a server for the tests, as a mongodb:// URI.
const serverVariable = "BELFRY_TEST_MONGO"

// serverURI is the server that the tests use.
var serverURI string

func TestMain(m *testing.M) {
	os.Exit(withServer(m.Run))
}

// withServer runs tests against the server that the environment names, or against
// FerretDB, which it builds, starts and ends.
func withServer(run func() int) int {
	if serverURI = os.Getenv(serverVariable); serverURI != "" {
		return run()
	}
	dir, err := os.MkdirTemp("", "belfry-mongo-")
	if err != nil {
		return failed(err)
	}
	defer os.RemoveAll(dir)
	program := filepath.Join(dir, "ferretdb")
	build := exec.Command("go", "build", "-o", program, ".")
	build.Dir = filepath.Join("..", "internal", "ferretdb")
	if out, err := build.CombinedOutput(); err != nil {
		return failed(fmt.Errorf("%w\n%s%s names another server to test with", err, out, serverVariable))
	}
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		return failed(err)
	}
	server := exec.Command(program, data)
	server.Stderr = os.Stderr
	server.Env = append(os.Environ(), "GOGC=400") // it decodes every document of a collection for most queries
	alive, err := server.StdinPipe()              // it ends when this is closed, however
	if err != nil {
		return failed(err)
	}
	out, err := server.StdoutPipe()
	if err != nil {
		return failed(err)
	}
	if err := server.Start(); err != nil {
		return failed(err)
	}
	defer func() {
		alive.Close()
		_ = server.Wait()
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return failed(fmt.Errorf("FerretDB has not started: %w", err))
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	serverURI = strings.TrimSpace(line)
	return run()
}

func failed(err error) int {
	fmt.Fprintln(os.Stderr, "there is no server to test with:", err)
	return 1
}
