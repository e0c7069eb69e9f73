package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// deadline bounds every wait of the tests.
const deadline = time.Minute

// binary is the program, built once by TestMain.
var binary string

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	dir, err := os.MkdirTemp("", "belfry-test-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binary = filepath.Join(dir, "belfry")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "go build: %v\n%s", err, out)
		return 1
	}
	return m.Run()
}

// A process is a belfry that runs.
type process struct {
	t            testing.TB
	cmd          *exec.Cmd
	log          *logBuffer
	stdout       bytes.Buffer
	public, push string // addresses
	exited       chan struct{}
}

// A logBuffer collects what a process writes and tells when it grows.
type logBuffer struct {
	mu      sync.Mutex
	b       bytes.Buffer
	changed chan struct{} // of capacity 1
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.changed <- struct{}{}:
	default:
	}
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

var listening = regexp.MustCompile(`msg=listening public=(\S+) push=(\S+)`)

// launch starts the program on ports of its own and waits until it listens.
func launch(t testing.TB, args ...string) *process {
	t.Helper()
	p := &process{t: t, log: &logBuffer{changed: make(chan struct{}, 1)}, exited: make(chan struct{})}
	p.cmd = exec.Command(binary, append(args, "--listen", "127.0.0.1:0", "--push-listen", "127.0.0.1:0", "--log-level", "debug")...)
	p.cmd.Stdout, p.cmd.Stderr = &p.stdout, p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.exited)
		p.cmd.Wait() // the tests look at ProcessState
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill() // fails where it has ended
		<-p.exited
	})
	timeout := time.After(deadline)
	for p.public == "" {
		select {
		case <-p.log.changed:
			if m := listening.FindStringSubmatch(p.log.String()); m != nil {
				p.public, p.push = m[1], m[2]
			}
		case <-p.exited:
			t.Fatalf("it ended: %s", p.log)
		case <-timeout:
			t.Fatalf("it does not listen: %s", p.log)
		}
	}
	return p
}

// end sends a signal and returns the exit code once the process has ended; -1
// after SIGKILL.
func (p *process) end(signal os.Signal) int {
	p.t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		p.t.Fatal(err)
	}
	select {
	case <-p.exited:
	case <-time.After(deadline):
		p.t.Fatalf("it has not ended: %s", p.log)
	}
	return p.cmd.ProcessState.ExitCode()
}

func (p *process) pushes(fields url.Values) string {
	p.t.Helper()
	res, err := http.PostForm("http://"+p.push+"/", fields)
	if err != nil {
		p.t.Fatal(err)
	}
	return readAll(p.t, res)
}

func (p *process) message(uid, title string) string {
	p.t.Helper()
	return p.pushes(url.Values{"action": {"message"}, "receiverID": {uid}, "title": {title}})
}

