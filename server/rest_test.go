package server

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"belfry"
)

// A restAnswer is what the REST API answered.
type restAnswer struct {
	status int
	header http.Header
	body   string
}

// ask sends a request of the REST API; credentials and body may be empty.
func ask(t *testing.T, method, url, credentials, body string, headers ...string) restAnswer {
	t.Helper()
	contentType := ""
	if body != "" {
		contentType = jsonType
	}
	req := newRequest(t, method, url, contentType, body)
	if credentials != "" {
		req.Header.Set("Authorization", "Bearer "+credentials)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	a, err := answerTo(http.DefaultClient, req)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func answerTo(client *http.Client, req *http.Request) (restAnswer, error) {
	res, err := client.Do(req)
	if err != nil {
		return restAnswer{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return restAnswer{res.StatusCode, res.Header, string(b)}, err
}

func (f *fixture) backendAsks(t *testing.T, method, path, body string) restAnswer {
	return ask(t, method, "http://"+f.PushAddr()+path, testKey, body)
}

func (f *fixture) tokenOf(uid, company string, ttl time.Duration) string {
	f.t.Helper()
	token, err := f.tokens.Sign(belfry.Identity{User: belfry.UserID(uid), Company: belfry.CompanyID(company)}, ttl)
	if err != nil {
		f.t.Fatal(err)
	}
	return token
}

// decoded checks the status of an answer and reads it.
func decoded[T any](t *testing.T, a restAnswer, status int) T {
	t.Helper()
	var v T
	if a.status != status || json.Unmarshal([]byte(a.body), &v) != nil {
		t.Fatalf("status %d, want %d: %s", a.status, status, a.body)
	}
	return v
}

func wantProblem(t *testing.T, a restAnswer, status int) problem {
	t.Helper()
	p := decoded[problem](t, a, status)
	if got := a.header.Get("Content-Type"); got != problemType || p.Status != status || p.Code == "" || p.Title == "" {
		t.Fatalf("%s is no problem document: %s", got, a.body)
	}
	if status == http.StatusUnauthorized && a.header.Get("WWW-Authenticate") == "" {
		t.Fatal("401 without WWW-Authenticate")
	}
	return p
}

func TestRestPushReachesThePageAndTheInbox(t *testing.T) {
	f := start(t)
	page := f.page("1", "1", "text")
	receipt := decoded[messageReceipt](t, f.backendAsks(t, "POST", "/v1/messages",
		`{"receivers":[1,"2","1"],"companyID":1,"title":"<b>","content":"c","typeID":3,"date":"2026-01-02T03:04:05+08:00","extra":{"k":"v"}}`), 201)
	if len(receipt.Messages) != 2 || receipt.Pages != 1 || !receipt.Stored || receipt.Messages[1].ReceiverID != "2" {
		t.Fatalf("receipt %+v", receipt)
	}
	live := parse[messageOnWire](t, page.next("new_msg"))
	if live.MessageID != receipt.Messages[0].MessageID || live.Title != "<b>" {
		t.Fatalf("the page got %+v", live)
	}
	me := "http://" + f.Addr() + "/v1/me"
	token := f.tokenOf("1", "1", time.Hour)
	list := decoded[restList[restMessage]](t, ask(t, "GET", me+"/messages", token, ""), 200)
	if len(list.Items) != 1 || list.Items[0].Title != "<b>" || !list.Items[0].Date.Equal(time.Date(2026, 1, 1, 19, 4, 5, 0, time.UTC)) || list.Items[0].Extra["k"] != "v" {
		t.Fatalf("inbox %+v", list)
	}
	counts := decoded[restCounts](t, f.backendAsks(t, "GET", "/v1/users/1/counts?companyID=1", ""), 200)
	if counts.Unread != 1 || counts.Unseen != 1 || counts.ByType["3"] != 1 {
		t.Fatalf("counts %+v", counts)
	}
	id := receipt.Messages[0].MessageID
	if c := decoded[restCounts](t, ask(t, "POST", me+"/seen", token, `{"last":"`+id+`"}`), 200); c.Unread != 1 || c.Unseen != 0 {
		t.Fatalf("after seen %+v", c)
	}
	// Another's message is not marked, and the answer does not say that it is there.
	if c := decoded[restCounts](t, ask(t, "POST", me+"/read", token, `{"ids":["`+receipt.Messages[1].MessageID+`"]}`), 200); c.Unread != 1 {
		t.Fatalf("after another's %+v", c)
	}
	if c := decoded[restCounts](t, ask(t, "POST", me+"/read", token, `{"ids":["`+id+`"]}`), 200); c.Unread != 0 {
		t.Fatalf("after read %+v", c)
	}
	if c := decoded[restCounts](t, ask(t, "POST", me+"/read-all", token, ""), 200); c.Unread != 0 {
		t.Fatalf("after read-all %+v", c)
	}
	if c := decoded[restCounts](t, f.backendAsks(t, "GET", "/v1/users/2/counts?companyID=1", ""), 200); c.Unread != 1 {
		t.Fatalf("another's counts %+v", c)
	}
	if c := decoded[restCounts](t, f.backendAsks(t, "POST", "/v1/users/2/read-all", `{"companyID":1}`), 200); c.Unread != 0 {
		t.Fatalf("another's read-all: %+v", c)
	}
	decoded[restCounts](t, f.backendAsks(t, "POST", "/v1/users/2/seen", `{"companyID":1,"last":"`+id+`"}`), 200)
	if n := decoded[restOnline](t, ask(t, "GET", me+"/online", token, ""), 200); n.Users != 1 || n.Pages != 1 {
		t.Fatalf("online %+v", n)
	}
	if n := decoded[restOnline](t, f.backendAsks(t, "GET", "/v1/companies/2/online", ""), 200); n.Users != 0 {
		t.Fatalf("another company online %+v", n)
	}
}

func TestRestActivityIsSeenByItsCompanyAlone(t *testing.T) {
	f := start(t)
	page := f.page("1", "1", "text")
	receipt := decoded[activityReceipt](t, f.backendAsks(t, "POST", "/v1/activities", `{"companyID":1,"title":"t","objectType":4,"objectID":7}`), 201)
	if got := parse[activityOnWire](t, page.next("update_dynamic")); got.ActivityID != receipt.ActivityID || receipt.Pages != 1 {
		t.Fatalf("page %+v, receipt %+v", got, receipt)
	}
	for company, want := range map[string]int{"1": 1, "2": 0} {
		mine := decoded[restList[restActivity]](t, ask(t, "GET", "http://"+f.Addr()+"/v1/me/activities", f.tokenOf("1", company, time.Hour), ""), 200)
		all := decoded[restList[restActivity]](t, f.backendAsks(t, "GET", "/v1/companies/"+company+"/activities", ""), 200)
		if len(mine.Items) != want || len(all.Items) != want {
			t.Errorf("company %s: %+v, %+v; want %d", company, mine, all, want)
		}
	}
}

func TestRestListIsStableWhileMessagesArrive(t *testing.T) {
	f := start(t)
	push := func(title string) {
		decoded[messageReceipt](t, f.backendAsks(t, "POST", "/v1/messages", `{"receivers":[1],"title":"`+title+`"}`), 201)
	}
	for i := range 5 {
		push(fmt.Sprint(i))
	}
	var titles []string
	cursor := ""
	for {
		list := decoded[restList[restMessage]](t, f.backendAsks(t, "GET", "/v1/users/1/messages?companyID=1&limit=2&cursor="+cursor, ""), 200)
		for _, m := range list.Items {
			titles = append(titles, m.Title)
		}
		push("new")
		if cursor = list.Next; cursor == "" {
			break
		}
	}
	if got := strings.Join(titles, ""); got != "43210" {
		t.Fatalf("the pages of the list have %s", got)
	}
}

func TestRestTokenLogsIn(t *testing.T) {
	f := start(t)
	signed := decoded[signedToken](t, f.backendAsks(t, "POST", "/v1/tokens", `{"uid":1,"companyID":"c","ttl":60}`), 201)
	who := decoded[whoami](t, ask(t, "GET", "http://"+f.Addr()+"/v1/me", signed.Token, ""), 200)
	if who != (whoami{"1", "c"}) || time.Until(signed.ExpiresAt) > time.Minute {
		t.Fatalf("%+v until %v", who, signed.ExpiresAt)
	}
}

func TestRestRefusesWhoMayNotAsk(t *testing.T) {
	f := start(t)
	user := f.tokenOf("1", "1", time.Hour)
	document := decoded[struct{ Paths map[string]map[string]any }](t, ask(t, "GET", "http://"+f.PushAddr()+"/v1/openapi.json", "", ""), 200)
	mine := decoded[struct{ Paths map[string]map[string]any }](t, ask(t, "GET", "http://"+f.Addr()+"/v1/openapi.json", "", ""), 200)
	if len(document.Paths) != 25 || len(mine.Paths) != 13 {
		t.Fatalf("%d and %d paths are described", len(document.Paths), len(mine.Paths))
	}
	for name, c := range map[string]struct {
		paths map[string]map[string]any
		addr  string
		shown string
	}{
		"no key":                    {document.Paths, f.PushAddr(), ""},
		"a foreign key":             {document.Paths, f.PushAddr(), "another"},
		"a user's token as the key": {document.Paths, f.PushAddr(), user},
		"no token":                  {mine.Paths, f.Addr(), ""},
		"the key as a token":        {mine.Paths, f.Addr(), testKey},
		"an expired token":          {mine.Paths, f.Addr(), f.tokenOf("1", "1", -time.Hour)},
	} {
		for path, methods := range c.paths {
			for method := range methods {
				p := wantProblem(t, ask(t, strings.ToUpper(method), "http://"+c.addr+path, c.shown, ""), 401)
				if c.shown != "" && strings.Contains(p.Detail, c.shown) {
					t.Errorf("%s: %s repeats the secret", name, p.Detail)
				}
			}
		}
	}
	// With the right credentials every route is there, whatever it says to nonsense.
	for path, methods := range document.Paths {
		for method := range methods {
			if a := f.backendAsks(t, strings.ToUpper(method), path, ""); a.status == 401 || a.status == 404 || a.status == 405 || a.status >= 500 {
				t.Errorf("%s %s answers %d: %s", method, path, a.status, a.body)
			}
		}
	}
}

func TestRestProblems(t *testing.T) {
	f := start(t)
	long := strings.Repeat("é", 1000)
	cases := []struct {
		name, method, path, body string
		headers                  []string
		status                   int
		fields                   []string
	}{
		{"every wrong field is named", "POST", "/v1/messages", `{"receivers":[1,true],"title":7,"typeID":0,"date":"x","nonsense":1}`, nil, 422,
			[]string{"body.receivers[1]", "body.title", "body.typeID", "body.date", "body.nonsense"}},
		{"texts are bounded in bytes", "POST", "/v1/messages", `{"receivers":[1],"title":"` + long + `","sender":"` + long[:300] + `"}`, nil, 422, []string{"body.title", "body.sender"}},
		{"what no schema can say is named with the rest", "POST", "/v1/messages",
			`{"receivers":[" ","a\u0001b"],"typeID":"x","category":"\u0002","collapseKey":" ","expiresAt":"2001-01-01T00:00:00Z","data":[],"extra":{"":"x"},"senderID":"` + long[:200] + `","includeLater":true}`, nil, 422,
			[]string{"body.receivers[0]", "body.receivers[1]", "body.typeID", "body.category", "body.collapseKey", "body.expiresAt", "body.data", "body.extra", "body.senderID", "body.includeLater", "body.title"}},
		{"fields beside one that cannot be read are checked", "POST", "/v1/messages", `{"receivers":[true],"sender":"` + long[:300] + `","data":{"a":"` + long + long + long + `"}}`, nil, 422,
			[]string{"body.receivers[0]", "body.sender", "body.data", "body.title"}},
		{"a message that says nothing", "POST", "/v1/messages", `{"receivers":[1]}`, nil, 422, []string{"body.title"}},
		{"no receivers", "POST", "/v1/messages", `{"receivers":[],"title":"t"}`, nil, 422, []string{"body.receivers"}},
		{"neither receivers nor an audience", "POST", "/v1/messages", `{"title":"t"}`, nil, 422, []string{"body.receivers"}},
		{"receivers and an audience", "POST", "/v1/messages", `{"receivers":[1],"audience":"everybody","title":"t"}`, nil, 422, []string{"body.audience"}},
		{"an unknown audience", "POST", "/v1/messages", `{"audience":"all","title":"t"}`, nil, 422, []string{"body.audience"}},
		{"the audience of no company", "POST", "/v1/messages", `{"audience":"company","title":"t"}`, nil, 422, []string{"body.companyID"}},
		{"everybody of a company", "POST", "/v1/messages", `{"audience":"everybody","companyID":1,"title":"t"}`, nil, 422, []string{"body.companyID"}},
		{"a time that the rules refuse", "POST", "/v1/messages", `{"receivers":[1],"title":"t","deliverAt":"2200-01-02T00:00:00Z","expiresAt":"2200-01-01T00:00:00Z"}`, nil, 422, []string{"body.deliverAt"}},
		{"no company of an activity", "POST", "/v1/activities", `{"title":"t","category":"c","notify":[]}`, nil, 422, []string{"body.companyID", "body.category"}},
		{"a change without a field", "POST", "/v1/activities", `{"companyID":1,"title":"t","changes":[{"before":1},{"field":""}]}`, nil, 422, []string{"body.changes[0].field", "body.changes[1].field"}},
		{"too much of changes", "POST", "/v1/activities", `{"companyID":1,"title":"t","changes":[{"field":"f","after":"` + strings.Repeat("x", 17<<10) + `"}]}`, nil, 422, []string{"body.changes"}},
		{"a batch without items", "POST", "/v1/messages/batch", `{}`, nil, 422, []string{"body.items"}},
		{"a batch of too many", "POST", "/v1/messages/batch", `{"items":[` + strings.Repeat("1,", 1000) + `1]}`, nil, 422, []string{"body.items"}},
		{"a batch for too many", "POST", "/v1/messages/batch", `{"items":[` + strings.Repeat(`{"title":"t","receivers":[`+strings.Repeat("1,", 9999)+`1]},`, 2) + `{"title":"t","receivers":[1]}]}`, nil, 422, []string{"body.items"}},
		{"a message by a name that is none", "GET", "/v1/messages/x", "", nil, 422, []string{"path.id"}},
		{"a message that is not there", "GET", "/v1/messages/" + strings.Repeat("0", 24), "", nil, 404, nil},
		{"a change of a message that is not there", "PATCH", "/v1/messages/" + strings.Repeat("0", 24), `{"title":"t"}`, nil, 404, nil},
		{"no change of a message that is not there", "PATCH", "/v1/messages/" + strings.Repeat("0", 24), `{}`, nil, 404, nil},
		{"a change that is wrong", "PATCH", "/v1/messages/" + strings.Repeat("0", 24), `{"title":null,"content":"","typeID":0,"senderID":true,"data":7,"sender":"` + long[:300] + `","receivers":[1]}`, nil, 422,
			[]string{"body.title", "body.typeID", "body.senderID", "body.data", "body.sender", "body.receivers"}},
		{"a withdrawal of a message that is not there", "DELETE", "/v1/messages/" + strings.Repeat("0", 24), "", nil, 404, nil},
		{"a scheduled message that is not there", "GET", "/v1/scheduled/" + strings.Repeat("0", 24), "", nil, 404, nil},
		{"an event of belfry's own, to nobody", "POST", "/v1/events", `{"event":"new_msg","rooms":[]}`, nil, 422, []string{"body.rooms"}},
		{"an event of belfry's own", "POST", "/v1/events", `{"event":"new_msg","rooms":["uid:1"]}`, nil, 422, []string{"body.event"}},
		{"an event to all", "POST", "/v1/events", `{"event":"e","rooms":["everybody","uid:1"]}`, nil, 422, []string{"body.rooms[0]"}},
		{"an event to a user without a name", "POST", "/v1/events", `{"event":"e","rooms":["uid:"]}`, nil, 422, []string{"body.rooms"}},
		{"members without names", "POST", "/v1/companies/1/members", `{"users":[" ",7]}`, nil, 422, []string{"body.users[0]"}},
		{"a company of spaces", "POST", "/v1/companies/%20/members", `{"users":[7]}`, nil, 422, []string{"path.companyID"}},
		{"a user of spaces", "POST", "/v1/users/%20/read", `{"companyID":" ","ids":["` + strings.Repeat("0", 24) + `"]}`, nil, 422, []string{"path.uid", "body.companyID"}},
		{"nothing to mark", "POST", "/v1/users/1/read", `{"companyID":1}`, nil, 422, []string{"body.ids"}},
		{"null to mark", "POST", "/v1/users/1/archive", `{"companyID":1,"ids":null}`, nil, 422, []string{"body.ids"}},
		{"a preference that does nothing", "PUT", "/v1/users/1/preferences", `{"preferences":[{"typeID":1}]}`, nil, 422, nil},
		{"preferences of the wrong kinds", "PUT", "/v1/users/1/preferences", `{"preferences":[{"typeID":0},{"category":"","inApp":"no","muteUntil":"x"}]}`, nil, 422,
			[]string{"body.preferences[0].typeID", "body.preferences[1].category", "body.preferences[1].inApp", "body.preferences[1].muteUntil"}},
		{"an object without its type", "GET", "/v1/companies/1/activities?objectID=7", "", nil, 422, []string{"query.objectID"}},
		{"filters of the wrong kinds", "GET", "/v1/companies/1/activities?objectType=x&from=y&group=z", "", nil, 422, []string{"query.objectType", "query.from", "query.group"}},
		{"a span that ends before it begins", "GET", "/v1/companies/1/activities?from=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z", "", nil, 422, []string{"query.until"}},
		{"a token for nobody", "POST", "/v1/tokens", `{"uid":" ","companyID":"","ttl":0,"topics":[""]}`, nil, 422, []string{"body.uid", "body.companyID", "body.ttl", "body.topics[0]"}},
		{"too long a key", "POST", "/v1/messages", `{"receivers":[1],"title":"t"}`, []string{keyHeader, strings.Repeat("k", 129)}, 422, []string{"header." + keyHeader}},
		{"too many bytes of a key", "POST", "/v1/messages", `{"receivers":[1],"title":"t"}`, []string{keyHeader, strings.Repeat("é", 100)}, 422, []string{"header." + keyHeader}},
		{"a number that is not whole where one is needed", "POST", "/v1/messages", `{"receivers":[1],"title":"t","typeID":1.5}`, nil, 422, []string{"body.typeID"}},
		{"a whole number that is written as none", "POST", "/v1/messages", `{"receivers":[1],"title":"t","typeID":1.0}`, nil, 422, []string{"body"}},
		{"no body", "POST", "/v1/messages", "", nil, 400, nil},
		{"broken JSON", "POST", "/v1/messages", `{`, nil, 400, []string{"body"}},
		{"bytes that are not UTF-8", "POST", "/v1/messages", "{\"receivers\":[1],\"title\":\"\xff\"}", nil, 400, []string{"body"}},
		{"a form", "POST", "/v1/messages", "a=b", []string{"Content-Type", formType}, 415, nil},
		{"too large a body", "POST", "/v1/messages", strings.Repeat(" ", maxPushBody+1), nil, 413, nil},
		{"a wrong method", "DELETE", "/v1/messages", "", nil, 405, nil},
		{"an unknown path", "GET", "/v1/nothing", "", nil, 404, nil},
		{"no company", "GET", "/v1/users/1/counts", "", nil, 422, []string{"query.companyID"}},
		{"a broken cursor and limit", "GET", "/v1/users/1/messages?companyID=1&cursor=x&limit=0", "", nil, 422, []string{"query.cursor", "query.limit"}},
		{"an unknown parameter", "GET", "/v1/users/1/counts?companyID=1&x=1", "", nil, 422, []string{"query.x"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := wantProblem(t, ask(t, c.method, "http://"+f.PushAddr()+c.path, testKey, c.body, c.headers...), c.status)
			for _, want := range c.fields {
				found := false
				for _, e := range p.Errors {
					found = found || e.Location == want
					if strings.Contains(e.Message, "json:") || strings.Contains(e.Message, "belfry.") || strings.Contains(e.Message, "Draft") {
						t.Errorf("%q gives the inside away", e.Message)
					}
				}
				if !found {
					t.Errorf("%s is not named in %+v", want, p)
				}
			}
		})
	}
}

func TestRestAnswersPagesOfAllowedOriginsAlone(t *testing.T) {
	f := start(t, func(o *Options) { o.Origins = []string{"https://app.example.com"} })
	url := "http://" + f.Addr() + "/v1/me"
	token := f.tokenOf("1", "1", time.Hour)
	pre := ask(t, "OPTIONS", url, "", "", "Origin", "https://app.example.com", "Access-Control-Request-Method", "PUT")
	if pre.status != 204 || !strings.Contains(pre.header.Get("Access-Control-Allow-Methods"), "PUT") || !strings.Contains(pre.header.Get("Access-Control-Allow-Headers"), "Authorization") {
		t.Fatalf("preflight %+v", pre)
	}
	got := ask(t, "GET", url, token, "", "Origin", "https://app.example.com")
	if got.status != 200 || got.header.Get("Access-Control-Allow-Origin") != "https://app.example.com" {
		t.Fatalf("allowed origin %+v", got)
	}
	other := ask(t, "GET", url, token, "", "Origin", "https://evil.example")
	wantProblem(t, other, 403)
	if other.header.Get("Access-Control-Allow-Origin") != "" {
		t.Fatal("a foreign origin may read the answer")
	}
}

func TestRestDocsNeedNothingElse(t *testing.T) {
	f := start(t)
	for _, addr := range []string{f.Addr(), f.PushAddr()} {
		page := ask(t, "GET", "http://"+addr+"/docs", "", "")
		if !strings.Contains(page.body, "PUT /v1/") || addr == f.PushAddr() && (!strings.Contains(page.body, "DELETE /v1/messages/{id}") || !strings.Contains(page.body, "PATCH /v1/messages/{id}")) {
			t.Error("an operation is not listed")
		}
		if page.status != 200 || !strings.Contains(page.header.Get("Content-Security-Policy"), "default-src 'none'") ||
			strings.Contains(page.body, "<script") || strings.Contains(page.body, "//") || !strings.Contains(page.body, "messageID") {
			t.Errorf("docs: %d %v\n%s", page.status, page.header, page.body)
		}
		if yaml := ask(t, "GET", "http://"+addr+"/v1/openapi.yaml", "", ""); yaml.status != 200 || !strings.Contains(yaml.body, "openapi: 3.1.0") {
			t.Errorf("yaml: %d", yaml.status)
		}
	}
}
