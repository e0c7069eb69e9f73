package redis_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"belfry"
	"belfry/internal/redistest"
)

// masterOf says which master of a cluster has a slot.
func masterOf(slot int) int {
	for i := range 3 {
		if slot < (i+1)*16384/3 {
			return i
		}
	}
	return -1
}

// namesOn returns names of which all keys are on a master.
func namesOn(n *node, master int) (company, user string) {
	for i := 0; company == ""; i++ {
		if id := fmt.Sprint("c", i); masterOf(n.CompanySlot(belfry.CompanyID(id))) == master {
			company = id
		}
	}
	for i := 0; user == ""; i++ {
		if id := fmt.Sprint("u", i); masterOf(n.UserSlot(belfry.UserID(id))) == master {
			user = id
		}
	}
	return company, user
}

func TestAMasterThatIsAwayTroublesItsOwnCompaniesAlone(t *testing.T) {
	t.Parallel()
	own, err := redistest.LaunchCluster()
	if err != nil {
		t.Fatal(err)
	}
	defer own.Stop()
	a, b := open(t, own.URL, "x", still(10*time.Second)), open(t, own.URL, "x", still(10*time.Second))
	wantNodes(t, a, b)
	for down, master := range own.Masters { // one of them has the nodes
		t.Run(fmt.Sprint("master ", down), func(t *testing.T) {
			page := func(n string) string { return fmt.Sprint(n, down) }
			lostCompany, lostUser := namesOn(a, down)
			pages := b.join(lostUser, lostCompany, page("b")).Pages
			if err := master.Pause(); err != nil {
				t.Fatal(err)
			}
			eventually(t, func() string { // until it is known
				if _, err := a.PagesOf(context.Background(), belfry.UserID(lostUser)); belfry.ErrorCode(err) != belfry.ErrUnavailable {
					return fmt.Sprintf("PagesOf says %v, want that it is unavailable", err)
				}
				return ""
			})
			for up := range own.Masters {
				if up == down {
					continue
				}
				company, user := namesOn(a, up)
				before, _ := b.Online(context.Background(), belfry.CompanyID(company))
				for i := 0; i < 50 && !t.Failed(); i++ {
					id := fmt.Sprint(page("p"), "-", i)
					if got, want := a.join(user, company, id), before.Pages+i+1; got.Pages != want || got.Users != 1 {
						t.Fatalf("%s of master %d has %+v, want %d pages", company, up, got, want)
					}
					wantSeen(t, b, user, id)
				}
			}
			a.join(lostUser, lostCompany, page("a"))
			if err := master.Resume(); err != nil {
				t.Fatal(err)
			}
			wantOnline(t, belfry.CompanyID(lostCompany), 1, pages+1, a, b)
			wantPages(t, belfry.UserID(lostUser), pages+1, a, b)
		})
	}
}
