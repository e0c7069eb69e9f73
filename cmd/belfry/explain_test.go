package main

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
)

// restMessage pushes a message and returns its id.
func (p *process) restMessage(body string) string {
	p.t.Helper()
	res, err := http.Post("http://"+p.push+"/v1/messages", "application/json", strings.NewReader(body))
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	var receipt struct{ Messages []struct{ MessageID string } }
	if err := json.NewDecoder(res.Body).Decode(&receipt); err != nil || len(receipt.Messages) == 0 {
		p.t.Fatalf("status %d, %v", res.StatusCode, err)
	}
	return receipt.Messages[0].MessageID
}

func TestExplainTellsWhatBecameOfAMessage(t *testing.T) {
	dir := t.TempDir()
	p := launch(t, "serve", "--dev", "--data", dir)
	id := p.restMessage(`{"receivers":[7],"title":"t"}`)
	explain := func(args ...string) (code int, stdout, stderr string) {
		return runs(append([]string{"explain", "--push", "http://" + p.push, "--data", dir, "--timeout", deadline.String()}, args...)...)
	}
	code, out, stderr := explain(id)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if code != 0 || len(lines) != 3 || !strings.Contains(lines[0], "stored") || !strings.Contains(lines[1], "no_page") ||
		!strings.HasPrefix(lines[2], id+" for user 7: it is in the inbox and no page has been told") {
		t.Errorf("code %d, %q, %q", code, out, stderr)
	}
	if code, out, _ := explain(id, "--uid", "8"); code != 0 || !strings.Contains(out, "not for this user") {
		t.Errorf("for another: code %d, %q", code, out)
	}
	if code, _, stderr := explain("0123456789abcdef01234567"); code != 1 || !strings.Contains(stderr, "nothing is known") {
		t.Errorf("of nothing: code %d, %q", code, stderr)
	}
	if code, _, stderr := explain(id, "--auth.push-key", "wrong"); code != 1 || !strings.Contains(stderr, "key is wrong") {
		t.Errorf("with a wrong key: code %d, %q", code, stderr)
	}
	if code, _, stderr := runs("explain", id, "--push", "http://127.0.0.1:1", "--data", dir); code != 1 || !strings.Contains(stderr, "does not answer") {
		t.Errorf("without a server: code %d, %q", code, stderr)
	}
}
