package porttest

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"belfry"
)

// The identities of the tests: one person in two companies, and another.
var (
	ann      = belfry.Identity{User: "1", Company: "acme"}
	annOther = belfry.Identity{User: "1", Company: "other"}
	bob      = belfry.Identity{User: "10", Company: "acme"}
)

type byType = map[belfry.MessageType]int

// TestStore runs the contract of [belfry.Store]. Every call of open returns an
// empty store, which it closes when its t ends.
func TestStore(t *testing.T, open func(t *testing.T) belfry.Store) {
	run(t, open, retentionTests)
	run(t, open, map[string]func(*testing.T, *fixture){
		"an empty store has nothing for anybody":                    testEmpty,
		"a message comes back as it was stored":                     testMessageFields,
		"an inbox is newest first and pages by id":                  testInboxOrder,
		"an inbox holds its own company's messages and no other's":  testInboxTenancy,
		"ids that look like syntax are only ids":                    testHostileIDs,
		"messages are stored all or none":                           testAllOrNone,
		"a write whose context has ended is not done":               testEndedContext,
		"what waits is oldest first and limited":                    testUndelivered,
		"what is delivered or read waits no longer":                 testDelivered,
		"reading marks only the identity's own messages":            testMarkRead,
		"reading all of an inbox leaves other companies alone":      testMarkAllRead,
		"seen never goes back and belongs to one identity":          testMarkSeen,
		"the version of the counts grows with every change":         testVersion,
		"an activity comes back as it was stored":                   testActivityFields,
		"a feed is newest first, pages by id, and is one company's": testFeed,
		"counts stay exact while many change them":                  testHammer,
	})
}

func testEmpty(t *testing.T, f *fixture) {
	f.wantInbox(ann, belfry.ID{}, 10)
	f.wantWaiting(ann, 10)
	wantCounts(t, f.counts(ann), 0, 0, byType{})
	wantCounts(t, f.read(ann, nil), 0, 0, byType{})
	if feed, err := f.Feed(context.Background(), "acme", belfry.ID{}, 10); err != nil || len(feed) != 0 {
		t.Errorf("the feed is %v, %v; want nothing", feed, err)
	}
}

func testMessageFields(t *testing.T, f *fixture) {
	full := belfry.Message{
		ID: f.ids.New(start), Receiver: "1", Company: "acme", SenderID: "7", Sender: "王五 🔔", Portrait: "p.png",
		Title: "<b>&\"'</b>", Content: strings.Repeat("字", 20_000) + "\x00\n", URL: "javascript:alert(1)",
		Date: time.Date(2019, 12, 31, 23, 59, 59, 0, time.FixedZone("", 8*3600)), Type: belfry.MaxType,
		IsRead: true, Bare: true, Extra: map[string]string{"a": "1", "键": "\"值\""},
	}
	plain := belfry.Message{ID: f.ids.New(start), Receiver: "1", Type: 1, Date: time.Date(1815, 1, 1, 0, 0, 0, 0, time.UTC)}
	f.add(full, plain)
	got, err := f.Inbox(context.Background(), ann, belfry.ID{}, 10)
	if err != nil || len(got) != 2 {
		t.Fatalf("Inbox: %d messages, %v", len(got), err)
	}
	for i, want := range []belfry.Message{plain, full} {
		if !got[i].Date.Equal(want.Date) {
			t.Errorf("date is %v, want %v", got[i].Date, want.Date)
		}
		got[i].Date = want.Date
		if !reflect.DeepEqual(got[i], want) {
			t.Errorf("message is\n%+v, want\n%+v", got[i], want)
		}
	}
	// What is stored as read does not count and does not wait.
	f.wantWaiting(ann, 10, plain.ID)
	wantCounts(t, f.counts(ann), 1, 1, byType{1: 1})
}

func testInboxOrder(t *testing.T, f *fixture) {
	a, b, c := f.message("1", "", 1), f.message("1", "acme", 2), f.message("1", "", 3)
	f.add(c, a, b)
	f.wantInbox(ann, belfry.ID{}, 10, c.ID, b.ID, a.ID)
	f.wantInbox(ann, belfry.ID{}, 2, c.ID, b.ID)
	f.wantInbox(ann, b.ID, 2, a.ID)
	f.wantInbox(ann, a.ID, 2)
}

func testInboxTenancy(t *testing.T, f *fixture) {
	anywhere, acme, other := f.send("1", "", 1), f.send("1", "acme", 1), f.send("1", "other", 1)
	bobs := f.send("10", "acme", 1)
	f.wantInbox(ann, belfry.ID{}, 10, acme, anywhere)
	f.wantInbox(annOther, belfry.ID{}, 10, other, anywhere)
	f.wantInbox(bob, belfry.ID{}, 10, bobs)
	f.wantWaiting(ann, 10, anywhere, acme)
	f.wantWaiting(annOther, 10, anywhere, other)
	wantCounts(t, f.counts(ann), 2, 2, byType{1: 2})
	// An identity without a company is no wildcard.
	f.wantInbox(belfry.Identity{User: "1"}, belfry.ID{}, 10, anywhere)
}

