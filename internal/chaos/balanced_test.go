package chaos

import (
	"strconv"
	"sync"
	"testing"
	"time"

	"belfry"
	"belfry/auth"
	"belfry/load"
)

// TestPagesOfAllKindsThroughTheBalancer has pages of both transports and both revisions come and go, whose every connection gets
// to another node: polls, too. Meanwhile each node is cut off from Redis for a while.
func TestPagesOfAllKindsThroughTheBalancer(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes half a minute")
	}
	dir := t.TempDir()
	in, err := install(t.Context(), dir, "balanced-"+strconv.FormatInt(time.Now().UnixNano(), 36))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := in.stop(); err != nil {
			t.Error(err)
		}
	}()
	tokens, err := auth.NewTokens(auth.TokenOptions{Secret: tokenSecret})
	if err != nil {
		t.Fatal(err)
	}
	defer tokens.Close()

	var cutting sync.WaitGroup
	defer cutting.Wait()
	ended := make(chan struct{})
	defer close(ended)
	cutting.Go(func() {
		for _, n := range in.nodes {
			if n.toRedis == nil {
				continue
			}
			for _, state := range []linkState{linkCut, linkWhole} {
				select {
				case <-time.After(1500 * time.Millisecond):
				case <-ended:
				}
				n.toRedis.set(state)
			}
		}
	})
	report, err := load.Run(t.Context(), load.Options{
		URL: "http://" + in.pages.addr, Push: "http://" + in.push.addr, Key: pushKey,
		Token: func(uid, company string) (string, error) {
			return tokens.Sign(belfry.Identity{User: belfry.UserID(uid), Company: belfry.CompanyID(company)}, time.Hour)
		},
		Scenario: load.Mixed, Pages: 48, Companies: 3, Polling: 0.5, Revision4: 0.5, Connecting: 16,
		Stored: true, Recover: true, Verify: true, Churn: 3, Rate: 4, Callers: 4,
		Duration: 9 * time.Second, Drain: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := report.Print(t.Output()); err != nil {
		t.Error(err)
	}
	if v := report.Verify; v.Faults > 0 || report.Life.Away > 0 || report.Life.Left == 0 || report.Pushes.OK == 0 {
		t.Errorf("something is wrong: %+v", v)
	}
}
