package server

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"belfry"
)

func (f *fixture) records(t *testing.T, title, rest string) activityReceipt {
	t.Helper()
	return decoded[activityReceipt](t, f.backendAsks(t, "POST", "/v1/activities", `{"companyID":1,"title":"`+title+`"`+rest+`}`), 201)
}

func (f *fixture) feedOf(t *testing.T, filter string) restList[restActivity] {
	t.Helper()
	return decoded[restList[restActivity]](t, f.backendAsks(t, "GET", "/v1/companies/1/activities?"+filter, ""), 200)
}

func activityTitles(activities []restActivity) string {
	var titles []string
	for _, a := range activities {
		title := a.Title
		if a.Group != nil {
			title += fmt.Sprintf("(%d)", a.Group.Count)
		}
		titles = append(titles, title)
	}
	return strings.Join(titles, " ")
}

func TestRestFeedIsFiltered(t *testing.T) {
	f := start(t)
	first := f.records(t, "a", `,"operatorID":1,"objectType":4,"objectID":7`)
	f.records(t, "b", `,"operatorID":2,"objectType":4,"objectID":7`)
	f.records(t, "c", `,"operatorID":1,"objectType":4,"objectID":8`)
	last := f.records(t, "d", `,"operatorID":1,"objectType":5,"objectID":7`)
	timeOf := func(r activityReceipt) time.Time {
		t.Helper()
		id, err := belfry.ParseObjectID(r.ActivityID)
		if err != nil {
			t.Fatal(err)
		}
		return id.Time().UTC()
	}
	begin, end := timeOf(first), timeOf(last)
	span := func(from, until time.Time) string {
		return "from=" + from.Format(time.RFC3339Nano) + "&until=" + until.Format(time.RFC3339Nano)
	}
	for filter, want := range map[string]string{
		"":                                     "d c b a",
		"operatorID=1":                         "d c a",
		"objectType=4":                         "c b a",
		"objectType=4&objectID=7":              "b a",
		"objectType=4&objectID=7&operatorID=1": "a",
		"limit=2":                              "d c",
		"group=false":                          "d c b a",
		span(begin.Add(-time.Minute), end.Add(time.Second)):   "d c b a",
		span(end.Add(time.Second), end.Add(time.Minute)):      "",
		span(begin.Add(-time.Minute), begin):                  "",
		span(end.Add(time.Millisecond), end.Add(time.Minute)): "",
	} {
		if got := activityTitles(f.feedOf(t, filter).Items); got != want {
			t.Errorf("%s: %s, want %s", filter, got, want)
		}
		mine := decoded[restList[restActivity]](t, ask(t, "GET", "http://"+f.Addr()+"/v1/me/activities?"+filter, f.tokenOf("1", "1", time.Hour), ""), 200)
		if got := activityTitles(mine.Items); got != want {
			t.Errorf("%s, by the page: %s, want %s", filter, got, want)
		}
	}
}

func TestRestFeedGroupsWhenAsked(t *testing.T) {
	f := start(t)
	f.records(t, "alone", "")
	oldest := f.records(t, "x1", `,"operatorID":1,"objectType":4,"objectID":7`)
	f.records(t, "y1", `,"operatorID":2,"objectType":4,"objectID":7`)
	f.records(t, "x2", `,"operatorID":1,"objectType":4,"objectID":7`)
	f.records(t, "z1", `,"operatorID":1,"objectType":4,"objectID":8`)
	newest := f.records(t, "x3", `,"operatorID":1,"objectType":4,"objectID":7`)
	groups := f.feedOf(t, "group=true")
	if got := activityTitles(groups.Items); got != "x3(3) z1 y1 alone" || groups.Next != "" {
		t.Fatalf("the groups are %s, then %q", got, groups.Next)
	}
	id, err := belfry.ParseObjectID(oldest.ActivityID)
	if err != nil {
		t.Fatal(err)
	}
	g := groups.Items[0].Group
	if len(g.ActivityIDs) != 3 || g.ActivityIDs[0] != newest.ActivityID || g.ActivityIDs[2] != oldest.ActivityID || !g.Since.Equal(id.Time()) {
		t.Errorf("the group is %+v", g)
	}
	var pages []string
	for cursor, n := "", 0; n < 10; n++ {
		page := f.feedOf(t, "group=true&limit=2&cursor="+cursor)
		pages = append(pages, activityTitles(page.Items))
		f.records(t, "new", `,"operatorID":1,"objectType":4,"objectID":7`)
		if cursor = page.Next; cursor == "" {
			break
		}
	}
	if got := strings.Join(pages, " | "); got != "x3(2) z1 | y1 x1 | alone" && got != "x3 z1 | x2 y1 | x1 alone" {
		t.Errorf("the pages are %s", got)
	}
}
