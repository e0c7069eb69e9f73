package server

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"belfry"
)

// The faults of the article's server, and the test that fails if one comes back.
//
//	replies inverted                             TestPushFormsThatDeliver
//	uid:uid:N never found                        TestAUserIsFoundByTheBareUID
//	a message with no receiver answered ok       TestPushesThatAreRefusedStoreAndSendNothing
//	company needed to find a user's presence     TestAUserIsFoundByTheBareUID
//	trusted uid and companyID                    TestInsecureLoginIsRefused, TestASecondLoginIsIgnoredAndSaysSo
//	reading another company                      TestNobodyGetsWhatIsAnothersUserOrCompany
//	push port open without a key                 TestOpenPushIsForProgramsOnThisMachineOnly, TestPushesThatAreRefusedStoreAndSendNothing
//	only two of the fields escaped               TestEveryStringIsEscapedOnceForPagesOfHTML, TestLinksThatRunScriptsAreEmptied
//	the whole form, key included, rebroadcast    TestPushPassesOnTheKnownFieldsAndExtraAndNothingElse
//	a login without an argument kills            TestABadLoginGetsAClearAnswerAndDisturbsNobody, TestAHandlerThatPanicsEndsItsPageOnly
//	page counters high after a crash             cmd/belfry: TestWhatWasAnsweredOutlivesKillNine
//	ghosts after a stop                          TestStopFinishesPushesTellsPagesAndLeavesNothingBehind, TestAPageThatLeavesWhileItLogsInIsNotCounted
//	unbounded uid                                TestABadLoginGetsAClearAnswerAndDisturbsNobody
//	a polling POST with two packets loses one    TestTwoEventsInOnePOSTAreBothHeard
//	JSONP broken                                 TestAPageOverJSONPLogsInAndGetsItsMessage
//	rejected origins hang                        TestAForeignOriginGets403AtOnceAndOthersTheirHeaders
//	dead peers noticed after 85 s                TestAPageThatFallsSilentIsCountedOut
//	count broadcast when nothing changed         TestPresenceIsCountedOnLoginAndClose
//	count flapping on reload                     TestAReloadWithinTheGraceDoesNotChangeTheCount
//	second tab of a user losing the room         TestClosingOneTabLeavesTheOtherItsMessages
//	live messages without an id                  TestALiveMessageCanBeMarkedRead
//	anybody able to mark anybody's message       TestOnlyOnesOwnMessagesAreMarkedAndAllPagesLearnTheCounts
//	a null tenant dropping the filter            TestANullTenantReadsNothing
//	no replay                                    TestWhoWasAwayGetsItsMessagesOnceOldestFirst
//	no indexes                                   sqlite: TestNoQueryReadsMoreThanItsRange
//	the push server down breaks the application  TestTheDemoGoesOnWhenThePushPortIsDown

func TestAUserIsFoundByTheBareUID(t *testing.T) {
	f := start(t)
	page := f.page("42", "7", "text")
	if got := f.push("action", "message", "receiverID", "42", "title", "t"); got != "ok" {
		t.Errorf("without a company: %s", got)
	}
	page.next("new_msg")
	if got := f.push("action", "message", "receiverID", "uid:42", "title", "t"); got != "offline" {
		t.Errorf("another user, whose name is like a room: %s", got)
	}
	if got := page.settled("new_msg"); len(got) > 0 {
		t.Errorf("the page got %s", got)
	}
}

func TestTwoEventsInOnePOSTAreBothHeard(t *testing.T) {
	f := start(t)
	const login, online = `420["login",{"uid":1,"companyID":1}]`, `421["online"]`
	for eio, payload := range map[int]string{
		3: fmt.Sprintf("%d:%s%d:%s", len(login), login, len(online), online),
		4: login + "\x1e" + online,
	} {
		page := dial(t, f.Addr(), dialing{eio: eio})
		res, err := http.Post(page.url, "text/plain", strings.NewReader(payload))
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		page.wait("two answers", func() bool { return len(page.acks) == 2 })
		if got := parse[loginAnswer](t, page.acks[1]); !got.OK {
			t.Errorf("Engine.IO %d: the second event was answered %+v", eio, got)
		}
	}
}

