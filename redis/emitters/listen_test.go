package emitters_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"belfry"
	"belfry/internal/redistest"
	"belfry/redis/emitters"

	"github.com/redis/rueidis"
)

// patience bounds the waiting for what should happen.
const patience = time.Minute

// A listening is a call of Listen, and one who publishes.
type listening struct {
	t         *testing.T
	server    *redistest.Server
	publisher rueidis.Client
	listener  rueidis.Client
	heard     chan belfry.Envelope
	ended     chan error
	cancel    context.CancelFunc
	log       *logged
}

type logged struct {
	mu  sync.Mutex
	all strings.Builder
}

func (l *logged) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(line)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}

func client(t *testing.T, s *redistest.Server) rueidis.Client {
	t.Helper()
	c, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{s.Addr()}, DisableCache: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// listen has a server of its own: a test may kill it, and what is published is heard in all databases.
func listen(t *testing.T, prefix string) *listening {
	t.Helper()
	server, err := redistest.Launch()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	l := &listening{t: t, server: server, publisher: client(t, server), listener: client(t, server),
		heard: make(chan belfry.Envelope, 100), ended: make(chan error, 1), cancel: cancel, log: &logged{}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		options := emitters.Options{Prefix: prefix, Logger: slog.New(slog.NewTextHandler(l.log, nil))}
		l.ended <- emitters.Listen(ctx, l.listener, options, func(env belfry.Envelope) { l.heard <- env })
	}()
	t.Cleanup(func() { cancel(); <-done })
	return l
}

// publish publishes, and waits until somebody listens. It gives up no call before that: one that is answered late
// has published all the same.
func (l *listening) publish(channel string, payload []byte) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for ; ; time.Sleep(10 * time.Millisecond) {
		n, err := l.publisher.Do(ctx, l.publisher.B().Publish().Channel(channel).Message(string(payload)).Build()).AsInt64()
		if err == nil && n > 0 {
			return
		}
		if ctx.Err() != nil {
			l.t.Fatalf("nobody listens to %s (%v); the log:\n%s", channel, err, l.log)
		}
	}
}

// next is what is heard next.
func (l *listening) next() belfry.Envelope {
	l.t.Helper()
	select {
	case env := <-l.heard:
		return env
	case <-time.After(patience):
		l.t.Fatalf("nothing was heard; the log:\n%s", l.log)
		panic("unreachable")
	}
}

func TestEmittersAreHeardOnceAndInOrder(t *testing.T) {
	l := listen(t, "")
	var want []belfry.Envelope
	for _, r := range records(t) {
		_, call, _ := strings.Cut(r.Name, ": ")
		if env, ok := heard[call]; ok {
			want = append(want, env)
		} else if call == "in a namespace" {
			continue // nobody listens there
		}
		for _, p := range r.Published {
			l.publish(p.Channel, decoded(t, p.Payload))
		}
	}
	l.publish("socket.io#/#", pack(t, []any{"x", event("last"), m{}}))
	want = append(want, belfry.Envelope{Rooms: everybody, Event: "last", Args: []any{}})
	for i, env := range want {
		if got := l.next(); !same(got, env) {
			t.Errorf("emission %d:\ngot  %#v\nwant %#v", i, got, env)
		}
	}
	if log := l.log.String(); !strings.Contains(log, "socketsJoin") {
		t.Errorf("the log does not tell what was refused:\n%s", log)
	}
}

func TestTheSameEventTwiceIsHeardTwice(t *testing.T) {
	l := listen(t, "")
	tick := pack(t, []any{"emitter", event("tick"), m{"rooms": []any{"uid:1", "uid:2"}}})
	for range 2 {
		l.publish("socket.io#/#uid:1#", tick)
		l.publish("socket.io#/#uid:2#", tick)
	}
	l.publish("socket.io#/#", pack(t, []any{"emitter", event("last"), m{}}))
	var got []string
	for range 3 {
		got = append(got, l.next().Event)
	}
	if want := []string{"tick", "tick", "last"}; !reflect.DeepEqual(got, want) {
		t.Errorf("heard %q, want %q", got, want)
	}
}

