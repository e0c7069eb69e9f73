package server

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"belfry"
	"belfry/sqlite"
)

// recording makes the server keep a delivery record.
func recording(t *testing.T) func(*Options) {
	t.Helper()
	journal, err := sqlite.OpenJournal(context.Background(), t.TempDir(), sqlite.JournalOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := journal.Close(); err != nil {
			t.Error(err)
		}
	})
	return func(o *Options) { o.Journal = journal }
}

func (f *fixture) pushes(t *testing.T, body string) messageReceipt {
	t.Helper()
	return decoded[messageReceipt](t, f.backendAsks(t, "POST", "/v1/messages", body), 201)
}

func (f *fixture) inboxOf(t *testing.T, uid, company, filter string) []restMessage {
	t.Helper()
	return decoded[restList[restMessage]](t, f.backendAsks(t, "GET", "/v1/users/"+uid+"/messages?companyID="+company+filter, ""), 200).Items
}

func titlesOf(messages []restMessage) string {
	var titles []string
	for _, m := range messages {
		titles = append(titles, m.Title)
	}
	return strings.Join(titles, " ")
}

func TestRestMessageIsReadBackAsItWasSent(t *testing.T) {
	f := start(t)
	r := f.pushes(t, `{"receivers":["a"],"companyID":"c","senderID":7,"sender":"Lin","portrait":"/p.png","title":"t","content":"c","url":"/u",
		"date":"2026-01-02T03:04:05+08:00","typeID":2,"category":"billing","collapseKey":"k","expiresAt":"2200-01-01T00:00:00.25Z","data":{"a": [1, null]},"extra":{"x":"y"}}`)
	got := f.backendAsks(t, "GET", "/v1/messages/"+r.Messages[0].MessageID, "")
	want := `{"messageID":"` + r.Messages[0].MessageID + `","receiverID":"a","companyID":"c","senderID":"7","sender":"Lin","portrait":"/p.png","title":"t","content":"c","url":"/u",` +
		`"typeID":2,"category":"billing","collapseKey":"k","expiresAt":"2200-01-01T00:00:00.25Z","data":{"a":[1,null]},"extra":{"x":"y"},"date":"2026-01-01T19:04:05Z","isRead":false,"isArchived":false}`
	if strings.TrimSpace(got.body) != want {
		t.Errorf("got  %s\nwant %s", got.body, want)
	}
	if inbox := f.inboxOf(t, "a", "c", ""); len(inbox) != 1 || !reflect.DeepEqual(inbox[0], decoded[restMessage](t, got, 200)) {
		t.Errorf("the inbox has %+v", inbox)
	}
}

func TestRestNoticeIsOneMessageForAll(t *testing.T) {
	f := start(t)
	one, two := f.page("1", "1", "text"), f.page("2", "1", "text")
	other := f.page("3", "2", "text")
	r := f.pushes(t, `{"audience":"company","companyID":1,"title":"company"}`)
	if len(r.Messages) != 1 || r.Messages[0].ReceiverID != "" || r.Pages != 2 || !r.Stored {
		t.Fatalf("receipt %+v", r)
	}
	for _, page := range []*client{one, two} {
		if got := parse[messageOnWire](t, page.next("new_msg")); got.MessageID != r.Messages[0].MessageID {
			t.Errorf("a page got %+v", got)
		}
	}
	if all := f.pushes(t, `{"audience":"everybody","title":"everybody"}`); all.Pages != 3 {
		t.Errorf("receipt %+v", all)
	}
	if got := parse[messageOnWire](t, other.next("new_msg")); got.Title != "everybody" {
		t.Errorf("another company's page got %+v", got)
	}
	f.pushes(t, `{"audience":"company","companyID":1,"title":"then","includeLater":false}`)
	if r := f.pushes(t, `{"audience":"company","companyID":1,"title":"gone","transient":true}`); r.Stored || r.Pages != 2 {
		t.Errorf("transient: %+v", r)
	}
	if got := titlesOf(f.inboxOf(t, "1", "1", "")); got != "then everybody company" {
		t.Errorf("a member's inbox has %s", got)
	}
	if got := titlesOf(f.inboxOf(t, "late", "1", "")); got != "everybody company" {
		t.Errorf("a later member's inbox has %s", got)
	}
	if got := f.inboxOf(t, "1", "1", "")[1:]; got[0].Audience != "everybody" || got[1].Audience != "company" || got[1].ReceiverID != "" {
		t.Errorf("the notices are shown as %+v", got)
	}
	if got := f.backendAsks(t, "POST", "/v1/companies/1/members", `{"users":["early",9]}`); got.status != 204 || got.body != "" {
		t.Fatalf("members: %d %s", got.status, got.body)
	}
	f.pushes(t, `{"audience":"company","companyID":1,"title":"members","includeLater":false}`)
	for uid, want := range map[string]string{"early": "members everybody company", "9": "members everybody company", "late": "everybody company"} {
		if got := titlesOf(f.inboxOf(t, uid, "1", "")); got != want {
			t.Errorf("%s has %s, want %s", uid, got, want)
		}
	}
}

