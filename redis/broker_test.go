package redis_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/rueidis"

	"belfry"
	"belfry/internal/redistest"
	"belfry/redis"
)

// A post is a broker, its emitter and its receiver: what it emits, what it gets.
type post struct {
	*redis.Broker
	log *logged

	mu      sync.Mutex
	emitted []belfry.Envelope // here, by the broker itself
	units   []belfry.Unit
	got     []belfry.Envelope
	lost    bool
	losses  int
	pages   int  // that everything reaches
	wild    bool // the next event that is delivered panics
}

func (p *post) Emit(env belfry.Envelope) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.emitted = append(p.emitted, env)
	return p.pages
}

func (p *post) Pace() {}

func (p *post) Receive(u belfry.Unit, reached func([]int)) {
	p.mu.Lock()
	p.units = append(p.units, u)
	pages := make([]int, len(u.News))
	for i := range pages {
		pages[i] = p.pages
	}
	p.mu.Unlock()
	reached(pages)
}

func (p *post) Deliver(env belfry.Envelope) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wild && env.Event != "" { // not a probe of openPosts that is late
		p.wild = false
		panic("wild")
	}
	p.got = append(p.got, env)
	return p.pages
}

func (p *post) Lost() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lost = true
	p.losses++
}

func (p *post) Found() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lost = false
}

// emitter is the post as a [belfry.Emitter].
type emitter struct{ *post }

func (e emitter) Emit(env belfry.Envelope) int { return e.post.Emit(env) }

// How long posts wait for each other's answers.
const (
	// lasting is for a Redis that is there all the time: an answer comes, however late.
	lasting = time.Minute
	// passing is for one that goes away: of some answers nothing comes.
	passing = 2 * time.Second
)

func openPost(t testing.TB, url, prefix string, patience time.Duration, pages int) *post {
	t.Helper()
	p := &post{log: &logged{}, pages: pages}
	c := connect(t, redis.Options{URL: url, Prefix: prefix, Logger: slog.New(slog.NewTextHandler(p.log, nil))}, patience)
	p.Broker = redis.NewBroker(context.Background(), c, redis.BrokerOptions{Emitter: emitter{p}, Patience: patience})
	if !p.Serve(p) {
		t.Error("a broker on Redis says that it is alone")
	}
	t.Cleanup(func() {
		p.Close()
		c.Close()
	})
	return p
}

// openPosts returns posts that hear each other.
func openPosts(t testing.TB, url string, patience time.Duration, pages ...int) []*post {
	t.Helper()
	prefix := newPrefix()
	var posts []*post
	for _, n := range pages {
		posts = append(posts, openPost(t, url, prefix, patience, n))
	}
	wantFound(t, posts...)
	for i, p := range posts { // when its answers are there, the others have heard that it has begun, which they take for a loss
		eventually(t, func() string {
			reach, err := p.Publish(context.Background(), belfry.Envelope{Recount: []belfry.Identity{{User: "nobody"}}})
			if err == nil {
				_, err = reach.Elsewhere(context.Background())
			}
			if err != nil {
				return fmt.Sprintf("post %d: %v", i, err)
			}
			return ""
		})
	}
	return posts
}

func wantFound(t testing.TB, posts ...*post) {
	t.Helper()
	eventually(t, func() string {
		for i, p := range posts {
			p.mu.Lock()
			lost := p.lost
			p.mu.Unlock()
			if lost {
				return fmt.Sprintf("post %d hears nothing", i)
			}
			if _, err := p.Publish(context.Background(), belfry.Envelope{Recount: []belfry.Identity{{User: "nobody"}}}); err != nil {
				return fmt.Sprintf("post %d: %v", i, err)
			}
		}
		return ""
	})
}

func (p *post) watch(t testing.TB, page string, rooms ...string) {
	t.Helper()
	if err := p.Watch(context.Background(), page, rooms); err != nil {
		t.Fatal(err)
	}
}

var ids = belfry.NewIDSource()

// unitOf is a unit of one message.
func unitOf(after belfry.ID, receiver belfry.UserID, content string) belfry.Unit {
	m := &belfry.Message{ID: ids.New(time.Now()), Receiver: receiver, Content: content, Extra: map[string]string{"k": "v"}}
	return belfry.Unit{After: after, Last: m.ID, News: []belfry.News{{LogEntry: belfry.LogEntry{Place: m.ID, Message: m}}}}
}

