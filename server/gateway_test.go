package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"belfry"
)

func TestEventsBeforeLoginAreRefused(t *testing.T) {
	f := start(t)
	f.message("1", "secret")
	page := dial(t, f.Addr(), dialing{})
	for _, event := range []string{"messages", "dynamics", "read", "read_all", "seen", "online"} {
		got := parse[loginAnswer](t, page.call(event, `{"uid":1,"companyID":1,"ids":["`+f.inbox("1", "1")[0].ID.String()+`"]}`))
		if got.OK || got.Error.Code != "unauthorized" {
			t.Errorf("%s answered %+v", event, got)
		}
	}
	if f.inbox("1", "1")[0].IsRead {
		t.Error("a stranger marked a message read")
	}
}

func TestAnUnknownEventIsIgnored(t *testing.T) {
	f := start(t)
	page := f.page("1", "1", "text")
	page.emit("explode", `{"a":1}`)
	page.emit("new_msg", `"forged"`)
	page.emit("update_online_count", `99`)
	if got := page.settled("new_msg"); len(got) > 0 {
		t.Errorf("the page got %s", got)
	}
}

// list returns the titles of a list and its next.
func list(t *testing.T, page *client, event, arg string) (titles []string, next string) {
	t.Helper()
	got := parse[struct {
		OK         bool
		Messages   []messageOnWire
		Activities []activityOnWire
		Next       string
	}](t, page.call(event, arg))
	if !got.OK {
		t.Fatalf("%s %s was refused", event, arg)
	}
	for _, m := range got.Messages {
		titles = append(titles, m.Title)
	}
	for _, a := range got.Activities {
		titles = append(titles, a.Title)
	}
	return titles, got.Next
}

func TestListsArePagedToTheirEnd(t *testing.T) {
	f := start(t)
	const n = 25
	var want []string
	for i := range n {
		f.message("1", fmt.Sprint(i))
		f.message("2", "another's")
		f.push("action", "dynamic", "companyID", "1", "title", fmt.Sprint(i))
		f.push("action", "dynamic", "companyID", "2", "title", "another's")
		want = append([]string{fmt.Sprint(i)}, want...)
	}
	page := f.page("1", "1", "text")
	for _, event := range []string{"messages", "dynamics"} {
		for _, limit := range []int{0, 1, 7, 25, 100} {
			var got []string
			arg, calls := fmt.Sprintf(`{"limit":%d}`, limit), 0
			for {
				titles, next := list(t, page, event, arg)
				got = append(got, titles...)
				if calls++; next == "" || calls > n+1 {
					break
				}
				arg = fmt.Sprintf(`{"limit":%d,"before":%q}`, limit, next)
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("%s by %d: %v", event, limit, got)
			}
		}
		if titles, _ := list(t, page, event, `null`); len(titles) != belfry.DefaultListLimit {
			t.Errorf("%s without limit: %d entries", event, len(titles))
		}
		for _, arg := range []string{`{"before":"xyz"}`, `{"limit":"many"}`, `[]`, `"x"`, `{"before":{}}`, `{"limit":1e99}`} {
			if got := parse[loginAnswer](t, page.call(event, arg)); got.OK || got.Error.Code != "invalid" {
				t.Errorf("%s %s answered %+v", event, arg, got)
			}
		}
	}
}

