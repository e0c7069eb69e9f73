package sqlite

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"belfry"
)

// recounted counts without the tally.
func recounted(t *testing.T, s *Store, who belfry.Identity) belfry.Counts {
	t.Helper()
	stmt, err := s.queries.get(t.Context(), sqlCounts)
	if err != nil {
		t.Fatal(err)
	}
	k, err := queryCounts(t.Context(), stmt, who)
	if err != nil {
		t.Fatal(err)
	}
	return k.counts()
}

// A tallyTest does at random whatever changes counts.
type tallyTest struct {
	*testing.T
	store  *Store
	random *rand.Rand
	ids    *belfry.IDSource
	all    []belfry.Identity
}

func (tt *tallyTest) who() belfry.Identity { return tt.all[tt.random.IntN(len(tt.all))] }
func (tt *tallyTest) place() belfry.ID     { return tt.ids.New(time.Now()) }
func (tt *tallyTest) one(of ...string) string {
	return of[tt.random.IntN(len(of))]
}

func (tt *tallyTest) message() belfry.Message {
	m := belfry.Message{
		ID: tt.place(), Company: belfry.CompanyID(tt.one("", "acme", "other")), Type: belfry.MessageType(1 + tt.random.IntN(3)),
		Date: time.Now(), CollapseKey: tt.one("", "", "", "key"), Category: tt.one("", "a"),
	}
	if tt.random.IntN(5) > 0 {
		m.Receiver = tt.who().User
	}
	if tt.random.IntN(8) == 0 {
		m.Expires = time.Now().Add(-time.Hour)
	}
	m.IsRead = m.Receiver != "" && tt.random.IntN(8) == 0
	m.Later = m.Receiver == "" && tt.random.IntN(2) == 0
	return m
}

// anyMessage returns the ID of one of the messages in somebody's inbox.
func (tt *tallyTest) anyMessage(who belfry.Identity) (belfry.ID, bool) {
	inbox, err := tt.store.Inbox(tt.Context(), who, belfry.InboxQuery{Limit: 30})
	if err != nil {
		tt.Fatal(err)
	}
	if len(inbox) == 0 {
		return belfry.ID{}, false
	}
	return inbox[tt.random.IntN(len(inbox))].ID, true
}

func (tt *tallyTest) step() error {
	ctx, who := tt.Context(), tt.who()
	switch tt.random.IntN(12) {
	default:
		messages := make([]belfry.Message, 1+tt.random.IntN(3))
		for i := range messages {
			messages[i] = tt.message()
		}
		_, err := tt.store.Add(ctx, belfry.Entries{Messages: messages})
		return err
	case 5:
		_, err := tt.store.MarkSeen(ctx, who, tt.place())
		return err
	case 6:
		id, ok := tt.anyMessage(who)
		if !ok {
			return nil
		}
		kinds := []belfry.RevisionKind{belfry.RevisionRead, belfry.RevisionUnread, belfry.RevisionArchived, belfry.RevisionUnarchived}
		_, err := tt.store.Mark(ctx, who, belfry.Mark{Kind: kinds[tt.random.IntN(len(kinds))], IDs: []belfry.ID{id}, Place: belfry.At(tt.place())})
		return err
	case 7:
		if tt.random.IntN(3) > 0 {
			return nil
		}
		_, err := tt.store.Mark(ctx, who, belfry.Mark{Kind: belfry.RevisionRead, Place: belfry.At(tt.place()), Type: belfry.MessageType(tt.random.IntN(3))})
		return err
	case 8:
		id, ok := tt.anyMessage(who)
		if !ok {
			return nil
		}
		if tt.random.IntN(2) == 0 {
			_, err := tt.store.Withdraw(ctx, id, belfry.At(tt.place()))
			return err
		}
		edited := tt.message()
		edited.ID = id
		return tt.store.Edit(ctx, edited, belfry.At(tt.place()))
	case 9:
		_, err := tt.store.Expire(ctx, time.Now(), belfry.At(tt.place()), 5)
		return err
	case 10:
		if tt.random.IntN(2) == 0 {
			return tt.store.Enrol(ctx, who, tt.place())
		}
		off := []belfry.Preference{{Category: "a", Off: true}, {Type: 2, Off: true}}
		return tt.store.SetPreferences(ctx, who.User, off[:tt.random.IntN(3)])
	case 11:
		_, err := tt.store.PruneMessages(ctx, belfry.MessageLimits{Rows: 40, RowsPerUser: 12}, 5)
		return err
	}
}

func TestKeptCountsAreThoseOfARecount(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			tt := &tallyTest{T: t, store: openInternal(t, t.TempDir()), random: rand.New(rand.NewPCG(seed, 7)), ids: belfry.NewIDSource()}
			for _, user := range []belfry.UserID{"ann", "bob"} {
				for _, company := range []belfry.CompanyID{"", "acme", "other"} {
					tt.all = append(tt.all, belfry.Identity{User: user, Company: company})
				}
			}
			for i := range 250 {
				if err := tt.step(); err != nil {
					t.Fatal(err)
				}
				for _, who := range tt.all {
					got, err := tt.store.Counts(t.Context(), who)
					if err != nil {
						t.Fatal(err)
					}
					want := recounted(t, tt.store, who)
					if got.Version > want.Version {
						t.Errorf("step %d: %v is told version %d, and the database has %d", i, who, got.Version, want.Version)
					}
					got.Version = want.Version
					if !reflect.DeepEqual(got, want) {
						t.Fatalf("step %d: %v is told %+v, a recount says %+v", i, who, got, want)
					}
				}
			}
		})
	}
}

