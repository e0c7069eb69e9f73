// Package porttest holds the contract suites of belfry's ports. Every
// implementation of a port runs its suite in its own tests.
package porttest

import (
	"context"
	"fmt"
	"reflect"
	"testing"
	"time"

	"belfry"
)

// start is the date of the first message that a fixture makes.
var start = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// A fixture is an empty store and what tests make messages with.
type fixture struct {
	belfry.Store
	t    *testing.T
	ids  *belfry.IDSource
	slow bool
}

// many is how much of something there is: as much as shows all that the test asserts
// where the store is slow, and more otherwise.
func (f *fixture) many(enough, more int) int {
	if f.slow {
		return enough
	}
	return more
}

// run runs each test on a store of its own, several at a time.
func run(t *testing.T, slow bool, open func(t *testing.T) belfry.Store, tests map[string]func(t *testing.T, f *fixture)) {
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, &fixture{Store: open(t), t: t, ids: belfry.NewIDSource(), slow: slow})
		})
	}
}

// message makes a message with a new id.
func (f *fixture) message(to belfry.UserID, company belfry.CompanyID, typ belfry.MessageType) belfry.Message {
	return belfry.Message{ID: f.ids.New(start), Receiver: to, Company: company, Type: typ, Title: "t", Content: "c", Date: start}
}

// notice makes a notice with a new id.
func (f *fixture) notice(company belfry.CompanyID, typ belfry.MessageType, later bool) belfry.Message {
	m := f.message("", company, typ)
	m.Later = later
	return m
}

// place makes a place in the log.
func (f *fixture) place() belfry.ID { return f.ids.New(start) }

// addAll stores entries and returns what they replaced.
func (f *fixture) addAll(entries belfry.Entries) []belfry.Replaced {
	f.t.Helper()
	replaced, err := f.Add(context.Background(), entries)
	if err != nil {
		f.t.Fatalf("Add: %v", err)
	}
	return replaced
}

// add stores messages.
func (f *fixture) add(messages ...belfry.Message) {
	f.t.Helper()
	f.addAll(belfry.Entries{Messages: messages})
}

// send makes and stores one message and returns its id.
func (f *fixture) send(to belfry.UserID, company belfry.CompanyID, typ belfry.MessageType) belfry.ID {
	f.t.Helper()
	m := f.message(to, company, typ)
	f.add(m)
	return m.ID
}

// announce makes and stores one notice and returns its id.
func (f *fixture) announce(company belfry.CompanyID, later bool) belfry.ID {
	f.t.Helper()
	m := f.notice(company, 1, later)
	f.add(m)
	return m.ID
}

// act makes and stores one activity and returns its id.
func (f *fixture) act(company belfry.CompanyID) belfry.ID {
	f.t.Helper()
	a := f.activity(company)
	f.addAll(belfry.Entries{Activities: []belfry.Activity{a}})
	return a.ID
}

// activity makes an activity with a new id.
func (f *fixture) activity(company belfry.CompanyID) belfry.Activity {
	return belfry.Activity{ID: f.ids.New(start), Company: company, Title: "t", Date: start}
}

// join makes identities members from now on, and returns since when they are.
func (f *fixture) join(who ...belfry.Identity) belfry.ID {
	f.t.Helper()
	since := f.place()
	for _, one := range who {
		if err := f.AddMembers(context.Background(), one.Company, []belfry.UserID{one.User}, since); err != nil {
			f.t.Fatalf("AddMembers: %v", err)
		}
	}
	return since
}

// counts returns the counts of an identity.
func (f *fixture) counts(who belfry.Identity) belfry.Counts {
	f.t.Helper()
	c, err := f.Counts(context.Background(), who)
	if err != nil {
		f.t.Fatalf("Counts: %v", err)
	}
	return c
}

// mark marks messages.
func (f *fixture) mark(who belfry.Identity, kind belfry.RevisionKind, ids ...belfry.ID) belfry.Marked {
	f.t.Helper()
	return f.markWith(who, belfry.Mark{Kind: kind, IDs: append([]belfry.ID{}, ids...)})
}

// markAll marks all messages, or all of a type.
func (f *fixture) markAll(who belfry.Identity, kind belfry.RevisionKind, typ belfry.MessageType) belfry.Marked {
	f.t.Helper()
	return f.markWith(who, belfry.Mark{Kind: kind, Type: typ})
}

func (f *fixture) markWith(who belfry.Identity, mark belfry.Mark) belfry.Marked {
	f.t.Helper()
	mark.Place = belfry.At(f.place())
	marked, err := f.Mark(context.Background(), who, mark)
	if err != nil {
		f.t.Fatalf("Mark: %v", err)
	}
	return marked
}