func readAll(t testing.TB, res *http.Response) string {
	t.Helper()
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// A poller is a page over long polling that keeps all that it is sent.
type poller struct {
	t    testing.TB
	url  string
	seen string
}

// page opens a page and emits login with the argument.
func (p *process) page(login string) *poller {
	p.t.Helper()
	c := &poller{t: p.t, url: "http://" + p.public + "/socket.io/?EIO=4&transport=polling"}
	c.poll()
	var open struct{ SID string }
	if err := json.Unmarshal([]byte(strings.TrimPrefix(c.seen, "0")), &open); err != nil {
		p.t.Fatalf("%q: %v", c.seen, err)
	}
	c.url += "&sid=" + open.SID
	c.post("40")
	c.until(`40{"sid"`)
	c.emit(0, "login", login)
	return c
}

// emit emits an event and waits for its answer.
func (c *poller) emit(id int, event, arg string) {
	c.t.Helper()
	c.post(fmt.Sprintf(`42%d[%q,%s]`, id, event, arg))
	c.until(fmt.Sprintf("43%d[", id))
}

func (c *poller) post(packet string) {
	c.t.Helper()
	res, err := http.Post(c.url, "text/plain", strings.NewReader(packet))
	if err != nil {
		c.t.Fatal(err)
	}
	if body := readAll(c.t, res); body != "ok" {
		c.t.Fatalf("POST answered %s", body)
	}
}

func (c *poller) poll() {
	c.t.Helper()
	client := &http.Client{Timeout: deadline}
	res, err := client.Get(c.url)
	if err != nil {
		c.t.Fatalf("%v; seen: %s", err, c.seen)
	}
	body := readAll(c.t, res)
	c.seen += body
	if slices.Contains(strings.Split(body, "\x1e"), "2") { // or a page would be taken for dead where a test takes long
		c.post("3")
	}
}

// until polls until the text has been seen.
func (c *poller) until(text string) {
	c.t.Helper()
	for end := time.Now().Add(deadline); !strings.Contains(c.seen, text); c.poll() {
		if time.Now().After(end) {
			c.t.Fatalf("it is not told %q; seen: %s", text, c.seen)
		}
	}
}

const (
	userOne = `{"uid":1,"companyID":1}`
	userTwo = `{"uid":2,"companyID":1}`
)

func TestWhatWasAnsweredOutlivesKillNine(t *testing.T) {
	dir := t.TempDir()
	p := launch(t, "serve", "--dev", "--data", dir)
	p.page(userTwo)
	if got := p.message("1", "for one who is away"); got != "offline" {
		t.Fatalf("answer %s", got)
	}
	p.end(syscall.SIGKILL)

	p = launch(t, "serve", "--dev", "--data", dir)
	online := p.page(userTwo)
	if !strings.Contains(online.seen, `"online":1,`) {
		t.Errorf("pages from before the crash are still counted: %s", online.seen)
	}
	if got := p.message("2", "for one who is here"); got != "ok" {
		t.Fatalf("answer %s", got)
	}
	p.end(syscall.SIGKILL)

	p = launch(t, "serve", "--dev", "--data", dir)
	for login, want := range map[string]string{userOne: "for one who is away", userTwo: "for one who is here"} {
		page := p.page(login)
		replayed := strings.Count(page.seen, want)
		// A page had the second one already; it may come again, but not be lost.
		if replayed > 1 || login == userOne && replayed != 1 {
			t.Errorf("%q was replayed %d times: %s", want, replayed, page.seen)
		}
		page.seen = ""
		page.emit(1, "messages", "{}")
		if got := strings.Count(page.seen, want); got != 1 {
			t.Errorf("the inbox has %q %d times: %s", want, got, page.seen)
		}
		again := p.page(login)
		if strings.Contains(again.seen, want) {
			t.Errorf("%q was replayed at the second login too: %s", want, again.seen)
		}
	}
}

func TestSIGTERMEndsItInOrder(t *testing.T) {
	dir := t.TempDir()
	for _, signal := range []os.Signal{syscall.SIGTERM, syscall.SIGINT} {
		p := launch(t, "serve", "--dev", "--data", dir)
		page := p.page(userOne)
		if got := p.message("1", "t"); got != "ok" {
			t.Fatalf("answer %s", got)
		}
		page.until("new_msg")
		told, asked := make(chan string, 1), make(chan struct{})
		var once sync.Once
		written := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{
			WroteRequest: func(httptrace.WroteRequestInfo) { once.Do(func() { close(asked) }) },
		})
		go func() { // the poll that waits when the signal comes
			for {
				req, err := http.NewRequestWithContext(written, http.MethodGet, page.url, nil)
				if err != nil {
					told <- err.Error()
					return
				}
				res, err := http.DefaultClient.Do(req)
				if err != nil {
					told <- err.Error()
					return
				}
				body, err := io.ReadAll(res.Body)
				res.Body.Close()
				if err != nil || strings.HasSuffix(string(body), "1") || res.StatusCode != http.StatusOK {
					told <- string(body)
					return
				}
			}
		}()
		select {
		case <-asked:
		case <-time.After(deadline):
			t.Fatal("the page does not ask")
		}
		if code := p.end(signal); code != 0 {
			t.Errorf("%v: exit code %d\n%s", signal, code, p.log)
		}
		if got := <-told; !strings.HasSuffix(got, "1") {
			t.Errorf("%v: the page was told %q, not that the connection closes", signal, got)
		}
		if strings.Contains(p.log.String(), "level=ERROR") || strings.Contains(p.log.String(), "level=WARN") {
			t.Errorf("%v: %s", signal, p.log)
		}
		// What is written ahead is in the database when it has been closed.
		if left, err := filepath.Glob(filepath.Join(dir, "*-wal")); err != nil || len(left) > 0 {
			t.Errorf("%v: %v is left, %v", signal, left, err)
		}
	}
}

func TestAPortInUseIsSaidSo(t *testing.T) {
	p := launch(t, "serve", "--data", t.TempDir())
	for flag, address := range map[string]string{"--listen": p.public, "--push-listen": p.push} {
		args := []string{"serve", "--data", t.TempDir(), "--listen", "127.0.0.1:0", "--push-listen", "127.0.0.1:0", flag, address}
		out, err := exec.Command(binary, args...).CombinedOutput()
		exit, ok := err.(*exec.ExitError)
		if !ok || exit.ExitCode() != 1 || !strings.Contains(string(out), address) || !strings.Contains(string(out), "in use") {
			t.Errorf("%s: %v: %s", flag, err, out)
		}
	}
}