func TestAPageOverJSONPLogsInAndGetsItsMessage(t *testing.T) {
	f := start(t)
	base := "http://" + f.Addr() + "/socket.io/?EIO=3&transport=polling&j=0"
	read := func(res *http.Response, err error) string {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("status %d, %v: %s", res.StatusCode, err, body)
		}
		return string(body)
	}
	get := func() string { t.Helper(); return read(http.Get(base)) }
	var call string
	script := get()
	if !strings.HasPrefix(script, "___eio[0](") || json.Unmarshal([]byte(strings.TrimSuffix(strings.TrimPrefix(script, "___eio[0]("), ");")), &call) != nil {
		t.Fatalf("the handshake answered %s", script)
	}
	var open struct{ SID string }
	_, opening, _ := strings.Cut(call, ":0")
	if err := json.NewDecoder(strings.NewReader(opening)).Decode(&open); err != nil {
		t.Fatal(err)
	}
	base += "&sid=" + url.QueryEscape(open.SID)
	const login = `420["login",{"uid":1,"companyID":1}]`
	read(http.PostForm(base, url.Values{"d": {fmt.Sprintf("%d:%s", len(login), login)}}))
	f.message("1", "by script")
	for all := ""; !strings.Contains(all, "by script"); {
		all = get()
	}
	read(http.PostForm(base, url.Values{"d": {"1:1"}})) // close
}

func TestAPageThatFallsSilentIsCountedOut(t *testing.T) {
	for timeout := 50 * time.Millisecond; timeout < deadline; timeout *= 4 {
		if silentPageIsCountedOut(t, timeout) {
			return
		}
	}
	t.Error("no page logs in before it is taken for silent")
}

// silentPageIsCountedOut has a page log in that does not ping. It reports false where it took longer for that than it had.
func silentPageIsCountedOut(t *testing.T, timeout time.Duration) (loggedIn bool) {
	t.Helper()
	f := start(t, func(o *Options) { o.PingInterval, o.PingTimeout = 50*time.Millisecond, timeout })
	open := sendRaw(t, "GET", f.Addr(), "EIO=3&transport=polling", "")
	if !strings.Contains(open.body, fmt.Sprintf(`"pingInterval":50,"pingTimeout":%d`, timeout.Milliseconds())) {
		t.Errorf("the handshake says %s", open.body)
	}
	query := "EIO=3&transport=polling&sid=" + sidIn(t, open.body)
	const login = `420["login",{"uid":1,"companyID":1}]`
	sendRaw(t, "POST", f.Addr(), query, fmt.Sprintf("%d:%s", len(login), login))
	impatient := &http.Client{Timeout: deadline}
	defer impatient.CloseIdleConnections()
	for {
		a, err := answerTo(impatient, newRequest(t, "GET", "http://"+f.Addr()+"/socket.io/?"+query, "", ""))
		if err != nil {
			t.Fatal(err)
		}
		if a.status != http.StatusOK {
			break
		}
		loggedIn = loggedIn || strings.Contains(a.body, `430[{"ok":true`)
	}
	eventually(t, "nobody is online", func() bool { return f.online("1") == 0 && f.sockets.Len() == 0 })
	return loggedIn
}

func TestClosingOneTabLeavesTheOtherItsMessages(t *testing.T) {
	f := start(t)
	first, second := f.page("1", "1", "text"), f.page("1", "1", "text")
	first.vanish()
	eventually(t, "one page is left", func() bool { return f.sockets.Of("/").Len() == 1 })
	if got := f.message("1", "t"); got != "ok" {
		t.Errorf("answer %s", got)
	}
	second.next("new_msg")
	if n := f.online("1"); n != 1 {
		t.Errorf("%d users are online", n)
	}
}

func TestALiveMessageCanBeMarkedRead(t *testing.T) {
	f := start(t)
	page := f.page("1", "1", "html")
	f.message("1", "t")
	id := parse[messageOnWire](t, page.next("new_msg")).MessageID
	got := parse[struct{ Counts belfry.Counts }](t, page.call("read", `{"ids":[`+quoted(id)+`]}`))
	if got.Counts.Unread != 0 || !f.inbox("1", "1")[0].IsRead {
		t.Errorf("counts %+v", got.Counts)
	}
}

func TestANullTenantReadsNothing(t *testing.T) {
	f := start(t)
	f.push("action", "dynamic", "companyID", "1", "title", "t")
	page := dial(t, f.Addr(), dialing{})
	for _, arg := range []string{`{"uid":1,"companyID":null}`, `{"uid":1,"companyID":""}`, `{"uid":1}`} {
		if got := parse[loginAnswer](t, page.call("login", arg)); got.OK {
			t.Errorf("login %s is accepted", arg)
		}
	}
	if got := parse[loginAnswer](t, page.call("dynamics", `{"companyID":null}`)); got.OK {
		t.Error("the feed is read without a login")
	}
	// What a page asks for names no company: it has the one it logged in with.
	f.login(page, "1", "2", "text")
	if titles, _ := list(t, page, "dynamics", `{"companyID":"1"}`); len(titles) > 0 {
		t.Errorf("another company's feed is read: %v", titles)
	}
}
