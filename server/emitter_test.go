package server

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"belfry"
	"belfry/auth"
)

// tokenFrom signs a token of a user as an application may that has not asked for it only now.
func (f *fixture) tokenFrom(uid string, issued time.Time) string {
	f.t.Helper()
	claims := jwt.MapClaims{"sub": uid, "company": "1", "iat": issued.Unix(), "exp": time.Now().Add(time.Hour).Unix()}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(strings.Repeat("s", auth.MinSecretBytes)))
	if err != nil {
		f.t.Fatal(err)
	}
	return token
}

func TestOnlyPagesWithTokensThatAreVoidAreEnded(t *testing.T) {
	f := start(t)
	old, revoked := time.Now().Add(-time.Hour), time.Now().Add(-time.Minute)
	page := func(uid string, issued time.Time) *client {
		c := dial(t, f.Addr(), dialing{auth: map[string]string{"token": f.tokenFrom(uid, issued), "format": "text"}})
		c.next(belfry.EventCounts)
		return c
	}
	end := func(rooms ...string) int {
		return f.broker.Emit(belfry.Envelope{Rooms: rooms, Disconnect: true, Revoked: revoked})
	}
	ended, stays := page("1", old), page("1", time.Now())
	insecure, renewed := f.page("1", "1", "html"), page("1", old)
	if answer := parse[loginAnswer](t, renewed.call("renew", fmt.Sprintf(`{"token":%q}`, f.tokenFrom("1", time.Now())))); !answer.OK {
		t.Fatalf("renew answered %+v", answer)
	}
	other := page("2", old)
	if n := end(belfry.UserRoom("1")); n != 1 {
		t.Errorf("%d pages were ended, want 1", n)
	}
	ended.gone()
	f.message("1", "to those who stay")
	for _, c := range []*client{stays, insecure, renewed} {
		c.next(belfry.EventMessage)
	}
	f.message("2", "to another user")
	other.next(belfry.EventMessage)
	// Who shows a token after all is held to it.
	if answer := parse[loginAnswer](t, insecure.call("renew", fmt.Sprintf(`{"token":%q}`, f.tokenFrom("1", old)))); !answer.OK {
		t.Fatalf("renew answered %+v", answer)
	}
	if n := end(belfry.UserRoom("1")); n != 1 {
		t.Errorf("%d pages were ended, want 1", n)
	}
	insecure.gone()
}
