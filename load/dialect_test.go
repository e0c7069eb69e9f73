package load

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
)

// plain is a dialect of words: "login USER COMPANY", "welcome", "refused", "ping", and publications as
// they are.
type plain struct{}

func (plain) Login(user, company string) []byte {
	return fmt.Appendf(nil, "login %s %s", user, company)
}

func (plain) Read(message []byte, to DialectPage) error {
	switch string(message) {
	case "welcome":
		return to.Welcome()
	case "ping":
		return to.Heartbeat([]byte("pong"))
	case "refused":
		return errors.New("it does not let me in")
	}
	return to.Publication(message)
}

// A plainServer speaks plain: it lets pages in, and sends every push to all of a company.
type plainServer struct {
	welcome string
	alter   func(n int, title string) []string // what is sent of the nth push

	mu     sync.Mutex
	pages  map[net.Conn]string // their companies
	pongs  int
	pushes int
}

func startPlain(t *testing.T, s *plainServer) Options {
	t.Helper()
	s.pages = make(map[net.Conn]string)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /plain", s.page)
	mux.HandleFunc("POST /", s.push)
	ts := httptest.NewServer(mux)
	t.Cleanup(ts.Close)
	return Options{
		URL: ts.URL, Push: ts.URL, Path: "/plain", Dialect: plain{}, Scenario: Fanout, Pages: 6, Companies: 2, Callers: 2, Rate: 500,
		Duration: 200 * time.Millisecond, Drain: 100 * time.Millisecond, Verify: true, Seed: 1,
	}
}

// page serves a page until it goes.
func (s *plainServer) page(w http.ResponseWriter, _ *http.Request) {
	conn, rw, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
	for {
		text, err := readClientFrame(rw.Reader)
		if err != nil || text == "" {
			s.mu.Lock()
			delete(s.pages, conn)
			s.mu.Unlock()
			return
		}
		s.mu.Lock()
		if text == "pong" {
			s.pongs++
		} else if words := strings.Fields(text); len(words) == 3 && words[0] == "login" {
			s.pages[conn] = words[2]
			conn.Write(serverFrame(0x80|opText, s.welcome))
			conn.Write(serverFrame(0x80|opText, "ping"))
		}
		s.mu.Unlock()
	}
}

// readClientFrame reads a short frame of a client whose key is zero, and returns its text; that of a close
// frame is empty.
func readClientFrame(r *bufio.Reader) (string, error) {
	header := make([]byte, 6)
	for i := range header {
		var err error
		if header[i], err = r.ReadByte(); err != nil {
			return "", err
		}
	}
	payload := make([]byte, header[1]&0x7F)
	for i := range payload {
		var err error
		if payload[i], err = r.ReadByte(); err != nil {
			return "", err
		}
	}
	if header[0] != 0x80|opText {
		return "", nil
	}
	return string(payload), nil
}

// answered is how many pings have been.
func (s *plainServer) answered() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pongs
}

func (s *plainServer) push(w http.ResponseWriter, r *http.Request) {
	company, title := r.FormValue("companyID"), r.FormValue("title")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pushes++
	sent := []string{title}
	if s.alter != nil {
		sent = s.alter(s.pushes, title)
	}
	for conn, of := range s.pages {
		for _, title := range sent {
			if of == company {
				conn.Write(serverFrame(0x80|opText, title))
			}
		}
	}
	w.Write([]byte("ok"))
}

func TestPagesSpeakADialectAndAreJudgedAllTheSame(t *testing.T) {
	for _, tt := range []struct {
		name  string
		alter func(n int, title string) []string
		loses bool
		found func(*VerifyReport) bool
	}{
		{"it does nothing wrong", nil, false, func(v *VerifyReport) bool { return v.Faults == 0 }},
		{"it doubles every tenth", func(n int, title string) []string {
			return []string{title, title}[:1+n%10/9]
		}, false, func(v *VerifyReport) bool { return v.Doubled > 0 && v.Faults == v.Doubled }},
		{"it loses every tenth", func(n int, title string) []string {
			return []string{title}[n%10/9:]
		}, true, func(v *VerifyReport) bool { return v.Lost > 0 && v.Faults == v.Lost }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var s *plainServer
			r := runUntil(t, func() Options {
				s = &plainServer{welcome: "welcome", alter: tt.alter}
				o := startPlain(t, s)
				if !tt.loses {
					o.Drain = deadline // the run ends when all has come
				}
				return o
			}, func(r *Report) bool { return r.Pushes.OK >= 50 })
			if r.Connect.Opened != 6 || len(r.Errors) > 0 || !tt.found(r.Verify) {
				t.Errorf("of %d pages and %d pushes it found %+v; errors %v", r.Connect.Opened, r.Pushes.OK, r.Verify, r.Errors)
			}
			if r.Life.Heartbeats != 6 {
				t.Errorf("%d heartbeats, want 6", r.Life.Heartbeats)
			}
			for end := time.Now().Add(deadline); s.answered() != 6; time.Sleep(time.Millisecond) { // it may not have read them all yet
				if time.Now().After(end) {
					t.Fatalf("%d heartbeats were answered, want 6", s.answered())
				}
			}
		})
	}
}

func TestADialectPageThatIsRefusedSaysWhy(t *testing.T) {
	r, err := Run(context.Background(), startPlain(t, &plainServer{welcome: "refused"}))
	if err != nil {
		t.Fatal(err)
	}
	if r.Connect.Opened > 0 || len(r.Errors) == 0 || !strings.Contains(r.Errors[0].What, "does not let me in") {
		t.Errorf("%d pages, errors %v", r.Connect.Opened, r.Errors)
	}
}

func TestADialectPageThatLeavesWaitsForWhatItIsOwed(t *testing.T) {
	mustRun(t, func() Options {
		o := startPlain(t, &plainServer{welcome: "welcome"})
		o.Churn, o.Duration, o.Drain = 50, time.Second, deadline
		return o
	}, func(r *Report) bool { return r.Life.Left > 0 })
}

func TestADialectHasNeitherPollingNorRecovery(t *testing.T) {
	for name, alter := range map[string]func(*Options){
		"polling":    func(o *Options) { o.Polling = 0.5 },
		"revision 4": func(o *Options) { o.Revision4 = 1 },
		"recovery":   func(o *Options) { o.Recover = true },
	} {
		o := Options{URL: "http://localhost", Push: "http://localhost", Scenario: Idle, Pages: 1, Dialect: plain{}}
		alter(&o)
		if _, err := Run(context.Background(), o); !errors.Is(err, errDialect) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheHandshakeOfADialectIsNotThatOfEngineIO(t *testing.T) {
	r, err := newRun(Options{URL: "http://127.0.0.1:1/", Push: "http://127.0.0.1:1", Path: "/plain", Scenario: Idle, Pages: 1, Dialect: plain{}})
	if err != nil {
		t.Fatal(err)
	}
	defer r.close()
	got := (&session{page: r.pages[0]}).appendUpgrade(nil)
	if want := "/plain HTTP/1.1\r\nHost: 127.0.0.1:1\r\n"; !bytes.Equal(got, []byte(want)) {
		t.Errorf("%q, want %q", got, want)
	}
}
