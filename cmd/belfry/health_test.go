package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestHealthAsksEitherPort(t *testing.T) {
	p := launch(t, "serve", "--dev", "--data", t.TempDir())
	for _, address := range []string{p.public, p.push} {
		code, out, stderr := 1, "", ""
		for end := time.Now().Add(deadline); code != 0 && time.Now().Before(end); { // it is not well where it stands still
			code, out, stderr = runs("health", "--url", "http://"+address+"/healthz", "--timeout", deadline.String())
		}
		if code != 0 || out != "ok\n" {
			t.Errorf("%s: code %d, %q, %q", address, code, out, stderr)
		}
	}
	if code, _, stderr := runs("health", "--url", "http://"+p.public+"/other", "--timeout", deadline.String()); code != 1 || !strings.Contains(stderr, "not as belfry does") {
		t.Errorf("of another path: code %d, %q", code, stderr)
	}
}

func TestHealthFailsUnlessTheServerIsWell(t *testing.T) {
	unwell := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		fmt.Fprint(w, `{"status":"stopping"}`)
	}))
	defer unwell.Close()
	silent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
	}))
	defer silent.Close()
	for name, tt := range map[string]struct {
		args []string
		says string
	}{
		"stopping":   {[]string{"--url", unwell.URL, "--timeout", deadline.String()}, `not well: "stopping"`},
		"silent":     {[]string{"--url", silent.URL, "--timeout", "50ms"}, "does not answer"},
		"not there":  {[]string{"--url", "http://127.0.0.1:1/healthz"}, "does not answer"},
		"not an URL": {[]string{"--url", "127.0.0.1:2120"}, "first path segment"},
	} {
		if code, out, stderr := runs(append([]string{"health"}, tt.args...)...); code != 1 || out != "" || !strings.Contains(stderr, tt.says) {
			t.Errorf("%s: code %d, %q, %q", name, code, out, stderr)
		}
	}
}