func TestRestScheduledMessageWaitsAndCanBeCancelled(t *testing.T) {
	f := start(t)
	page := f.page("1", "1", "text")
	waits := func(a restAnswer) messageReceipt {
		t.Helper()
		r := decoded[messageReceipt](t, a, 202)
		if len(r.Messages) != 0 || r.Pages != 0 || !r.Stored || r.ScheduledID == "" {
			t.Fatalf("receipt %+v", r)
		}
		return r
	}
	schedule := func(body string) messageReceipt {
		t.Helper()
		return waits(f.backendAsks(t, "POST", "/v1/messages", body))
	}
	r := schedule(`{"receivers":[1,2,1],"title":"later","collapseKey":"k","deliverAt":"2200-01-02T03:04:05.6789+08:00"}`)
	at := time.Date(2200, 1, 1, 19, 4, 5, 678e6, time.UTC)
	if !r.DeliverAt.Equal(at) {
		t.Errorf("it says %v", r.DeliverAt)
	}
	got := decoded[scheduledMessage](t, f.backendAsks(t, "GET", "/v1/scheduled/"+r.ScheduledID, ""), 200)
	if got.ScheduledID != r.ScheduledID || !got.DeliverAt.Equal(at) || !slices.Equal(got.Receivers, []string{"1", "2"}) || got.Title != "later" || got.CollapseKey != "k" || got.Audience != "" {
		t.Errorf("it waits as %+v", got)
	}
	notice := schedule(`{"audience":"company","companyID":"c","title":"later","deliverAt":"2200-01-01T00:00:00Z"}`)
	if got := decoded[scheduledMessage](t, f.backendAsks(t, "GET", "/v1/scheduled/"+notice.ScheduledID, ""), 200); got.Audience != "company" || len(got.Receivers) != 0 {
		t.Errorf("a notice waits as %+v", got)
	}
	for range 2 {
		if a := f.backendAsks(t, "DELETE", "/v1/messages/"+r.ScheduledID, ""); a.status != 204 && a.status != 404 || a.status == 204 && a.body != "" {
			t.Errorf("cancelled: %d %s", a.status, a.body)
		}
	}
	wantProblem(t, f.backendAsks(t, "GET", "/v1/scheduled/"+r.ScheduledID, ""), 404)
	// Where a call takes longer than its message is to wait, that is sent at once, and the next one is to wait for longer.
	for wait := 50 * time.Millisecond; ; wait *= 2 {
		a := f.backendAsks(t, "POST", "/v1/messages", `{"receivers":[1],"title":"soon","deliverAt":"`+time.Now().Add(wait).Format(time.RFC3339Nano)+`"}`)
		if a.status != 201 || wait > deadline {
			waits(a)
			break
		}
		page.next("new_msg")
	}
	if got := parse[messageOnWire](t, page.next("new_msg")); got.Title != "soon" {
		t.Errorf("the page got %+v", got)
	}
	if now := f.pushes(t, `{"receivers":[1],"title":"now","deliverAt":"2001-01-01T00:00:00Z"}`); now.Pages != 1 {
		t.Errorf("a time that is over: %+v", now)
	}
}

