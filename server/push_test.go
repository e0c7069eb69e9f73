package server

import (
	"bytes"
	"fmt"
	"mime/multipart"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// The requests that the tables below are made of. Each returns a function of
// the endpoint's address.

type request func(t *testing.T, base string) *http.Request

func newRequest(t *testing.T, method, url, contentType, body string) *http.Request {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	return req
}

const (
	formType = "application/x-www-form-urlencoded"
	jsonType = "application/json"
	withKey  = "token=" + testKey
	toOne    = withKey + "&action=message&receiverID=1&title=t&content=c"
)

// query sends everything in the query, with an empty body.
func query(method, fields string) request {
	return func(t *testing.T, base string) *http.Request { return newRequest(t, method, base+"?"+fields, "", "") }
}

// body posts a body of a type, with the key in the query.
func body(contentType, content string) request {
	return func(t *testing.T, base string) *http.Request {
		return newRequest(t, http.MethodPost, base+"?"+withKey, contentType, content)
	}
}

func form(fields string) request { return body(formType, fields) }

// multi posts multipart/form-data of name, value pairs.
func multi(pairs ...string) request {
	return func(t *testing.T, base string) *http.Request {
		t.Helper()
		var b bytes.Buffer
		w := multipart.NewWriter(&b)
		for i := 0; i < len(pairs); i += 2 {
			if err := w.WriteField(pairs[i], pairs[i+1]); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return newRequest(t, http.MethodPost, base+"?"+withKey, w.FormDataContentType(), b.String())
	}
}

// with adds headers, name and value in turn. The header Host sets the host.
func (r request) with(headers ...string) request {
	return func(t *testing.T, base string) *http.Request {
		req := r(t, base)
		for i := 0; i < len(headers); i += 2 {
			req.Header.Set(headers[i], headers[i+1])
			if headers[i] == "Host" {
				req.Host = headers[i+1]
			}
		}
		return req
	}
}

func TestPushFormsThatDeliver(t *testing.T) {
	f := start(t)
	one, two, other := f.page("1", "1", "text"), f.page("2", "1", "text"), f.page("9", "2", "text")
	cases := []struct {
		name    string
		request request
		want    string
		to      []*client // get a new_msg with title t and content c
	}{
		{"a POST with an empty body and all fields in the query", query("POST", toOne), "ok", []*client{one}},
		{"a GET", query("GET", toOne), "ok", []*client{one}},
		{"a form body", form("action=message&receiverID=1&title=t&content=c"), "ok", []*client{one}},
		{"a form without a Content-Type", body("", "action=message&receiverID=1&title=t&content=c"), "ok", []*client{one}},
		{"a form body with a charset", body(formType+"; charset=UTF-8", "action=message&receiverID=1&title=t&content=c"), "ok", []*client{one}},
		{"a multipart body", multi("action", "message", "receiverID", "1", "title", "t", "content", "c"), "ok", []*client{one}},
		{"a JSON body", body(jsonType, `{"action":"message","receiverID":"1","title":"t","content":"c"}`), "ok", []*client{one}},
		{"a JSON body with a number as receiver", body(jsonType, `{"action":"message","receiverID":1,"title":"t","content":"c","url":null}`), "ok", []*client{one}},
		{"the key in the header", query("POST", strings.TrimPrefix(toOne, withKey+"&")).with("Authorization", "Bearer "+testKey), "ok", []*client{one}},
		{"the key in a JSON body", func(t *testing.T, base string) *http.Request {
			return newRequest(t, "POST", base, jsonType, `{"token":"`+testKey+`","action":"message","receiverID":1,"title":"t","content":"c"}`)
		}, "ok", []*client{one}},
		{"a body that wins over the query", func(t *testing.T, base string) *http.Request {
			return newRequest(t, "POST", base+"?"+withKey+"&action=message&receiverID=2&title=x&content=c", formType, "receiverID=1&title=t")
		}, "ok", []*client{one}},
		{"a list joined by commas", form("action=message&receiverID=1,2,3&title=t&content=c"), "ok", []*client{one, two}},
		{"a repeated receiver", form("action=message&receiverID=1&receiverID=2&title=t&content=c"), "ok", []*client{one, two}},
		{"a list in PHP's way", form("action=message&receiverID[]=1&receiverID[]=2&title=t&content=c"), "ok", []*client{one, two}},
		{"a list as http_build_query writes it", form("action=message&receiverID%5B0%5D=1&receiverID%5B1%5D=2&title=t&content=c"), "ok", []*client{one, two}},
		{"a list in JSON", body(jsonType, `{"action":"message","receiverID":[1,"2"],"title":"t","content":"c"}`), "ok", []*client{one, two}},
		{"a list in multipart", multi("action", "message", "receiverID[]", "1", "receiverID[]", "2", "title", "t", "content", "c"), "ok", []*client{one, two}},
		{"somebody named twice", form("action=message&receiverID=1,1&title=t&content=c"), "ok", []*client{one}},
		{"a receiver who is away", form("action=message&receiverID=77&title=t&content=c"), "offline", nil},
		{"store=0", form("action=message&receiverID=1&title=t&content=c&store=0"), "ok", []*client{one}},
		{"store=0 to one who is away", form("action=message&receiverID=78&title=t&content=c&store=0"), "offline", nil},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if got := f.send(c.request(t, "http://"+f.PushAddr()+"/")); got.word != c.want {
				t.Fatalf("answer %+v, want %s", got, c.want)
			}
			for _, page := range c.to {
				m := parse[messageOnWire](t, page.next("new_msg"))
				if m.Title != "t" || m.Content != "c" {
					t.Errorf("message %+v", m)
				}
			}
			for _, page := range []*client{one, two, other} {
				if more := page.settled("new_msg"); len(more) > 0 {
					t.Errorf("a page got %s besides", more)
				}
			}
		})
	}
	if n := len(f.inbox("77", "1")); n != 1 {
		t.Errorf("%d messages wait for the one who is away, want 1", n)
	}
	if n := len(f.inbox("78", "1")); n != 0 {
		t.Errorf("store=0 stored %d messages", n)
	}
}