func TestOnlyOnesOwnMessagesAreMarkedAndAllPagesLearnTheCounts(t *testing.T) {
	f := start(t)
	for i := range 3 {
		f.message("1", fmt.Sprint(i))
	}
	first, second, other := f.page("1", "1", "text"), f.page("1", "1", "html"), f.page("2", "1", "text")
	ids := f.inbox("1", "1")
	arg := fmt.Sprintf(`{"ids":[%q]}`, ids[0].ID)

	if got := parse[loginAnswer](t, other.call("read", arg)); !got.OK || f.inbox("1", "1")[0].IsRead {
		t.Errorf("another user marked a message: %+v", got)
	}
	other.call("seen", fmt.Sprintf(`{"last":%q}`, ids[0].ID))
	other.call("read_all")
	if c := parse[struct{ Counts belfry.Counts }](t, first.call("read", `{"ids":["000000000000000000000000"]}`)).Counts; c.Unread != 3 || c.Unseen != 3 {
		t.Errorf("counts after what others did: %+v", c)
	}

	steps := []struct {
		event, arg     string
		unread, unseen int
		told           string // the event that pages get beside the counts
	}{
		{"seen", fmt.Sprintf(`{"last":%q}`, ids[1].ID), 3, 1, ""},
		{"read", arg, 2, 0, "msg_read"},
		{"unread", arg, 3, 1, "msg_read"},
		{"read_all", `{"typeID":7}`, 3, 1, "nothing"},
		{"archive", arg, 2, 0, "msg_changed"},
		{"unarchive", arg, 2, 0, "msg_changed"},
		{"read_all", `{}`, 0, 0, "msg_read"},
	}
	version := int64(0)
	for _, s := range steps {
		answer := parse[struct {
			OK     bool
			Counts belfry.Counts
		}](t, first.call(s.event, s.arg))
		if !answer.OK || answer.Counts.Unread != s.unread || answer.Counts.Unseen != s.unseen || answer.Counts.Version < version {
			t.Errorf("%s answered %+v, want %d unread and %d unseen", s.event, answer, s.unread, s.unseen)
		}
		version = answer.Counts.Version
		for _, page := range []*client{first, second} {
			if s.told == "nothing" {
				break
			}
			if s.told != "" {
				page.next(s.told)
			}
			if c := parse[belfry.Counts](t, page.next("counts")); fmt.Sprint(c) != fmt.Sprint(answer.Counts) {
				t.Errorf("a page was told %+v, the answer was %+v", c, answer.Counts)
			}
		}
	}
	for _, got := range other.settled("counts") {
		if c := parse[belfry.Counts](t, json.RawMessage(got)); c.Unread != 0 {
			t.Errorf("another user's page was told %s", got)
		}
	}
	for event, arg := range map[string]string{"read": `{}`, "seen": `{}`} {
		if got := parse[loginAnswer](t, first.call(event, arg)); got.OK || got.Error.Code != "invalid" {
			t.Errorf("%s %s answered %+v", event, arg, got)
		}
	}
}

func TestEveryStringIsEscapedOnceForPagesOfHTML(t *testing.T) {
	f := start(t)
	html, text := f.page(`<u>`, `"c"`, "html"), f.page(`<u>`, `"c"`, "text")
	const raw = `<b>&amp; "x" 'y'</b>`
	const escaped = `&lt;b&gt;&amp;amp; &quot;x&quot; &#039;y&#039;&lt;/b&gt;`
	f.push("action", "message", "receiverID", `<u>`, "companyID", `"c"`, "senderID", raw, "sender", raw, "portrait", "/p?a&b", "title", raw,
		"content", raw, "url", `http://x/?a=1&b='2'`, "extra["+raw+"]", raw)
	f.push("action", "dynamic", "companyID", `"c"`, "operatorID", raw, "operator", raw, "receiver", raw, "portrait", "/p?a&b", "title", raw,
		"content", raw, "url", `http://x/?a=1&b='2'`, "objectID", raw, "extra["+raw+"]", raw)
	for page, want := range map[*client]struct{ s, uid, company, portrait, url string }{
		html: {escaped, "&lt;u&gt;", "&quot;c&quot;", "/p?a&amp;b", "http://x/?a=1&amp;b=&#039;2&#039;"},
		text: {raw, "<u>", `"c"`, "/p?a&b", `http://x/?a=1&b='2'`},
	} {
		live := parse[messageOnWire](t, page.next("new_msg"))
		read := parse[struct{ Messages []messageOnWire }](t, page.call("messages")).Messages[0]
		for _, m := range []messageOnWire{live, read} {
			wantMessage := messageOnWire{
				MessageID: m.MessageID, Date: m.Date, TypeID: 1, SenderID: want.s, Sender: want.s, ReceiverID: want.uid, CompanyID: want.company,
				Portrait: want.portrait, Title: want.s, Content: want.s, URL: want.url, Extra: map[string]string{want.s: want.s},
			}
			if fmt.Sprint(m) != fmt.Sprint(wantMessage) {
				t.Errorf("message\ngot  %+v\nwant %+v", m, wantMessage)
			}
		}
		liveActivity := parse[activityOnWire](t, page.next("update_dynamic"))
		readActivity := parse[struct{ Activities []activityOnWire }](t, page.call("dynamics")).Activities[0]
		for _, a := range []activityOnWire{liveActivity, readActivity} {
			wantActivity := activityOnWire{
				ActivityID: a.ActivityID, Date: a.Date, OperatorID: want.s, Operator: want.s, Receiver: want.s, CompanyID: want.company,
				Portrait: want.portrait, Title: want.s, Content: want.s, URL: want.url, ObjectID: want.s, Extra: map[string]string{want.s: want.s},
			}
			if fmt.Sprint(a) != fmt.Sprint(wantActivity) {
				t.Errorf("activity\ngot  %+v\nwant %+v", a, wantActivity)
			}
		}
	}
	if stored := f.inbox(`<u>`, `"c"`)[0]; stored.Title != raw {
		t.Errorf("stored as %q, not as it was sent", stored.Title)
	}
}

