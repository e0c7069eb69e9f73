package redis_test

import (
	"context"
	"fmt"
	"testing"

	"belfry"
	"belfry/internal/redistest"
)

// wantReached waits until a unit that one post shares reaches as many pages of another.
func wantReached(t *testing.T, from *post, user belfry.UserID, pages int) {
	t.Helper()
	eventually(t, func() string {
		reach := from.Share(unitOf(belfry.ID{}, user, "x"))
		if reach.Elsewhere == nil {
			return "nothing is sent"
		}
		if got, err := reach.Elsewhere(context.Background()); err != nil || got[0] != pages {
			return fmt.Sprintf("a unit for %s reached %v (%v), want %d", user, got, err, pages)
		}
		return ""
	})
}

// wantLost waits until all posts have been told of a loss since forgetLosses.
func wantLost(t *testing.T, posts ...*post) {
	t.Helper()
	for i, p := range posts {
		eventually(t, func() string {
			p.mu.Lock()
			defer p.mu.Unlock()
			if p.losses == 0 {
				return fmt.Sprintf("post %d was told of no loss", i)
			}
			return ""
		})
	}
}

// forgetLosses has posts count the losses anew.
func forgetLosses(posts ...*post) {
	for _, p := range posts {
		p.mu.Lock()
		p.losses = 0
		p.mu.Unlock()
	}
}

func TestNodesGoOnAtTheMasterThatSentinelsName(t *testing.T) {
	t.Parallel()
	own, err := redistest.LaunchSentinels()
	if err != nil {
		t.Fatal(err)
	}
	defer own.Stop()
	a, b := open(t, own.URL, "x"), open(t, own.URL, "x")
	posts := openPosts(t, own.URL, passing, 1, 2)
	posts[1].watch(t, "page", belfry.UserRoom("ann"))
	wantReached(t, posts[0], "ann", 2)
	a.join("ann", "acme", "1")
	b.join("bob", "acme", "2")
	b.join("cleo", "other", "3")
	wantOnline(t, "acme", 2, 2, a, b)
	for round, away := range []func(*redistest.Server) error{(*redistest.Server).Kill, (*redistest.Server).Pause} {
		master, replica, err := own.Master()
		if err != nil {
			t.Fatal(err)
		}
		forgetLosses(posts...)
		if err := away(master); err != nil {
			t.Fatal(err)
		}
		wantLost(t, posts...)
		late, user := fmt.Sprint("late", round), belfry.UserID(fmt.Sprint("dan", round))
		a.join("ann", "acme", late) // it returns
		b.leave("bob", "acme", "2")
		posts[1].watch(t, late, belfry.UserRoom(user)) // it returns, too
		if err := own.Elect(replica); err != nil {
			t.Fatal(err)
		}
		eventually(t, func() string {
			if now, _, err := own.Master(); err != nil || now != replica {
				return fmt.Sprintf("the sentinels have not named the replica (%v)", err)
			}
			return ""
		})
		wantFound(t, posts...)
		wantReached(t, posts[0], "ann", 2)
		wantReached(t, posts[0], user, 2)
		wantOnline(t, "acme", 1, 2+round, a, b)
		wantSaid(t, "acme", 1, a)
		wantPages(t, "ann", 2+round, a, b)
		wantPages(t, "bob", 0, a, b)
		wantPages(t, "cleo", 1, a, b)
		wantOnline(t, "other", 1, 1, a, b)

		b.join("bob", "acme", "2")
		wantOnline(t, "acme", 2, 3+round, a, b)
		if round == 0 {
			err = master.Restart()
		} else {
			err = master.Resume()
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := master.Follows(); err != nil {
			t.Fatal(err)
		}
		wantSaid(t, "acme", 2, a, b)
		wantOnline(t, "acme", 2, 3+round, a, b)
		wantFound(t, posts...)
		wantReached(t, posts[0], "ann", 2)
	}
}