func TestRestChangesAndWithdrawalsReachThePageAndTheInbox(t *testing.T) {
	f := start(t)
	page := f.page("1", "1", "text")
	r := f.pushes(t, `{"receivers":[1],"companyID":1,"senderID":"s","sender":"Lin","portrait":"p","title":"t","content":"c","url":"u","typeID":2,"category":"k","expiresAt":"2200-01-01T00:00:00Z","data":{"a":1,"b":2},"extra":{"x":"1"}}`)
	id := r.Messages[0].MessageID
	page.next("new_msg")
	before := decoded[restMessage](t, f.backendAsks(t, "GET", "/v1/messages/"+id, ""), 200)
	patch := func(body string) restMessage {
		t.Helper()
		return decoded[restMessage](t, f.backendAsks(t, "PATCH", "/v1/messages/"+id, body), 200)
	}
	if got := patch(`{}`); !reflect.DeepEqual(got, before) {
		t.Errorf("nothing changed into %+v", got)
	}
	if got := page.settled("msg_changed"); len(got) > 0 {
		t.Errorf("the page was told of no change: %v", got)
	}
	want := before
	want.Title, want.Data, want.Extra, want.SenderID, want.TypeID = "new", restObject(`{"c":3}`), map[string]string{"y": "2"}, "9", 3
	if got := patch(`{"title":"new","data":{"c":3},"extra":{"y":"2"},"senderID":9,"typeID":3}`); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	page.next("msg_changed")
	want = restMessage{MessageID: id, ReceiverID: "1", MessageContent: MessageContent{CompanyID: "1", Title: "new", TypeID: 1}, Date: before.Date}
	if got := patch(`{"senderID":null,"sender":null,"portrait":null,"content":null,"url":null,"typeID":null,"category":null,"expiresAt":null,"data":null,"extra":null}`); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	p := wantProblem(t, f.backendAsks(t, "PATCH", "/v1/messages/"+id, `{"title":null}`), 422)
	if len(p.Errors) != 1 || p.Errors[0].Location != "body.title" {
		t.Errorf("a message that would say nothing: %+v", p)
	}
	if got := f.inboxOf(t, "1", "1", ""); len(got) != 1 || !reflect.DeepEqual(got[0], want) {
		t.Errorf("the inbox has %+v", got)
	}
	if a := f.backendAsks(t, "DELETE", "/v1/messages/"+id, ""); a.status != 204 || a.body != "" {
		t.Errorf("withdrawn: %d %s", a.status, a.body)
	}
	page.next("msg_changed")
	wantProblem(t, f.backendAsks(t, "GET", "/v1/messages/"+id, ""), 404)
	if c := decoded[restCounts](t, f.backendAsks(t, "GET", "/v1/users/1/counts?companyID=1", ""), 200); c.Unread != 0 {
		t.Errorf("counts %+v", c)
	}
}

func TestRestExplainTellsTheStory(t *testing.T) {
	f := start(t, recording(t))
	page := f.page("1", "1", "text")
	r := f.pushes(t, `{"receivers":[1,2],"companyID":1,"title":"t"}`)
	page.next("new_msg")
	id := r.Messages[0].MessageID
	decoded[restCounts](t, f.backendAsks(t, "POST", "/v1/users/1/read", `{"companyID":1,"ids":["`+id+`"]}`), 200)
	explain := func(id, uid string) explanation {
		t.Helper()
		return decoded[explanation](t, f.backendAsks(t, "GET", "/v1/messages/"+id+"/explain"+uid, ""), 200)
	}
	for _, uid := range []string{"?uid=1", ""} {
		e := explain(id, uid)
		var whats []string
		var login, sent time.Time
		for _, step := range e.Steps {
			switch step.What {
			case "login": // of the same millisecond as the rest, perhaps, and then anywhere among it
				login = step.At
				continue
			case "sent":
				sent = step.At
			}
			whats = append(whats, step.What)
		}
		story := strings.Join(whats, " ")
		if e.MessageID != id || e.UID != "1" || e.Verdict != "the user has read it" || e.Message == nil || e.Message.Title != "t" || story != "stored sent read" {
			t.Errorf("explained as %+v: %s", e, story)
		}
		if login.IsZero() || login.After(sent) {
			t.Errorf("the page logged in at %v, and was sent it at %v", login, sent)
		}
	}
	if e := explain(r.Messages[1].MessageID, "?uid=2"); len(e.Steps) != 2 || e.Steps[0].What != "stored" || e.Steps[1].What != "no_page" || !strings.Contains(e.Verdict, "has not logged in") {
		t.Errorf("explained as %+v", e)
	}
	if e := explain(id, "?uid=2"); e.Message != nil || !strings.Contains(e.Verdict, "not for this user") {
		t.Errorf("another's is explained as %+v", e)
	}
	s := decoded[messageReceipt](t, f.backendAsks(t, "POST", "/v1/messages", `{"receivers":[1],"title":"t","deliverAt":"2200-01-01T00:00:00Z"}`), 202)
	if e := explain(s.ScheduledID, ""); !strings.Contains(e.Verdict, "2200-01-01T00:00:00Z") {
		t.Errorf("a scheduled one is explained as %+v", e)
	}
	wantProblem(t, f.backendAsks(t, "GET", "/v1/messages/"+strings.Repeat("1", 24)+"/explain?uid=1", ""), 404)
	wantProblem(t, f.backendAsks(t, "GET", "/v1/messages/"+id+"/explain?uid=%20", ""), 422)
}

