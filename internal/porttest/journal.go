package porttest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"belfry"
)

// A journalFixture is an empty journal and what tests make facts with.
type journalFixture struct {
	belfry.Journal
	t    *testing.T
	ids  *belfry.IDSource
	zero time.Time // the time of a test's first fact
}

// TestJournal runs the contract of [belfry.Journal]. Every call of open returns an
// empty journal that has room for a million facts, and closes it when its t ends.
func TestJournal(t *testing.T, open func(t *testing.T) belfry.Journal) {
	for name, test := range map[string]func(*testing.T, *journalFixture){
		"an empty journal has nothing for anybody":               testJournalEmpty,
		"a fact comes back as it was noted":                      testFactFields,
		"a detail is cut between characters":                     testFactDetail,
		"a story is oldest first and limited":                    testStoryOrder,
		"a story is the user's own and everybody's":              testStoryTenancy,
		"ids that look alike are different":                      testJournalHostileIDs,
		"facts about pages are of a time, and the newest stay":   testPages,
		"facts about pages are the user's own":                   testPagesTenancy,
		"reading sees what was noted before, and what was lost":  testReadYourNotes,
		"a read whose context has ended says so":                 testJournalEndedContext,
		"what many note at once is all there, or known as lost":  testNoteTogether,
		"noting does not wait, however much it is":               testNoteFlood,
		"a notice has few facts of a user among those of others": testStoryOfNotice,
		"a fact is told after many others of its message's kind": testStoryAmongMany,
	} {
		t.Run(name, func(t *testing.T) {
			test(t, &journalFixture{
				Journal: open(t), t: t, ids: belfry.NewIDSource(),
				// The journal may judge by its own clock how old a fact is.
				zero: time.Now().Truncate(time.Millisecond).Add(-time.Hour),
			})
		})
	}
}

// at is a time of the test.
func (f *journalFixture) at(ms int) time.Time {
	return f.zero.Add(time.Duration(ms) * time.Millisecond)
}

func (f *journalFixture) story(message belfry.ID, user belfry.UserID, limit int) []belfry.Fact {
	f.t.Helper()
	facts, err := f.Story(context.Background(), message, user, limit)
	if err != nil {
		f.t.Fatalf("Story: %v", err)
	}
	return facts
}

func (f *journalFixture) pages(user belfry.UserID, from, until time.Time, limit int) []belfry.Fact {
	f.t.Helper()
	facts, err := f.Pages(context.Background(), user, from, until, limit)
	if err != nil {
		f.t.Fatalf("Pages: %v", err)
	}
	return facts
}

// wantFacts checks facts by their details.
func wantFacts(t *testing.T, what string, got []belfry.Fact, want ...string) {
	t.Helper()
	var details []string
	for _, f := range got {
		details = append(details, f.Detail)
	}
	if strings.Join(details, " ") != strings.Join(want, " ") {
		t.Errorf("%s:\n got %v\nwant %v", what, details, want)
	}
}

func testJournalEmpty(t *testing.T, f *journalFixture) {
	f.Note()
	wantFacts(t, "story", f.story(f.ids.New(f.zero), "1", 10))
	wantFacts(t, "story of no message", f.story(belfry.ID{}, "1", 10))
	wantFacts(t, "pages", f.pages("1", f.zero, f.at(1000), 10))
	if n := f.Dropped(); n != 0 {
		t.Errorf("%d facts were dropped", n)
	}
}

func testFactFields(t *testing.T, f *journalFixture) {
	full := belfry.Fact{
		At: f.at(7), Kind: belfry.FactSent, Message: f.ids.New(f.zero), User: "王五", Company: "公司 🔔",
		Page: "pg_\x00'\"", Count: 1 << 40, Detail: "-- ; \n",
	}
	bare := belfry.Fact{At: f.at(8), Kind: belfry.FactWithdrawn, Message: full.Message, Count: -1}
	page := belfry.Fact{At: f.at(9), Kind: belfry.FactRevoked, User: "王五"}
	facts := []belfry.Fact{full, bare, page}
	f.Note(facts...)
	clear(facts) // the journal has copied them
	got := append(f.story(full.Message, "王五", 10), f.pages("王五", f.zero, f.at(100), 10)...)
	want := []belfry.Fact{full, bare, page}
	if len(got) != len(want) {
		t.Fatalf("%d facts, want %d: %+v", len(got), len(want), got)
	}
	for i := range want {
		if !got[i].At.Equal(want[i].At) {
			t.Errorf("the time is %v, want %v", got[i].At, want[i].At)
		}
		got[i].At = want[i].At
		if !reflect.DeepEqual(got[i], want[i]) {
			t.Errorf("the fact is\n%+v, want\n%+v", got[i], want[i])
		}
	}
}

