package server

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"belfry"
	"belfry/auth"
)

// demoTokenTTL is how long a page of the demo may stay open.
const demoTokenTTL = 24 * time.Hour

// A demo is the little application behind the demo page: people, and tasks that
// they assign to each other. Like any backend it pushes over HTTP; it has no way
// around the push endpoint.
type demo struct {
	tokens  *auth.Tokens
	pushURL string
	zone    *time.Location // of the dates that the page gets
	client  *http.Client
	log     *slog.Logger
}

type demoUser struct {
	UID       string `json:"uid"`
	Name      string `json:"name"`
	CompanyID string `json:"companyID"`
	Token     string `json:"token"`
}

// The people of the demo; the last one is of another company and must see
// nothing of the others.
var demoUsers = []demoUser{
	{UID: "1", Name: "Wu Zhen", CompanyID: "1"},
	{UID: "2", Name: "Lin Mei", CompanyID: "1"},
	{UID: "3", Name: "Amir Haddad", CompanyID: "1"},
	{UID: "4", Name: "Sofia Rossi", CompanyID: "1"},
	{UID: "5", Name: "Jonas Weber", CompanyID: "2"},
}

var demoCompanies = []demoCompany{{"1", "Belltower Studio"}, {"2", "Northwind"}}

type demoCompany struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

func newDemo(tokens *auth.Tokens, pushAddr string, zone *time.Location, log *slog.Logger) *demo {
	return &demo{
		tokens:  tokens,
		pushURL: "http://" + pushAddr + "/",
		zone:    zone,
		client:  &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{}},
		log:     log,
	}
}

func (d *demo) close() { d.client.CloseIdleConnections() }

// config tells the page who it may be.
func (d *demo) config(w http.ResponseWriter, r *http.Request) {
	users := make([]demoUser, len(demoUsers))
	for i, u := range demoUsers {
		token, err := d.tokens.Sign(belfry.Identity{User: belfry.UserID(u.UID), Company: belfry.CompanyID(u.CompanyID)}, demoTokenTTL)
		if err != nil {
			d.log.Error("demo token not signed", "err", err)
			http.Error(w, "internal error", http.StatusInternalServerError)
			return
		}
		u.Token = token
		users[i] = u
	}
	writeJSON(w, http.StatusOK, map[string]any{"company": demoCompanies[0], "companies": demoCompanies, "users": users, "zone": d.zone.String()})
}

// A newTask is what the form of the page sends. As is the login token of who
// sends it.
type newTask struct {
	Name     string `json:"name"`
	Content  string `json:"content"`
	Assignee string `json:"assignee"`
	As       string `json:"as"`
}

// createTask does what the article's actionCreate does once it has saved a task:
// it records the activity for the company and tells the person concerned.
func (d *demo) createTask(w http.ResponseWriter, r *http.Request) {
	var task newTask
	dec := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10))
	if err := dec.Decode(&task); err != nil {
		http.Error(w, "send a JSON object with name, content, assignee and as", http.StatusBadRequest)
		return
	}
	operator, assignee, err := d.people(task)
	if err != nil {
		http.Error(w, belfry.ErrorMessage(err), http.StatusBadRequest)
		return
	}
	taskID := fmt.Sprint(time.Now().UnixMilli() % 1e9)
	link := "/demo/#task-" + taskID
	activity := d.push(r.Context(), url.Values{
		"action": {"dynamic"}, "companyID": {operator.CompanyID}, "operatorID": {operator.UID}, "operator": {operator.Name},
		"receiver": {assignee.Name}, "title": {"created a task"}, "content": {task.Name}, "url": {link},
		"objectType": {"4"}, "objectID": {taskID},
	})
	message := d.push(r.Context(), url.Values{
		"action": {"message"}, "receiverID": {assignee.UID}, "companyID": {assignee.CompanyID}, "senderID": {operator.UID},
		"sender": {operator.Name}, "title": {task.Name}, "content": {task.Content}, "url": {link}, "typeID": {"3"},
	})
	writeJSON(w, http.StatusOK, map[string]string{"message": message, "activity": activity})
}

// people returns who creates the task and for whom. Only a colleague can be
// given one.
func (d *demo) people(task newTask) (operator, assignee demoUser, err error) {
	claims, err := d.tokens.Verify(task.As)
	if err != nil {
		return operator, assignee, err
	}
	for _, u := range demoUsers {
		if u.CompanyID != string(claims.Who.Company) {
			continue
		}
		if u.UID == string(claims.Who.User) {
			operator = u
		}
		if u.UID == task.Assignee {
			assignee = u
		}
	}
	switch {
	case operator.UID == "":
		return operator, assignee, belfry.Errorf(belfry.ErrUnauthorized, "the demo knows no such person")
	case assignee.UID == "":
		return operator, assignee, belfry.Errorf(belfry.ErrInvalid, "the assignee must be a colleague")
	case strings.TrimSpace(task.Name) == "":
		return operator, assignee, belfry.Errorf(belfry.ErrInvalid, "the task needs a name")
	}
	return operator, assignee, nil
}

// push calls the push endpoint as a backend in any language would. An
// application must not break when the push server does: an error is an answer.
func (d *demo) push(ctx context.Context, fields url.Values) string {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, d.pushURL, strings.NewReader(fields.Encode()))
	if err != nil {
		d.log.Error("demo push not made", "err", err)
		return pushFail
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	res, err := d.client.Do(req)
	if err != nil {
		d.log.Warn("demo push failed", "err", err)
		return pushFail
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(res.Body, 16))
	if err != nil {
		d.log.Warn("demo push failed", "err", err)
		return pushFail
	}
	return string(answer)
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := marshal(v)
	if err != nil {
		http.Error(w, "internal error", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(body)
}