// onEach runs a test on a server and on a cluster of three masters.
func onEach(t *testing.T, test func(t *testing.T, url string)) { onBoth(t, test) }

func TestUnitsComeInOrderWithWhatIsWatched(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		posts := openPosts(t, url, lasting, 1, 2, 4)
		a, b, c := posts[0], posts[1], posts[2]
		b.watch(t, "page1", belfry.UserRoom("ann"), belfry.MemberRoom(belfry.Identity{User: "ann", Company: "acme"}), belfry.CompanyRoom("acme"))
		c.watch(t, "page2", belfry.UserRoom("bob"))
		const n = 300
		var last belfry.ID
		var reaches []belfry.Reach
		for i := range n {
			u := unitOf(last, []belfry.UserID{"ann", "bob", "nobody"}[i%3], fmt.Sprint(i))
			last = u.Last
			reaches = append(reaches, a.Share(u))
		}
		for i, reach := range reaches {
			if pages, err := reach.Elsewhere(context.Background()); err != nil || pages[0] != []int{2, 4, 0}[i%3] {
				t.Fatalf("unit %d reached %v (%v), want %d", i, pages, err, []int{2, 4, 0}[i%3])
			}
		}
		for at, p := range map[int]*post{0: b, 1: c} {
			eventually(t, func() string {
				p.mu.Lock()
				defer p.mu.Unlock()
				if len(p.units) == 0 || p.units[len(p.units)-1].Last != last {
					return "the last unit has not come"
				}
				return ""
			})
			var after belfry.ID
			var contents, want []string
			for _, u := range p.units {
				if u.After != after {
					t.Errorf("a unit comes after %s, want %s", u.After, after)
				}
				after = u.Last
				for _, one := range u.News {
					contents = append(contents, one.Message.Content)
					if one.Place != one.Message.ID || one.Message.Extra["k"] != "v" {
						t.Errorf("came as %+v", one)
					}
				}
			}
			for i := at; i < n; i += 3 {
				want = append(want, fmt.Sprint(i))
			}
			if !slices.Equal(contents, want) {
				t.Errorf("got %v, want %v", contents, want)
			}
		}
		if len(a.units) > 0 {
			t.Errorf("the sender got %d units of its own", len(a.units))
		}
	})
}

