package engineio

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A ponderer takes as long for a message "slow" as it is made to, and panics at "panic".
type ponderer struct {
	goOn chan struct{}
	got  chan string
}

func (p ponderer) Message(data []byte, _ bool) {
	switch string(data) {
	case "slow":
		<-p.goOn
	case "panic":
		<-p.goOn
		panic("at a late message")
	}
	p.got <- string(data)
}

func (p ponderer) Closed(reason Reason) { p.got <- string(reason) }

// openPonderer makes a session over polling, and returns what posts to it and says how that was answered.
func openPonderer(t *testing.T) (p ponderer, post func(body string) <-chan int, stop func()) {
	p = ponderer{make(chan struct{}), make(chan string, 10)}
	o := slow
	o.Logger = discard
	engine := NewServer(o, func(*Session) Receiver { return p })
	session, err := engine.open(Protocol4, &Handshake{}, binaryWhereNeeded, false)
	if err != nil {
		t.Fatal(err)
	}
	post = func(body string) <-chan int {
		answered := make(chan int, 1)
		go func() {
			w := httptest.NewRecorder()
			engine.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/?EIO=4&transport=polling&sid="+session.ID(), strings.NewReader(body)))
			answered <- w.Code
		}()
		return answered
	}
	return p, post, func() {
		if err := engine.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// A client that sends one request at a time gets what a handler waits for it to take.
func TestAPostIsAnsweredThoughItsHandlerTakesLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, post, stop := openPonderer(t)
		start := time.Now()
		if code := <-post("4slow\x1e4b"); code != http.StatusOK {
			t.Errorf("it is answered %d", code)
		}
		if took := time.Since(start); took != handlingTimeout {
			t.Errorf("it is answered after %v", took)
		}
		// The next one waits: messages are handled in order.
		next := post("4c")
		time.Sleep(2 * handlingTimeout)
		synctest.Wait()
		if len(next) != 0 || len(p.got) != 0 {
			t.Fatal("the next POST is handled before the one before it")
		}
		close(p.goOn)
		if code := <-next; code != http.StatusOK {
			t.Errorf("the next one is answered %d", code)
		}
		if got := []string{<-p.got, <-p.got, <-p.got}; !slices.Equal(got, []string{"slow", "b", "c"}) {
			t.Errorf("handled are %v", got)
		}
		if code := <-post("4d"); code != http.StatusOK || <-p.got != "d" {
			t.Errorf("a later one is answered %d", code)
		}
		stop()
	})
}

func TestAPostBesideOneThatIsNotAnsweredEndsTheSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, post, stop := openPonderer(t)
		first := post("4slow")
		synctest.Wait()
		if code := <-post("4b"); code != http.StatusBadRequest {
			t.Errorf("a second one is answered %d", code)
		}
		close(p.goOn)
		<-first
		if got := []string{<-p.got, <-p.got}; !slices.Equal(got, []string{"slow", string(ReasonTransportError)}) {
			t.Errorf("handled are %v", got)
		}
		stop()
	})
}

func TestWhatGoesWrongAfterAPostIsAnsweredEndsTheSessionAlone(t *testing.T) {
	for body, reason := range map[string]Reason{
		"4panic\x1e4b":    ReasonPanic,
		"4slow\x1ebroken": ReasonParseError,
	} {
		synctest.Test(t, func(t *testing.T) {
			p, post, stop := openPonderer(t)
			if code := <-post(body); code != http.StatusOK {
				t.Errorf("it is answered %d", code)
			}
			waiting := post("4c")
			synctest.Wait()
			close(p.goOn)
			if code := <-waiting; code != http.StatusBadRequest {
				t.Errorf("the next one is answered %d", code)
			}
			got := <-p.got
			if got == "slow" {
				got = <-p.got
			}
			if got != string(reason) {
				t.Errorf("after %q: %s", body, got)
			}
			stop()
		})
	}
}
