package belfry_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"belfry"
)

func TestTokensThatAreRevokedAreVoidAndPagesEnd(t *testing.T) {
	ctx := context.Background()
	clock := newClock()
	b := newBench(t, func(o *belfry.ServiceOptions) { o.Now = clock.time })
	issued := clock.time()
	p, _ := b.login(ann, belfry.LoginOptions{Issued: issued})
	elsewhere, _ := b.login(annOther, belfry.LoginOptions{Issued: issued})
	bobs, _ := b.login(bob, belfry.LoginOptions{Issued: issued})
	if pages, err := b.Revoke(ctx, "1"); err != nil || pages != 2 || !p.gone || !elsewhere.gone || bobs.gone {
		t.Errorf("%d pages ended, %v", pages, err)
	}
	try := func(who belfry.Identity, o belfry.LoginOptions) belfry.Code {
		_, err := b.Login(ctx, who, b.hub.newPage(), o)
		return belfry.ErrorCode(err)
	}
	for name, o := range map[string]belfry.LoginOptions{
		"an old token":                {Issued: issued.Add(-time.Hour)},
		"one of the same second":      {Issued: issued},
		"one that does not say since": {},
	} {
		if code := try(ann, o); code != belfry.ErrUnauthorized {
			t.Errorf("%s: %q", name, code)
		}
	}
	if code := try(ann, belfry.LoginOptions{Issued: issued.Add(time.Second)}); code != "" {
		t.Errorf("a new token: %q", code)
	}
	if code := try(bob, belfry.LoginOptions{Issued: issued}); code != "" {
		t.Errorf("another's: %q", code)
	}
	// What was checked before a revocation counts for nothing after it.
	checked, err := b.CheckToken(ctx, bob, issued)
	if err != nil || checked == (belfry.TokenCheck{}) {
		t.Fatalf("check %+v, %v", checked, err)
	}
	if code := try(bob, belfry.LoginOptions{Issued: issued, Checked: checked}); code != "" {
		t.Errorf("a token that was checked: %q", code)
	}
	if _, err := b.Revoke(ctx, "10"); err != nil {
		t.Fatal(err)
	}
	if code := try(bob, belfry.LoginOptions{Issued: issued, Checked: checked}); code != belfry.ErrUnauthorized {
		t.Errorf("a token that was checked before the revocation: %q", code)
	}
	b.Close()
	b = newBenchOn(t, b.store)
	if _, err := b.CheckToken(ctx, ann, issued); belfry.ErrorCode(err) != belfry.ErrUnauthorized {
		t.Errorf("after a restart: %v", err)
	}
}

func TestAUserIsDisconnectedInOneCompanyOrInAll(t *testing.T) {
	ctx := context.Background()
	b := newBench(t)
	p, _ := b.login(ann)
	elsewhere, _ := b.login(annOther)
	if n, err := b.Disconnect(ctx, "1", "acme"); err != nil || n != 1 || !p.gone || elsewhere.gone {
		t.Errorf("%d pages, %v", n, err)
	}
	if n, err := b.Disconnect(ctx, "1", ""); err != nil || n != 1 || !elsewhere.gone {
		t.Errorf("%d pages, %v", n, err)
	}
}

func TestAnEventReachesItsRoomsAndIsChecked(t *testing.T) {
	ctx := context.Background()
	b := newBench(t)
	p, _ := b.login(ann)
	bobs, _ := b.login(bob)
	p.Join(belfry.TopicRoom("x"))
	emit := func(e belfry.GenericEvent) int {
		t.Helper()
		pages, err := b.PublishEvent(ctx, e, nil)
		if err != nil {
			t.Fatal(err)
		}
		return pages
	}
	if n := emit(belfry.GenericEvent{Event: "e", Rooms: []string{"company:acme"}, Except: []string{"uid:10"}, Data: json.RawMessage(` {"a":1}`)}); n != 1 {
		t.Errorf("it reached %d pages", n)
	}
	if n := emit(belfry.GenericEvent{Event: "e", Rooms: []string{"topic:x", "uid:1"}, Data: json.RawMessage(`"text"`)}); n != 1 {
		t.Errorf("it reached %d pages", n)
	}
	events := slices.DeleteFunc(p.all(), func(e event) bool { return e.name != "e" })
	if string(events[0].arg.(json.RawMessage)) != `{"a":1}` || events[0].cursor != (belfry.Cursor{}) {
		t.Errorf("the page got %+v", events[0])
	}
	// A text at the end would be taken for a cursor.
	if events[1].cursor == (belfry.Cursor{}) {
		t.Errorf("the page got %+v", events[1])
	}
	if n := len(bobs.got("e")); n != 0 {
		t.Errorf("bob got %d", n)
	}
	for message, e := range map[string]belfry.GenericEvent{
		"event is missing":                      {Rooms: []string{"uid:1"}},
		`event "new_msg" is used`:               {Event: "new_msg", Rooms: []string{"uid:1"}},
		`event "disconnect" is used`:            {Event: "disconnect", Rooms: []string{"uid:1"}},
		"event must be at most":                 {Event: strings.Repeat("e", 129), Rooms: []string{"uid:1"}},
		"rooms is missing":                      {Event: "e"},
		"rooms must be uid:":                    {Event: "e", Rooms: []string{"everybody"}},
		"rooms must be uid:…":                   {Event: "e", Rooms: []string{"member:acme\x001"}},
		"rooms has an entry without":            {Event: "e", Rooms: []string{"uid: "}},
		"except must be uid:":                   {Event: "e", Rooms: []string{"uid:1"}, Except: []string{"x"}},
		"rooms lists 101":                       {Event: "e", Rooms: make([]string, 101)},
		"data must be JSON":                     {Event: "e", Rooms: []string{"uid:1"}, Data: json.RawMessage(`{`)},
		"data is 65538 bytes long; at most":     {Event: "e", Rooms: []string{"uid:1"}, Data: json.RawMessage(`"` + strings.Repeat("x", 65536) + `"`)},
		"event is missing; rooms is missing; d": {Data: json.RawMessage(`{`)},
	} {
		_, err := b.PublishEvent(ctx, e, nil)
		wantInvalid(t, err, message)
	}
}