func TestAPrefixIsNoPattern(t *testing.T) {
	l := listen(t, "my*[a]?")
	message := func(e string) []byte { return pack(t, []any{"emitter", event(e), m{}}) }
	l.publish("my*[a]?#/#", message("first"))
	if e := l.next().Event; e != "first" {
		t.Errorf("heard %q", e)
	}
	for _, other := range []string{"my-a1#/#", "socket.io#/#", "my*[a]?#/chat#", "my*[a]?-response#/#"} {
		n, err := l.publisher.Do(context.Background(), l.publisher.B().Publish().Channel(other).Message("x").Build()).AsInt64()
		if n != 0 || err != nil {
			t.Errorf("%d listen to %s (%v)", n, other, err)
		}
	}
}

func TestBadMessagesEndNothingAndFillNoLog(t *testing.T) {
	l := listen(t, "")
	for i := range 200 {
		l.publish("socket.io#/#", fmt.Appendf(nil, "rubbish that is nobody's business %d", i))
	}
	l.publish("socket.io#/#", pack(t, []any{"emitter", event("note"), m{}}))
	if e := l.next().Event; e != "note" {
		t.Errorf("heard %q", e)
	}
	if n := strings.Count(l.log.String(), "refused"); n == 0 || n > 20 {
		t.Errorf("there are %d lines for 200 refusals:\n%s", n, l.log)
	}
	if strings.Contains(l.log.String(), "business") {
		t.Errorf("the log tells what was in a message:\n%s", l.log)
	}
}

func TestEmittersAreHeardAgainWhenRedisComesBack(t *testing.T) {
	l := listen(t, "")
	note := pack(t, []any{"emitter", event("note"), m{}})
	for range 2 {
		l.publish("socket.io#/#", note)
		if e := l.next().Event; e != "note" {
			t.Errorf("heard %q", e)
		}
		if err := l.server.Kill(); err != nil {
			t.Fatal(err)
		}
		if err := l.server.Restart(); err != nil {
			t.Fatal(err)
		}
	}
	l.publish("socket.io#/#", note)
	l.next()
	if !strings.Contains(l.log.String(), "meanwhile is lost") {
		t.Errorf("the log does not say that something may be lost:\n%s", l.log)
	}
}

func TestListeningEndsWithItsContextAndItsClient(t *testing.T) {
	tick := pack(t, []any{"emitter", event("tick"), m{}})
	for name, tt := range map[string]struct {
		end  func(*listening)
		want error
	}{
		"context": {func(l *listening) { l.cancel() }, context.Canceled},
		"client":  {func(l *listening) { l.listener.Close() }, rueidis.ErrClosing},
	} {
		t.Run(name, func(t *testing.T) {
			l := listen(t, "")
			l.publish("socket.io#/#", tick)
			l.next()
			tt.end(l)
			select {
			case err := <-l.ended:
				if !errors.Is(err, tt.want) {
					t.Errorf("it ended with %v, want %v", err, tt.want)
				}
			case <-time.After(patience):
				t.Error("it has not ended")
			}
		})
	}
}

// TestEmittersOnACluster is about messages, which a cluster passes on to all its nodes.
func TestEmittersOnACluster(t *testing.T) {
	cluster, err := redistest.LaunchCluster()
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := cluster.Stop(); err != nil {
			t.Error(err)
		}
	}()
	listener, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{cluster.Masters[0].Addr()}, DisableCache: true})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	heard, done := make(chan belfry.Envelope, 1000), make(chan struct{})
	go func() {
		defer close(done)
		emitters.Listen(ctx, listener, emitters.Options{}, func(env belfry.Envelope) { heard <- env })
	}()
	defer func() { cancel(); <-done; listener.Close() }()
	for i, s := range cluster.Masters {
		publisher := client(t, s)
		name := fmt.Sprintf("from-%d", i)
		message := pack(t, []any{"emitter", event(name), m{}})
		for deadline, arrived := time.Now().Add(patience), false; !arrived; time.Sleep(10 * time.Millisecond) {
			if err := publisher.Do(ctx, publisher.B().Publish().Channel("socket.io#/#").Message(string(message)).Build()).Error(); err != nil {
				t.Fatal(err)
			}
			select {
			case env := <-heard:
				arrived = env.Event == name
			default:
				if time.Now().After(deadline) {
					t.Fatalf("what master %d was told is not heard", i)
				}
			}
		}
	}
}
