package porttest

import (
	"bytes"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"belfry"
)

// A model is what a page shows that knows of its messages by the log alone.
type model map[belfry.ID]*belfry.Message

// apply changes the model by one entry.
func (m model) apply(e belfry.LogEntry) error {
	switch {
	case e.Message != nil:
		if m[e.Message.ID] != nil {
			return fmt.Errorf("%v comes twice", e.Message.ID)
		}
		one := *e.Message
		m[one.ID] = &one
	case e.Edited != nil:
		one := *e.Edited
		if m[one.ID] == nil {
			return fmt.Errorf("%v is edited and was never there", one.ID)
		}
		m[one.ID] = &one
	case e.Revision != nil:
		m.revise(e.Revision)
	}
	return nil
}

func (m model) revise(r *belfry.Revision) {
	ids := r.IDs
	if ids == nil {
		for id, one := range m {
			if bytes.Compare(id[:], r.Place[:]) <= 0 && one.Company == r.Company && !one.IsArchived && (r.Type == 0 || r.Type == one.Type) {
				ids = append(ids, id)
			}
		}
	}
	for _, id := range ids {
		one := m[id]
		if one == nil { // it has gone, or was never shown
			continue
		}
		switch r.Kind {
		case belfry.RevisionRead:
			one.IsRead = true
		case belfry.RevisionUnread:
			one.IsRead = false
		case belfry.RevisionArchived:
			one.IsRead, one.IsArchived = true, true
		case belfry.RevisionUnarchived:
			one.IsArchived = false
		case belfry.RevisionReplaced:
			if !one.IsNotice() || !one.IsRead {
				delete(m, id)
			}
		case belfry.RevisionWithdrawn, belfry.RevisionExpired:
			delete(m, id)
		}
	}
}

// whole returns all messages of an identity, newest first.
func (f *fixture) whole(who belfry.Identity) []belfry.Message {
	f.t.Helper()
	var all []belfry.Message
	for _, archived := range []bool{false, true} {
		q := belfry.InboxQuery{Archived: archived, Limit: 100}
		for {
			page := f.list(who, q)
			if len(page) == 0 {
				break
			}
			all = append(all, page...)
			q.Before = page[len(page)-1].ID
		}
	}
	slices.SortFunc(all, func(a, b belfry.Message) int { return bytes.Compare(b.ID[:], a.ID[:]) })
	return all
}

// wantReplay checks that the log from its beginning leads to the inbox as it is.
func (f *fixture) wantReplay(who belfry.Identity) []belfry.LogEntry {
	f.t.Helper()
	entries, complete := f.since(who, belfry.ID{}, 1_000_000)
	if !complete {
		f.t.Fatalf("the log of %v is not complete", who)
	}
	f.wantModel(who, make(model), entries)
	return entries
}

// wantModel checks that entries lead from what a page shows to the inbox as it is.
func (f *fixture) wantModel(who belfry.Identity, m model, entries []belfry.LogEntry) {
	f.t.Helper()
	for _, e := range entries {
		if err := m.apply(e); err != nil {
			f.t.Errorf("%v: %v", who, err)
		}
	}
	got := slices.SortedFunc(maps.Values(m), func(a, b *belfry.Message) int { return bytes.Compare(b.ID[:], a.ID[:]) })
	want := f.whole(who)
	if len(got) != len(want) {
		f.t.Errorf("the log of %v leads to %d messages, and there are %d", who, len(got), len(want))
		return
	}
	for i := range got {
		if !reflect.DeepEqual(*got[i], want[i]) {
			f.t.Errorf("%v: the log leads to\n%+v, and there is\n%+v", who, *got[i], want[i])
		}
	}
}
