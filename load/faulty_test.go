package load

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"belfry/socketio"
)

// A faulty is a server that does to what it sends what its fault says.
type faulty struct {
	io    *socketio.Server
	pages *socketio.Namespace
	fault func(n int, send func(title string), title string) // n counts the publications
	mu    sync.Mutex
	n     int
	held  string
}

func startFaulty(t *testing.T, fault func(f *faulty, n int, send func(string), title string)) Options {
	t.Helper()
	f := &faulty{io: socketio.NewServer(socketio.Options{})}
	f.fault = func(n int, send func(string), title string) { fault(f, n, send, title) }
	f.pages = f.io.Of("/")
	f.pages.OnConnect(func(s *socketio.Socket) {
		var who struct{ CompanyID string }
		if json.Unmarshal(s.Auth(), &who) == nil {
			s.Join(who.CompanyID)
		}
		s.Emit("counts", map[string]any{})
	})
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", f.io)
	mux.HandleFunc("/push", f.push)
	ts := httptest.NewServer(mux)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		defer cancel()
		f.io.Shutdown(ctx)
		ts.Close()
	})
	return Options{
		URL: ts.URL, Push: ts.URL + "/push", Scenario: Fanout, Pages: 6, Callers: 1, Rate: 500,
		Duration: 200 * time.Millisecond, Drain: time.Second, Verify: true, Seed: 1,
	}
}

func (f *faulty) push(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	company, title := r.FormValue("companyID"), r.FormValue("title")
	f.n++
	f.fault(f.n, func(title string) {
		f.pages.To(company).Emit("update_dynamic", map[string]any{"title": title})
	}, title)
	w.Write([]byte("ok"))
}

func TestAServerThatDoesWrongIsFoundOut(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault func(f *faulty, n int, send func(string), title string)
		loses bool
		found func(*VerifyReport) bool
	}{
		{"it does nothing wrong", func(_ *faulty, _ int, send func(string), title string) {
			send(title)
		}, false, func(v *VerifyReport) bool { return v.Faults == 0 }},
		{"it loses every tenth", func(_ *faulty, n int, send func(string), title string) {
			if n%10 != 5 {
				send(title)
			}
		}, true, func(v *VerifyReport) bool { return v.Lost >= 6 && v.Faults == v.Lost && len(v.First) > 0 }},
		{"it loses all", func(*faulty, int, func(string), string) {}, true, func(v *VerifyReport) bool { return v.Lost >= 6*50 && v.Faults == v.Lost }},
		{"it doubles every tenth", func(_ *faulty, n int, send func(string), title string) {
			if send(title); n%10 == 5 {
				send(title)
			}
		}, false, func(v *VerifyReport) bool { return v.Doubled >= 6 && v.Faults == v.Doubled }},
		{"it lets every tenth wait for the next", func(f *faulty, n int, send func(string), title string) {
			if n%10 == 5 {
				f.held = title
				return
			}
			if send(title); f.held != "" {
				send(f.held)
				f.held = ""
			}
		}, true, func(v *VerifyReport) bool { return v.OutOfOrder >= 6 && v.Faults-v.OutOfOrder <= 6 }}, // the last may still wait
		{"it sends what is another company's", func(_ *faulty, _ int, send func(string), title string) {
			send(strings.Replace(title, "~c0.", "~c1.", 1))
		}, true, func(v *VerifyReport) bool { return v.Misdelivered > 0 }},
		{"it makes things up", func(_ *faulty, n int, send func(string), title string) {
			if send(title); n%10 == 5 {
				send(strings.Replace(title, "~c0.0.", "~c0.0.9", 1))
			}
		}, false, func(v *VerifyReport) bool { return v.Unknown > 0 && v.Faults == v.Unknown }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := runUntil(t, func() Options {
				o := startFaulty(t, tt.fault)
				if !tt.loses {
					o.Drain = deadline // the run ends when all has come
				}
				return o
			}, func(r *Report) bool { return r.Pushes.OK >= 50 })
			if !tt.found(r.Verify) {
				t.Errorf("of %d pushes it found %+v; errors %v", r.Pushes.OK, r.Verify, r.Errors)
			}
		})
	}
}

func TestWhatTheServerSendsThatIsNoEventOfOursIsPassedOver(t *testing.T) {
	r := mustRun(t, func() Options {
		o := startFaulty(t, func(f *faulty, _ int, send func(string), title string) {
			f.pages.Emit("update_dynamic", map[string]any{"title": "~bench-00000000~c0.0.1.5~"})
			f.pages.Emit("new_msg", "text")
			f.pages.Emit("something", 1, 2)
			send(title)
		})
		o.Drain = deadline // the run ends when all has come
		return o
	}, func(r *Report) bool { return r.Pushes.OK > 0 })
	if r.Deliveries.Count != 6*r.Pushes.OK {
		t.Errorf("%d pushes were delivered %d times", r.Pushes.OK, r.Deliveries.Count)
	}
}
