// Package porttest holds the contract suites of belfry's ports. Every
// implementation of a port runs its suite in its own tests.
package porttest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"belfry"
)

// start is the date of the first message that a fixture makes.
var start = time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)

// A fixture is an empty store and what tests make messages with.
type fixture struct {
	belfry.Store
	t   *testing.T
	ids *belfry.IDSource
}

// run runs each test on a store of its own.
func run(t *testing.T, open func(t *testing.T) belfry.Store, tests map[string]func(t *testing.T, f *fixture)) {
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			test(t, &fixture{Store: open(t), t: t, ids: belfry.NewIDSource()})
		})
	}
}

// message makes a message with a new id.
func (f *fixture) message(to belfry.UserID, company belfry.CompanyID, typ belfry.MessageType) belfry.Message {
	return belfry.Message{ID: f.ids.New(start), Receiver: to, Company: company, Type: typ, Title: "t", Content: "c", Date: start}
}

// add stores messages.
func (f *fixture) add(messages ...belfry.Message) {
	f.t.Helper()
	if err := f.AddMessages(context.Background(), messages); err != nil {
		f.t.Fatalf("AddMessages: %v", err)
	}
}

// send makes and stores one message and returns its id.
func (f *fixture) send(to belfry.UserID, company belfry.CompanyID, typ belfry.MessageType) belfry.ID {
	f.t.Helper()
	m := f.message(to, company, typ)
	f.add(m)
	return m.ID
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

// read marks messages read.
func (f *fixture) read(who belfry.Identity, ids []belfry.ID) belfry.Counts {
	f.t.Helper()
	c, err := f.MarkRead(context.Background(), who, ids)
	if err != nil {
		f.t.Fatalf("MarkRead: %v", err)
	}
	return c
}

// wantInbox checks the ids of the first messages of an inbox.
func (f *fixture) wantInbox(who belfry.Identity, before belfry.ID, limit int, want ...belfry.ID) {
	f.t.Helper()
	got, err := f.Inbox(context.Background(), who, before, limit)
	if err != nil {
		f.t.Fatalf("Inbox: %v", err)
	}
	wantIDs(f.t, "inbox", messageIDs(got), want)
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