// read marks messages read.
func (f *fixture) read(who belfry.Identity, ids ...belfry.ID) belfry.Counts {
	f.t.Helper()
	return f.mark(who, belfry.RevisionRead, ids...).Counts
}

// list returns what a query of an inbox lists.
func (f *fixture) list(who belfry.Identity, q belfry.InboxQuery) []belfry.Message {
	f.t.Helper()
	got, err := f.Inbox(context.Background(), who, q)
	if err != nil {
		f.t.Fatalf("Inbox: %v", err)
	}
	return got
}

// wantList checks the ids of what a query of an inbox lists.
func (f *fixture) wantList(who belfry.Identity, q belfry.InboxQuery, want ...belfry.ID) {
	f.t.Helper()
	if q.Limit == 0 {
		q.Limit = 100
	}
	wantIDs(f.t, fmt.Sprintf("inbox of %v by %+v", who, q), messageIDs(f.list(who, q)), want)
}

// wantInbox checks the ids of an inbox.
func (f *fixture) wantInbox(who belfry.Identity, want ...belfry.ID) {
	f.t.Helper()
	f.wantList(who, belfry.InboxQuery{}, want...)
}

// wantWaiting checks the ids of what waits.
func (f *fixture) wantWaiting(who belfry.Identity, limit int, want ...belfry.ID) {
	f.t.Helper()
	got, err := f.Undelivered(context.Background(), who, limit)
	if err != nil {
		f.t.Fatalf("Undelivered: %v", err)
	}
	wantIDs(f.t, "undelivered", messageIDs(got), want)
}

// wantFeed checks the ids of a feed.
func (f *fixture) wantFeed(company belfry.CompanyID, q belfry.FeedQuery, want ...belfry.ID) {
	f.t.Helper()
	if q.Limit == 0 {
		q.Limit = 100
	}
	feed, err := f.Feed(context.Background(), company, q)
	if err != nil {
		f.t.Fatalf("Feed: %v", err)
	}
	var got []belfry.ID
	for _, a := range feed {
		got = append(got, a.ID)
	}
	wantIDs(f.t, fmt.Sprintf("feed of %s by %+v", company, q), got, want)
}

// wantCode checks the code of an error.
func wantCode(t *testing.T, what string, err error, want belfry.Code) {
	t.Helper()
	if belfry.ErrorCode(err) != want {
		t.Errorf("%s: the error is %v, want %q", what, err, want)
	}
}

// wantMessage compares messages. Times may be in other zones.
func wantMessage(t *testing.T, got, want belfry.Message) {
	t.Helper()
	if !got.Date.Equal(want.Date) || !got.Expires.Equal(want.Expires) || got.Expires.IsZero() != want.Expires.IsZero() {
		t.Errorf("times are %v and %v, want %v and %v", got.Date, got.Expires, want.Date, want.Expires)
	}
	got.Date, got.Expires = want.Date, want.Expires
	if !reflect.DeepEqual(got, want) {
		t.Errorf("message is\n%+v, want\n%+v", got, want)
	}
}

func messageIDs(messages []belfry.Message) []belfry.ID {
	var ids []belfry.ID
	for _, m := range messages {
		ids = append(ids, m.ID)
	}
	return ids
}

func wantIDs(t *testing.T, what string, got, want []belfry.ID) {
	t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%s:\n got %v\nwant %v", what, got, want)
	}
}

func wantCounts(t *testing.T, got belfry.Counts, unread, unseen int, byType map[belfry.MessageType]int) {
	t.Helper()
	if got.Unread != unread || got.Unseen != unseen || fmt.Sprint(got.ByType) != fmt.Sprint(byType) {
		t.Errorf("counts are %+v, want unread %d, unseen %d, by type %v", got, unread, unseen, byType)
	}
}

// profile returns what a login has to know of an identity.
func (f *fixture) profile(who belfry.Identity) belfry.Profile {
	f.t.Helper()
	p, err := f.Profile(context.Background(), who)
	if err != nil {
		f.t.Fatalf("Profile of %v: %v", who, err)
	}
	return p
}

// wantMember fails unless the identity is a member since a place.
func (f *fixture) wantMember(who belfry.Identity, since belfry.ID) {
	f.t.Helper()
	if p := f.profile(who); !p.Member || p.Since != since {
		f.t.Errorf("%v is a member: %t, since %v; want since %v", who, p.Member, p.Since, since)
	}
}

// wantNoMember fails if the identity is a member.
func (f *fixture) wantNoMember(who belfry.Identity) {
	f.t.Helper()
	if p := f.profile(who); p.Member || !p.Since.IsZero() {
		f.t.Errorf("%v is a member since %v", who, p.Since)
	}
}