func testFactDetail(t *testing.T, f *journalFixture) {
	m := f.ids.New(f.zero)
	details := []string{strings.Repeat("a", 256), strings.Repeat("a", 257), strings.Repeat("字", 200), "a" + strings.Repeat("🔔", 64)}
	for i, d := range details {
		f.Note(belfry.Fact{At: f.at(i), Kind: belfry.FactStored, Message: m, User: "1", Detail: d})
	}
	for i, got := range f.story(m, "1", 10) {
		d := got.Detail
		if !strings.HasPrefix(details[i], d) || !utf8.ValidString(d) || len(d) > 256 || len(d) < min(len(details[i]), 253) {
			t.Errorf("of %d bytes %d were kept: %q", len(details[i]), len(d), d)
		}
	}
}

func testStoryOrder(t *testing.T, f *journalFixture) {
	m := f.ids.New(f.zero)
	for _, ms := range []int{5, 1, 3, 9, 3} {
		f.Note(belfry.Fact{At: f.at(ms), Kind: belfry.FactSent, Message: m, User: "1", Detail: fmt.Sprint(ms)})
	}
	wantFacts(t, "story", f.story(m, "1", 10), "1", "3", "3", "5", "9")
	wantFacts(t, "story of three", f.story(m, "1", 3), "1", "3", "3")
	wantFacts(t, "story of none", f.story(m, "1", 0))
	// In one millisecond the order is that of noting.
	same := f.ids.New(f.zero)
	for i := range 9 {
		f.Note(belfry.Fact{
			At: f.at(1), Kind: belfry.FactSent, Message: same, User: []belfry.UserID{"1", ""}[i%2], Detail: fmt.Sprint(i),
		})
	}
	wantFacts(t, "story of a millisecond", f.story(same, "1", 10), "0", "1", "2", "3", "4", "5", "6", "7", "8")
}

func testStoryTenancy(t *testing.T, f *journalFixture) {
	m, other := f.ids.New(f.zero), f.ids.New(f.zero)
	f.Note(
		belfry.Fact{At: f.at(1), Kind: belfry.FactStored, Message: m, Detail: "everybody's"},
		belfry.Fact{At: f.at(2), Kind: belfry.FactSeen, Message: m, User: "1", Detail: "1's"},
		belfry.Fact{At: f.at(3), Kind: belfry.FactSeen, Message: m, User: "10", Detail: "10's"},
		belfry.Fact{At: f.at(4), Kind: belfry.FactRead, Message: other, User: "1", Detail: "another's"},
		belfry.Fact{At: f.at(5), Kind: belfry.FactLogin, User: "1", Detail: "login"},
	)
	wantFacts(t, "story of 1", f.story(m, "1", 10), "everybody's", "1's")
	wantFacts(t, "story of 10", f.story(m, "10", 10), "everybody's", "10's")
	wantFacts(t, "story of a stranger", f.story(m, "2", 10), "everybody's")
	wantFacts(t, "story of nobody", f.story(m, "", 10), "everybody's")
	wantFacts(t, "story of the other message", f.story(other, "1", 10), "another's")
	wantFacts(t, "story of no message", f.story(belfry.ID{}, "1", 10))
}

func testJournalHostileIDs(t *testing.T, f *journalFixture) {
	m := f.ids.New(f.zero)
	users := []belfry.UserID{"%", "1", "01", "1 ", "1\x00", "1\x00\x00", "' OR ''='", "é", "e\u0301", "A", "a", "\xff", "*"}
	for i, u := range users {
		f.Note(
			belfry.Fact{At: f.at(i), Kind: belfry.FactRead, Message: m, User: u, Detail: fmt.Sprint(i)},
			belfry.Fact{At: f.at(i), Kind: belfry.FactLogin, User: u, Detail: fmt.Sprint(i)},
		)
	}
	for i, u := range users {
		wantFacts(t, fmt.Sprintf("story of %q", u), f.story(m, u, 10), fmt.Sprint(i))
		wantFacts(t, fmt.Sprintf("pages of %q", u), f.pages(u, f.zero, f.at(1000), 10), fmt.Sprint(i))
	}
	// The bytes of message and user are not to run into each other.
	zero := belfry.UserID(m[:])
	wantFacts(t, "pages of a user who is called as the message is", f.pages(zero, f.zero, f.at(1000), 10))
}

