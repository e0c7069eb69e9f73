package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

// An auditor compares what each node says with what there is.
type auditor struct {
	nodes []string // where they take REST calls
	pages []*page
	marks map[identity]*marks
}

// auditors bounds the questions at the same time.
const auditors = 6

// get asks a node.
func get(ctx context.Context, node, path string, answer any) error {
	return ask(ctx, http.MethodGet, node, path, nil, answer)
}

func ask(ctx context.Context, method, node, path string, body io.Reader, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, callPatience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+node+path, body)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+pushKey)
	req.Header.Set("Content-Type", "application/json")
	res, err := lonely.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s: %s", path, res.Status, b)
	}
	return json.Unmarshal(b, answer)
}

// list reads all of a list.
func list[T any](ctx context.Context, node, path string, q url.Values) (all []T, err error) {
	q.Set("limit", "100")
	for {
		var part struct {
			Items []T
			Next  string
		}
		if err := get(ctx, node, path+"?"+q.Encode(), &part); err != nil {
			return nil, err
		}
		if all = append(all, part.Items...); part.Next == "" {
			return all, nil
		}
		q.Set("cursor", part.Next)
	}
}

// each calls f for all identities that have pages, a few at once.
func (a *auditor) each(f func(who identity, pages []*page)) {
	byWho := make(map[identity][]*page)
	for _, p := range a.pages {
		byWho[p.Who] = append(byWho[p.Who], p)
	}
	slots := make(chan struct{}, auditors)
	var all sync.WaitGroup
	for who, pages := range byWho {
		slots <- struct{}{}
		all.Go(func() {
			defer func() { <-slots }()
			f(who, pages)
		})
	}
	all.Wait()
}

// mark makes all marks again that nothing has answered.
func (a *auditor) mark(ctx context.Context, deadline time.Time) error {
	var mu sync.Mutex
	var failed error
	a.each(func(who identity, _ []*page) {
		ids := a.marks[who].open()
		if len(ids) == 0 {
			return
		}
		err := poll(ctx, deadline, func() error {
			body := encode(map[string]any{"companyID": who.Company, "ids": ids})
			return ask(ctx, http.MethodPost, a.nodes[0], "/v1/users/"+who.User+"/read", strings.NewReader(body), &struct{}{})
		})
		if err != nil {
			mu.Lock()
			failed = err
			mu.Unlock()
		}
	})
	return failed
}

// presence waits until every node counts the pages that are open.
func (a *auditor) presence(ctx context.Context, f *faults, deadline time.Time) {
	type online struct{ Users, Pages int }
	want := make(map[string]online)
	known := make(map[identity]bool)
	for _, p := range a.pages {
		o := want[p.Who.Company]
		if o.Pages++; !known[p.Who] {
			known[p.Who] = true
			o.Users++
		}
		want[p.Who.Company] = o
	}
	for company, want := range want {
		for i, node := range a.nodes {
			err := poll(ctx, deadline, func() error {
				var got online
				if err := get(ctx, node, "/v1/companies/"+company+"/online", &got); err != nil {
					return err
				}
				if got != want {
					return fmt.Errorf("%+v, want %+v", got, want)
				}
				return nil
			})
			if err != nil {
				f.note("presence", "node %d, company %s: %v", i, company, err)
			}
		}
	}
}

// A stored is a message or an activity of a list.
type stored struct {
	MessageID, ActivityID, Title string
	IsRead                       bool
}

// inboxes compares, for every identity, the counts of each node, its inbox, and what its pages show.
func (a *auditor) inboxes(ctx context.Context, f *faults, pushes []*push, deadline time.Time) (messages int) {
	byTitle := make(map[string]*push, len(pushes))
	for _, p := range pushes {
		byTitle[p.Title] = p
	}
	var mu sync.Mutex
	next := 0
	a.each(func(who identity, pages []*page) {
		mu.Lock()
		node := next % len(a.nodes)
		next++
		mu.Unlock()
		var inbox []stored
		var why error
		err := poll(ctx, deadline, func() (err error) {
			if inbox, err = list[stored](ctx, a.nodes[node], "/v1/users/"+who.User+"/messages", url.Values{"companyID": {who.Company}}); err != nil {
				return err
			}
			why = a.compare(ctx, who, pages, inbox)
			return why
		})
		mu.Lock()
		defer mu.Unlock()
		messages += len(inbox)
		if err != nil {
			f.note("counts", "%+v, inbox of node %d: %v", who, node, err)
		}
		titles := make(map[string]bool)
		for _, m := range inbox {
			switch p := byTitle[m.Title]; {
			case p == nil || p.Kind == pushActivity || !p.reaches(who):
				f.note("inbox", "%+v has %s %q, which is not for it", who, m.MessageID, m.Title)
			case titles[m.Title]:
				f.note("inbox", "%+v has it twice: %v", who, p)
			}
			titles[m.Title] = true
		}
		for _, p := range pushes {
			if p.Kind != pushActivity && p.Answer.stored() && p.reaches(who) && !titles[p.Title] {
				f.note("inbox", "%+v does not have %v", who, p)
			}
		}
	})
	return messages
}

