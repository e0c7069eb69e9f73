package porttest

import (
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"belfry"
)

// messageTests are the cases of MessageStore.
var messageTests = map[string]func(*testing.T, *fixture){
	"a message comes back as it was stored":                    testMessageFields,
	"an inbox is newest first and pages by id":                 testInboxOrder,
	"an inbox holds its own company's messages and no other's": testInboxTenancy,
	"an inbox lists what is asked for":                         testInboxFilters,
	"the version of the counts grows with every change":        testVersion,
	"a message is found by its id alone":                       testMessageByID,
	"an edit replaces what a message says and nothing else":    testEdit,
	"an edit can change what counts":                           testEditType,
	"what is withdrawn has gone everywhere":                    testWithdraw,
}

// fullMessage makes a message with every field set.
func (f *fixture) fullMessage(to belfry.UserID, company belfry.CompanyID) belfry.Message {
	return belfry.Message{
		ID: f.ids.New(start), Receiver: to, Company: company, SenderID: "7", Sender: "王五 🔔", Portrait: "p.png",
		Title: "<b>&\"'</b>", Content: strings.Repeat("字", 20_000) + "\x00\n", URL: "javascript:alert(1)",
		Date: time.Date(2019, 12, 31, 23, 59, 59, 0, time.FixedZone("", 8*3600)), Type: belfry.MaxType,
		Category: "a.b 类", CollapseKey: "' OR ''='", Expires: start.Add(1234 * time.Millisecond),
		Data: json.RawMessage("{ \"a\" : [1e2, \"<\\u0041\"] }"), Forced: true,
		IsRead: true, Bare: true, Extra: map[string]string{"a": "1", "键": "\"值\""},
	}
}

func testMessageFields(t *testing.T, f *fixture) {
	full := f.fullMessage("1", "acme")
	archived := f.fullMessage("1", "")
	archived.IsArchived = true
	plain := belfry.Message{ID: f.ids.New(start), Receiver: "1", Type: 1, Date: time.Date(1815, 1, 1, 0, 0, 0, 0, time.UTC)}
	f.add(full, archived, plain)
	got := append(f.list(ann, belfry.InboxQuery{Limit: 10}), f.list(ann, belfry.InboxQuery{Limit: 10, Archived: true})...)
	if len(got) != 3 {
		t.Fatalf("there are %d messages", len(got))
	}
	for i, want := range []belfry.Message{plain, full, archived} {
		wantMessage(t, got[i], want)
	}
	// What is stored as read does not count and does not wait.
	f.wantWaiting(ann, 10, plain.ID)
	wantCounts(t, f.counts(ann), 1, 1, byType{1: 1})
}

func testInboxOrder(t *testing.T, f *fixture) {
	a, b, c := f.message("1", "", 1), f.message("1", "acme", 2), f.message("1", "", 3)
	f.add(c, a, b)
	f.wantInbox(ann, c.ID, b.ID, a.ID)
	f.wantList(ann, belfry.InboxQuery{Limit: 2}, c.ID, b.ID)
	f.wantList(ann, belfry.InboxQuery{Limit: 2, Before: b.ID}, a.ID)
	f.wantList(ann, belfry.InboxQuery{Limit: 2, Before: a.ID})
}

func testInboxTenancy(t *testing.T, f *fixture) {
	anywhere, acme, other := f.send("1", "", 1), f.send("1", "acme", 1), f.send("1", "other", 1)
	bobs := f.send("10", "acme", 1)
	f.wantInbox(ann, acme, anywhere)
	f.wantInbox(annOther, other, anywhere)
	f.wantInbox(bob, bobs)
	f.wantList(ann, belfry.InboxQuery{Unread: true}, acme, anywhere)
	f.wantWaiting(ann, 10, anywhere, acme)
	f.wantWaiting(annOther, 10, anywhere, other)
	wantCounts(t, f.counts(ann), 2, 2, byType{1: 2})
	// An identity without a company is no wildcard.
	f.wantInbox(belfry.Identity{User: "1"}, anywhere)
	for _, who := range []belfry.Identity{ann, annOther, bob} {
		f.markAll(who, belfry.RevisionArchived, 0)
	}
	f.wantList(ann, belfry.InboxQuery{Archived: true}, acme, anywhere)
	f.wantList(annOther, belfry.InboxQuery{Archived: true}, other, anywhere)
	f.wantList(bob, belfry.InboxQuery{Archived: true}, bobs)
}