func testPages(t *testing.T, f *journalFixture) {
	for _, ms := range []int{10, 30, 20, 40, 50} {
		f.Note(belfry.Fact{At: f.at(ms), Kind: belfry.FactLogin, User: "1", Page: "p", Detail: fmt.Sprint(ms)})
	}
	for _, tt := range []struct {
		from, until, limit int
		want               []string
	}{
		{0, 100, 10, []string{"10", "20", "30", "40", "50"}},
		{0, 100, 2, []string{"40", "50"}},
		{20, 50, 10, []string{"20", "30", "40"}},
		{20, 50, 1, []string{"40"}},
		{50, 20, 10, nil},
		{20, 20, 10, nil},
		{0, 100, 0, nil},
	} {
		what := fmt.Sprintf("%d from %d until %d", tt.limit, tt.from, tt.until)
		wantFacts(t, what, f.pages("1", f.at(tt.from), f.at(tt.until), tt.limit), tt.want...)
	}
	wantFacts(t, "until the beginning of time", f.pages("1", time.Time{}, time.Time{}, 10))
}

func testPagesTenancy(t *testing.T, f *journalFixture) {
	f.Note(
		belfry.Fact{At: f.at(1), Kind: belfry.FactLogin, User: "1", Company: "acme", Detail: "1's"},
		belfry.Fact{At: f.at(2), Kind: belfry.FactLogin, User: "10", Company: "acme", Detail: "10's"},
		belfry.Fact{At: f.at(3), Kind: belfry.FactRefused, Detail: "unknown"},
		belfry.Fact{At: f.at(4), Kind: belfry.FactRead, User: "1", Message: f.ids.New(f.zero), Detail: "of a message"},
	)
	wantFacts(t, "pages of 1", f.pages("1", f.zero, f.at(100), 10), "1's")
	wantFacts(t, "pages of 10", f.pages("10", f.zero, f.at(100), 10), "10's")
	wantFacts(t, "pages of a stranger", f.pages("2", f.zero, f.at(100), 10))
}

func testReadYourNotes(t *testing.T, f *journalFixture) {
	for range 200 {
		m := f.ids.New(f.zero)
		f.Note(belfry.Fact{At: f.at(1), Kind: belfry.FactStored, Message: m, User: "1", Detail: "a"})
		wantFacts(t, "story", f.story(m, "1", 10), "a")
		f.Note(belfry.Fact{At: f.at(1), Kind: belfry.FactRead, Message: m, User: "1", Detail: "b"})
		wantFacts(t, "story", f.story(m, "1", 10), "a", "b")
		if t.Failed() {
			return
		}
	}
	if n := f.Dropped(); n != 0 {
		t.Errorf("%d facts were dropped", n)
	}
}

func testJournalEndedContext(t *testing.T, f *journalFixture) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := f.Story(ctx, f.ids.New(f.zero), "1", 10); !errors.Is(err, context.Canceled) {
		t.Errorf("Story: %v, want %v", err, context.Canceled)
	}
	if _, err := f.Pages(ctx, "1", f.zero, f.at(1), 10); !errors.Is(err, context.Canceled) {
		t.Errorf("Pages: %v, want %v", err, context.Canceled)
	}
}

