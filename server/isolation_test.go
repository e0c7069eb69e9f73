package server

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"belfry"
	"belfry/auth"
)

// An openAPI is what the tests read of an OpenAPI document.
type openAPI struct {
	Paths      map[string]map[string]apiOperation
	Components struct{ Schemas map[string]*apiSchema }
}

type apiOperation struct {
	OperationID string
	Parameters  []struct {
		Name, In string
		Required bool
		Schema   *apiSchema
	}
	RequestBody *struct {
		Content map[string]struct{ Schema *apiSchema }
	}
}

type apiSchema struct {
	Ref        string `json:"$ref"`
	Type       any
	Properties map[string]*apiSchema
	Items      *apiSchema
	MinItems   int
	Minimum    int
	Enum       []any
	Required   []string
}

// A call is one operation, asked for with certain values.
type call struct{ id, method, path, body string }

func documentAt(t *testing.T, addr string) openAPI {
	t.Helper()
	return decoded[openAPI](t, ask(t, "GET", "http://"+addr+"/v1/openapi.json", "", ""), 200)
}

// calls makes a call of every operation. Whatever is named as one of the values is
// given that, whether it is needed or not; else what is needed gets what its schema takes.
func (d openAPI) calls(t *testing.T, values map[string]any) []call {
	t.Helper()
	var all []call
	for _, path := range slices.Sorted(maps.Keys(d.Paths)) {
		for _, method := range slices.Sorted(maps.Keys(d.Paths[path])) {
			op := d.Paths[path][method]
			c := call{id: op.OperationID, method: strings.ToUpper(method), path: path}
			query := url.Values{}
			for _, p := range op.Parameters {
				value, named := values[p.Name]
				if !named {
					value = d.sample(p.Schema, values)
				}
				switch {
				case p.In == "path":
					c.path = strings.ReplaceAll(c.path, "{"+p.Name+"}", url.PathEscape(fmt.Sprint(value)))
				case p.In == "query" && (p.Required || named):
					query.Set(p.Name, fmt.Sprint(value))
				}
			}
			if len(query) > 0 {
				c.path += "?" + query.Encode()
			}
			if op.RequestBody != nil {
				body, err := json.Marshal(d.sample(op.RequestBody.Content["application/json"].Schema, values))
				if err != nil {
					t.Fatal(err)
				}
				c.body = string(body)
			}
			all = append(all, c)
		}
	}
	return all
}

// sample makes something that a schema takes.
func (d openAPI) sample(s *apiSchema, values map[string]any) any {
	if s.Ref != "" {
		return d.sample(d.Components.Schemas[s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]], values)
	}
	if len(s.Enum) > 0 {
		return s.Enum[0]
	}
	switch kind := strings.Trim(fmt.Sprint(s.Type), "[]"); {
	case strings.HasPrefix(kind, "object"):
		object := map[string]any{}
		for name, p := range s.Properties {
			if value, ok := values[name]; ok {
				object[name] = value
			} else if slices.Contains(s.Required, name) {
				object[name] = d.sample(p, values)
			}
		}
		return object
	case strings.HasPrefix(kind, "array"):
		list := []any{}
		for range s.MinItems {
			list = append(list, d.sample(s.Items, values))
		}
		return list
	case strings.HasPrefix(kind, "integer"):
		return max(1, s.Minimum)
	case strings.HasPrefix(kind, "boolean"):
		return true
	}
	return "x"
}

// A victim is a user with something in every place where another could look for it.
type victim struct {
	f       *fixture
	message string // messageID
	secrets []string
}

func newVictim(t *testing.T, f *fixture) *victim {
	t.Helper()
	v := &victim{f: f}
	v.message = f.pushes(t, `{"receivers":["ann"],"companyID":"acme","title":"secret-title","content":"secret-content","sender":"secret-sender","category":"secret-category"}`).Messages[0].MessageID
	f.pushes(t, `{"receivers":["ann"],"companyID":"acme","title":"secret-second"}`)
	f.pushes(t, `{"audience":"company","companyID":"acme","title":"secret-notice"}`)
	a := decoded[activityReceipt](t, f.backendAsks(t, "POST", "/v1/activities", `{"companyID":"acme","title":"secret-activity","operatorID":"secret-operator","objectType":4,"objectID":"7"}`), 201)
	decoded[restPreferences](t, f.backendAsks(t, "PUT", "/v1/users/ann/preferences", `{"preferences":[{"category":"secret-preference","inApp":false}]}`), 200)
	v.secrets = []string{"secret", v.message, a.ActivityID}
	return v
}

