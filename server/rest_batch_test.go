package server

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
)

func (p problem) locations() []string {
	var all []string
	for _, e := range p.Errors {
		all = append(all, e.Location)
	}
	slices.Sort(all)
	return all
}

func TestRestBatchAnswersEveryItemInItsPlace(t *testing.T) {
	f := start(t)
	page := f.page("1", "1", "text")
	long := strings.Repeat("é", 300)
	body := `{"items":[
		{"receivers":[1],"title":"first"},
		{"receivers":[true,1],"title":7,"nonsense":1,"sender":"` + long + `"},
		7,
		{"audience":"company","companyID":1,"title":"notice"},
		{"receivers":[1]},
		{"receivers":[1,2],"title":"later","deliverAt":"2200-01-01T00:00:00Z"},
		{"receivers":[1],"title":"t","typeID":1.0},
		{"receivers":[1],"title":"t","deliverAt":"2200-01-02T00:00:00Z","expiresAt":"2200-01-01T00:00:00Z"},
		null,
		{"receivers":[3],"title":"last","data":{"a":1}}]}`
	answer := decoded[batchAnswer[messageReceipt]](t, f.backendAsks(t, "POST", "/v1/messages/batch", body), 200)
	want := []struct {
		status   int
		messages int
		fields   []string
	}{
		{201, 1, nil},
		{422, 0, []string{"body.items[1].nonsense", "body.items[1].receivers[0]", "body.items[1].sender", "body.items[1].title"}},
		{422, 0, []string{"body.items[2]"}},
		{201, 1, nil},
		{422, 0, []string{"body.items[4].title"}},
		{202, 0, nil},
		{422, 0, []string{"body.items[6]"}},
		{422, 0, []string{"body.items[7].deliverAt"}},
		{422, 0, []string{"body.items[8]"}},
		{201, 1, nil},
	}
	if len(answer.Items) != len(want) {
		t.Fatalf("%d items are answered", len(answer.Items))
	}
	for i, item := range answer.Items {
		w := want[i]
		if item.Status != w.status || (item.Receipt != nil) != (w.status < 300) || (item.Problem != nil) != (w.status >= 300) {
			t.Errorf("item %d: %+v", i, item)
			continue
		}
		if item.Receipt != nil && (len(item.Receipt.Messages) != w.messages || (item.Receipt.ScheduledID != "") != (w.status == 202)) {
			t.Errorf("item %d: %+v", i, item.Receipt)
		}
		if item.Problem != nil && (!slices.Equal(item.Problem.locations(), w.fields) || item.Problem.Code != "invalid" || item.Problem.Status != w.status) {
			t.Errorf("item %d: %+v", i, item.Problem)
		}
	}
	for _, title := range []string{"first", "notice"} {
		if got := parse[messageOnWire](t, page.next("new_msg")); got.Title != title {
			t.Errorf("the page got %+v, want %s", got, title)
		}
	}
	if got := titlesOf(f.inboxOf(t, "1", "1", "")); got != "notice first" {
		t.Errorf("the inbox has %s", got)
	}
}

func TestRestBatchOfNothingButFaultsIsAnswered(t *testing.T) {
	f := start(t)
	for range 2 {
		a := ask(t, "POST", "http://"+f.PushAddr()+"/v1/activities/batch", testKey, `{"items":[{},[]]}`, keyHeader, "k")
		answer := decoded[batchAnswer[activityReceipt]](t, a, 200)
		if len(answer.Items) != 2 || !slices.Equal(answer.Items[0].Problem.locations(), []string{"body.items[0].companyID", "body.items[0].title"}) || answer.Items[1].Status != 422 {
			t.Errorf("answer %s", a.body)
		}
	}
}

func TestRestBatchOfActivitiesNotifies(t *testing.T) {
	f := start(t)
	answer := decoded[batchAnswer[activityReceipt]](t, f.backendAsks(t, "POST", "/v1/activities/batch", `{"items":[
		{"companyID":1,"title":"a","objectType":4,"objectID":7,"notify":[1,2],"category":"c","changes":[{"field":"state","before":"open","after":{"n":1}},{"field":"x"}]},
		{"companyID":1,"title":"b"}]}`), 200)
	if len(answer.Items) != 2 || answer.Items[0].Status != 201 || len(answer.Items[0].Receipt.Notified.Messages) != 2 || answer.Items[1].Receipt.Notified != nil {
		t.Fatalf("answer %+v", answer)
	}
	m := f.inboxOf(t, "2", "1", "")
	if len(m) != 1 || m[0].TypeID != 3 || m[0].Category != "c" || m[0].CompanyID != "1" || !strings.Contains(string(m[0].Data), answer.Items[0].Receipt.ActivityID) {
		t.Errorf("who is notified has %+v", m)
	}
	feed := decoded[restList[restActivity]](t, f.backendAsks(t, "GET", "/v1/companies/1/activities", ""), 200)
	if len(feed.Items) != 2 || len(feed.Items[1].Changes) != 2 || string(feed.Items[1].Changes[0].After) != `{"n":1}` || feed.Items[1].Changes[1].Before != nil {
		t.Errorf("the feed has %+v", feed)
	}
}