func TestPushPassesOnTheKnownFieldsAndExtraAndNothingElse(t *testing.T) {
	f := start(t)
	page := f.page("1", "1", "text")
	f.push("action", "message", "receiverID", "1", "companyID", "1", "senderID", "7", "sender", "Wu", "portrait", "/p.png", "title", "t",
		"content", "c", "url", "/u", "date", "2024-05-06 07:08:09", "typeID", "2", "extra[colour]", "red", "extra[n]", "5", "secretField", "x", "store", "1")
	raw := page.next("new_msg")
	for _, leak := range []string{testKey, "secretField", "token", "action", "store"} {
		if strings.Contains(string(raw), leak) {
			t.Errorf("%s is passed on: %s", leak, raw)
		}
	}
	got := parse[messageOnWire](t, raw)
	want := messageOnWire{
		MessageID: got.MessageID, SenderID: "7", Sender: "Wu", ReceiverID: "1", CompanyID: "1", Portrait: "/p.png", Title: "t", Content: "c",
		URL: "/u", Date: "2024-05-06 07:08:09", TypeID: 2, Extra: map[string]string{"colour": "red", "n": "5"},
	}
	if fmt.Sprint(got) != fmt.Sprint(want) || len(got.MessageID) != 24 {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestASemicolonIsText(t *testing.T) {
	f := start(t)
	page := f.page("1", "1", "text")
	for _, r := range []request{form("action=message&receiverID=1&title=t&content=a; b"), query("POST", toOne+";+b")} {
		if got := f.send(r(t, "http://"+f.PushAddr()+"/")); got.word != "ok" {
			t.Fatalf("answer %+v", got)
		}
		if m := parse[messageOnWire](t, page.next("new_msg")); !strings.HasSuffix(m.Content, "; b") {
			t.Errorf("content %q, want it whole", m.Content)
		}
	}
}

func TestPushOfAnActivityReachesTheCompany(t *testing.T) {
	f := start(t)
	one, two, other := f.page("1", "1", "text"), f.page("2", "1", "text"), f.page("1", "2", "text")
	fields := []string{"action", "dynamic", "companyID", "1", "operatorID", "7", "operator", "Wu", "receiver", "Lin", "portrait", "/p.png", "title", "t",
		"content", "c", "url", "/u", "date", "2024-05-06T07:08:09+08:00", "objectType", "4", "objectID", "12", "extra[a]", "b"}
	if got := f.push(fields...); got != "ok" {
		t.Fatalf("answer %s", got)
	}
	for _, page := range []*client{one, two} {
		got := parse[activityOnWire](t, page.next("update_dynamic"))
		want := activityOnWire{
			ActivityID: got.ActivityID, OperatorID: "7", Operator: "Wu", CompanyID: "1", Receiver: "Lin", Portrait: "/p.png", Title: "t",
			Content: "c", URL: "/u", Date: "2024-05-06 07:08:09", ObjectID: "12", ObjectType: 4, Extra: map[string]string{"a": "b"},
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
	if leaked := other.settled("update_dynamic"); len(leaked) > 0 {
		t.Errorf("another company saw %s", leaked)
	}
	fields[3] = "55"
	if got := f.push(fields...); got != "offline" || len(f.feed("55")) != 1 {
		t.Errorf("activity of a company that is away: %s, %d stored", got, len(f.feed("55")))
	}
	if got := f.push(append(fields, "store", "0")...); got != "offline" || len(f.feed("55")) != 1 {
		t.Errorf("activity with store=0: %s, %d stored", got, len(f.feed("55")))
	}
}

func TestPublishOfWebMsgSender(t *testing.T) {
	f := start(t)
	html, text, foreign := f.page("1", "1", "html"), f.page("1", "1", "text"), f.page("2", "2", "text")
	if got := f.push("type", "publish", "to", "1", "content", `<b>"hi"</b>`); got != "ok" {
		t.Fatalf("answer %s", got)
	}
	if got := string(html.next("new_msg")); got != `"&lt;b&gt;&quot;hi&quot;&lt;/b&gt;"` {
		t.Errorf("an HTML page got %s", got)
	}
	if got := parse[string](t, text.next("new_msg")); got != `<b>"hi"</b>` {
		t.Errorf("a text page got %s", got)
	}
	if got := f.push("type", "publish", "to", "", "content", "all"); got != "ok" {
		t.Fatalf("answer %s", got)
	}
	for _, page := range []*client{html, text, foreign} {
		if got := parse[string](t, page.next("new_msg")); got != "all" {
			t.Errorf("a page got %q of a broadcast", got)
		}
	}
	if got := f.push("type", "publish", "to", "3", "content", "later"); got != "offline" || len(f.inbox("3", "1")) != 1 {
		t.Errorf("to one who is away: %s, %d stored", got, len(f.inbox("3", "1")))
	}
	if got := f.push("type", "publish", "to", "4", "content", "now or never", "store", "0"); got != "offline" || len(f.inbox("4", "1")) != 0 {
		t.Errorf("store=0 to one who is away: %s, %d stored", got, len(f.inbox("4", "1")))
	}
}

func TestPublishToAllWhenNobodyIsThereIsOffline(t *testing.T) {
	f := start(t)
	if got := f.push("type", "publish", "content", "all"); got != "offline" {
		t.Fatalf("answer %s", got)
	}
}

func TestPushesThatAreRefusedStoreAndSendNothing(t *testing.T) {
	f := start(t)
	page := f.page("1", "1", "text")
	long := func(n int) string { return strings.Repeat("x", n) }
	many := make([]string, 10_001)
	for i := range many {
		many[i] = fmt.Sprint(i + 1)
	}
	cases := []struct {
		name    string
		request request
		says    string
	}{
		{"a missing key", query("POST", "action=message&receiverID=1&title=t"), "key is missing"},
		{"an empty key", query("POST", "token=&action=message&receiverID=1&title=t"), "key is missing"},
		{"a wrong key", query("POST", "token=wrong&action=message&receiverID=1&title=t"), "key is wrong"},
		{"a wrong key in the header beside the right one in the query", query("POST", toOne).with("Authorization", "Bearer wrong"), "key is wrong"},
		{"a missing key in a publish to all", query("GET", "type=publish&content=c"), "key is missing"},
		{"PUT", query("PUT", toOne), "POST or GET"},
		{"DELETE", query("DELETE", toOne), "POST or GET"},
		{"no action", form("receiverID=1&title=t"), "action"},
		{"an unknown action", form("action=explode&receiverID=1&title=t"), "action"},
		{"an unknown type", form("type=shout&to=1&content=c"), "action"},
		{"no receiver", form("action=message&title=t&content=c"), "receiverID is missing"},
		{"receivers that are only commas", form("action=message&receiverID=,%20,&title=t"), "receiverID is missing"},
		{"too many receivers", form("action=message&title=t&receiverID=" + strings.Join(many, ",")), "at most 10000"},
		{"a receiver that is too long", form("action=message&title=t&receiverID=" + long(129)), "receiverID is 129 bytes"},
		{"one bad receiver among good ones", form("action=message&title=t&receiverID=1,%01x"), "control character"},
		{"nothing to say", form("action=message&receiverID=1&title=%20&content="), "title and content are missing"},
		{"a title that is too long", form("action=message&receiverID=1&title=" + long(1025)), "title is 1025 bytes"},
		{"a content that is too long", form("action=message&receiverID=1&content=" + long(64<<10+1)), "content is 65537 bytes"},
		{"a sender that is too long", form("action=message&receiverID=1&title=t&sender=" + long(257)), "sender is 257"},
		{"a url that is too long", form("action=message&receiverID=1&title=t&url=" + long(2049)), "url is 2049"},
		{"a company that is too long", form("action=message&receiverID=1&title=t&companyID=" + long(129)), "companyID is 129"},
		{"invalid UTF-8 in a form", form("action=message&receiverID=1&title=%ff"), "not valid UTF-8"},
		{"invalid UTF-8 in JSON", body(jsonType, "{\"action\":\"message\",\"receiverID\":1,\"title\":\"\xff\"}"), "not valid UTF-8"},
		{"invalid UTF-8 in multipart", multi("action", "message", "receiverID", "1", "title", "\xff"), "not valid UTF-8"},
		{"a bad date", form("action=message&receiverID=1&title=t&date=tomorrow"), "date must look like"},
		{"a date beyond four digits", form("action=message&receiverID=1&title=t&date=99999999999999"), "date is out of range"},
		{"a typeID that is no number", form("action=message&receiverID=1&title=t&typeID=x"), "typeID must be a number"},
		{"a typeID that is too large", form("action=message&receiverID=1&title=t&typeID=99999999999"), "typeID must be a number"},
		{"a negative typeID", form("action=message&receiverID=1&title=t&typeID=-1"), "typeID is -1"},
		{"a store that is neither 0 nor 1", form("action=message&receiverID=1&title=t&store=maybe"), "store must be 0 or 1"},
		{"too many extra fields", form("action=message&receiverID=1&title=t&" + strings.Join(numbered("extra[k%d]=v", 33), "&")), "extra has 33 fields"},
		{"an extra field that is too large", form("action=message&receiverID=1&title=t&extra[k]=" + long(5000)), "extra is 5001 bytes"},
		{"an extra field without a name", form("action=message&receiverID=1&title=t&extra[]=v"), "empty name"},
		{"an activity without a company", form("action=dynamic&title=t"), "companyID is missing"},
		{"an activity with a bad objectType", form("action=dynamic&companyID=1&title=t&objectType=task"), "objectType must be a number"},
		{"an activity with a long operator", form("action=dynamic&companyID=1&title=t&operator=" + long(257)), "operator is 257"},
		{"a publish without content", form("type=publish&to=1"), "missing"},
		{"a publish to all without content", form("type=publish"), "missing"},
		{"a malformed query", query("POST", toOne+"&x=%zz"), "query is malformed"},
		{"a query that is too large", query("POST", toOne+"&x="+long(maxPushBody)), "query is larger"},
		{"a malformed form", form("action=message&receiverID=1&title=%zz"), "body is malformed"},
		{"a body that is too large", form("action=message&receiverID=1&title=t&x=" + long(maxPushBody)), "body is larger"},
		{"a multipart body that is too large", multi("action", "message", "receiverID", "1", "title", "t", "x", long(maxPushBody)), "body is larger"},
		{"a malformed multipart body", body("multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"action\"\r\n\r\nmessage"), "body is malformed"},
		{"a multipart body without a boundary", body("multipart/form-data", "--b--"), "body is malformed"},
		{"a file", body("multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"title\"; filename=\"x\"\r\n\r\nt\r\n--b--\r\n"), "files are not accepted"},
		{"malformed JSON", body(jsonType, `{"action":`), "body is malformed"},
		{"two JSON values", body(jsonType, `{"action":"message","receiverID":1,"title":"t"} {}`), "follows"},
		{"a JSON list", body(jsonType, `["message"]`), "body is malformed"},
		{"nested JSON", body(jsonType, `{"action":"message","receiverID":{"id":1},"title":"t"}`), "only extra"},
		{"a list in a list", body(jsonType, `{"action":"message","receiverID":[[1]],"title":"t"}`), "nested too deeply"},
		{"an object in a list", body(jsonType, `{"action":"message","receiverID":[{}],"title":"t"}`), "nested too deeply"},
		{"an object in extra", body(jsonType, `{"action":"message","receiverID":1,"title":"t","extra":{"a":{"b":1}}}`), "nested too deeply"},
		{"JSON of 100,000 levels", body(jsonType, `{"action":`+strings.Repeat("[", 100_000)), "body is malformed"},
		{"another Content-Type", body("application/xml", "<message/>"), "Content-Type must be"},
		{"a malformed Content-Type", body("a/b/c;;", "x"), "Content-Type is malformed"},
		{"a line break that would be a header", form("action=message&title=t&receiverID=1%0d%0aX-Evil:%201"), "control character"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := f.send(c.request(t, "http://"+f.PushAddr()+"/"))
			if got.word != pushFail || !strings.Contains(got.reason, c.says) {
				t.Errorf("answer %+v, want fail because of %q", got, c.says)
			}
			for _, event := range []string{"new_msg", "update_dynamic"} {
				if sent := page.settled(event); len(sent) > 0 {
					t.Errorf("a page got %s", sent)
				}
			}
			if m, a := f.inbox("1", "1"), f.feed("1"); len(m)+len(a) > 0 {
				t.Errorf("stored: %v %v", m, a)
			}
		})
	}
}

func numbered(format string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf(format, i)
	}
	return all
}

func TestOpenPushIsForProgramsOnThisMachineOnly(t *testing.T) {
	f := start(t, func(o *Options) { o.OpenPush = true })
	fields := strings.TrimPrefix(toOne, withKey+"&")
	cases := []struct {
		name    string
		request request
		want    string
	}{
		{"a program on this machine", query("POST", fields), "offline"},
		{"one that says localhost", query("POST", fields).with("Host", "localhost:2121"), "offline"},
		{"one with the key, through a proxy", query("POST", toOne).with("X-Forwarded-For", "203.0.113.9"), "offline"},
		{"one with a wrong key", query("POST", fields+"&token=wrong"), "fail"},
		{"a page of a browser", query("POST", fields).with("Origin", "http://evil.example"), "fail"},
		{"a page of no origin", query("POST", fields).with("Origin", "null"), "fail"},
		{"an image on a page", query("GET", fields).with("Sec-Fetch-Site", "cross-site"), "fail"},
		{"a page whose own name points here", query("GET", fields).with("Host", "rebound.example:2121"), "fail"},
		{"a proxy with X-Forwarded-For", query("POST", fields).with("X-Forwarded-For", "203.0.113.9"), "fail"},
		{"a proxy with Forwarded", query("POST", fields).with("Forwarded", "for=203.0.113.9"), "fail"},
		{"a proxy with X-Real-IP", query("POST", fields).with("X-Real-IP", "203.0.113.9"), "fail"},
		{"a proxy with Via", query("POST", fields).with("Via", "1.1 proxy"), "fail"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			before := len(f.inbox("1", "1"))
			got := f.send(c.request(t, "http://"+f.PushAddr()+"/"))
			if got.word != c.want {
				t.Errorf("answer %+v, want %s", got, c.want)
			}
			if stored := len(f.inbox("1", "1")) > before; stored != (c.want == "offline") {
				t.Errorf("stored: %v", stored)
			}
		})
	}
}

func TestOpenPushIsRefusedToOtherMachines(t *testing.T) {
	f := start(t, func(o *Options) { o.OpenPush = true })
	for _, address := range []string{"203.0.113.9:1234", "[2001:db8::1]:1234", "192.168.1.5:80", ""} {
		req := newRequest(t, "POST", "http://127.0.0.1/?"+strings.TrimPrefix(toOne, withKey+"&"), "", "")
		req.RemoteAddr = address
		if err := f.Server.push.keys.authorize(backendOf(req), ""); err == nil {
			t.Errorf("a caller from %q needs no key", address)
		}
	}
}

func TestFormsOfADate(t *testing.T) {
	f := start(t)
	page := f.page("1", "1", "text")
	for date, want := range map[string]string{
		"2024-05-06 07:08:09":       "2024-05-06 07:08:09", // in the configured zone
		"2024-05-06T07:08:09Z":      "2024-05-06 15:08:09",
		"2024-05-06T07:08:09+01:00": "2024-05-06 14:08:09",
		"1714950489":                "2024-05-06 07:08:09",
	} {
		f.push("action", "message", "receiverID", "1", "title", "t", "date", date)
		if got := parse[messageOnWire](t, page.next("new_msg")).Date; got != want {
			t.Errorf("date %s shows as %s, want %s", date, got, want)
		}
	}
}

func TestPushOrderIsKept(t *testing.T) {
	f := start(t)
	page := f.page("1", "1", "text")
	var want, got []string
	for i := range 50 {
		want = append(want, fmt.Sprint(i))
		f.message("1", fmt.Sprint(i))
	}
	for range want {
		got = append(got, parse[messageOnWire](t, page.next("new_msg")).Title)
	}
	if !slices.Equal(got, want) {
		t.Errorf("order %v", got)
	}
}

func lastOf(all fields, name string) int {
	last := -1
	for i := range all {
		if all[i].name == name {
			last = i
		}
	}
	return last
}

func FuzzReadFields(f *testing.F) {
	f.Add(formType, "a=1", "receiverID[]=1&receiverID[1]=2&extra[k]=v")
	f.Add(jsonType, "", `{"receiverID":[1,"2",true,null],"extra":{"a":1.5e300}}`)
	f.Add("multipart/form-data; boundary=b", "x=%zz", "--b\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nt\r\n--b--\r\n")
	f.Add("", "", "\xff=\xfe&extra[=1&extra[]=2&[0]=3")
	f.Add("text/plain; a=b; a=c", "store=0", "")
	f.Fuzz(func(t *testing.T, contentType, query, body string) {
		all, err := readFields(query, contentType, strings.NewReader(body))
		if err != nil {
			return
		}
		// What was read can be asked for, and only fields under extra become extra.
		for i := range all {
			name := all[i].name
			if !all.has(name) || all.get(name) != all[lastOf(all, name)].value {
				t.Errorf("get %q is not the last", name)
			}
			if slices.ContainsFunc(all.list(name), func(s string) bool { return s == "" || strings.Contains(s, ",") }) {
				t.Errorf("list %q has an empty or joined element", name)
			}
		}
		for key := range all.extra() {
			if !all.has("extra[" + key + "]") {
				t.Errorf("extra %q comes from nowhere", key)
			}
		}
	})
}