func TestRestExplainNeedsARecord(t *testing.T) {
	f := start(t)
	id := f.pushes(t, `{"receivers":[1],"title":"t"}`).Messages[0].MessageID
	wantProblem(t, f.backendAsks(t, "GET", "/v1/messages/"+id+"/explain", ""), 503)
}

func TestEveryFactHasItsWord(t *testing.T) {
	step, _ := reflect.TypeFor[explainStep]().FieldByName("What")
	documented := strings.Split(step.Tag.Get("enum"), ",")
	words := slices.Sorted(maps.Values(factWords))
	slices.Sort(documented)
	if !slices.Equal(words, documented) {
		t.Errorf("facts have the words %v, the document lists %v", words, documented)
	}
	for kind := range belfry.FactRevoked + 1 {
		known := kind >= belfry.FactStored && kind <= belfry.FactCancelled || kind >= belfry.FactLogin
		if _, ok := factWords[kind]; ok != known {
			t.Errorf("fact %d: %q", kind, factWords[kind])
		}
	}
}

func TestRestPreferencesDecideWhoGetsIt(t *testing.T) {
	f := start(t, func(o *Options) { o.ForcedCategories = []string{"security"} })
	set := `{"preferences":[{"typeID":2,"category":"billing","inApp":false},{"category":"chat","muteUntil":"2200-01-01T00:00:00Z"}]}`
	want := restPreferences{[]restPreference{
		{TypeID: 2, Category: "billing", InApp: new(bool)},
		{Category: "chat", InApp: new(true), MuteUntil: time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)},
	}}
	for range 2 {
		if got := decoded[restPreferences](t, f.backendAsks(t, "PUT", "/v1/users/1/preferences", set), 200); !reflect.DeepEqual(got, want) {
			t.Fatalf("set %+v", got)
		}
	}
	me := "http://" + f.Addr() + "/v1/me/preferences"
	token := f.tokenOf("1", "1", time.Hour)
	if got := decoded[restPreferences](t, ask(t, "GET", me, token, ""), 200); !reflect.DeepEqual(got, want) {
		t.Errorf("the user has %+v", got)
	}
	page := f.page("1", "1", "text")
	if r := f.pushes(t, `{"receivers":[1,2],"title":"off","typeID":2,"category":"billing"}`); len(r.Messages) != 1 || r.Messages[0].ReceiverID != "2" || !slices.Equal(r.Off, []string{"1"}) {
		t.Errorf("turned off: %+v", r)
	}
	if r := f.pushes(t, `{"receivers":[1],"title":"off","typeID":2,"category":"billing"}`); len(r.Messages) != 0 || r.Stored {
		t.Errorf("turned off by all: %+v", r)
	}
	if r := f.pushes(t, `{"receivers":[1],"title":"muted","category":"chat"}`); len(r.Messages) != 1 || r.Pages != 0 {
		t.Errorf("muted: %+v", r)
	}
	if got := page.settled("new_msg"); len(got) > 0 {
		t.Errorf("the page got %v", got)
	}
	if got := titlesOf(f.inboxOf(t, "1", "1", "")); got != "muted" {
		t.Errorf("the inbox has %s", got)
	}
	p := wantProblem(t, ask(t, "PUT", me, token, `{"preferences":[{"category":"security","inApp":false}]}`), 422)
	if !strings.Contains(p.Detail, "security") {
		t.Errorf("a forced category: %+v", p)
	}
	if got := decoded[restPreferences](t, ask(t, "PUT", me, token, `{"preferences":[]}`), 200); len(got.Preferences) != 0 {
		t.Errorf("emptied: %+v", got)
	}
}