func TestLinksThatRunScriptsAreEmptied(t *testing.T) {
	f := start(t)
	pages := []*client{f.page("1", "1", "html"), f.page("1", "1", "text")}
	cases := []struct {
		link string
		safe bool
	}{
		{"javascript:alert(1)", false}, {"JaVaScRiPt:alert(1)", false}, {" java\nscript:alert(1)", false}, {"java\tscript:alert(1)", false},
		{"\x01javascript:alert(1)", false}, {"data:text/html,x", false}, {"vbscript:x", false}, {"file:///etc/passwd", false}, {"blob:x", false},
		{"view-source:http://x", false}, {"http://x/", true}, {"HTTPS://x/", true}, {"mailto:a@b.c", true}, {"/task/1:2", true}, {"task?a=b:c", true},
		{"#a:b", true}, {"//x/y", true}, {"", true},
	}
	for _, c := range cases {
		f.push("action", "message", "receiverID", "1", "title", "t", "url", c.link, "portrait", c.link, "store", "0")
		f.push("action", "dynamic", "companyID", "1", "title", "t", "url", c.link, "portrait", c.link, "store", "0")
		want := ""
		if c.safe {
			want = c.link
		}
		for _, page := range pages {
			m, a := parse[messageOnWire](t, page.next("new_msg")), parse[activityOnWire](t, page.next("update_dynamic"))
			for _, got := range []string{m.URL, m.Portrait, a.URL, a.Portrait} {
				if got != want {
					t.Errorf("link %q became %q, want %q", c.link, got, want)
				}
			}
		}
	}
}

func TestDatesAreInTheConfiguredZone(t *testing.T) {
	f := start(t, func(o *Options) { o.Zone = time.FixedZone("here", -3*3600) })
	page := f.page("1", "1", "text")
	f.push("action", "message", "receiverID", "1", "title", "t", "date", "2024-05-06T00:30:00Z")
	if got := parse[messageOnWire](t, page.next("new_msg")).Date; got != "2024-05-05 21:30:00" {
		t.Errorf("date %s", got)
	}
}

