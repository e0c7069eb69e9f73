package porttest

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"testing"
	"time"

	"belfry"
)

// activityTests are the cases of ActivityStore.
var activityTests = map[string]func(*testing.T, *fixture){
	"an activity comes back as it was stored":                   testActivityFields,
	"a feed is newest first, pages by id, and is one company's": testFeed,
	"a feed lists what is asked for":                            testFeedFilters,
	"a feed is bounded by when its activities were recorded":    testFeedTimes,
}

func testActivityFields(t *testing.T, f *fixture) {
	full := belfry.Activity{
		ID: f.ids.New(start), Company: "acme", OperatorID: "7", Operator: "王五", Receiver: "李四", Portrait: "p",
		Title: "创建了新任务", Content: "<i>", URL: "u", Date: start, ObjectType: belfry.ObjectTask, ObjectID: "9",
		Changes: []belfry.FieldChange{
			{Field: "状态", Before: json.RawMessage(`"<a>"`), After: json.RawMessage(`{"n":12345678901234567890}`)},
			{Field: "b", After: json.RawMessage(`null`)},
			{Field: "c"},
		},
		Extra: map[string]string{"k": "v"},
	}
	plain := belfry.Activity{ID: f.ids.New(start), Company: "acme", Date: start.Add(time.Second)}
	f.addAll(belfry.Entries{Activities: []belfry.Activity{full, plain}})
	got, err := f.Feed(context.Background(), "acme", belfry.FeedQuery{Limit: 10})
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
		ids = append(ids, f.act(company))
	}
	f.wantFeed("acme", belfry.FeedQuery{}, ids[3], ids[1], ids[0])
	f.wantFeed("acme", belfry.FeedQuery{Limit: 2}, ids[3], ids[1])
	f.wantFeed("acme", belfry.FeedQuery{Before: ids[3], Limit: 1}, ids[1])
	f.wantFeed("acme", belfry.FeedQuery{Before: ids[0]})
	f.wantFeed("other", belfry.FeedQuery{}, ids[2])
	f.wantFeed("", belfry.FeedQuery{})
}

// testFeedFilters compares what queries list with a filter of all that there is.
func testFeedFilters(t *testing.T, f *fixture) {
	operators, objects := []string{"", "7", "8"}, []string{"", "9", "10"}
	var all []belfry.Activity
	for i := range 54 {
		a := f.activity([]belfry.CompanyID{"acme", "other"}[i/27])
		a.OperatorID, a.ObjectType, a.ObjectID = operators[i%3], belfry.ObjectType(i/3%3), objects[i/9%3]
		f.addAll(belfry.Entries{Activities: []belfry.Activity{a}})
		all = append([]belfry.Activity{a}, all...)
	}
	for i := range 54 {
		q := belfry.FeedQuery{
			OperatorID: operators[i%3], ObjectType: belfry.ObjectType(i / 3 % 3), Limit: 2 + i/27*50,
		}
		if q.ObjectType != 0 {
			q.ObjectID = objects[i/9%3]
		}
		if i%4 == 0 {
			q.Before = all[40].ID
		}
		var want []belfry.ID
		for _, a := range all {
			if a.Company == "acme" && (q.OperatorID == "" || a.OperatorID == q.OperatorID) && len(want) < q.Limit &&
				(q.ObjectType == 0 || a.ObjectType == q.ObjectType) && (q.ObjectID == "" || a.ObjectID == q.ObjectID) &&
				(q.Before.IsZero() || a.ID.String() < q.Before.String()) {
				want = append(want, a.ID)
			}
		}
		f.wantFeed("acme", q, want...)
	}
}

func testFeedTimes(t *testing.T, f *fixture) {
	var ids []belfry.ID
	for i := range 4 {
		// The date that it carries does not matter.
		a := belfry.Activity{ID: f.ids.New(start.Add(time.Hour * time.Duration(i+1))), Company: "acme", Date: start}
		a.OperatorID, a.ObjectType, a.ObjectID = "7", 1, "9"
		f.addAll(belfry.Entries{Activities: []belfry.Activity{a}})
		ids = append(ids, a.ID)
	}
	at := func(i int) time.Time { return ids[i].Time() }
	for i, tt := range []struct {
		from, until time.Time
		want        []belfry.ID
	}{
		{at(1), time.Time{}, []belfry.ID{ids[3], ids[2], ids[1]}},
		{at(1).Add(time.Second), time.Time{}, []belfry.ID{ids[3], ids[2]}},
		{time.Time{}, at(2), []belfry.ID{ids[1], ids[0]}},
		{time.Time{}, at(2).Add(time.Second), []belfry.ID{ids[2], ids[1], ids[0]}},
		{at(1), at(3), []belfry.ID{ids[2], ids[1]}},
		{at(3), at(1), nil},
		{time.Unix(0, 0), time.Unix(1<<40, 0), []belfry.ID{ids[3], ids[2], ids[1], ids[0]}},
		{time.Unix(1<<40, 0), time.Time{}, nil},
		{time.Time{}, time.Unix(-5, 0), nil},
	} {
		for _, q := range []belfry.FeedQuery{{}, {OperatorID: "7"}, {ObjectType: 1}, {ObjectType: 1, ObjectID: "9"}} {
			q.From, q.Until = tt.from, tt.until
			f.wantFeed("acme", q, tt.want...)
		}
		if t.Failed() {
			t.Fatal(fmt.Sprint("case ", i))
		}
	}
	f.wantFeed("acme", belfry.FeedQuery{Before: ids[2], Until: at(3)}, ids[1], ids[0])
	f.wantFeed("acme", belfry.FeedQuery{Before: ids[3], Until: at(1)}, ids[0])
}
