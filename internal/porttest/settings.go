package porttest

import (
	"context"
	"maps"
	"reflect"
	"testing"
	"time"

	"belfry"
)

// settingTests are the cases of SettingStore.
var settingTests = map[string]func(*testing.T, *fixture){
	"preferences come back as they were set":           testPreferences,
	"tokens are void before the latest time of a user": testRevoke,
	"a profile is what a login has to know":            testProfile,
}

func testPreferences(t *testing.T, f *fixture) {
	ctx := context.Background()
	set := []belfry.Preference{
		{Type: belfry.MaxType, Category: "' 类", Off: true, MuteUntil: start.Add(7 * time.Millisecond)},
		{Category: "c"}, {Category: "c"}, {Type: 1}, {Off: true}, {},
	}
	other := []belfry.Preference{{Type: 9}}
	for user, preferences := range map[belfry.UserID][]belfry.Preference{"1": set, "10": other} {
		if err := f.SetPreferences(ctx, user, preferences); err != nil {
			t.Fatal(err)
		}
	}
	want := func(user belfry.UserID, want []belfry.Preference) {
		t.Helper()
		got, err := f.preferences(user)
		if err != nil || len(got) != len(want) {
			t.Fatalf("there are %+v (%v), want %+v", got, err, want)
		}
		for i := range got {
			if got[i].MuteUntil.Equal(want[i].MuteUntil) {
				got[i].MuteUntil = want[i].MuteUntil
			}
			if !reflect.DeepEqual(got[i], want[i]) {
				t.Errorf("preference %d is %+v, want %+v", i, got[i], want[i])
			}
		}
	}
	want("1", set)
	if err := f.SetPreferences(ctx, "1", set[:2]); err != nil {
		t.Fatal(err)
	}
	want("1", set[:2])
	if err := f.SetPreferences(ctx, "1", nil); err != nil {
		t.Fatal(err)
	}
	want("1", nil)
	want("10", other)
	want("2", nil)
}

func testRevoke(t *testing.T, f *fixture) {
	ctx := context.Background()
	for _, at := range []time.Time{start, start.Add(-time.Hour), start.Add(time.Second), start} {
		if err := f.Revoke(ctx, "1", at); err != nil {
			t.Fatal(err)
		}
	}
	if at := f.profile(belfry.Identity{User: "1"}).Revoked; !at.Equal(start.Add(time.Second)) {
		t.Errorf("revoked before %v, want %v", at, start.Add(time.Second))
	}
	if at := f.profile(belfry.Identity{User: "10", Company: "1"}).Revoked; !at.IsZero() {
		t.Errorf("another user's tokens are revoked before %v", at)
	}
	if err := f.Revoke(ctx, "' ON", start); err != nil {
		t.Fatal(err)
	}
	if err := f.SetPreferences(ctx, "10", []belfry.Preference{{Off: true}}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		of   []belfry.UserID
		want map[belfry.UserID]time.Time
	}{
		{[]belfry.UserID{"nobody", "10", "1", "1"}, map[belfry.UserID]time.Time{"1": start.Add(time.Second)}},
		{[]belfry.UserID{"' ON", "1"}, map[belfry.UserID]time.Time{"1": start.Add(time.Second), "' ON": start}},
		{[]belfry.UserID{"10"}, nil},
		{nil, nil},
	} {
		if got, err := f.Revoked(ctx, c.of); err != nil || !maps.EqualFunc(got, c.want, time.Time.Equal) {
			t.Errorf("of %q tokens are void before %v (%v), want %v", c.of, got, err, c.want)
		}
	}
}

func testProfile(t *testing.T, f *fixture) {
	ctx := context.Background()
	since := f.place()
	if err := f.AddMembers(ctx, ann.Company, []belfry.UserID{ann.User}, since); err != nil {
		t.Fatal(err)
	}
	if err := f.Revoke(ctx, ann.User, start); err != nil {
		t.Fatal(err)
	}
	preferences := []belfry.Preference{{Type: 3, MuteUntil: start.Add(time.Hour)}, {Category: "b", Off: true}, {Category: "a", Off: true}}
	for _, user := range []belfry.UserID{ann.User, bob.User} {
		if err := f.SetPreferences(ctx, user, preferences); err != nil {
			t.Fatal(err)
		}
	}
	for who, want := range map[belfry.Identity]belfry.Profile{
		ann:                             {Member: true, Since: since, Revoked: start, Preferences: preferences},
		annOther:                        {Revoked: start, Preferences: preferences},
		bob:                             {Preferences: preferences},
		{User: "none", Company: "acme"}: {},
		{User: ann.User + "x"}:          {},
	} {
		got := f.profile(who)
		if !got.Revoked.Equal(want.Revoked) {
			t.Errorf("of %v tokens are void before %v, want %v", who, got.Revoked, want.Revoked)
		}
		if got.Revoked = want.Revoked; !reflect.DeepEqual(got, want) {
			t.Errorf("the profile of %v is %+v, want %+v", who, got, want)
		}
	}
}

// preferences returns those of one user.
func (f *fixture) preferences(user belfry.UserID) ([]belfry.Preference, error) {
	all, err := f.Preferences(context.Background(), []belfry.UserID{"nobody", user, "'; --"})
	if len(all) > 1 {
		f.t.Errorf("preferences of %v", all)
	}
	return all[user], err
}
