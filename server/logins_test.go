package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"belfry"
	"belfry/engineio"
)

func (f *fixture) token(uid, company string, ttl time.Duration) string {
	f.t.Helper()
	token, err := f.tokens.Sign(belfry.Identity{User: belfry.UserID(uid), Company: belfry.CompanyID(company)}, ttl)
	if err != nil {
		f.t.Fatal(err)
	}
	return token
}

func quoted(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err) // a string always encodes
	}
	return string(b)
}

func TestLoginByEvent(t *testing.T) {
	f := start(t)
	cases := []struct{ name, arg, uid, company string }{
		{"as strings", `{"uid":"7","companyID":"acme"}`, "7", "acme"},
		{"as numbers", `{"uid":7,"companyID":12}`, "7", "12"},
		{"with spaces around", `{"uid":" 7 ","companyID":"12"}`, "7", "12"},
		{"with a token", `{"token":` + quoted(f.token("8", "12", time.Hour)) + `}`, "8", "12"},
		{"with a token, which wins over what the page says", `{"uid":1,"companyID":1,"token":` + quoted(f.token("8", "12", time.Hour)) + `}`, "8", "12"},
		{"in another script", `{"uid":"用户","companyID":"公司"}`, "用户", "公司"},
	}
	for _, c := range cases {
		for _, eio := range []int{3, 4} {
			t.Run(fmt.Sprintf("%s, Engine.IO %d", c.name, eio), func(t *testing.T) {
				page := dial(t, f.Addr(), dialing{eio: eio})
				got := parse[loginAnswer](t, page.call("login", c.arg))
				if !got.OK || got.UID != c.uid || got.CompanyID != c.company || got.Online != 1 || got.Cursor == "" {
					t.Fatalf("login answered %+v", got)
				}
				if n := string(page.next("update_online_count")); n != "1" {
					t.Errorf("the page was told that %s are online", n)
				}
				if word := f.message(c.uid, "hello"); word != "ok" {
					t.Fatalf("push answered %s", word)
				}
				if m := parse[messageOnWire](t, page.next("new_msg")); m.Title != "hello" {
					t.Errorf("message %+v", m)
				}
				page.vanish()
				eventually(t, "nobody is online", func() bool { return f.online(c.company) == 0 })
			})
		}
	}
}

func TestLoginWhileConnecting(t *testing.T) {
	f := start(t, func(o *Options) { o.InsecureLogin = InsecureOff })
	token := f.token("7", "12", time.Hour)
	for name, d := range map[string]dialing{
		"auth of a client of 4.x":    {auth: map[string]string{"token": token, "format": "text"}},
		"?token= of a client of 2.x": {eio: 3, query: url.Values{"token": {token}, "format": {"text"}}},
	} {
		t.Run(name, func(t *testing.T) {
			page := dial(t, f.Addr(), d)
			if got := parse[belfry.Counts](t, page.next("counts")); got.Unread != 0 {
				t.Errorf("counts %+v", got)
			}
			if n := string(page.next("update_online_count")); n != "1" {
				t.Errorf("the page was told that %s are online", n)
			}
			if word := f.push("action", "message", "receiverID", "7", "title", "<b>", "store", "0"); word != "ok" {
				t.Fatalf("push answered %s", word)
			}
			if m := parse[messageOnWire](t, page.next("new_msg")); m.Title != "<b>" {
				t.Errorf("a text page got %+v", m)
			}
			page.vanish()
			eventually(t, "nobody is online", func() bool { return f.online("12") == 0 })
		})
	}
}

func TestATokenInTheQueryOfAModernClientIsNoLogin(t *testing.T) {
	f := start(t, func(o *Options) { o.InsecureLogin = InsecureOff })
	page := dial(t, f.Addr(), dialing{query: url.Values{"token": {f.token("7", "12", time.Hour)}}})
	if got := parse[loginAnswer](t, page.call("online")); got.OK || got.Error.Code != "unauthorized" {
		t.Errorf("answer %+v", got)
	}
}