// testNoteTogether notes from many goroutines, each about a message of its own and
// about one that all have, while others read.
func testNoteTogether(t *testing.T, f *journalFixture) {
	const writers, each = 8, 3000
	shared := f.ids.New(f.zero)
	own := make([]belfry.ID, writers)
	stop := make(chan struct{})
	var writing, reading sync.WaitGroup
	for w := range writers {
		own[w] = f.ids.New(f.zero)
		writing.Go(func() {
			for i := range each / 2 {
				f.Note(
					belfry.Fact{At: f.at(i), Kind: belfry.FactSent, Message: own[w], User: "1", Count: i},
					belfry.Fact{At: f.at(i), Kind: belfry.FactSent, Message: shared, Count: w},
				)
			}
		})
	}
	reading.Go(func() {
		for before := 0; ; {
			select {
			case <-stop:
				return
			default:
			}
			facts, err := f.Story(context.Background(), shared, "1", writers*each)
			if err != nil || len(facts) < before {
				t.Errorf("%d facts were told, and then %d, %v", before, len(facts), err)
				return
			}
			before = len(facts)
		}
	})
	writing.Wait()
	close(stop)
	reading.Wait()
	there := len(f.story(shared, "1", writers*each))
	for w := range writers {
		facts := f.story(own[w], "1", each)
		for i := 1; i < len(facts); i++ {
			if facts[i].Count <= facts[i-1].Count {
				t.Fatalf("fact %d comes after fact %d", facts[i].Count, facts[i-1].Count)
			}
		}
		there += len(facts)
	}
	if lost := int(f.Dropped()); there+lost != writers*each {
		t.Errorf("%d facts are there and %d dropped, of %d", there, lost, writers*each)
	}
}

func testNoteFlood(t *testing.T, f *journalFixture) {
	const total = 300_000
	m := f.ids.New(f.zero)
	batch := make([]belfry.Fact, 1000)
	for i := range batch {
		batch[i] = belfry.Fact{At: f.at(i), Kind: belfry.FactSent, Message: m, User: "1", Page: "p"}
	}
	for range total / len(batch) {
		f.Note(batch...)
	}
	there := len(f.story(m, "1", total+1))
	if lost := int(f.Dropped()); there+lost != total || there == 0 {
		t.Errorf("%d facts are there and %d dropped, of %d", there, lost, total)
	}
	f.Note(belfry.Fact{At: f.at(2000), Kind: belfry.FactRead, Message: m, User: "1", Detail: "later"})
	facts := f.story(m, "1", total+1)
	wantFacts(t, "the last fact", facts[len(facts)-1:], "later")
}

func testStoryOfNotice(t *testing.T, f *journalFixture) {
	const users = 20_000
	m := f.ids.New(f.zero)
	f.Note(belfry.Fact{At: f.at(0), Kind: belfry.FactStored, Message: m, Detail: "stored"})
	facts := make([]belfry.Fact, users)
	for i := range facts {
		user := belfry.UserID(fmt.Sprint(i))
		facts[i] = belfry.Fact{At: f.at(i), Kind: belfry.FactAcked, Message: m, User: user, Detail: "acked by " + string(user)}
	}
	f.Note(facts...)
	f.Note(belfry.Fact{At: f.at(users), Kind: belfry.FactWithdrawn, Message: m, Detail: "withdrawn"})
	for _, user := range []belfry.UserID{"0", "1", "999", "10000", "19999"} {
		wantFacts(t, "story of "+string(user), f.story(m, user, 10), "stored", "acked by "+string(user), "withdrawn")
	}
	wantFacts(t, "story of a stranger", f.story(m, "x", 10), "stored", "withdrawn")
}

// testStoryAmongMany looks up old, middling and new messages among more than one
// step of anything holds.
func testStoryAmongMany(t *testing.T, f *journalFixture) {
	const messages = 10_000
	ids := make([]belfry.ID, messages)
	for round, kind := range []string{"stored", "sent", "read"} {
		facts := make([]belfry.Fact, messages)
		for i := range facts {
			if round == 0 {
				ids[i] = f.ids.New(f.zero)
			}
			facts[i] = belfry.Fact{At: f.at(round), Kind: belfry.FactStored, Message: ids[i], User: "1", Detail: fmt.Sprint(kind, i)}
		}
		f.Note(facts...)
		f.story(ids[0], "1", 1) // so that there is room for the next ones
	}
	for _, i := range []int{0, 1, messages / 2, messages - 1} {
		wantFacts(t, fmt.Sprint("story of message ", i), f.story(ids[i], "1", 10),
			fmt.Sprint("stored", i), fmt.Sprint("sent", i), fmt.Sprint("read", i))
	}
	if n := f.Dropped(); n != 0 {
		t.Errorf("%d facts were dropped", n)
	}
}