// testInboxFilters compares what queries list with a filter of all that there is.
func testInboxFilters(t *testing.T, f *fixture) {
	f.join(ann)
	var all []belfry.Message
	for i := range f.many(24, 48) {
		var m belfry.Message
		company := []belfry.CompanyID{"acme", ""}[i/2%2]
		if i%2 == 0 {
			m = f.message("1", company, belfry.MessageType(1+i/4%2))
		} else {
			m = f.notice(company, belfry.MessageType(1+i/4%2), i/4%2 == 0)
		}
		m.Category = []string{"", "c", "d"}[i/8%3]
		f.add(m)
		switch (i + i/8) % 3 {
		case 1:
			f.read(ann, m.ID)
			m.IsRead = true
		case 2:
			f.mark(ann, belfry.RevisionArchived, m.ID)
			m.IsRead, m.IsArchived = true, true
		}
		all = append([]belfry.Message{m}, all...)
	}
	for i := range 2 * 2 * 3 * 3 * 2 * 2 {
		q := belfry.InboxQuery{
			Unread: i%2 == 1, Archived: i/2%2 == 1, Type: belfry.MessageType(i / 4 % 3),
			Category: []string{"", "c", "d"}[i/12%3], Limit: 3 + i/36%2*97,
		}
		if i/72 == 1 {
			q.Before = all[20].ID
		}
		var want []belfry.ID
		for _, m := range all {
			if (q.Before.IsZero() || m.ID.String() < q.Before.String()) && m.IsArchived == q.Archived && !(q.Unread && m.IsRead) &&
				(q.Type == 0 || q.Type == m.Type) && (q.Category == "" || q.Category == m.Category) && len(want) < q.Limit {
				want = append(want, m.ID)
			}
		}
		f.wantList(ann, q, want...)
	}
}

func testVersion(t *testing.T, f *fixture) {
	ctx := context.Background()
	last := f.counts(ann).Version
	grows := func(what string, version int64) {
		t.Helper()
		if version <= last {
			t.Errorf("%s: the version went from %d to %d", what, last, version)
		}
		last = version
	}
	grown := func(what string) { t.Helper(); grows(what, f.counts(ann).Version) }
	id := f.send("1", "", 1)
	grown("a message")
	seen, err := f.MarkSeen(ctx, ann, id)
	if err != nil {
		t.Fatal(err)
	}
	grows("seen", seen.Version)
	grows("read", f.read(ann, id).Version)
	grows("unread", f.mark(ann, belfry.RevisionUnread, id).Counts.Version)
	if again := f.counts(ann); again.Version < last {
		t.Errorf("the version went back from %d to %d", last, again.Version)
	}
	f.add(f.message("1", "", 1), f.message("10", "", 1))
	grown("messages")
	grows("all read", f.markAll(ann, belfry.RevisionRead, 0).Counts.Version)
	f.announce("acme", false)
	grown("a notice")
	f.join(ann)
	grown("a membership")
	later := f.announce("acme", false)
	grown("another notice")
	grows("a notice read", f.read(ann, later).Version)
	if err := f.SetPreferences(ctx, ann.User, []belfry.Preference{{Off: true}}); err != nil {
		t.Fatal(err)
	}
	grown("preferences")
	if err := f.Edit(ctx, belfry.Message{ID: id, Type: 2, Date: start}, belfry.At(f.place())); err != nil {
		t.Fatal(err)
	}
	grown("an edit")
	if _, err := f.Withdraw(ctx, id, belfry.At(f.place())); err != nil {
		t.Fatal(err)
	}
	grown("a withdrawal")
	expiring := f.message("1", "", 1)
	expiring.Expires = start
	f.add(expiring)
	grown("one that expires")
	if _, err := f.Expire(ctx, start, belfry.At(f.place()), 1); err != nil {
		t.Fatal(err)
	}
	grown("expiry")
	f.prune(belfry.MessageLimits{Since: f.place()}, 100)
	grown("retention")
}

func testMessageByID(t *testing.T, f *fixture) {
	ctx := context.Background()
	f.join(ann)
	m, n := f.fullMessage("1", "other"), f.fullMessage("", "acme")
	n.Later, n.IsRead = true, false
	f.add(m, n)
	f.mark(ann, belfry.RevisionArchived, n.ID)
	for _, want := range []belfry.Message{m, n} {
		got, err := f.Message(ctx, want.ID)
		if err != nil {
			t.Fatal(err)
		}
		wantMessage(t, got, want)
	}
	_, err := f.Message(ctx, f.place())
	wantCode(t, "an unknown id", err, belfry.ErrNotFound)
	_, err = f.Message(ctx, belfry.ID{})
	wantCode(t, "the zero id", err, belfry.ErrNotFound)
}