func TestABadLoginWhileConnectingIsAConnectError(t *testing.T) {
	f := start(t, func(o *Options) { o.InsecureLogin = InsecureOff })
	expired := f.token("7", "12", -time.Hour)
	cases := []struct {
		name string
		d    dialing
		says string
	}{
		{"a token that is none", dialing{auth: map[string]any{"token": "x.y.z"}}, "not valid"},
		{"an expired token", dialing{auth: map[string]any{"token": expired}}, "expired"},
		{"a token that is a number", dialing{auth: map[string]any{"token": 5}}, "login takes"},
		{"a token that is an object", dialing{auth: map[string]any{"token": map[string]int{}}}, "login takes"},
		{"uid and companyID without proof", dialing{auth: map[string]any{"uid": 1, "companyID": 1}}, "token"},
		{"a token of 300 KB", dialing{auth: map[string]any{"token": strings.Repeat("x", 300<<10)}}, "at most"},
		{"an unknown format", dialing{auth: map[string]any{"token": f.token("7", "12", time.Hour), "format": "xml"}}, "format"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			page := dial(t, f.Addr(), c.d)
			if len(page.refusals) != 1 || len(page.connects) != 0 {
				t.Fatalf("CONNECT answered %s, refused with %s", page.connects, page.refusals)
			}
			got := parse[struct {
				Message string
				Data    struct{ Code, Message string }
			}](t, page.refusals[0])
			if !strings.Contains(got.Message, c.says) || got.Data.Message != got.Message || got.Data.Code == "" {
				t.Errorf("refused with %+v, want %q", got, c.says)
			}
		})
	}
	t.Run("an expired token of a client of 2.x", func(t *testing.T) {
		page := dial(t, f.Addr(), dialing{eio: 3, query: url.Values{"token": {expired}}})
		if len(page.refusals) != 1 || !strings.Contains(string(page.refusals[0]), "expired") {
			t.Fatalf("connects %s, refusals %s", page.connects, page.refusals)
		}
	})
}

func TestInsecureLoginIsRefused(t *testing.T) {
	const arg = `{"uid":1,"companyID":1}`
	for _, mode := range []InsecureLogin{"", InsecureOff} {
		f := start(t, func(o *Options) { o.InsecureLogin = mode })
		if got := parse[loginAnswer](t, dial(t, f.Addr(), dialing{}).call("login", arg)); got.OK || got.Error.Code != "unauthorized" {
			t.Errorf("where it is %q: answer %+v", mode, got)
		}
	}
	f := start(t)
	for name, header := range map[string]http.Header{
		"through a proxy with X-Forwarded-For":   {"X-Forwarded-For": {"203.0.113.9"}},
		"through a proxy with Forwarded":         {"Forwarded": {"for=203.0.113.9"}},
		"through a proxy with X-Real-Ip":         {"X-Real-Ip": {"203.0.113.9"}},
		"through a proxy with Via":               {"Via": {"1.1 proxy"}},
		"on a page whose own name points here":   {"Host": {"rebound.example:2120"}},
		"on such a page that says its origin":    {"Host": {"rebound.example:2120"}, "Origin": {"http://rebound.example:2120"}},
		"on one that is localhost to its server": {"Host": {"localhost.example"}},
	} {
		t.Run(name, func(t *testing.T) {
			page := dial(t, f.Addr(), dialing{header: header})
			if got := parse[loginAnswer](t, page.call("login", arg)); got.OK || got.Error.Code != "unauthorized" {
				t.Errorf("answer %+v", got)
			}
		})
	}
}

func TestInsecureLoginByAddress(t *testing.T) {
	h := func(address string) *engineio.Handshake { return &engineio.Handshake{Address: address} }
	anywhere, here := &logins{insecure: InsecureAnywhere}, &logins{insecure: InsecureLoopback}
	for address, want := range map[string]bool{"127.0.0.1:5": true, "127.9.9.9:5": true, "[::1]:5": true, "[::ffff:127.0.0.1]:5": true,
		"203.0.113.9:5": false, "[2001:db8::1]:5": false, "localhost:5": false, "": false} {
		if here.insecureAllowed(h(address)) != want || !anywhere.insecureAllowed(h(address)) {
			t.Errorf("address %q: not as it should be", address)
		}
	}
}

