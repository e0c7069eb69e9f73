package porttest

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"belfry"
)

// Fill does many different things to a store, a number of them at random: it then has some of everything that
// a store keeps.
func Fill(t *testing.T, store belfry.Store, steps int) {
	t.Helper()
	f := &fixture{Store: store, t: t, ids: belfry.NewIDSource()}
	h := newHammer(f)
	worker := &hammerWorker{hammer: h, random: rand.New(rand.NewPCG(3, 4)), last: make(map[belfry.Identity]int64)}
	random := func() {
		for range steps / 2 {
			if err := worker.step(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
	}
	random()
	f.fillRich()
	f.fillAgenda()
	f.fillSettings()
	random()
	f.fillGaps(h.identities)
}

// fillRich stores messages and activities that use all their fields.
func (f *fixture) fillRich() {
	random := rand.New(rand.NewPCG(1, 2))
	text := func(name string) string { return fmt.Sprintf("%s %d <&\"é 世界\u2028>", name, random.IntN(1000)) }
	rich := func(to belfry.UserID, company belfry.CompanyID) belfry.Message {
		m := f.message(to, company, belfry.MessageType(1+random.IntN(belfry.MaxType)))
		m.SenderID, m.Sender, m.Portrait, m.Title, m.Content, m.URL = "7", text("sender"), text("portrait"), text("title"), text("content"), text("url")
		m.Date = start.Add(time.Duration(random.IntN(1e6)-5e5) * time.Second)
		m.Category, m.CollapseKey = text("category"), text("key")
		m.Expires = start.Add(time.Hour + time.Duration(random.IntN(1e6))*time.Millisecond)
		m.Data = json.RawMessage(`{ "b": 1,  "a": "<é>" }`)
		m.Forced, m.Bare = random.IntN(2) == 0, random.IntN(2) == 0
		m.Extra = map[string]string{"b": text("b"), "a": "", "c.d": "$"}
		return m
	}
	for _, who := range []belfry.Identity{ann, annOther, bob, carl, {User: "01", Company: "1.0"}, {User: "é:/", Company: "*"}} {
		notice := rich("", who.Company)
		notice.Later = true
		object := f.activity(who.Company)
		object.OperatorID, object.Operator, object.Receiver, object.Portrait = "08", text("operator"), text("receiver"), text("portrait")
		object.Title, object.Content, object.URL = text("title"), text("content"), text("url")
		object.ObjectType, object.ObjectID, object.Extra = belfry.ObjectType(1+random.IntN(5)), "3", map[string]string{"x": text("x")}
		object.Changes = []belfry.FieldChange{{Field: "a", Before: json.RawMessage(`"<1>"`), After: json.RawMessage(`{"n":null}`)}, {Field: "b"}}
		plain, waiting := rich(who.User, who.Company), rich(who.User, "")
		f.addAll(belfry.Entries{Messages: []belfry.Message{plain, waiting, notice}, Activities: []belfry.Activity{object}})
		if err := f.MarkDelivered(context.Background(), who.User, []belfry.ID{plain.ID}); err != nil {
			f.t.Fatal(err)
		}
	}
}

// fillAgenda stores scheduled pushes and requests.
func (f *fixture) fillAgenda() {
	ctx := context.Background()
	for i, name := range requestKeys {
		m := f.message("", "acme", 3)
		m.Data, m.Title = json.RawMessage(`{"n":  1}`), "<scheduled>"
		push := belfry.Scheduled{ID: f.ids.New(start), Due: start.Add(time.Duration(i) * 1234 * time.Millisecond), Message: m}
		if i%2 == 1 {
			push.Receivers = []belfry.UserID{"1", "01", "é"}
		}
		request := belfry.Request{Key: name, Made: start.Add(time.Duration(i) * 1001 * time.Millisecond)}
		request.Fingerprint[i] = byte(1 + i)
		if i%2 == 0 {
			request.Answer = []byte{0, byte(i), 0xff}
		}
		f.addAll(belfry.Entries{Scheduled: []belfry.Scheduled{push}, Request: &request})
	}
	if err := f.AnswerRequest(ctx, requestKeys[1], []byte("late")); err != nil {
		f.t.Fatal(err)
	}
	due, err := f.Due(ctx, start.Add(time.Hour), 1)
	if err != nil || len(due) != 1 {
		f.t.Fatalf("Due: %d, %v", len(due), err)
	}
	if err := f.Cancel(ctx, due[0].ID); err != nil {
		f.t.Fatal(err)
	}
}

var requestKeys = []string{"one", "two", "$three.3", "é/4"}

// fillSettings sets preferences and revokes tokens.
func (f *fixture) fillSettings() {
	ctx := context.Background()
	preferences := []belfry.Preference{
		{Category: "news", Off: true}, {Type: 2, MuteUntil: start.Add(90_001 * time.Millisecond)}, {Type: 3, Category: "é", Off: true},
	}
	for i, user := range []belfry.UserID{"5", "05", "é"} {
		if err := f.SetPreferences(ctx, user, preferences[:i+1]); err != nil {
			f.t.Fatal(err)
		}
		if err := f.Revoke(ctx, user+"r", start.Add(time.Duration(i)*time.Second)); err != nil {
			f.t.Fatal(err)
		}
	}
	if err := f.Revoke(ctx, "5", start); err != nil { // who has preferences as well
		f.t.Fatal(err)
	}
	if _, err := f.MarkSeen(ctx, belfry.Identity{User: "stranger", Company: "acme"}, f.place()); err != nil { // no member
		f.t.Fatal(err)
	}
}

// fillGaps has retention delete the oldest of one inbox, of the feeds and of the log.
func (f *fixture) fillGaps(identities []belfry.Identity) {
	ctx := context.Background()
	rows := len(f.whole(ann)) - 1
	for more := true; more; {
		p, err := f.PruneMessages(ctx, belfry.MessageLimits{RowsPerUser: max(1, rows)}, belfry.MaxPruneStep)
		if err != nil {
			f.t.Fatal(err)
		}
		more = p.More
	}
	entries, _ := f.since(identities[2], belfry.ID{}, 1_000_000)
	if len(entries) > 4 {
		if _, err := f.PruneRevisions(ctx, entries[len(entries)/4].Place, 5); err != nil {
			f.t.Fatal(err)
		}
	}
}

// strangers are identities that look like others.
var strangers = []belfry.Identity{
	{User: "none", Company: "acme"}, {User: "1", Company: "1.0"}, {User: "01", Company: "1.0"}, {User: "é:/", Company: "*"},
	{User: "stranger", Company: "acme"}, {User: "stranger", Company: "other"}, {User: "5", Company: "acme"}, {User: "05", Company: "acme"},
	{User: "é", Company: "acme"}, {User: "ér", Company: "other"}, {User: "5r", Company: "acme"},
}

// Same asks two stores, of which Fill has filled one, everything that can be asked for many identities, and fails where
// their answers differ. Versions of counts may.
func Same(t *testing.T, want, got belfry.Store) {
	t.Helper()
	ctx := context.Background()
	questions := map[string]func(s belfry.Store) []any{}
	for _, who := range append([]belfry.Identity{ann, annOther, bob, carl}, strangers...) {
		questions[fmt.Sprintf("of %v", who)] = func(s belfry.Store) []any { return answersFor(ctx, s, who) }
	}
	for _, company := range []belfry.CompanyID{"acme", "other", "1.0", "*", "none"} {
		questions[fmt.Sprintf("of the feed of %s", company)] = func(s belfry.Store) []any { return feedOf(ctx, s, company) }
	}
	questions["of the agenda and the requests"] = func(s belfry.Store) []any { return agendaOf(ctx, s) }
	for what, ask := range questions {
		wantAnswers, gotAnswers := ask(want), ask(got)
		for i := range min(len(wantAnswers), len(gotAnswers)) {
			if !reflect.DeepEqual(wantAnswers[i], gotAnswers[i]) {
				t.Errorf("an answer %s is\n%+v, want\n%+v", what, gotAnswers[i], wantAnswers[i])
				break // those that follow may only be in other places
			}
		}
		if len(wantAnswers) != len(gotAnswers) {
			t.Errorf("there are %d answers %s, want %d", len(gotAnswers), what, len(wantAnswers))
		}
	}
}

// NoLower fails unless the last place and the version of the counts of got are at least those of want.
func NoLower(t *testing.T, want, got belfry.Store) {
	t.Helper()
	ctx := context.Background()
	lastWant, err := want.Last(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if last, err := got.Last(ctx); err != nil || last.Compare(lastWant) < 0 {
		t.Errorf("Last is %v, %v; want at least %v", last, err, lastWant)
	}
	a, errA := want.Counts(ctx, ann)
	b, errB := got.Counts(ctx, ann)
	if errA != nil || errB != nil || b.Version < a.Version {
		t.Errorf("the version of the counts is %d, want at least %d; %v, %v", b.Version, a.Version, errA, errB)
	}
}

// answersFor returns what a store says to an identity.
func answersFor(ctx context.Context, s belfry.Store, who belfry.Identity) (answers []any) {
	say := func(all ...any) { answers = append(answers, all...) }
	counts, err := s.Counts(ctx, who)
	counts.Version = 0
	say(counts, err)
	for _, q := range []belfry.InboxQuery{{}, {Unread: true}, {Archived: true}, {Type: 2}, {Category: "news"}} {
		q.Limit = 1000
		inbox, err := s.Inbox(ctx, who, q)
		say(err)
		say(each(inbox)...)
		if len(inbox) > 2 {
			q.Before, q.Limit = inbox[1].ID, 1
			page, err := s.Inbox(ctx, who, q)
			say(page, err)
			one, err := s.Message(ctx, inbox[0].ID)
			say(one, err)
		}
	}
	waiting, err := s.Undelivered(ctx, who, 1000)
	say(err)
	say(each(waiting)...)
	profile, err := s.Profile(ctx, who)
	say(profile, err)
	preferences, err := s.Preferences(ctx, []belfry.UserID{who.User, "5"})
	say(preferences, err)
	places := []belfry.ID{{}}
	if len(waiting) > 0 { // the beginning of the log is gone
		places = append(places, waiting[0].ID, waiting[len(waiting)-1].ID)
	}
	for _, place := range places {
		entries, complete, err := s.Since(ctx, who, place, pastAll, 1_000_000)
		say(complete, err)
		slices.SortStableFunc(entries, alike)
		for _, e := range entries {
			say(e.Place, value(e.Message), value(e.Activity), value(e.Revision), value(e.Edited))
		}
	}
	return answers
}

// alike brings revisions of one place and kind, which have no order, into one.
func alike(a, b belfry.LogEntry) int {
	if a.Place != b.Place || a.Revision == nil || b.Revision == nil || a.Revision.Kind != b.Revision.Kind {
		return a.Place.Compare(b.Place)
	}
	return cmp.Or(
		strings.Compare(string(a.Revision.Company), string(b.Revision.Company)),
		slices.CompareFunc(a.Revision.IDs, b.Revision.IDs, belfry.ID.Compare),
	)
}

// each returns the elements of a list.
func each[T any](list []T) (all []any) {
	for _, one := range list {
		all = append(all, one)
	}
	return all
}

// value returns what a pointer points to, to be seen in errors.
func value[T any](p *T) any {
	if p == nil {
		return nil
	}
	return *p
}

func feedOf(ctx context.Context, s belfry.Store, company belfry.CompanyID) (answers []any) {
	for _, q := range []belfry.FeedQuery{{}, {OperatorID: "08"}, {ObjectType: 3}, {ObjectType: 3, ObjectID: "3"}, {From: start}} {
		q.Limit = 1000
		feed, err := s.Feed(ctx, company, q)
		answers = append(append(answers, err), each(feed)...)
	}
	return answers
}

func agendaOf(ctx context.Context, s belfry.Store) (answers []any) {
	next, err := s.NextDue(ctx)
	answers = append(answers, next, err)
	due, err := s.Due(ctx, start.Add(24*time.Hour), 100)
	answers = append(answers, due, err)
	for _, p := range due {
		push, err := s.ScheduledPush(ctx, p.ID)
		answers = append(answers, push, err)
	}
	for _, key := range append(requestKeys, "never") {
		request, err := s.Request(ctx, key, start)
		answers = append(answers, request, err)
	}
	return answers
}
