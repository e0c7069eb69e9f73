package porttest

import (
	"context"
	"reflect"
	"testing"
	"time"

	"belfry"
)

// settingTests are the cases of SettingStore.
var settingTests = map[string]func(*testing.T, *fixture){
	"preferences come back as they were set":           testPreferences,
	"tokens are void before the latest time of a user": testRevoke,
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
	if at, err := f.Revoked(ctx, "1"); err != nil || !at.Equal(start.Add(time.Second)) {
		t.Errorf("revoked before %v (%v), want %v", at, err, start.Add(time.Second))
	}
	if at, err := f.Revoked(ctx, "10"); err != nil || !at.IsZero() {
		t.Errorf("another user's tokens are revoked before %v (%v)", at, err)
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