// badLogins are arguments of login that are refused. Two pages are open besides;
// neither is to notice.
var badLogins = []struct{ name, arg, code, says string }{
	{"null", `null`, "invalid", "login takes one object"},
	{"an array", `[1,2]`, "invalid", "login takes one object"},
	{"an empty array", `[]`, "invalid", "login takes one object"},
	{"a string", `"1"`, "invalid", "login takes one object"},
	{"a number", `1`, "invalid", "login takes one object"},
	{"true", `true`, "invalid", "login takes one object"},
	{"an object without fields", `{}`, "invalid", "uid is missing"},
	{"a null uid", `{"uid":null,"companyID":1}`, "invalid", "uid is missing"},
	{"an empty uid", `{"uid":"","companyID":1}`, "invalid", "uid is missing"},
	{"a uid of spaces", `{"uid":"  ","companyID":1}`, "invalid", "uid is missing"},
	{"a missing company", `{"uid":1}`, "invalid", "companyID is missing"},
	{"a null company", `{"uid":1,"companyID":null}`, "invalid", "companyID is missing"},
	{"a uid that is an object", `{"uid":{"$ne":null},"companyID":1}`, "invalid", "uid must be a string or an integer"},
	{"a uid that is a list", `{"uid":[1],"companyID":1}`, "invalid", "uid must be a string or an integer"},
	{"a uid that is a fraction", `{"uid":1.5,"companyID":1}`, "invalid", "uid must be a string or an integer"},
	{"a uid that is a huge number", `{"uid":1e400,"companyID":1}`, "invalid", "uid must be a string or an integer"},
	{"a uid of true", `{"uid":true,"companyID":1}`, "invalid", "uid must be a string or an integer"},
	{"a uid with a control character", `{"uid":"a\u0000b","companyID":1}`, "invalid", "control character"},
	{"a uid of 129 bytes", `{"uid":"` + strings.Repeat("u", 129) + `","companyID":1}`, "invalid", "129 bytes"},
	{"a uid of 300 KB", `{"uid":"` + strings.Repeat("u", 300<<10) + `","companyID":1}`, "invalid", "at most"},
	{"nested junk", `{"uid":` + strings.Repeat(`{"a":[`, 100) + `1` + strings.Repeat(`]}`, 100) + `,"companyID":1}`, "invalid", "uid must be"},
	{"a token that is a number", `{"token":5}`, "invalid", "login takes one object"},
	{"a token that is none", `{"token":"abc"}`, "unauthorized", "not valid"},
	{"an unknown format", `{"uid":1,"companyID":1,"format":"xml"}`, "invalid", "format must be"},
	{"a format that is a number", `{"uid":1,"companyID":1,"format":7}`, "invalid", "login takes one object"},
}

func TestABadLoginGetsAClearAnswerAndDisturbsNobody(t *testing.T) {
	f := start(t)
	same, other := f.page("1", "1", "text"), f.page("2", "1", "text")
	check := func(t *testing.T, got loginAnswer, code, says string) {
		t.Helper()
		if got.OK || got.Error.Code != code || !strings.Contains(got.Error.Message, says) {
			t.Errorf("answer %+v, want %s: %s", got, code, says)
		}
		f.message("1,2", "still here")
		for _, page := range []*client{same, other} {
			if m := parse[messageOnWire](t, page.next("new_msg")); m.Title != "still here" {
				t.Errorf("message %+v", m)
			}
		}
		if n := f.online("1"); n != 2 {
			t.Errorf("%d users are online, want 2", n)
		}
	}
	for _, eio := range []int{3, 4} {
		bad := dial(t, f.Addr(), dialing{eio: eio})
		t.Run(fmt.Sprintf("no argument, Engine.IO %d", eio), func(t *testing.T) {
			check(t, parse[loginAnswer](t, bad.call("login")), "invalid", "login takes one object")
		})
		for _, c := range badLogins {
			t.Run(fmt.Sprintf("%s, Engine.IO %d", c.name, eio), func(t *testing.T) {
				bad := dial(t, f.Addr(), dialing{eio: eio})
				check(t, parse[loginAnswer](t, bad.call("login", c.arg)), c.code, c.says)
				bad.emit("login", c.arg) // and without waiting for an answer
			})
		}
		t.Run(fmt.Sprintf("the page can still log in, Engine.IO %d", eio), func(t *testing.T) {
			f.login(bad, "1", "1", "text")
			bad.vanish()
		})
	}
}