func TestNobodyGetsWhatIsAnothersUserOrCompany(t *testing.T) {
	f := start(t)
	mine, elsewhere := f.page("1", "1", "text"), f.page("1", "2", "text")
	colleague, stranger, visitor := f.page("2", "1", "text"), f.page("11", "11", "text"), dial(t, f.Addr(), dialing{})

	f.push("action", "message", "receiverID", "1", "companyID", "1", "title", "of company 1")
	if got := parse[messageOnWire](t, mine.next("new_msg")); got.Title != "of company 1" {
		t.Errorf("message %+v", got)
	}
	for _, page := range []*client{mine, elsewhere, colleague, stranger, visitor} {
		if got := page.settled("new_msg"); len(got) > 0 {
			t.Errorf("a page got %s", got)
		}
	}
	if titles, _ := list(t, elsewhere, "messages", "{}"); len(titles) > 0 {
		t.Errorf("the other company's page reads %v", titles)
	}

	f.message("1", "of no company")
	mine.next("new_msg")
	elsewhere.next("new_msg")
	f.push("action", "dynamic", "companyID", "1", "title", "an activity")
	mine.next("update_dynamic")
	colleague.next("update_dynamic")
	f.push("type", "publish", "content", "to everybody")
	for _, page := range []*client{mine, elsewhere, colleague, stranger} {
		page.next("new_msg")
	}
	for _, page := range []*client{mine, elsewhere, colleague, stranger, visitor} {
		if got := append(page.settled("new_msg"), page.settled("update_dynamic")...); len(got) > 0 {
			t.Errorf("a page got %s", got)
		}
	}
	if titles, _ := list(t, stranger, "dynamics", "{}"); len(titles) > 0 {
		t.Errorf("a stranger reads %v", titles)
	}
}

func TestIDsAsNumbersAndAsStringsAreTheSame(t *testing.T) {
	f := start(t)
	number, text := dial(t, f.Addr(), dialing{}), dial(t, f.Addr(), dialing{})
	number.call("login", `{"uid":1,"companyID":1}`)
	if got := parse[loginAnswer](t, text.call("login", `{"uid":"1","companyID":"1"}`)); got.Online != 1 {
		t.Errorf("%d users are online, want 1", got.Online)
	}
	f.message("1", "t")
	number.next("new_msg")
	text.next("new_msg")
}

func TestPresenceIsCountedOnLoginAndClose(t *testing.T) {
	f := start(t)
	first := f.page("1", "1", "text")
	first.until("update_online_count", "1")
	second := f.page("2", "1", "text")
	second.until("update_online_count", "2")
	first.until("update_online_count", "2")
	tab := f.page("2", "1", "text")
	other := f.page("3", "2", "text")
	other.until("update_online_count", "1")
	if got := string(first.call("online")); got != `{"ok":true,"users":2,"pages":3}` {
		t.Errorf("online answered %s", got)
	}
	tab.vanish()
	eventually(t, "the tab is gone", func() bool { return string(first.call("online")) == `{"ok":true,"users":2,"pages":2}` })
	if got := first.settled("update_online_count"); len(got) > 0 {
		t.Errorf("told %v although nothing changed", got)
	}
	second.vanish()
	first.until("update_online_count", "1")
	for _, got := range other.settled("update_online_count") {
		if got != "1" {
			t.Errorf("another company was told %s", got)
		}
	}
}

func TestAReloadWithinTheGraceDoesNotChangeTheCount(t *testing.T) {
	f := start(t, func(o *Options) { o.Grace = time.Hour })
	watcher := f.page("1", "1", "text")
	tab := f.page("2", "1", "text")
	watcher.until("update_online_count", "2")
	for range 3 {
		tab.vanish()
		eventually(t, "the page is gone", func() bool { return strings.Contains(string(watcher.call("online")), `"pages":1`) })
		tab = f.page("2", "1", "text")
		if got := string(tab.next("update_online_count")); got != "2" {
			t.Errorf("the page that came back was told %s", got)
		}
	}
	if got := watcher.settled("update_online_count"); len(got) > 0 {
		t.Errorf("the count flapped: %v", got)
	}
}

func TestManyChangesOfTheCountAreTold(t *testing.T) {
	f := start(t)
	watcher := f.page("0", "1", "text")
	watcher.until("update_online_count", "1")
	const n = 12
	began := time.Now()
	for i := range n {
		f.page(fmt.Sprint(i+1), "1", "text")
	}
	told := 0
	for count := ""; count != fmt.Sprint(n+1); told++ {
		count = string(watcher.next("update_online_count"))
	}
	// One at once and then one every 250 ms of however long it took.
	if most := 2 + int(time.Since(began)/belfry.DefaultCoalesce); told > most {
		t.Errorf("%d announcements in %v", told, time.Since(began))
	}
}