// Readers count while messages are being stored: what they keep is right, whichever of the two was first.
func TestCountsThatAreFilledDuringWritesAreKeptRight(t *testing.T) {
	s, ids := openInternal(t, t.TempDir()), belfry.NewIDSource()
	users := []belfry.UserID{"1", "2", "3", "4"}
	var writing, reading sync.WaitGroup
	for w := range 4 {
		writing.Go(func() {
			for i := range 100 {
				m := belfry.Message{ID: ids.New(time.Now()), Receiver: users[(w+i)%len(users)], Type: 1, Date: time.Now()}
				if _, err := s.Add(t.Context(), belfry.Entries{Messages: []belfry.Message{m}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	stop := make(chan struct{})
	for r := range 4 {
		reading.Go(func() {
			last := make([]belfry.Counts, len(users))
			for i := r; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				who := belfry.Identity{User: users[i%len(users)], Company: "acme"}
				counts, err := s.Counts(t.Context(), who)
				if before := &last[i%len(users)]; err != nil || counts.Version < before.Version || counts.Unread < before.Unread {
					t.Errorf("told %+v after %+v, %v", counts, *before, err)
				}
				last[i%len(users)] = counts
				if i%3 == 0 {
					s.tally.mu.Lock()
					s.tally.forget(who.User) // so that it is filled again
					s.tally.mu.Unlock()
				}
			}
		})
	}
	writing.Wait()
	close(stop)
	reading.Wait()
	for _, user := range users {
		who := belfry.Identity{User: user, Company: "acme"}
		got, err := s.Counts(t.Context(), who)
		want := recounted(t, s, who)
		got.Version = want.Version
		if err != nil || want.Unread != 100 || !reflect.DeepEqual(got, want) {
			t.Errorf("%s is told %+v (%v), a recount says %+v", user, got, err, want)
		}
	}
}

// A reader may see a transaction before the tally learns of it, or begin before and end after.
func TestATransactionIsCountedOnceWhateverAReaderSaw(t *testing.T) {
	who := belfry.Identity{User: "1", Company: "acme"}
	added := []change{{version: 10, user: "1", added: true, messageType: 1, id: belfry.ID{1}}}
	counts := func(tally *tally, query func() (kept, error)) belfry.Counts {
		t.Helper()
		c, err := tally.of(t.Context(), who, query)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	unasked := func() (kept, error) {
		t.Error("the counts are not kept")
		return kept{}, nil
	}
	one := kept{version: 10, unread: 1, unseen: 1, types: []ofType{{1, 1}}}
	want := belfry.Counts{Unread: 1, Unseen: 1, Version: 10, ByType: map[belfry.MessageType]int{1: 1}}

	seen := newTally()
	counts(seen, func() (kept, error) { return one, nil })
	seen.apply(added, 10)
	if got := counts(seen, unasked); !reflect.DeepEqual(got, want) {
		t.Errorf("a transaction that the reader saw: %+v", got)
	}

	before := newTally()
	counts(before, func() (kept, error) { return kept{version: 9}, nil })
	before.apply(added, 10)
	if got := counts(before, unasked); !reflect.DeepEqual(got, want) {
		t.Errorf("a transaction after the reader: %+v", got)
	}

	during := newTally()
	asked := 0
	got := counts(during, func() (kept, error) {
		if asked++; asked == 1 {
			during.apply(added, 10) // which this reader did not see
			return kept{version: 9}, nil
		}
		return one, nil
	})
	if !reflect.DeepEqual(got, want) || asked != 2 {
		t.Errorf("a transaction beside the reader: %+v, asked %d times", got, asked)
	}
	if got := counts(during, unasked); !reflect.DeepEqual(got, want) {
		t.Errorf("and afterwards: %+v", got)
	}
}

func TestTheTallyIsBounded(t *testing.T) {
	tally := newTally()
	for i := range maxTallied + 100 {
		who := belfry.Identity{User: belfry.UserID(fmt.Sprint(i)), Company: "acme"}
		if _, err := tally.of(context.Background(), who, func() (kept, error) { return kept{version: 1}, nil }); err != nil {
			t.Fatal(err)
		}
	}
	if tally.size != maxTallied || len(tally.users) != maxTallied {
		t.Errorf("it keeps %d identities of %d users", tally.size, len(tally.users))
	}
}

func TestWhatAnotherProcessWritesVoidsWhatIsKept(t *testing.T) {
	dir := t.TempDir()
	a, b, ids := openInternal(t, dir), openInternal(t, dir), belfry.NewIDSource()
	who := belfry.Identity{User: "1", Company: "acme"}
	for i := range 3 {
		for _, s := range []*Store{a, b} {
			m := belfry.Message{ID: ids.New(time.Now()), Receiver: who.User, Type: 1, Date: time.Now()}
			if _, err := s.Add(t.Context(), belfry.Entries{Messages: []belfry.Message{m}}); err != nil {
				t.Fatal(err)
			}
			got, err := s.Counts(t.Context(), who)
			if want := recounted(t, s, who); err != nil || got.Unread != want.Unread || !slices.Contains([]int{2*i + 1, 2*i + 2}, got.Unread) {
				t.Errorf("told %+v (%v), a recount says %+v", got, err, want)
			}
		}
	}
}
