package server

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

type demoConfig struct {
	Company   struct{ ID, Name string }
	Companies []struct{ ID, Name string }
	Users     []struct{ UID, Name, CompanyID, Token string }
}

func startDemo(t *testing.T) (*fixture, demoConfig) {
	t.Helper()
	f := start(t, func(o *Options) { o.Demo, o.OpenPush, o.InsecureLogin = true, true, InsecureOff })
	res, err := http.Get("http://" + f.Addr() + "/demo/config.json")
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var config demoConfig
	if err := json.NewDecoder(res.Body).Decode(&config); err != nil {
		t.Fatal(err)
	}
	return f, config
}

// createTask posts a task and returns the status and the body of the answer.
func (f *fixture) createTask(name, assignee, as string) (int, string) {
	f.t.Helper()
	task := fmt.Sprintf(`{"name":%s,"content":"do it","assignee":%s,"as":%s}`, quoted(name), quoted(assignee), quoted(as))
	res, err := http.Post("http://"+f.Addr()+"/demo/tasks", "application/json", strings.NewReader(task))
	if err != nil {
		f.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return res.StatusCode, string(body)
}

func TestATaskOfTheDemoReachesItsAssigneeAndTheCompany(t *testing.T) {
	f, config := startDemo(t)
	wu, lin, jonas := config.Users[0], config.Users[1], config.Users[4]
	open := func(token string) *client {
		t.Helper()
		c := dial(t, f.Addr(), dialing{auth: map[string]string{"token": token, "format": "text"}})
		c.next("counts")
		return c
	}
	wuPage, linPage, jonasPage := open(wu.Token), open(lin.Token), open(jonas.Token)
	if status, body := f.createTask("<b>Paint</b>", lin.UID, wu.Token); status != 200 || body != `{"activity":"ok","message":"ok"}` {
		t.Fatalf("%d %s", status, body)
	}
	if got := parse[messageOnWire](t, linPage.next("new_msg")); got.Title != "<b>Paint</b>" || got.Sender != wu.Name || got.TypeID != 3 {
		t.Errorf("message %+v", got)
	}
	for _, page := range []*client{wuPage, linPage} {
		if got := parse[activityOnWire](t, page.next("update_dynamic")); got.Operator != wu.Name || got.Receiver != lin.Name || got.ObjectType != 4 {
			t.Errorf("activity %+v", got)
		}
	}
	if got := append(jonasPage.settled("new_msg"), jonasPage.settled("update_dynamic")...); len(got) > 0 {
		t.Errorf("another company's page got %s", got)
	}
}

func TestTasksThatTheDemoRefuses(t *testing.T) {
	f, config := startDemo(t)
	wu, lin, jonas := config.Users[0], config.Users[1], config.Users[4]
	for name, c := range map[string]struct{ task, assignee, as, says string }{
		"without a token":         {"t", lin.UID, "", "token"},
		"with a forged token":     {"t", lin.UID, wu.Token + "x", "token"},
		"for a stranger":          {"t", jonas.UID, wu.Token, "colleague"},
		"for nobody":              {"t", "99", wu.Token, "colleague"},
		"without a name":          {" ", lin.UID, wu.Token, "name"},
		"of one who is not in it": {"t", lin.UID, f.token("77", "1", 1e12), "no such person"},
		"that is too large":       {strings.Repeat("x", 128<<10), lin.UID, wu.Token, "JSON object"},
	} {
		if status, body := f.createTask(c.task, c.assignee, c.as); status != http.StatusBadRequest || !strings.Contains(body, c.says) {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	if len(f.inbox(lin.UID, "1"))+len(f.inbox(jonas.UID, "2"))+len(f.feed("1")) > 0 {
		t.Error("something was stored")
	}
}

func TestTheDemoGoesOnWhenThePushPortIsDown(t *testing.T) {
	f, config := startDemo(t)
	if err := f.private.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if status, body := f.createTask("t", config.Users[1].UID, config.Users[0].Token); status != 200 || body != `{"activity":"fail","message":"fail"}` {
		t.Errorf("%d %s", status, body)
	}
}

func TestTheDemoIsServedWhereItIsAskedForOnly(t *testing.T) {
	f, _ := startDemo(t)
	without := start(t)
	for _, c := range []struct {
		addr, path string
		want       int
	}{{f.Addr(), "/demo/", 200}, {f.Addr(), "/", 200}, {f.Addr(), "/nothing", 404}, {f.PushAddr(), "/demo/config.json", 200},
		{without.Addr(), "/demo/", 404}, {without.Addr(), "/demo/config.json", 404}, {without.Addr(), "/", 404}} {
		res, err := http.Get("http://" + c.addr + c.path)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != c.want {
			t.Errorf("%s: status %d, want %d (%v)", c.path, res.StatusCode, c.want, err)
		}
		if c.addr == f.PushAddr() && string(body) != pushFail {
			t.Errorf("the push port serves the demo: %s", body)
		}
	}
}