func TestWhoWasAwayGetsItsMessagesOnceOldestFirst(t *testing.T) {
	f := start(t, func(o *Options) { o.ReplayLimit = 5 })
	for i := range 7 {
		if got := f.message("1", fmt.Sprint(i)); got != "offline" {
			t.Fatalf("answer %s", got)
		}
	}
	replayed := func(page *client) (titles []string) {
		for _, raw := range page.settled("new_msg") {
			titles = append(titles, parse[messageOnWire](t, json.RawMessage(raw)).Title)
		}
		return titles
	}
	page := f.page("1", "1", "text")
	if got := fmt.Sprint(replayed(page)); got != "[0 1 2 3 4]" {
		t.Errorf("the first login replayed %s", got)
	}
	if got := fmt.Sprint(replayed(f.page("1", "1", "text"))); got != "[5 6]" {
		t.Errorf("the second login replayed %s", got)
	}
	if got := replayed(f.page("1", "1", "text")); len(got) > 0 {
		t.Errorf("the third login replayed %v", got)
	}
	if titles, _ := list(t, page, "messages", "{}"); len(titles) != 7 {
		t.Errorf("the inbox has %v", titles)
	}
	if got := parse[loginAnswer](t, dial(t, f.Addr(), dialing{}).call("login", `{"uid":1,"companyID":1}`)); got.Counts.Unread != 7 {
		t.Errorf("counts %+v", got.Counts)
	}
}

func TestAPageThatLeavesWhileItLogsInIsNotCounted(t *testing.T) {
	entered, release := make(chan struct{}, 16), make(chan struct{})
	f := start(t, func(o *Options) {
		o.Store = &hookedStore{Store: o.Store, counts: func() {
			entered <- struct{}{}
			<-release
		}}
	})
	const n = 8
	for i := range n {
		page := dial(t, f.Addr(), dialing{})
		go page.post(`42["login",{"uid":` + fmt.Sprint(i) + `,"companyID":1}]`) // its answer is cut off
		<-entered
		page.vanish()
	}
	close(release)
	eventually(t, "no page is left", func() bool {
		return f.sockets.Of("/").Len() == 0 && f.online("1") == 0
	})
	f.page("99", "1", "text").until("update_online_count", "1")
}

func TestAHandlerThatPanicsEndsItsPageOnly(t *testing.T) {
	bang := func() { panic("bang") }
	hooks := &hookedStore{}
	f := start(t, func(o *Options) {
		hooks.Store = o.Store
		o.Store = hooks
	})
	other := f.page("2", "1", "text")

	hooks.set(func(h *hookedStore) { h.inbox = bang })
	page := f.page("1", "1", "text")
	page.post(`420["messages"]`)
	page.gone()

	hooks.set(func(h *hookedStore) { h.inbox, h.counts = nil, bang })
	page = dial(t, f.Addr(), dialing{})
	page.post(`420["login",{"uid":1,"companyID":1}]`)
	page.gone()
	hooks.set(func(h *hookedStore) { h.counts = nil })

	// The login of one who is replayed panics after the page has been counted.
	f.message("3", "waiting")
	hooks.set(func(h *hookedStore) { h.delivered = bang })
	page = dial(t, f.Addr(), dialing{})
	page.post(`420["login",{"uid":3,"companyID":1}]`)
	page.gone()
	hooks.set(func(h *hookedStore) { h.delivered = nil })

	eventually(t, "only the other page is counted", func() bool { return f.online("1") == 1 })
	f.message("2", "still here")
	other.next("new_msg")
	f.page("3", "1", "text").next("new_msg")
	if !strings.Contains(f.log.String(), "level=ERROR") {
		t.Error("the panics were not logged")
	}
}