// compare returns what is not as the inbox says.
func (a *auditor) compare(ctx context.Context, who identity, pages []*page, inbox []stored) error {
	unread := 0
	marked := a.marks[who].all()
	var ids []string
	for _, m := range inbox {
		ids = append(ids, m.MessageID)
		if !m.IsRead {
			unread++
		}
		if m.IsRead != marked[m.MessageID] {
			return fmt.Errorf("%s (%s) is read: %v, was marked so: %v", m.MessageID, m.Title, m.IsRead, marked[m.MessageID])
		}
	}
	slices.Sort(ids)
	for i, node := range a.nodes {
		var now counts
		if err := get(ctx, node, "/v1/users/"+who.User+"/counts?companyID="+who.Company, &now); err != nil {
			return err
		}
		sum := 0
		for n := range maps.Values(now.ByType) {
			sum += n
		}
		if now.Unread != unread || now.Unseen != unread || sum != unread {
			return fmt.Errorf("node %d counts %+v, %d of the %d in the inbox are unread", i, now, unread, len(inbox))
		}
	}
	for _, p := range pages {
		v := p.view()
		if len(v.fresh) > 0 {
			continue // it has the lists from elsewhere
		}
		if v.counts.Unread != unread || v.counts.Unseen != unread {
			return fmt.Errorf("page %s shows %+v, %d of the %d in the inbox are unread", p.Name, v.counts, unread, len(inbox))
		}
		var shown []string
		for _, t := range v.told {
			if t.Message {
				shown = append(shown, t.ID)
			}
		}
		slices.Sort(shown)
		if shown = slices.Compact(shown); !slices.Equal(shown, ids) {
			return fmt.Errorf("page %s shows %d messages, not the %d of the inbox; %s", p.Name, len(shown), len(ids), difference(shown, ids))
		}
		for _, m := range inbox {
			if v.read[m.MessageID] != m.IsRead {
				return fmt.Errorf("page %s shows %s (%s) as read: %v, the inbox: %v", p.Name, m.MessageID, m.Title, v.read[m.MessageID], m.IsRead)
			}
		}
	}
	return nil
}

// difference names some of what only one of two lists has.
func difference(a, b []string) string {
	only := func(a, b []string) []string {
		some := slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
		return some[:min(len(some), 5)]
	}
	return fmt.Sprintf("only the page: %v, only the inbox: %v", only(a, b), only(b, a))
}

// feeds compares what pages show of the activities with the feeds.
func (a *auditor) feeds(ctx context.Context, f *faults, deadline time.Time) (activities int) {
	companies := make(map[string][]*page)
	for _, p := range a.pages {
		companies[p.Who.Company] = append(companies[p.Who.Company], p)
	}
	for company, pages := range companies {
		for i, node := range a.nodes {
			var feed []stored
			err := poll(ctx, deadline, func() (err error) {
				if feed, err = list[stored](ctx, node, "/v1/companies/"+company+"/activities", url.Values{}); err != nil {
					return err
				}
				var ids []string
				for _, m := range feed {
					ids = append(ids, m.ActivityID)
				}
				slices.Sort(ids)
				for _, p := range pages {
					if len(p.view().fresh) > 0 {
						continue
					}
					var shown []string
					for _, t := range p.view().told {
						if !t.Message {
							shown = append(shown, t.ID)
						}
					}
					slices.Sort(shown)
					if shown = slices.Compact(shown); !slices.Equal(shown, ids) {
						return fmt.Errorf("page %s shows %d activities, not the %d of the feed; %s", p.Name, len(shown), len(ids), difference(shown, ids))
					}
				}
				return nil
			})
			if err != nil {
				f.note("feed", "company %s, node %d: %v", company, i, err)
			}
			if i == 0 {
				activities += len(feed)
			}
		}
	}
	return activities
}
