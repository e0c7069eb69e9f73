package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"belfry"
	"belfry/sqlite"
)

// filled returns a data directory with a database that has messages.
func filled(t *testing.T, messages int) (dir string) {
	t.Helper()
	dir = t.TempDir()
	s, err := sqlite.Open(context.Background(), dir, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ids := belfry.NewIDSource()
	for left := messages; left > 0; {
		n := min(left, 2000)
		left -= n
		batch := make([]belfry.Message, n)
		for i := range batch {
			batch[i] = belfry.Message{ID: ids.New(time.Now()), Receiver: belfry.UserID(fmt.Sprint(1 + i%7)), Type: 1, Title: "t", Date: time.Now()}
		}
		if _, err := s.Add(context.Background(), belfry.Entries{Messages: batch}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// wantMigrated fails unless a command line migrates everything.
func wantMigrated(t *testing.T, args ...string) (stdout string) {
	t.Helper()
	code, stdout, stderr := runs(append([]string{"migrate"}, args...)...)
	if code != 0 || !strings.Contains(stdout, "done: ") || !strings.Contains(stdout, "stay in the data directory") {
		t.Fatalf("code %d: %s\n%s", code, stdout, stderr)
	}
	return stdout
}

func TestMigrateGoesFromSQLiteToMongoDBAndBack(t *testing.T) {
	uri := mongoStore(t)
	first, second := filled(t, 30), filepath.Join(t.TempDir(), "new")
	database := os.Getenv("BELFRY_STORE_DATABASE")
	t.Setenv("BELFRY_TO", uri)
	out := wantMigrated(t, "--from", first, "--to-database", database)
	if !strings.Contains(out, "messages are the same in both: 30 records, checksum ") {
		t.Errorf("output: %s", out)
	}
	t.Setenv("BELFRY_TO", "")
	out = wantMigrated(t, "--from", uri, "--from-database", database, "--to", "sqlite:"+second)
	if !strings.Contains(out, "messages are the same in both: 30 records, checksum ") {
		t.Errorf("output: %s", out)
	}
	for dir, args := range map[string][]string{second: nil, t.TempDir(): {"--store", uri, "--store-database", database}} {
		if args == nil {
			t.Setenv("BELFRY_STORE", "")
			t.Setenv("BELFRY_STORE_DATABASE", "")
		}
		p := launch(t, append([]string{"serve", "--dev", "--data", dir}, args...)...)
		p.page(userOne).until(`"unread":5,`)
		if code := p.end(syscall.SIGTERM); code != 0 {
			t.Errorf("exit code %d\n%s", code, p.log)
		}
	}
	code, _, stderr := runs("migrate", "--from", uri, "--from-database", database+"_none", "--to", t.TempDir())
	if code != 1 || !strings.Contains(stderr, "there is nothing of belfry") {
		t.Errorf("from a database that is not there: code %d, %s", code, stderr)
	}
}

func TestWhatMigrateRefuses(t *testing.T) {
	full, empty := filled(t, 1), t.TempDir()
	const secret = "hunter2"
	for name, one := range map[string]struct {
		args []string
		want string
	}{
		"no source":                        {[]string{"--from", empty, "--to", t.TempDir()}, "there is no belfry.db"},
		"no target":                        {[]string{"--from", full, "--to", ""}, "to is neither"},
		"a target that is not empty":       {[]string{"--from", full, "--to", filled(t, 1)}, "is not empty, it has messages"},
		"the same":                         {[]string{"--from", full, "--to", "sqlite:" + full}, "uses the database"},
		"another scheme":                   {[]string{"--from", full, "--to", "mysql://u:" + secret + "@h/db"}, "to is neither"},
		"a URI without its scheme":         {[]string{"--from", "u:" + secret + "@h/db", "--to", empty}, "from is neither"},
		"a malformed URI":                  {[]string{"--from", "mongodb://u:" + secret + "@@:h/", "--to", t.TempDir()}, "malformed"},
		"a server that does not answer":    {[]string{"--from", full, "--to", "mongodb://u:" + secret + "@127.0.0.1:1/?serverSelectionTimeoutMS=1"}, "not available"},
		"a database where there is SQLite": {[]string{"--from", full, "--from-database", "x", "--to", empty}, "from-database is for MongoDB"},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := runs(append([]string{"migrate"}, one.args...)...)
			if code != 1 || !strings.Contains(stderr, one.want) || strings.Contains(stdout+stderr, secret) {
				t.Errorf("code %d, %s%s; want %q", code, stdout, stderr, one.want)
			}
		})
	}
}

func TestMigrateRefusesADatabaseThatIsServed(t *testing.T) {
	other := filled(t, 1)
	dir := t.TempDir()
	p := launch(t, "serve", "--dev", "--data", dir)
	for _, args := range [][]string{{"--from", dir, "--to", t.TempDir()}, {"--from", other, "--to", dir}} {
		if code, _, stderr := runs(append([]string{"migrate"}, args...)...); code != 1 || !strings.Contains(stderr, "stop it first") {
			t.Errorf("%v: code %d, %s", args, code, stderr)
		}
	}
	if code := p.end(syscall.SIGKILL); code != -1 {
		t.Errorf("exit code %d", code)
	}
	if code, _, stderr := runs("migrate", "--from", dir, "--to", t.TempDir()); code != 0 {
		t.Errorf("after it was killed: code %d, %s", code, stderr)
	}
}

// interrupt starts a migration and ends it by a signal after it has begun.
func interrupt(t *testing.T, signal os.Signal, args ...string) (stderr string, code int) {
	t.Helper()
	cmd := exec.Command(binary, append([]string{"migrate"}, args...)...)
	var errors bytes.Buffer
	cmd.Stderr = &errors
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "copying messages: ") {
	}
	if err := cmd.Process.Signal(signal); err != nil {
		t.Error(err)
	}
	if _, err := io.Copy(io.Discard, out); err != nil {
		t.Error(err)
	}
	_ = cmd.Wait() // the exit code says it
	return errors.String(), cmd.ProcessState.ExitCode()
}

func TestMigrateGoesOnAfterItWasInterrupted(t *testing.T) {
	for name, one := range map[string]struct {
		signal os.Signal
		code   int
		says   string
	}{
		"by ctrl-C":  {os.Interrupt, 1, "interrupted: the same command goes on from here"},
		"by kill -9": {os.Kill, -1, ""},
	} {
		t.Run(name, func(t *testing.T) {
			var (
				messages       = 12_000
				target, stderr string
				args           []string
				code           int
			)
			for ; ; messages *= 4 { // as long as it is done before the signal comes, which depends on who gets a processor
				target = t.TempDir()
				args = []string{"--from", filled(t, messages), "--to", target}
				if stderr, code = interrupt(t, one.signal, args...); code != 0 || messages > 500_000 {
					break
				}
			}
			if code != one.code || !strings.Contains(stderr, one.says) {
				t.Fatalf("exit code %d, %s", code, stderr)
			}
			code, _, refusal := runs("serve", "--dev", "--data", target, "--listen", "127.0.0.1:0", "--push-listen", "127.0.0.1:0")
			if code != 1 || !strings.Contains(refusal, "let belfry migrate finish that first") {
				t.Errorf("serving what is not finished: code %d, %s", code, refusal)
			}
			finished, err := exec.Command(binary, append([]string{"migrate"}, args...)...).CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, finished)
			}
			out := string(finished)
			if !strings.HasPrefix(out, "going on copying ") || !strings.Contains(out, fmt.Sprintf("messages are the same in both: %d records", messages)) {
				t.Errorf("output: %s", out)
			}
			s, err := storeFlags{}.open(context.Background(), target, retentionFlags{}, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}