// state is all that anybody could have read or changed.
func (v *victim) state(t *testing.T) string {
	t.Helper()
	var all []string
	for _, path := range []string{
		"/v1/users/ann/messages?companyID=acme", "/v1/users/ann/messages?companyID=acme&archived=true",
		"/v1/users/ann/counts?companyID=acme", "/v1/users/ann/preferences", "/v1/companies/acme/activities",
	} {
		a := v.f.backendAsks(t, "GET", path, "")
		all = append(all, fmt.Sprint(a.status, " ", countsVersion.ReplaceAllString(a.body, "")))
	}
	return strings.Join(all, "\n")
}

// countsVersion grows with changes of others, too.
var countsVersion = regexp.MustCompile(`"version":[0-9]+`)

// leaks fails if an answer says anything of what the victim has.
func (v *victim) leaks(t *testing.T, who string, c call, a restAnswer) {
	t.Helper()
	for _, header := range a.header {
		for _, secret := range v.secrets {
			if strings.Contains(strings.Join(header, " "), secret) {
				t.Errorf("%s, %s: a header says %s", who, c.id, header)
			}
		}
	}
	for _, secret := range v.secrets {
		if strings.Contains(a.body, secret) {
			t.Errorf("%s, %s %s %s: %d %s", who, c.id, c.path, c.body, a.status, a.body)
		}
	}
}

// values name what is the victim's.
func (v *victim) values() map[string]any {
	return map[string]any{
		"uid": "ann", "companyID": "acme", "id": v.message, "last": v.message, "ids": []string{v.message},
		"receivers": []string{"ann"}, "title": "t", "preferences": []any{}, "users": []string{"mallory"}, "rooms": []string{"uid:ann"}, "event": "e",
	}
}

