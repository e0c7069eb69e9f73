package belfry_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"belfry"
)

func TestAnActivityNotifiesInTheSameCall(t *testing.T) {
	ctx := context.Background()
	b := newBench(t)
	p, _ := b.login(ann)
	bobs, _ := b.login(bob)
	r, err := b.PushActivity(ctx, belfry.ActivityPush{
		Activity: belfry.Activity{
			Company: "acme", OperatorID: "10", Operator: "Bob", Title: "closed it", ObjectType: belfry.ObjectTask, ObjectID: "7",
			Changes: []belfry.FieldChange{{Field: "state", Before: json.RawMessage(`"open"`), After: json.RawMessage(`"closed"`)}},
		},
		Notify: []belfry.UserID{"1", "1"},
	}, nil)
	if err != nil || r.Pages != 2 || len(r.IDs) != 1 || r.Notified == nil || r.Notified.Pages != 1 || len(r.Notified.IDs) != 1 {
		t.Fatalf("receipt is %+v, %v", r, err)
	}
	wantTold(t, p, "closed it closed it ")
	wantTold(t, bobs, "closed it ")
	m := p.messages()[0].Message
	want := fmt.Sprintf(`{"activityID":"%s","objectType":4,"objectID":"7"}`, r.IDs[0])
	if m.Type != belfry.OperationNotice || m.Sender != "Bob" || m.Company != "acme" || string(m.Data) != want {
		t.Errorf("the message is %+v", m)
	}
	feed, err := b.Feed(ctx, "acme", belfry.FeedQuery{})
	if err != nil || len(feed) != 1 || fmt.Sprintf("%s", feed[0].Changes) != `[{state "open" "closed"}]` {
		t.Errorf("the feed is %+v, %v", feed, err)
	}
	_, err = b.PushActivity(ctx, belfry.ActivityPush{Activity: belfry.Activity{Company: "acme", Title: "t"}, Notify: []belfry.UserID{" "}}, nil)
	wantInvalid(t, err, "notify is missing")
}

func TestAFeedIsFiltered(t *testing.T) {
	ctx := context.Background()
	clock := newClock()
	b := newBench(t, func(o *belfry.ServiceOptions) { o.Now = clock.time })
	start := clock.time()
	for i, a := range []belfry.Activity{
		{Title: "a", OperatorID: "1", ObjectType: 4, ObjectID: "7"},
		{Title: "b", OperatorID: "2", ObjectType: 4, ObjectID: "7"},
		{Title: "c", OperatorID: "1", ObjectType: 4, ObjectID: "8"},
		{Title: "d", OperatorID: "1", ObjectType: 1, ObjectID: "7"},
	} {
		clock.pass(time.Minute)
		a.Company = "acme"
		if _, err := b.PushActivity(ctx, belfry.ActivityPush{Activity: a}, nil); err != nil {
			t.Fatalf("%d: %v", i, err)
		}
	}
	for want, q := range map[string]belfry.FeedQuery{
		"d c b a": {},
		"d c a":   {OperatorID: "1"},
		"c b a":   {ObjectType: 4},
		"b a":     {ObjectType: 4, ObjectID: "7"},
		"a":       {ObjectType: 4, ObjectID: "7", OperatorID: "1"},
		"c b":     {From: start.Add(2 * time.Minute), Until: start.Add(4 * time.Minute)},
		"c":       {From: start.Add(2 * time.Minute), Until: start.Add(4 * time.Minute), OperatorID: "1"},
		"d":       {Limit: 1},
	} {
		feed, err := b.Feed(ctx, "acme", q)
		got := ""
		for _, a := range feed {
			got += " " + a.Title
		}
		if err != nil || got != " "+want {
			t.Errorf("%+v gives%s (%v), want %s", q, got, err, want)
		}
	}
	_, err := b.Feed(ctx, "acme", belfry.FeedQuery{ObjectID: "7"})
	wantInvalid(t, err, "objectID needs objectType")
	_, err = b.Feed(ctx, "acme", belfry.FeedQuery{From: start, Until: start})
	wantInvalid(t, err, "until is not after from")
}

func TestWhatOneDoesToAnObjectWithinMinutesIsGrouped(t *testing.T) {
	ctx := context.Background()
	clock := newClock()
	b := newBench(t, func(o *belfry.ServiceOptions) { o.Now = clock.time })
	record := func(operator, object string, after time.Duration) {
		t.Helper()
		clock.pass(after)
		a := belfry.Activity{Company: "acme", Title: operator + object, OperatorID: operator, ObjectType: 4, ObjectID: object}
		if object == "" {
			a.ObjectType = 0
		}
		if _, err := b.PushActivity(ctx, belfry.ActivityPush{Activity: a}, nil); err != nil {
			t.Fatal(err)
		}
	}
	record("A", "x", 0)
	record("A", "x", 6*time.Minute)
	record("A", "x", time.Minute)
	record("B", "x", time.Minute)
	record("A", "x", time.Minute)
	record("A", "", time.Second)
	record("A", "", time.Second)
	record("A", "x", 4*time.Minute)
	show := func(q belfry.FeedQuery) (string, belfry.ID) {
		t.Helper()
		groups, next, err := b.Groups(ctx, "acme", q)
		if err != nil {
			t.Fatal(err)
		}
		s := ""
		for _, g := range groups {
			s += fmt.Sprintf("%s*%d ", g[0].Title, len(g))
		}
		return s, next
	}
	if got, next := show(belfry.FeedQuery{}); got != "Ax*4 A*1 A*1 Bx*1 Ax*1 " || !next.IsZero() {
		t.Errorf("groups are %q, next %v", got, next)
	}
	first, next := show(belfry.FeedQuery{Limit: 2})
	if first != "Ax*1 A*1 " || next.IsZero() {
		t.Errorf("the first page is %q", first)
	}
	if rest, next := show(belfry.FeedQuery{Limit: 10, Before: next}); rest != "A*1 Ax*3 Bx*1 Ax*1 " || !next.IsZero() {
		t.Errorf("the rest is %q", rest)
	}
}
