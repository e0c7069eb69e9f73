package porttest

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"belfry"
)

// TestPresence runs the contract of [belfry.Presence], apart from its delays.
// Every call of open returns a presence that counts nobody yet, whose grace period
// is longer than the test, and which it closes when its t ends.
func TestPresence(t *testing.T, open func(t *testing.T) belfry.Presence) {
	for name, test := range map[string]func(t *testing.T, p belfry.Presence){
		"users and pages are counted per company":        testPresenceCounts,
		"joining and leaving again changes nothing":      testPresenceRepeats,
		"a user stays for the grace period":              testPresenceGrace,
		"who has a page is here":                         testPresenceHere,
		"a user's pages are found, in all companies":     testPresencePages,
		"counts are exact after many pages came at once": testPresenceMany,
	} {
		t.Run(name, func(t *testing.T) { test(t, open(t)) })
	}
}

func wantOnline(t *testing.T, p belfry.Presence, company belfry.CompanyID, users, pages int) {
	t.Helper()
	got, err := p.Online(context.Background(), company)
	if want := (belfry.OnlineCount{Users: users, Pages: pages}); err != nil || got != want {
		t.Errorf("%s has %+v (%v) online, want %+v", company, got, err, want)
	}
}

func join(t *testing.T, p belfry.Presence, who belfry.Identity, page string, users, pages int) {
	t.Helper()
	got, err := p.Join(context.Background(), who, page)
	if want := (belfry.OnlineCount{Users: users, Pages: pages}); err != nil || got != want {
		t.Errorf("%v joined: %+v (%v), want %+v", who, got, err, want)
	}
}

func leave(t *testing.T, p belfry.Presence, who belfry.Identity, page string) {
	t.Helper()
	if err := p.Leave(context.Background(), who, page); err != nil {
		t.Errorf("%v leaves: %v", who, err)
	}
}

func testPresenceCounts(t *testing.T, p belfry.Presence) {
	wantOnline(t, p, "acme", 0, 0)
	join(t, p, ann, "a", 1, 1)
	join(t, p, ann, "b", 1, 2)
	join(t, p, annOther, "c", 1, 1)
	join(t, p, bob, "d", 2, 3)
	wantOnline(t, p, "acme", 2, 3)
	wantOnline(t, p, "other", 1, 1)
	leave(t, p, ann, "a")
	wantOnline(t, p, "acme", 2, 2)
	wantOnline(t, p, "other", 1, 1)
}

func testPresenceRepeats(t *testing.T, p belfry.Presence) {
	leave(t, p, ann, "never joined")
	join(t, p, ann, "a", 1, 1)
	join(t, p, ann, "a", 1, 1)
	join(t, p, ann, "b", 1, 2)
	leave(t, p, ann, "a")
	leave(t, p, ann, "a")
	leave(t, p, bob, "b")
	leave(t, p, annOther, "b")
	wantOnline(t, p, "acme", 1, 1)
	wantOnline(t, p, "other", 0, 0)
}

func testPresenceGrace(t *testing.T, p belfry.Presence) {
	join(t, p, ann, "a", 1, 1)
	leave(t, p, ann, "a")
	wantOnline(t, p, "acme", 1, 0)
	join(t, p, ann, "b", 1, 1)
}

func testPresenceHere(t *testing.T, p belfry.Presence) {
	join(t, p, ann, "a", 1, 1)
	join(t, p, ann, "b", 1, 2)
	join(t, p, bob, "c", 2, 3)
	join(t, p, annOther, "d", 1, 1)
	leave(t, p, bob, "c") // online, for the grace period, but not here
	for company, want := range map[belfry.CompanyID][]belfry.Identity{
		"acme": {ann}, "other": {annOther}, "": {ann, annOther}, "nobody's": nil,
	} {
		got := p.Here(company)
		slices.SortFunc(got, func(a, b belfry.Identity) int { return strings.Compare(string(a.Company), string(b.Company)) })
		if !slices.Equal(got, want) {
			t.Errorf("Here(%q) = %v, want %v", company, got, want)
		}
	}
}

func testPresencePages(t *testing.T, p belfry.Presence) {
	wantPages := func(want ...belfry.OpenPage) {
		t.Helper()
		got, err := p.PagesOf(context.Background(), ann.User)
		slices.SortFunc(got, func(a, b belfry.OpenPage) int { return strings.Compare(a.ID, b.ID) })
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("ann has pages %v (%v), want %v", got, err, want)
		}
		here := p.PagesHere(ann.User)
		slices.SortFunc(here, func(a, b belfry.OpenPage) int { return strings.Compare(a.ID, b.ID) })
		if !slices.Equal(here, want) {
			t.Errorf("ann has pages %v here, want %v", here, want)
		}
	}
	wantPages()
	join(t, p, ann, "a", 1, 1)
	join(t, p, ann, "b", 1, 2)
	join(t, p, annOther, "c", 1, 1)
	join(t, p, bob, "d", 2, 3)
	wantPages(belfry.OpenPage{ID: "a", Company: "acme", Here: true}, belfry.OpenPage{ID: "b", Company: "acme", Here: true},
		belfry.OpenPage{ID: "c", Company: "other", Here: true})
	leave(t, p, ann, "b")
	leave(t, p, annOther, "c")
	wantPages(belfry.OpenPage{ID: "a", Company: "acme", Here: true})
}

func testPresenceMany(t *testing.T, p belfry.Presence) {
	const goroutines, rounds, users = 8, 50, 5
	var work sync.WaitGroup
	for g := range goroutines {
		work.Go(func() {
			for i := range rounds {
				who := belfry.Identity{User: belfry.UserID(fmt.Sprint(i % users)), Company: "acme"}
				page := fmt.Sprint(g, "-", i)
				if _, err := p.Join(context.Background(), who, page); err != nil {
					t.Error(err)
				}
				if i < rounds-users { // the last page of each user stays
					leave(t, p, who, page)
				}
			}
		})
	}
	work.Wait()
	wantOnline(t, p, "acme", users, goroutines*users)
}