func TestNobodyWithoutTheRightCredentialsReadsOrWrites(t *testing.T) {
	f := start(t)
	v := newVictim(t, f)
	before := v.state(t)
	foreign, err := auth.NewTokens(auth.TokenOptions{Secret: auth.Secret(strings.Repeat("f", auth.MinSecretBytes))})
	if err != nil {
		t.Fatal(err)
	}
	ann := belfry.Identity{User: "ann", Company: "acme"}
	forged, err := foreign.Sign(ann, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	void := f.tokenOf("ann", "acme", time.Hour)
	decoded[restPages](t, f.backendAsks(t, "POST", "/v1/users/ann/revoke", ""), 200)
	parts := strings.Split(void, ".")
	const none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0" // {"alg":"none","typ":"JWT"}
	for _, port := range []struct {
		addr  string
		shown map[string]string
	}{
		{f.PushAddr(), map[string]string{"no key": "", "a foreign key": "another", "the key in part": testKey[:len(testKey)-1], "a user's token": f.tokenOf("bob", "acme", time.Hour)}},
		{f.Addr(), map[string]string{
			"no token": "", "the key": testKey, "an expired token": f.tokenOf("ann", "acme", -time.Hour), "a token of a foreign key": forged,
			"a void token": void, "an unsigned token": none + "." + parts[1] + ".", "a token without its signature": parts[0] + "." + parts[1] + ".",
			"a token with another's payload": parts[0] + "." + strings.Split(forged, ".")[1] + "." + parts[2],
		}},
	} {
		calls := documentAt(t, port.addr).calls(t, v.values())
		if len(calls) < 14 {
			t.Fatalf("only %d operations were found", len(calls))
		}
		for who, shown := range port.shown {
			for _, c := range calls {
				a := ask(t, c.method, "http://"+port.addr+c.path, shown, c.body)
				wantProblem(t, a, 401)
				v.leaks(t, who, c, a)
				if shown != "" && strings.Contains(a.body, shown) {
					t.Errorf("%s, %s: the answer repeats it", who, c.id)
				}
			}
		}
	}
	if after := v.state(t); after != before {
		t.Errorf("something has changed:\n%s\n%s", before, after)
	}
}

// changesSelf are operations of a page that change what its user has in all companies.
var changesSelf = []string{"setMyPreferences"}

// readsCompany are operations whose answers a colleague may have, too.
var readsCompany = []string{"myActivities", "myMessages"}

func TestAPageReadsAndWritesItsOwnAlone(t *testing.T) {
	f := start(t)
	v := newVictim(t, f)
	before := v.state(t)
	calls := documentAt(t, f.Addr()).calls(t, v.values())
	for who, token := range map[string]string{
		"a colleague":                    f.tokenOf("mallory", "acme", time.Hour),
		"another user elsewhere":         f.tokenOf("mallory", "evil", time.Hour),
		"the same user in other company": f.tokenOf("ann", "evil", time.Hour),
	} {
		for _, c := range calls {
			if strings.Contains(who, "same user") && slices.Contains(changesSelf, c.id) {
				continue
			}
			a := ask(t, c.method, "http://"+f.Addr()+c.path, token, c.body)
			if a.status != 200 {
				t.Errorf("%s, %s: %d %s", who, c.id, a.status, a.body)
			}
			shared := who == "a colleague" && slices.Contains(readsCompany, c.id) || who == "the same user in other company" && c.id == "myPreferences"
			if !shared {
				v.leaks(t, who, c, a)
			}
			if strings.Contains(a.body, "secret-title") || strings.Contains(a.body, v.message) {
				t.Errorf("%s, %s: %s", who, c.id, a.body)
			}
		}
		// What a page cannot name, it cannot name in the query either.
		for _, c := range calls {
			sep := "?"
			if strings.Contains(c.path, "?") {
				sep = "&"
			}
			wantProblem(t, ask(t, c.method, "http://"+f.Addr()+c.path+sep+"uid=ann", token, c.body), 422)
		}
	}
	if after := v.state(t); after != before {
		t.Errorf("something has changed:\n%s\n%s", before, after)
	}
	// The same calls by their owner do change it, so that the test means something.
	for _, c := range calls {
		ask(t, c.method, "http://"+f.Addr()+c.path, f.tokenOf("ann", "acme", time.Hour), c.body)
	}
	if v.state(t) == before {
		t.Error("its owner changes nothing either")
	}
}

func TestABackendGetsWhatItNamesAlone(t *testing.T) {
	f := start(t)
	v := newVictim(t, f)
	before := v.state(t)
	document := documentAt(t, f.PushAddr())
	// Those that name a message, or nobody, are for backends that know what they do.
	named := func(c call) bool {
		return strings.HasPrefix(c.path, "/v1/users/") || strings.HasPrefix(c.path, "/v1/companies/")
	}
	tried := 0
	for who, ids := range map[string][2]string{"another user": {"mallory", "acme"}, "another company": {"ann", "evil"}, "neither": {"mallory", "evil"}} {
		values := v.values()
		values["uid"], values["companyID"] = ids[0], ids[1]
		for _, c := range document.calls(t, values) {
			if !named(c) || ids[0] == "ann" && strings.Contains(c.id, "Preferences") {
				continue
			}
			tried++
			a := f.backendAsks(t, c.method, c.path, c.body)
			if a.status != 200 && a.status != 204 {
				t.Errorf("%s, %s: %d %s", who, c.id, a.status, a.body)
			}
			if ids[1] != "acme" || c.id != "listActivities" && c.id != "listMessages" {
				v.leaks(t, who, c, a)
			}
			if strings.Contains(a.body, "secret-title") || strings.Contains(a.body, v.message) {
				t.Errorf("%s, %s: %s", who, c.id, a.body)
			}
		}
	}
	if tried < 40 {
		t.Errorf("only %d calls were tried", tried)
	}
	if after := v.state(t); after != before {
		t.Errorf("something has changed:\n%s\n%s", before, after)
	}
}