func TestRestInboxIsFilteredAndMarked(t *testing.T) {
	f := start(t)
	var ids []string
	for i, body := range []string{`"typeID":2,"category":"a"`, `"typeID":2,"category":"b"`, `"typeID":3,"category":"a"`, `"typeID":3`} {
		ids = append(ids, f.pushes(t, fmt.Sprintf(`{"receivers":[1],"companyID":1,"title":"%d",%s}`, i, body)).Messages[0].MessageID)
	}
	me := "http://" + f.Addr() + "/v1/me/"
	token := f.tokenOf("1", "1", time.Hour)
	ids1 := `"ids":["` + ids[0] + `","` + ids[3] + `"]}`
	for _, step := range []struct {
		what, mine, body, backend string
		unread                    int
		lists                     map[string]string
	}{
		{"nothing", "", "", "", 4, map[string]string{"": "3 2 1 0", "&typeID=2": "1 0", "&category=a": "2 0", "&typeID=3&category=a": "2", "&unread=true": "3 2 1 0", "&archived=true": "", "&limit=2": "3 2"}},
		{"read", "read", "{" + ids1, `{"companyID":1,` + ids1, 2, map[string]string{"&unread=true": "2 1", "&unread=true&category=a": "2"}},
		{"unread", "unread", "{" + ids1, `{"companyID":1,` + ids1, 4, map[string]string{"&unread=true": "3 2 1 0"}},
		{"archive", "archive", "{" + ids1, `{"companyID":1,` + ids1, 2, map[string]string{"": "2 1", "&archived=true": "3 0", "&archived=true&typeID=2": "0"}},
		{"unarchive", "unarchive", "{" + ids1, `{"companyID":1,` + ids1, 2, map[string]string{"": "3 2 1 0", "&archived=true": "", "&unread=true": "2 1"}},
		{"read-all of a type", "read-all", `{"typeID":2}`, `{"companyID":1,"typeID":2}`, 1, map[string]string{"&unread=true": "2"}},
		{"archive-all of a type", "archive-all", `{"typeID":3}`, `{"companyID":1,"typeID":3}`, 0, map[string]string{"": "1 0", "&archived=true": "3 2"}},
		{"archive-all", "archive-all", ``, `{"companyID":1}`, 0, map[string]string{"": "", "&archived=true": "3 2 1 0"}},
	} {
		if step.mine != "" { // once by the page, once by the backend, which changes nothing more
			for who, a := range map[string]restAnswer{
				"page":    ask(t, "POST", me+step.mine, token, step.body),
				"backend": f.backendAsks(t, "POST", "/v1/users/1/"+step.mine, step.backend),
			} {
				if c := decoded[restCounts](t, a, 200); c.Unread != step.unread {
					t.Errorf("%s by the %s: %+v, want %d unread", step.what, who, c, step.unread)
				}
			}
		}
		for filter, want := range step.lists {
			if got := titlesOf(f.inboxOf(t, "1", "1", filter)); got != want {
				t.Errorf("%s: the list %s has %q, want %q", step.what, filter, got, want)
			}
			mine := decoded[restList[restMessage]](t, ask(t, "GET", me+"messages?"+strings.TrimPrefix(filter, "&"), token, ""), 200)
			if got := titlesOf(mine.Items); got != want {
				t.Errorf("%s: the own list %s has %q, want %q", step.what, filter, got, want)
			}
		}
	}
}