func testHostileIDs(t *testing.T, f *fixture) {
	want := map[belfry.UserID]belfry.ID{}
	users := []belfry.UserID{"%", "_", "1", "01", "1.0", "' OR ''='", "$ne", "a.b", "é", "e\u0301", "A", "a", "*"}
	for _, u := range users {
		want[u] = f.send(u, belfry.CompanyID(u), 1)
	}
	for _, u := range users {
		f.wantInbox(belfry.Identity{User: u, Company: belfry.CompanyID(u)}, belfry.ID{}, 10, want[u])
		f.wantInbox(belfry.Identity{User: u, Company: "acme"}, belfry.ID{}, 10)
	}
}

func testAllOrNone(t *testing.T, f *fixture) {
	a := f.message("1", "", 1)
	f.add(a)
	before := f.counts(ann)
	err := f.AddMessages(context.Background(), []belfry.Message{f.message("1", "", 1), f.message("10", "", 1), a})
	if belfry.ErrorCode(err) != belfry.ErrConflict {
		t.Errorf("storing an id twice: %v, want %s", err, belfry.ErrConflict)
	}
	f.wantInbox(ann, belfry.ID{}, 10, a.ID)
	f.wantInbox(bob, belfry.ID{}, 10)
	if after := f.counts(ann); !reflect.DeepEqual(before, after) {
		t.Errorf("counts went from %+v to %+v", before, after)
	}
	if err := f.AddMessages(context.Background(), nil); err != nil {
		t.Errorf("storing no messages: %v", err)
	}
}

func testEndedContext(t *testing.T, f *fixture) {
	id := f.send("1", "", 1)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := f.AddMessages(ctx, []belfry.Message{f.message("1", "", 1)}); !errors.Is(err, context.Canceled) {
		t.Errorf("AddMessages: %v, want %v", err, context.Canceled)
	}
	if _, err := f.MarkRead(ctx, ann, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("MarkRead: %v, want %v", err, context.Canceled)
	}
	if _, err := f.Counts(ctx, ann); !errors.Is(err, context.Canceled) {
		t.Errorf("Counts: %v, want %v", err, context.Canceled)
	}
	f.wantInbox(ann, belfry.ID{}, 10, id)
	wantCounts(t, f.counts(ann), 1, 1, byType{1: 1})
}

func testUndelivered(t *testing.T, f *fixture) {
	a, b, c := f.message("1", "", 1), f.message("1", "acme", 2), f.message("1", "", 3)
	f.add(b, c, a)
	f.send("1", "other", 1)
	f.wantWaiting(ann, 10, a.ID, b.ID, c.ID)
	f.wantWaiting(ann, 2, a.ID, b.ID)
}

func testDelivered(t *testing.T, f *fixture) {
	ctx := context.Background()
	a, b, c, d := f.send("1", "", 1), f.send("1", "", 1), f.send("1", "acme", 1), f.send("1", "", 1)
	if err := f.MarkDelivered(ctx, "1", []belfry.ID{a, c}); err != nil {
		t.Fatal(err)
	}
	f.wantWaiting(ann, 1, b)
	f.wantWaiting(ann, 10, b, d)
	if err := f.MarkDelivered(ctx, "10", []belfry.ID{b}); err != nil { // not bob's
		t.Fatal(err)
	}
	f.wantWaiting(ann, 10, b, d)
	f.read(ann, []belfry.ID{b})
	f.wantWaiting(ann, 10, d)
	if err := f.MarkDelivered(ctx, "1", []belfry.ID{a, d}); err != nil { // a again
		t.Fatal(err)
	}
	f.wantWaiting(ann, 10)
	f.wantInbox(ann, belfry.ID{}, 10, d, c, b, a)
	wantCounts(t, f.counts(ann), 3, 3, byType{1: 3})
}

func testMarkRead(t *testing.T, f *fixture) {
	a, b, c := f.send("1", "", 1), f.send("1", "acme", 2), f.send("1", "acme", 2)
	other, bobs := f.send("1", "other", 1), f.send("10", "acme", 1)
	wantCounts(t, f.counts(ann), 3, 3, byType{1: 1, 2: 2})
	wantCounts(t, f.read(ann, []belfry.ID{b, other, bobs, {1, 2, 3}}), 2, 2, byType{1: 1, 2: 1})
	wantCounts(t, f.counts(annOther), 2, 2, byType{1: 2})
	wantCounts(t, f.counts(bob), 1, 1, byType{1: 1})
	wantCounts(t, f.read(ann, []belfry.ID{b, b}), 2, 2, byType{1: 1, 2: 1})
	wantCounts(t, f.read(ann, []belfry.ID{}), 2, 2, byType{1: 1, 2: 1})
	got, err := f.Inbox(context.Background(), ann, belfry.ID{}, 10)
	if err != nil || len(got) != 3 {
		t.Fatalf("Inbox: %d messages, %v", len(got), err)
	}
	for i, want := range []struct {
		id   belfry.ID
		read bool
	}{{c, false}, {b, true}, {a, false}} {
		if got[i].ID != want.id || got[i].IsRead != want.read {
			t.Errorf("message %d is %s, read %t; want %s, %t", i, got[i].ID, got[i].IsRead, want.id, want.read)
		}
	}
}