func TestSecretsAreMadeOnceAndStayOutOfTheLog(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	secrets := map[string]string{}
	read := func() {
		t.Helper()
		for _, name := range []string{tokenSecretFile, pushKeyFile} {
			path := filepath.Join(dir, name)
			info, err := os.Stat(path)
			if err != nil {
				t.Fatal(err)
			}
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode().Perm() != 0o600 || len(content) < 32 {
				t.Errorf("%s: mode %v, %d bytes", name, info.Mode(), len(content))
			}
			if made := secrets[name]; made != "" && made != string(content) {
				t.Errorf("%s was made again", name)
			}
			secrets[name] = string(content)
		}
	}
	var logs string
	for range 2 {
		p := launch(t, "serve", "--data", dir)
		read()
		key := strings.TrimSpace(secrets[pushKeyFile])
		fields := url.Values{"action": {"message"}, "receiverID": {"1"}, "title": {"a private matter"}}
		if got := p.pushes(fields); got != "fail" {
			t.Errorf("without the key: %s", got)
		}
		fields.Set("token", "a-wrong-key")
		if got := p.pushes(fields); got != "fail" {
			t.Errorf("with a wrong key: %s", got)
		}
		fields.Set("token", key)
		if got := p.pushes(fields); got != "offline" {
			t.Errorf("with the key: %s", got)
		}
		res, err := http.Get("http://" + p.push + "/?" + fields.Encode() + "&date=x")
		if err != nil {
			t.Fatal(err)
		}
		if got := readAll(t, res); got != "fail" {
			t.Errorf("a bad date: %s", got)
		}
		code, token, stderr := runs("token", "--uid", "1", "--company", "1", "--data", dir)
		if code != 0 {
			t.Fatal(stderr)
		}
		token = strings.TrimSpace(token)
		secrets["a login token"] = token
		if page := p.page(fmt.Sprintf(`{"token":%q}`, token)); !strings.Contains(page.seen, `"ok":true`) {
			t.Errorf("login with a token: %s", page.seen)
		}
		if page := p.page(fmt.Sprintf(`{"token":%q}`, token+"x")); !strings.Contains(page.seen, `"ok":false`) {
			t.Errorf("login with a forged token: %s", page.seen)
		}
		if page := p.page(userOne); !strings.Contains(page.seen, `"ok":false`) {
			t.Errorf("login without a token: %s", page.seen)
		}
		p.end(syscall.SIGKILL)
		logs += p.log.String() + p.stdout.String()
		if strings.Contains(logs, token) {
			t.Error("the log has a login token")
		}
	}
	for name, secret := range secrets {
		if strings.Contains(logs, strings.TrimSpace(secret)) {
			t.Errorf("the log has %s", name)
		}
	}
	for _, private := range []string{"a-wrong-key", "a private matter"} {
		if strings.Contains(logs, private) {
			t.Errorf("the log has %q", private)
		}
	}
	if !strings.Contains(logs, "push refused") || !strings.Contains(logs, "login refused") {
		t.Error("refusals are not logged")
	}
}

func TestSecretsFromTheEnvironmentLeaveNoFile(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("BELFRY_AUTH_PUSH_KEY", "key-of-the-environment")
	t.Setenv("BELFRY_AUTH_TOKEN_SECRET", testSecret)
	p := launch(t, "serve", "--data", dir)
	if got := p.pushes(url.Values{"token": {"key-of-the-environment"}, "action": {"message"}, "receiverID": {"1"}, "title": {"t"}}); got != "offline" {
		t.Errorf("answer %s", got)
	}
	for _, name := range []string{tokenSecretFile, pushKeyFile} {
		if _, err := os.Stat(filepath.Join(dir, name)); !os.IsNotExist(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	p.end(syscall.SIGTERM)
	if log := p.log.String(); strings.Contains(log, "key-of-the-environment") || strings.Contains(log, testSecret) {
		t.Error("the log has a secret")
	}
}

func TestTheDemoSaysWhereItIsAndCleansUp(t *testing.T) {
	temporary := t.TempDir()
	t.Setenv("TMPDIR", temporary)
	p := launch(t, "demo")
	res, err := http.Get("http://" + p.public + "/demo/config.json")
	if err != nil {
		t.Fatal(err)
	}
	if body := readAll(t, res); !strings.Contains(body, `"users"`) {
		t.Errorf("the demo answers %s", body)
	}
	if code := p.end(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d: %s", code, p.log)
	}
	port := p.public[strings.LastIndex(p.public, ":"):]
	if out := p.stdout.String(); !strings.Contains(out, "http://localhost"+port+"/demo/") {
		t.Errorf("it says %q", out)
	}
	if left, err := os.ReadDir(temporary); err != nil || len(left) > 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}

func TestRetentionIsEnforcedFromTheStart(t *testing.T) {
	dir := t.TempDir()
	first := launch(t, "serve", "--dev", "--data", dir)
	for _, title := range []string{"one", "two", "three"} {
		if got := first.message("7", title); got != "offline" {
			t.Fatalf("the push was answered %q", got)
		}
	}
	if code := first.end(syscall.SIGTERM); code != 0 {
		t.Fatalf("it ended with %d: %s", code, first.log)
	}
	second := launch(t, "serve", "--dev", "--data", dir, "--retention.messages-per-user", "1")
	timeout := time.After(deadline)
	for !strings.Contains(second.log.String(), `msg="retention has deleted the oldest" of=messages rows=2`) {
		select {
		case <-second.log.changed:
		case <-timeout:
			t.Fatalf("nothing is deleted: %s", second.log)
		}
	}
	page := second.page(`{"uid":7,"companyID":1}`)
	page.until("three")
	if strings.Contains(page.seen, "one") || strings.Contains(page.seen, "two") {
		t.Errorf("the page was sent %s", page.seen)
	}
}