func TestRestSessionsAreSeenAndEnded(t *testing.T) {
	f := start(t)
	old := f.tokenOf("1", "1", time.Hour)
	page, other := f.page("1", "1", "text"), f.page("1", "2", "text")
	pages := func() []openPage {
		t.Helper()
		return decoded[openPages](t, f.backendAsks(t, "GET", "/v1/users/1/online", ""), 200).Pages
	}
	if got := pages(); len(got) != 2 || got[0].PageID == "" || got[0].CompanyID == got[1].CompanyID {
		t.Fatalf("open pages %+v", got)
	}
	if n := decoded[restPages](t, f.backendAsks(t, "POST", "/v1/users/1/disconnect", `{"companyID":2}`), 200); n.Pages != 1 {
		t.Errorf("disconnected in a company: %+v", n)
	}
	other.gone()
	if n := decoded[restPages](t, f.backendAsks(t, "POST", "/v1/users/nobody/disconnect", ""), 200); n.Pages != 0 {
		t.Errorf("nobody is disconnected: %+v", n)
	}
	if n := decoded[restPages](t, f.backendAsks(t, "POST", "/v1/users/1/disconnect", ""), 200); n.Pages != 1 {
		t.Errorf("disconnected: %+v", n)
	}
	page.gone()
	eventually(t, "no page is open", func() bool { return len(pages()) == 0 })
	me := "http://" + f.Addr() + "/v1/me"
	if a := ask(t, "GET", me, old, ""); a.status != 200 {
		t.Errorf("the token is still good: %d", a.status)
	}
	decoded[restPages](t, f.backendAsks(t, "POST", "/v1/users/1/revoke", ""), 200)
	p := wantProblem(t, ask(t, "GET", me, old, ""), 401)
	if !strings.Contains(p.Detail, "void") {
		t.Errorf("a void token: %+v", p)
	}
	if a := ask(t, "GET", me, f.tokenOf("2", "1", time.Hour), ""); a.status != 200 {
		t.Errorf("another's token: %d", a.status)
	}
}

func TestRestEventReachesItsRooms(t *testing.T) {
	f := start(t)
	one, two, three := f.page("1", "1", "text"), f.page("2", "1", "text"), f.page("3", "2", "text")
	send := func(body string) int {
		t.Helper()
		return decoded[restPages](t, f.backendAsks(t, "POST", "/v1/events", body), 200).Pages
	}
	if n := send(`{"event":"board","rooms":["company:1","uid:1"],"except":["uid:2"],"data":{"a": [1]}}`); n != 1 {
		t.Errorf("sent to %d pages", n)
	}
	if got := string(one.next("board")); got != `{"a":[1]}` && got != `{"a": [1]}` {
		t.Errorf("the page got %s", got)
	}
	if n := send(`{"event":"board","rooms":["uid:2","uid:3"]}`); n != 2 {
		t.Errorf("sent to %d pages", n)
	}
	two.next("board")
	three.next("board")
	if got := one.settled("board"); len(got) > 0 {
		t.Errorf("one got %v", got)
	}
}

func TestTokensNameTheirTopics(t *testing.T) {
	f := start(t)
	signed := decoded[signedToken](t, f.backendAsks(t, "POST", "/v1/tokens", `{"uid":1,"companyID":"c","topics":["board:*","x"]}`), 201)
	claims, err := f.tokens.Verify(signed.Token)
	if err != nil || !slices.Equal(claims.Topics, []string{"board:*", "x"}) || claims.Issued.IsZero() {
		t.Errorf("claims %+v, %v", claims, err)
	}
	if d := claims.Expires.Sub(signed.ExpiresAt).Abs(); d > time.Second || time.Until(signed.ExpiresAt) < 23*time.Hour {
		t.Errorf("it says it expires at %v, and does at %v", signed.ExpiresAt, claims.Expires)
	}
}

func TestAPatchIsMissingNullOrAValue(t *testing.T) {
	for body, want := range map[string]*string{`{}`: nil, `{"title":null}`: new(string), `{"title":""}`: new(string), `{"title":"t"}`: new("t")} {
		var p messagePatch
		if err := json.Unmarshal([]byte(body), &p); err != nil {
			t.Fatal(err)
		}
		edit, changes := p.edit()
		if changes != (want != nil) || !reflect.DeepEqual(edit.Title, want) {
			t.Errorf("%s: %+v", body, edit)
		}
	}
}
