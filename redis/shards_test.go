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
	a, b := open(t, own.URL, "x", still(15*time.Second)), open(t, own.URL, "x", still(15*time.Second))
	wantNodes(t, a, b)
	all := make(map[string]int)             // pages by company
	for down, master := range own.Masters { // one of them has the nodes
		t.Run(fmt.Sprint("master ", down), func(t *testing.T) {
			page := func(n string) string { return fmt.Sprint(n, down) }
			lostCompany, lostUser := namesOn(a, down)
			b.join(lostUser, lostCompany, page("b"))
			all[lostCompany]++
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
				for i := 0; i < 50 && !t.Failed(); i++ {
					id := fmt.Sprint(page("p"), "-", i)
					all[company]++
					if got, want := a.join(user, company, id), (belfry.OnlineCount{Users: 1, Pages: all[company]}); got != want {
						t.Fatalf("%s of master %d has %+v, want %+v", company, up, got, want)
					}
					wantSeen(t, b, user, id)
				}
			}
			a.join(lostUser, lostCompany, page("a"))
			all[lostCompany]++
			if err := master.Resume(); err != nil {
				t.Fatal(err)
			}
			wantOnline(t, belfry.CompanyID(lostCompany), 1, all[lostCompany], a, b)
			wantPages(t, belfry.UserID(lostUser), all[lostCompany], a, b)
		})
	}
}