func testEdit(t *testing.T, f *fixture) {
	ctx := context.Background()
	f.join(ann, annOther, bob)
	for _, kind := range []string{"message", "notice"} {
		m := f.message("1", "acme", 1)
		if kind == "notice" {
			m = f.notice("acme", 1, true)
		}
		m.CollapseKey = kind
		neighbours := []belfry.Message{f.message("1", "acme", 1), f.notice("acme", 1, true)}
		f.add(m)
		f.add(neighbours...)
		f.mark(ann, belfry.RevisionArchived, m.ID)
		edit := f.fullMessage("10", "other")
		edit.ID, edit.Later, edit.IsRead = m.ID, false, false
		place := f.place()
		if err := f.Edit(ctx, edit, belfry.At(place)); err != nil {
			t.Fatal(err)
		}
		want := edit
		want.Receiver, want.Company, want.CollapseKey, want.Later = m.Receiver, m.Company, m.CollapseKey, m.Later
		want.IsRead, want.IsArchived = true, true
		list := f.list(ann, belfry.InboxQuery{Archived: true, Limit: 10})
		if len(list) == 0 {
			t.Fatalf("the %s has gone", kind)
		}
		wantMessage(t, list[0], want)
		for _, n := range neighbours {
			got, err := f.Message(ctx, n.ID)
			if err != nil {
				t.Fatal(err)
			}
			wantMessage(t, got, n)
		}
		entries, _ := f.since(ann, prev(place), 10)
		if len(entries) != 1 || entries[0].Edited == nil || entries[0].Revision == nil || entries[0].Place != place ||
			entries[0].Revision.Kind != belfry.RevisionEdited || fmt.Sprint(entries[0].Revision.IDs) != fmt.Sprint([]belfry.ID{m.ID}) {
			t.Fatalf("the log has %+v", entries)
		}
		wantMessage(t, *entries[0].Edited, want)
		if entries, _ := f.since(annOther, prev(place), 10); len(entries) != 0 {
			t.Errorf("another company is told of %+v", entries)
		}
		if entries, _ := f.since(bob, prev(place), 10); (len(entries) == 1) != (kind == "notice") {
			t.Errorf("bob is told of %+v", entries)
		}
	}
	wantCode(t, "an unknown id", f.Edit(ctx, belfry.Message{ID: f.place(), Type: 1}, belfry.At(f.place())), belfry.ErrNotFound)
}

func testEditType(t *testing.T, f *fixture) {
	f.join(ann)
	m, n := f.message("1", "acme", 1), f.notice("acme", 1, false)
	f.add(m, n)
	for _, edit := range []belfry.Message{m, n} {
		edit.Type, edit.Expires = 3, start
		if err := f.Edit(context.Background(), edit, belfry.At(f.place())); err != nil {
			t.Fatal(err)
		}
	}
	wantCounts(t, f.counts(ann), 2, 2, byType{3: 2})
	f.wantWaiting(ann, 10, m.ID, n.ID)
	if expired, err := f.Expire(context.Background(), start, belfry.At(f.place()), 10); err != nil || len(expired) != 2 {
		t.Errorf("%d expire (%v), want 2", len(expired), err)
	}
	wantCounts(t, f.counts(ann), 0, 0, byType{})
}

func testWithdraw(t *testing.T, f *fixture) {
	ctx := context.Background()
	f.join(ann, bob, annOther)
	m, n := f.fullMessage("1", "acme"), f.fullMessage("", "acme")
	n.Later, n.IsRead = true, false
	stays := f.send("1", "acme", 1)
	f.add(m, n)
	f.read(ann, n.ID)
	for _, want := range []belfry.Message{m, n} {
		place := f.place()
		got, err := f.Withdraw(ctx, want.ID, belfry.At(place))
		if err != nil {
			t.Fatal(err)
		}
		wantMessage(t, got, want)
		entries, _ := f.since(ann, prev(place), 10)
		wanted := belfry.Revision{Place: place, Kind: belfry.RevisionWithdrawn, Company: "acme", IDs: []belfry.ID{want.ID}}
		if len(entries) != 1 || entries[0].Revision == nil || !reflect.DeepEqual(*entries[0].Revision, wanted) {
			t.Errorf("the log has %+v, want %+v", entries, wanted)
		}
		if entries, _ := f.since(annOther, prev(place), 10); len(entries) != 0 {
			t.Errorf("another company is told of %+v", entries)
		}
		if entries, _ := f.since(bob, prev(place), 10); (len(entries) == 1) != want.IsNotice() {
			t.Errorf("bob is told of %+v", entries)
		}
		_, err = f.Withdraw(ctx, want.ID, belfry.At(f.place()))
		wantCode(t, "withdrawing twice", err, belfry.ErrNotFound)
		wantCode(t, "editing it", f.Edit(ctx, want, belfry.At(f.place())), belfry.ErrNotFound)
	}
	f.wantInbox(ann, stays)
	f.wantInbox(bob)
	f.wantWaiting(bob, 10)
	wantCounts(t, f.counts(ann), 1, 1, byType{1: 1})
	wantCounts(t, f.counts(bob), 0, 0, byType{})
	f.wantPruned(belfry.MessageLimits{Rows: 1}, 10, 0) // they are counted right
}