func TestAPushThatPanicsIsCutOffAndLogged(t *testing.T) {
	hooks := &hookedStore{}
	f := start(t, func(o *Options) {
		hooks.Store = o.Store
		o.Store = hooks
	})
	page := f.page("1", "1", "text")
	hooks.set(func(h *hookedStore) { h.add = func() error { panic("bang") } })
	req := newRequest(t, "POST", "http://"+f.PushAddr()+"/?"+toOne, "", "")
	if res, err := http.DefaultClient.Do(req); err == nil {
		res.Body.Close()
		t.Errorf("answered with status %d", res.StatusCode)
	}
	if log := f.log.String(); !strings.Contains(log, "panic in a handler") || strings.Contains(log, testKey) {
		t.Error("the panic was not logged, or the key was")
	}
	hooks.set(func(h *hookedStore) { h.add = nil })
	f.message("1", "again")
	if got := parse[messageOnWire](t, page.next("new_msg")).Title; got != "again" {
		t.Errorf("message %s", got)
	}
}

func TestAStoreThatIsAwayIsSaidSo(t *testing.T) {
	hooks := &hookedStore{}
	f := start(t, func(o *Options) {
		hooks.Store = o.Store
		o.Store = hooks
	})
	page := f.page("1", "1", "text")
	away := &belfry.Error{Code: belfry.ErrUnavailable, Message: "the database is away", Err: errors.New("password=hunter2")}
	hooks.set(func(h *hookedStore) { h.add = func() error { return away } })
	got := f.send(newRequest(t, "POST", "http://"+f.PushAddr()+"/?"+toOne, "", ""))
	if got.word != pushFail || got.reason != "the database is away" {
		t.Errorf("answer %+v", got)
	}
	hooks.set(func(h *hookedStore) { h.add = func() error { return errors.New("password=hunter2") } })
	if got := f.send(newRequest(t, "POST", "http://"+f.PushAddr()+"/?"+toOne, "", "")); got.reason != "internal error" {
		t.Errorf("answer %+v", got)
	}
	if sent := page.settled("new_msg"); len(sent) > 0 {
		t.Errorf("sent although not stored: %s", sent)
	}
}

func TestAPageConfirmsWhatItGotAndNotMuchMore(t *testing.T) {
	f := start(t)
	page := f.page("1", "1", "text")
	many := `{"ids":["` + strings.Repeat(belfry.ID{1}.String()+`","`, 999) + belfry.ID{1}.String() + `"]}`
	if got := parse[loginAnswer](t, page.call("received", many)); !got.OK {
		t.Errorf("the first confirmation was answered %+v", got)
	}
	if got := parse[loginAnswer](t, page.call("received", many)); got.OK || got.Error.Code != "limited" {
		t.Errorf("the second was answered %+v", got)
	}
	for _, bad := range []string{`{}`, `{"ids":[]}`, `{"ids":["x"]}`} {
		if got := parse[loginAnswer](t, page.call("received", bad)); got.OK || got.Error.Code != "invalid" {
			t.Errorf("%s was answered %+v", bad, got)
		}
	}
}

func TestPagesSetTheirUsersPreferences(t *testing.T) {
	f := start(t, func(o *Options) { o.ForcedCategories = []string{"security"} })
	page := f.page("1", "1", "text")
	set := func(list string) string { return string(page.call("set_preferences", `{"preferences":`+list+`}`)) }
	const off = `{"category":"ads","inApp":false}`
	if got := set(`[` + off + `]`); got != `{"ok":true,"preferences":[`+off+`]}` {
		t.Errorf("it was answered %s", got)
	}
	if got := string(page.call("preferences")); got != `{"ok":true,"preferences":[`+off+`]}` {
		t.Errorf("they are %s", got)
	}
	for _, bad := range []string{`[{"category":"security","inApp":false}]`, `null`, `[{}]`, `{}`, `[{"typeID":-1,"inApp":false}]`} {
		if got := parse[loginAnswer](f.t, json.RawMessage(set(bad))); got.OK || got.Error.Code != "invalid" {
			t.Errorf("%s was answered %+v", bad, got)
		}
	}
}