func TestALoginThatIsNestedTooDeeplyEndsItsPageOnly(t *testing.T) {
	f := start(t)
	other := f.page("2", "1", "text")
	for _, arg := range []string{
		strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000),
		`{"uid":` + strings.Repeat(`{"a":`, 100_000) + "1" + strings.Repeat("}", 100_000) + `}`,
	} {
		bad := dial(t, f.Addr(), dialing{})
		// The answer to the POST may be a refusal; what counts is that the page ends.
		if err := bad.post("420" + eventJSON("login", []string{arg})); err != nil {
			t.Log(err)
		}
		bad.gone()
		f.message("2", "still here")
		other.next("new_msg")
	}
}

func TestASecondLoginIsIgnoredAndSaysSo(t *testing.T) {
	f := start(t)
	page := f.page("1", "1", "text")
	got := parse[loginAnswer](t, page.call("login", `{"uid":2,"companyID":2}`))
	if got.OK || got.Error.Code != "conflict" || !strings.Contains(got.Error.Message, "already") {
		t.Errorf("answer %+v", got)
	}
	if f.online("1") != 1 || f.online("2") != 0 {
		t.Errorf("online: %d and %d", f.online("1"), f.online("2"))
	}
	if f.message("2", "for another") != "offline" || f.message("1", "mine") != "ok" {
		t.Error("the page is somebody else now")
	}
}

func FuzzLogin(f *testing.F) {
	for _, c := range badLogins {
		f.Add([]byte(c.arg))
	}
	f.Add([]byte(`{"uid":1,"companyID":"2","format":"text"}`))
	f.Add([]byte(`{"uid":"1","companyID":2,"token":""}`))
	f.Add([]byte(`{"uid":1,"companyID":2,"cursor":"AgAAAAAAAAAAAAAAAA"}`))
	f.Add([]byte(`{"uid":1,"companyID":2,"cursor":"from another time"}`))
	l := &logins{insecure: InsecureAnywhere}
	f.Fuzz(func(t *testing.T, arg []byte) {
		if strings.Contains(strings.ToLower(string(arg)), "token") || strings.Contains(string(arg), `\u`) {
			return // tokens are fuzzed in package auth
		}
		login, err := l.check(arg, &engineio.Handshake{})
		who := login.who
		if err != nil {
			if code := belfry.ErrorCode(err); code != belfry.ErrInvalid && code != belfry.ErrUnauthorized {
				t.Errorf("error %v", err)
			}
			return
		}
		again, err := belfry.NewIdentity(string(who.User), string(who.Company))
		if err != nil || again != who {
			t.Errorf("accepted %q: %v", who, err)
		}
		if !saysWho(arg) {
			t.Errorf("a login by event, but none while connecting: %s", arg)
		}
	})
}

func TestNamesThatOnlyThisMachineCanHave(t *testing.T) {
	for host, want := range map[string]bool{
		"localhost:2120": true, "127.0.0.1:2120": true, "[::1]:2120": true, "192.168.1.5": true,
		"shop.localhost": true, "shop.test:2120": true, "SHOP.TEST": true, "workstation": true,
		"shop.example.com": false, "localhost.evil.com:2120": false, "test.evil.com": false, "": false,
	} {
		if got := namesThisMachine(host); got != want {
			t.Errorf("%q names this machine: %t, want %t", host, got, want)
		}
	}
}