func TestRestBatchTakesAThousand(t *testing.T) {
	f := start(t)
	items := make([]string, 1000)
	for i := range items {
		items[i] = fmt.Sprintf(`{"receivers":[1],"title":"%d","content":"%s"}`, i, strings.Repeat("x", 2000))
	}
	answer := decoded[batchAnswer[messageReceipt]](t, f.backendAsks(t, "POST", "/v1/messages/batch", `{"items":[`+strings.Join(items, ",")+`]}`), 200)
	for i, item := range answer.Items {
		if item.Status != 201 {
			t.Fatalf("item %d: %+v", i, item.Problem)
		}
	}
	if c := decoded[restCounts](t, f.backendAsks(t, "GET", "/v1/users/1/counts?companyID=1", ""), 200); c.Unread != 1000 || len(answer.Items) != 1000 {
		t.Errorf("%+v of %d", c, len(answer.Items))
	}
}

func TestRestCallsMadeAgainAreAnsweredAsBefore(t *testing.T) {
	f := start(t)
	page := f.page("1", "1", "text")
	for i, c := range []struct {
		path, body, other string
		status            int
		event             string
	}{
		{"/v1/messages", `{"receivers":[1,2],"title":"t"}`, `{"receivers":[1,2],"title":"u"}`, 201, "new_msg"},
		{"/v1/messages", `{"receivers":[1],"title":"t","deliverAt":"2200-01-01T00:00:00Z"}`, `{"receivers":[1],"title":"t","deliverAt":"2200-01-01T00:00:01Z"}`, 202, ""},
		{"/v1/messages", `{"audience":"everybody","title":"t"}`, `{"audience":"everybody","title":"t" }`, 201, "new_msg"},
		{"/v1/messages", `{"receivers":[1],"title":"t","transient":true}`, `{"receivers":[1],"title":"t"}`, 201, "new_msg"},
		{"/v1/messages/batch", `{"items":[{"receivers":[1],"title":"t"},{"title":"t"}]}`, `{"items":[{"receivers":[1],"title":"t"}]}`, 200, "new_msg"},
		{"/v1/activities", `{"companyID":1,"title":"t","notify":[3]}`, `{"companyID":1,"title":"t"}`, 201, "update_dynamic"},
		{"/v1/activities/batch", `{"items":[{"companyID":1,"title":"t"},7]}`, `{"items":[7]}`, 200, "update_dynamic"},
		{"/v1/events", `{"event":"e","rooms":["uid:1"]}`, `{"event":"e","rooms":["uid:2"]}`, 200, "e"},
	} {
		url, key := "http://"+f.PushAddr()+c.path, fmt.Sprint("key ", i)
		again := func(body string) restAnswer { return ask(t, "POST", url, testKey, body, keyHeader, key) }
		first := again(c.body)
		if first.status != c.status {
			t.Fatalf("%s is answered %d %s", c.body, first.status, first.body)
		}
		if c.event != "" {
			page.next(c.event)
		}
		for range 2 {
			if second := again(c.body); second.status != first.status || second.body != first.body {
				t.Errorf("%s is answered\n%d %s, then\n%d %s", c.body, first.status, first.body, second.status, second.body)
			}
		}
		p := wantProblem(t, again(c.other), 409)
		if p.Code != "conflict" {
			t.Errorf("another body: %+v", p)
		}
		if c.event != "" {
			if got := page.settled(c.event); len(got) > 0 {
				t.Errorf("%s is sent again: %v", c.body, got)
			}
		}
	}
	// The same body asked of another operation is another request.
	wantProblem(t, ask(t, "POST", "http://"+f.PushAddr()+"/v1/activities/batch", testKey, `{"items":[{"receivers":[1],"title":"t"},{"title":"t"}]}`, keyHeader, "key 4"), 409)
}

func TestRestCallsWithOneKeyAtOnceAreDoneOnce(t *testing.T) {
	f := start(t)
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections() // Stop would wait for those that were never used
	var mu sync.Mutex
	bodies := map[string]int{}
	var all sync.WaitGroup
	for range 16 {
		all.Go(func() {
			req, err := http.NewRequest("POST", "http://"+f.PushAddr()+"/v1/messages", strings.NewReader(`{"receivers":[1],"title":"t"}`))
			if err != nil {
				t.Error(err)
				return
			}
			req.Header = http.Header{"Authorization": {"Bearer " + testKey}, "Content-Type": {jsonType}, keyHeader: {"k"}}
			a, err := answerTo(client, req)
			if err != nil || a.status != 201 {
				t.Errorf("%d %s, %v", a.status, a.body, err)
			}
			mu.Lock()
			defer mu.Unlock()
			bodies[a.body]++
		})
	}
	all.Wait()
	if len(bodies) != 1 {
		t.Errorf("the answers are %v", bodies)
	}
	if got := f.inboxOf(t, "1", "1", ""); len(got) != 1 {
		t.Errorf("the inbox has %d", len(got))
	}
}

func TestRestRefusedSchemasDoNotUseUpTheKey(t *testing.T) {
	f := start(t)
	url := "http://" + f.PushAddr() + "/v1/messages"
	wantProblem(t, ask(t, "POST", url, testKey, `{"receivers":[1]}`, keyHeader, "k"), 422)
	decoded[messageReceipt](t, ask(t, "POST", url, testKey, `{"receivers":[1],"title":"t"}`, keyHeader, "k"), 201)
}