func TestOnePageThatLeavesTakesTheRoomFromNoOther(t *testing.T) {
	posts := openPosts(t, server.URL, lasting, 1, 1)
	a, b := posts[0], posts[1]
	room := belfry.UserRoom("ann")
	b.watch(t, "page1", room)
	b.watch(t, "page2", room, belfry.TopicRoom("news"))
	b.Unwatch("page1", nil)
	b.Unwatch("page1", nil)
	reached := func() int {
		t.Helper()
		reach, err := a.Publish(context.Background(), belfry.Envelope{Rooms: []string{room}, Event: "x"})
		if err != nil {
			t.Fatal(err)
		}
		pages, err := reach.Pages(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		return pages
	}
	if n := reached(); n != 2 {
		t.Errorf("the event has reached %d pages, want one on each node", n)
	}
	b.Unwatch("page2", []string{room})
	eventually(t, func() string {
		if n := reached(); n != 1 {
			return fmt.Sprintf("the event has reached %d pages, want that of its own node", n)
		}
		return ""
	})
	b.watch(t, "page3", room) // it is watched when Watch returns
	if n := reached(); n != 2 {
		t.Errorf("the event has reached %d pages after the page has come back, want 2", n)
	}
}

func TestEnvelopesComeOnceWithTheirArguments(t *testing.T) {
	onEach(t, func(t *testing.T, url string) {
		posts := openPosts(t, url, lasting, 1, 1)
		a, b := posts[0], posts[1]
		rooms := []string{belfry.UserRoom("ann"), belfry.CompanyRoom("acme"), belfry.TopicRoom("news")}
		b.watch(t, "page", rooms...)
		counts := belfry.Counts{Unread: 3, Unseen: 2, ByType: map[belfry.MessageType]int{1: 3}, Version: 7}
		m := &belfry.Message{ID: ids.New(time.Now()), Content: "<b>", Type: 2, Receiver: "ann", Date: time.Now().Truncate(time.Second).UTC()}
		for _, env := range []belfry.Envelope{
			{Rooms: rooms, Except: []string{"x"}, Event: "a", Args: []any{belfry.MessageEvent{Message: m, Counts: &counts}}, Cursor: belfry.Cursor{9}},
			{Rooms: rooms, Event: "b", Args: []any{counts}},
			{Rooms: rooms, Event: "c", Args: []any{&belfry.Activity{Company: "acme", Content: "done"}}},
			{Rooms: rooms, Event: "d", Args: []any{belfry.RevisionEvent{Revision: belfry.Revision{Kind: belfry.RevisionRead, IDs: []belfry.ID{m.ID}}}}},
			{Rooms: rooms, Event: "e", Args: []any{map[string]any{"any": "thing"}}},
			{Rooms: rooms, Disconnect: true},
			{Recount: []belfry.Identity{{User: "ann"}}, Resettle: true},
		} {
			reach, err := a.Publish(context.Background(), env)
			if err != nil {
				t.Fatal(err)
			}
			want := 2
			if env.Recount != nil {
				want = 1 // it is not emitted here
			}
			if pages, err := reach.Pages(context.Background()); err != nil || pages != want {
				t.Errorf("%+v reached %d pages (%v), want %d", env, pages, err, want)
			}
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		got := slices.DeleteFunc(b.got, func(env belfry.Envelope) bool { return len(env.Recount) > 0 && env.Recount[0].User == "nobody" })
		if len(got) != 7 {
			t.Fatalf("got %d envelopes, want 7: %+v", len(got), got)
		}
		if e, ok := got[0].Args[0].(belfry.MessageEvent); !ok || e.Message.Content != "<b>" || !e.Message.Date.Equal(m.Date) || e.Counts.Version != 7 || got[0].Cursor == (belfry.Cursor{}) || got[0].Except[0] != "x" {
			t.Errorf("a message came as %+v", got[0])
		}
		if c, ok := got[1].Args[0].(belfry.Counts); !ok || c.ByType[1] != 3 || got[1].Cursor != (belfry.Cursor{}) {
			t.Errorf("counts came as %+v", got[1])
		}
		if c, ok := got[2].Args[0].(*belfry.Activity); !ok || c.Content != "done" {
			t.Errorf("an activity came as %+v", got[2])
		}
		if c, ok := got[3].Args[0].(belfry.RevisionEvent); !ok || c.Kind != belfry.RevisionRead || c.IDs[0] != m.ID {
			t.Errorf("a revision came as %+v", got[3])
		}
		if fmt.Sprintf("%s", got[4].Args[0]) != `{"any":"thing"}` || !got[5].Disconnect || !got[6].Resettle || got[6].Recount[0].User != "ann" {
			t.Errorf("the others came as %+v", got[4:])
		}
	})
}

// TestALossIsSaidAndEnds kills and freezes Redis: a node that may have missed something is told, pages of its own are
// reached all the same, and nobody waits for Redis.
func TestALossIsSaidAndEnds(t *testing.T) {
	own, err := redistest.Launch()
	if err != nil {
		t.Fatal(err)
	}
	defer own.Stop()
	posts := openPosts(t, own.URL, passing, 1, 1)
	a, b := posts[0], posts[1]
	room := belfry.UserRoom("ann")
	b.watch(t, "page", room)
	for name, change := range map[string]struct{ away, back func() error }{
		"killed": {own.Kill, own.Restart}, "frozen": {own.Pause, own.Resume},
	} {
		if err := change.away(); err != nil {
			t.Fatal(err)
		}
		for i, p := range posts {
			eventually(t, func() string {
				p.mu.Lock()
				defer p.mu.Unlock()
				if !p.lost {
					return fmt.Sprintf("%s: post %d does not know that it hears nothing", name, i)
				}
				return ""
			})
		}
		b.watch(t, "another", belfry.UserRoom("bob")) // it returns
		eventually(t, func() string {
			if reach, err := a.Publish(context.Background(), belfry.Envelope{Rooms: []string{room}, Event: "x"}); err == nil {
				reach.Pages(context.Background())
				return name + ": what is published is said to have gone"
			} else if belfry.ErrorCode(err) != belfry.ErrUnavailable || reach.Here != 1 {
				return fmt.Sprintf("%s: %v, reached %d here, want %s and 1", name, err, reach.Here, belfry.ErrUnavailable)
			}
			return ""
		})
		if reach := a.Share(unitOf(belfry.ID{}, "ann", "away")); reach.Elsewhere != nil {
			if pages, err := reach.Elsewhere(context.Background()); err == nil || pages[0] != 0 {
				t.Errorf("%s: a unit has reached %v", name, pages)
			}
		}
		if err := change.back(); err != nil {
			t.Fatal(err)
		}
		wantFound(t, posts...)
		for _, user := range []belfry.UserID{"ann", "bob"} { // also what was watched meanwhile
			wantReached(t, a, user, 1)
		}
	}
}

// TestANodeThatSentWhatMayNotHaveComeSaysSo has a node's connection killed: the others are told to read the store.
func TestANodeThatSentWhatMayNotHaveComeSaysSo(t *testing.T) {
	own, err := redistest.Launch()
	if err != nil {
		t.Fatal(err)
	}
	defer own.Stop()
	posts := openPosts(t, own.URL, passing, 1, 1)
	before := make([]int, len(posts))
	for i, p := range posts {
		p.mu.Lock()
		before[i] = p.losses
		p.mu.Unlock()
	}
	killer := connect(t, redis.Options{URL: own.URL}, lasting)
	defer killer.Close()
	if err := killer.KillOthers(context.Background()); err != nil {
		t.Fatal(err)
	}
	for i, p := range posts {
		eventually(t, func() string {
			p.Share(unitOf(belfry.ID{}, "x", "x")) // a sender notices when it sends
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.losses == before[i] || p.lost {
				return fmt.Sprintf("post %d was told of %d losses, lost %v", i, p.losses-before[i], p.lost)
			}
			return ""
		})
	}
}

// TestWhoeverWaitsIsTold has the time of calls be over while what they send, or what goes with it, is being made up.
func TestWhoeverWaitsIsTold(t *testing.T) {
	a := openPosts(t, server.URL, time.Nanosecond, 1, 1)[0]
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var last belfry.ID
	var line sync.Mutex // units that follow each other go together
	var callers sync.WaitGroup
	for range 16 {
		callers.Go(func() {
			for range 50 {
				line.Lock()
				u := unitOf(last, "ann", "x")
				last = u.Last
				for range 50 {
					u.News = append(u.News, u.News[0])
				}
				reach := a.Share(u)
				line.Unlock()
				if reach.Elsewhere == nil {
					t.Error("nothing is sent")
					return
				}
				pages, err := reach.Elsewhere(ctx)
				if ctx.Err() != nil || len(pages) != len(u.News) {
					t.Errorf("whoever waits is told %v, %v", pages, err)
					return
				}
			}
		})
	}
	callers.Wait()
}

func TestAMalformedPacketIsALossAndNothingElse(t *testing.T) {
	posts := openPosts(t, server.URL, lasting, 1)
	a := posts[0]
	for _, message := range []string{"", "N", "R{}", `R{"from":"x"}`, `E{"from":"x"}`, `N{"from":"x","News":[{}]}`, `Z{"from":"x"}`, "N[]", "\xff"} {
		a.mu.Lock()
		before := a.losses
		a.mu.Unlock()
		if err := a.SendRaw(context.Background(), message); err != nil {
			t.Fatal(err)
		}
		if message == `Z{"from":"x"}` {
			continue // of a newer program
		}
		eventually(t, func() string {
			a.mu.Lock()
			defer a.mu.Unlock()
			if a.losses == before || a.lost {
				return fmt.Sprintf("after %q there are %d losses", message, a.losses-before)
			}
			return ""
		})
	}
}

func TestAPanicAtWhatComesEndsNothing(t *testing.T) {
	posts := openPosts(t, server.URL, lasting, 1, 1)
	a, b := posts[0], posts[1]
	b.watch(t, "page", belfry.UserRoom("ann"))
	b.mu.Lock()
	b.wild = true
	before := b.losses
	b.mu.Unlock()
	publish := func() belfry.Reach {
		t.Helper()
		reach, err := a.Publish(context.Background(), belfry.Envelope{Rooms: []string{belfry.UserRoom("ann")}, Event: "x"})
		if err != nil {
			t.Fatal(err)
		}
		return reach
	}
	first, second := publish(), publish()
	if pages, err := second.Pages(context.Background()); pages != 2 || err != nil {
		t.Errorf("%d pages were reached (%v) after what panics, want 2", pages, err)
	}
	// Answers come in order: what panics would have been answered by now.
	ended, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	if pages, err := first.Pages(ended); pages != 1 || err == nil {
		t.Errorf("%d pages were reached by what panics (%v), want 1 and an error", pages, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.losses == before || b.lost || b.log.count("wild") == 0 {
		t.Errorf("there were %d losses; the log has the panic %d times", b.losses-before, b.log.count("wild"))
	}
}

func FuzzPacket(f *testing.F) {
	for _, seed := range []string{"", "N{}", `R{"from":"x","After":"000000000000000000000000","Last":"000000000000000000000001"}`,
		`E{"from":"x","Envelope":{"Rooms":["a"],"Args":[{"JSON":1},{"Counts":{}}],"Cursor":true}}`,
		`N{"from":"x","News":[{"Index":1,"Message":{"Content":"x"}}]}`, `A{"from":"x","Pages":{"0":1}}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, message string) { redis.TakeApart(message) })
}

// BenchmarkShare tells another node, which has the receiver's page, of a message, and waits for its answer. It reports what that
// costs Redis.
func BenchmarkShare(b *testing.B) {
	reader, err := rueidis.NewClient(rueidis.ClientOption{InitAddress: []string{server.Addr()}, DisableCache: true})
	if err != nil {
		b.Fatal(err)
	}
	defer reader.Close()
	for _, nodes := range []int{2, 3, 6} {
		for _, callers := range []int{1, 64} {
			b.Run(fmt.Sprintf("nodes=%d/callers=%d", nodes, callers), func(b *testing.B) {
				posts := openPosts(b, server.URL, redis.DefaultPatience, slices.Repeat([]int{1}, nodes)...)
				posts[1].watch(b, "page", belfry.UserRoom("ann"))
				content := strings.Repeat("x", 100)
				// Units follow each other, as those of a node's line do.
				var line sync.Mutex
				var last belfry.ID
				before := readStats(b, reader)
				b.ResetTimer()
				var work sync.WaitGroup
				left := atomic.Int64{}
				left.Store(int64(b.N))
				for range callers {
					work.Go(func() {
						for left.Add(-1) >= 0 {
							line.Lock()
							u := unitOf(last, "ann", content)
							last = u.Last
							reach := posts[0].Share(u)
							line.Unlock()
							if pages, err := reach.Elsewhere(context.Background()); err != nil || pages[0] != 1 {
								b.Errorf("reached %v, %v", pages, err)
							}
						}
					})
				}
				work.Wait()
				b.StopTimer()
				after := readStats(b, reader)
				for i, unit := range []string{"commands/op", "B-in/op", "B-out/op"} {
					b.ReportMetric((after[i]-before[i])/float64(b.N), unit)
				}
			})
		}
	}
}

// readStats returns how many PUBLISH there were, and the bytes that came and went.
func readStats(tb testing.TB, c rueidis.Client) (stats [3]float64) {
	tb.Helper()
	for _, section := range []string{"commandstats", "stats"} {
		text, err := c.Do(context.Background(), c.B().Info().Section(section).Build()).ToString()
		if err != nil {
			tb.Fatal(err)
		}
		for i, name := range []string{"cmdstat_publish:calls=", "total_net_input_bytes:", "total_net_output_bytes:"} {
			if _, rest, ok := strings.Cut(text, name); ok {
				number, _, _ := strings.Cut(strings.Split(rest, "\r\n")[0], ",")
				if stats[i], err = strconv.ParseFloat(number, 64); err != nil {
					tb.Fatal(err)
				}
			}
		}
	}
	return stats
}