func testMarkAllRead(t *testing.T, f *fixture) {
	f.send("1", "", 1)
	f.send("1", "acme", 2)
	f.send("1", "other", 3)
	f.send("10", "acme", 1)
	wantCounts(t, f.read(ann, nil), 0, 0, byType{})
	wantCounts(t, f.counts(annOther), 1, 1, byType{3: 1})
	wantCounts(t, f.counts(bob), 1, 1, byType{1: 1})
	f.wantWaiting(ann, 10)
}

func testMarkSeen(t *testing.T, f *fixture) {
	seen := func(who belfry.Identity, id belfry.ID) belfry.Counts {
		t.Helper()
		c, err := f.MarkSeen(context.Background(), who, id)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	a, b := f.send("1", "", 1), f.send("1", "acme", 2)
	wantCounts(t, seen(ann, a), 2, 1, byType{1: 1, 2: 1})
	wantCounts(t, seen(ann, b), 2, 0, byType{1: 1, 2: 1})
	wantCounts(t, seen(ann, a), 2, 0, byType{1: 1, 2: 1})
	wantCounts(t, f.counts(annOther), 1, 1, byType{1: 1})
	f.send("1", "", 3)
	wantCounts(t, f.counts(ann), 3, 1, byType{1: 1, 2: 1, 3: 1})
	f.wantWaiting(ann, 1, a) // seen is not read: it still waits
}

func testVersion(t *testing.T, f *fixture) {
	ctx := context.Background()
	last := f.counts(ann).Version
	grows := func(what string, version int64) {
		t.Helper()
		if version <= last {
			t.Errorf("%s: the version went from %d to %d", what, last, version)
		}
		last = version
	}
	id := f.send("1", "", 1)
	grows("a message", f.counts(ann).Version)
	seen, err := f.MarkSeen(ctx, ann, id)
	if err != nil {
		t.Fatal(err)
	}
	grows("seen", seen.Version)
	grows("read", f.read(ann, []belfry.ID{id}).Version)
	if again := f.counts(ann); again.Version < last {
		t.Errorf("the version went back from %d to %d", last, again.Version)
	}
	f.add(f.message("1", "", 1), f.message("10", "", 1))
	grows("messages", f.counts(ann).Version)
	grows("all read", f.read(ann, nil).Version)
}

func testActivityFields(t *testing.T, f *fixture) {
	full := belfry.Activity{
		ID: f.ids.New(start), Company: "acme", OperatorID: "7", Operator: "王五", Receiver: "李四", Portrait: "p",
		Title: "创建了新任务", Content: "<i>", URL: "u", Date: start, ObjectType: belfry.ObjectTask, ObjectID: "9",
		Extra: map[string]string{"k": "v"},
	}
	plain := belfry.Activity{ID: f.ids.New(start), Company: "acme", Date: start.Add(time.Second)}
	for _, a := range []belfry.Activity{full, plain} {
		if err := f.AddActivity(context.Background(), a); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.AddActivity(context.Background(), full); belfry.ErrorCode(err) != belfry.ErrConflict {
		t.Errorf("storing an id twice: %v, want %s", err, belfry.ErrConflict)
	}
	got, err := f.Feed(context.Background(), "acme", belfry.ID{}, 10)
	if err != nil || len(got) != 2 {
		t.Fatalf("Feed: %d activities, %v", len(got), err)
	}
	for i, want := range []belfry.Activity{plain, full} {
		if !got[i].Date.Equal(want.Date) {
			t.Errorf("date is %v, want %v", got[i].Date, want.Date)
		}
		got[i].Date = want.Date
		if !reflect.DeepEqual(got[i], want) {
			t.Errorf("activity is\n%+v, want\n%+v", got[i], want)
		}
	}
}

func testFeed(t *testing.T, f *fixture) {
	var ids []belfry.ID
	for _, company := range []belfry.CompanyID{"acme", "acme", "other", "acme"} {
		a := belfry.Activity{ID: f.ids.New(start), Company: company, Title: "t", Date: start}
		if err := f.AddActivity(context.Background(), a); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, a.ID)
	}
	for _, tt := range []struct {
		company belfry.CompanyID
		before  belfry.ID
		limit   int
		want    []belfry.ID
	}{
		{"acme", belfry.ID{}, 10, []belfry.ID{ids[3], ids[1], ids[0]}},
		{"acme", belfry.ID{}, 2, []belfry.ID{ids[3], ids[1]}},
		{"acme", ids[3], 1, []belfry.ID{ids[1]}},
		{"acme", ids[0], 10, nil},
		{"other", belfry.ID{}, 10, []belfry.ID{ids[2]}},
		{"", belfry.ID{}, 10, nil},
	} {
		feed, err := f.Feed(context.Background(), tt.company, tt.before, tt.limit)
		if err != nil {
			t.Fatal(err)
		}
		var got []belfry.ID
		for _, a := range feed {
			got = append(got, a.ID)
		}
		wantIDs(t, "feed", got, tt.want)
	}
}
