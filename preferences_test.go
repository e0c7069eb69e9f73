package belfry_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"belfry"
)

func (b *bench) prefer(user belfry.UserID, preferences ...belfry.Preference) {
	b.t.Helper()
	if err := b.SetPreferences(context.Background(), user, preferences); err != nil {
		b.t.Fatalf("SetPreferences: %v", err)
	}
}

func TestWhatAUserHasTurnedOffStaysOutOfTheInbox(t *testing.T) {
	b := newBench(t)
	p, _ := b.login(ann)
	b.prefer("1", belfry.Preference{Type: 2, Off: true}, belfry.Preference{Category: "ads", Off: true})
	push := func(title string, kind belfry.MessageType, category string) belfry.Receipt {
		return b.send(belfry.Push{Message: belfry.Message{Title: title, Type: kind, Category: category}, Receivers: []belfry.UserID{"1", "10"}})
	}
	r := push("type", 2, "")
	if !slices.Equal(r.Off, []belfry.UserID{"1"}) || !slices.Equal(r.Receivers, []belfry.UserID{"10"}) || len(r.IDs) != 1 {
		t.Errorf("receipt is %+v", r)
	}
	push("category", 1, "ads")
	push("on", 1, "billing")
	wantTold(t, p, "on ")
	if c := b.counts(ann); c.Unread != 1 || b.counts(bob).Unread != 3 {
		t.Errorf("counts are %+v and %+v", c, b.counts(bob))
	}
	only := b.send(belfry.Push{Message: belfry.Message{Title: "x", Type: 2}, Receivers: []belfry.UserID{"1"}})
	if only.Stored || only.Pages != 0 || len(only.IDs) != 0 || !slices.Equal(only.Off, []belfry.UserID{"1"}) {
		t.Errorf("receipt of what nobody wants is %+v", only)
	}
}

func TestForcedCategoriesCannotBeTurnedOff(t *testing.T) {
	b := newBench(t, func(o *belfry.ServiceOptions) { o.ForcedCategories = []string{"security"} })
	p, _ := b.login(ann)
	b.prefer("1", belfry.Preference{Type: 1, Off: true})
	b.send(belfry.Push{Message: belfry.Message{Title: "m", Category: "security"}, Receivers: []belfry.UserID{"1"}})
	n := notice("n", "acme", false)
	n.Message.Category = "security"
	b.send(n)
	if wantTold(t, p, "m n "); b.counts(ann).Unread != 2 {
		t.Errorf("counts are %+v", b.counts(ann))
	}
	err := b.SetPreferences(context.Background(), "1", []belfry.Preference{{Category: "security", Off: true}})
	wantInvalid(t, err, `preferences[0].category "security" cannot be turned off`)
}

func TestNoticesThatAreOffAreHiddenWhileTheyAre(t *testing.T) {
	b := newBench(t)
	p, _ := b.login(ann)
	bobs, _ := b.login(bob)
	b.prefer("1", belfry.Preference{Category: "ads", Off: true})
	n := notice("n", "acme", false)
	n.Message.Category = "ads"
	b.send(n)
	everybody := notice("all", "", false)
	everybody.Message.Category = "ads"
	b.send(everybody)
	wantTold(t, p, "")
	wantTold(t, bobs, "n all ")
	if c := b.counts(ann); c.Unread != 0 || b.inbox(ann, belfry.InboxQuery{}) != "" {
		t.Errorf("counts are %+v", c)
	}
	b.prefer("1")
	if c := b.counts(ann); c.Unread != 2 || b.inbox(ann, belfry.InboxQuery{}) != "all n " {
		t.Errorf("turned on again, counts are %+v", c)
	}
	// Counts after the notices may come later than these, and are older.
	if counts := newestCounts(p); counts.Unread != 2 {
		t.Errorf("the page was told %v, the newest %+v", p.got(belfry.EventCounts), counts)
	}
	b.send(n)
	wantTold(t, p, "n ")
}

// newestCounts are those of the highest version that a page was told.
func newestCounts(p *page) (newest belfry.Counts) {
	for _, arg := range p.got(belfry.EventCounts) {
		if c := arg.(belfry.Counts); c.Version >= newest.Version {
			newest = c
		}
	}
	return newest
}

func TestWhatIsMutedIsCountedAndNotTold(t *testing.T) {
	clock := newClock()
	b := newBench(t, func(o *belfry.ServiceOptions) { o.Now = clock.time })
	p, _ := b.login(ann)
	b.prefer("1", belfry.Preference{MuteUntil: clock.time().Add(time.Hour)})
	r := b.push("quiet", "", "1")
	if r.Pages != 0 || !r.Stored {
		t.Errorf("receipt is %+v", r)
	}
	wantTold(t, p, "")
	if counts := p.got(belfry.EventCounts); len(counts) == 0 || counts[len(counts)-1].(belfry.Counts).Unread != 1 {
		t.Errorf("the page was told %v", counts)
	}
	if late, w := b.login(ann); late.story() != "" || w.Counts.Unread != 1 {
		t.Errorf("a later page was told %q, %+v", late.story(), w)
	}
	// Nor is a page told that comes back, or missed a notice.
	cursor := p.since
	b.send(notice("quiet", "acme", false))
	if back, w := b.login(ann, from(cursor)); back.story() != "" || w.Counts.Unread != 2 {
		t.Errorf("a page that came back was told %q, %+v", back.story(), w)
	}
	clock.pass(2 * time.Hour)
	b.push("loud", "", "1")
	wantTold(t, p, "loud ")
}

func TestPreferencesComeBackAsTheyWereSetAndAreChecked(t *testing.T) {
	ctx := context.Background()
	b := newBench(t)
	until := time.Now().Add(time.Hour).Truncate(time.Second).UTC()
	want := []belfry.Preference{{Type: 3, Off: true}, {Category: "a", MuteUntil: until}, {Type: 1, Category: "b", Off: true, MuteUntil: until}}
	b.prefer("1", want...)
	got, err := newBenchOn(t, b.store).Preferences(ctx, "1") // by another process
	for i := range got {
		got[i].MuteUntil = got[i].MuteUntil.UTC()
	}
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("preferences are %v (%v), want %v", got, err, want)
	}
	if got, err := b.Preferences(ctx, "10"); err != nil || len(got) != 0 {
		t.Errorf("another's are %v, %v", got, err)
	}
	wantInvalid(t, b.SetPreferences(ctx, "1", []belfry.Preference{{Type: -1, Off: true}}), "preferences[0].typeID is -1")
	wantInvalid(t, b.SetPreferences(ctx, "1", []belfry.Preference{{Type: 1}}), "preferences[0].inApp is on")
	wantInvalid(t, b.SetPreferences(ctx, "1", make([]belfry.Preference, belfry.MaxPreferences+1)), "preferences lists 101")
}
