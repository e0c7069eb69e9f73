package redis

import "testing"

func TestSlotsAreThoseOfACluster(t *testing.T) {
	for key, want := range map[string]int{ // as CLUSTER KEYSLOT says
		"123456789": 12739, "foo": 12182, "{foo}bar": 12182, "a{foo}{bar}": 12182, "": 0,
	} {
		if got := slotOf(key); got != want {
			t.Errorf("%q is in slot %d, want %d", key, got, want)
		}
	}
	if slotOf("{}foo") == slotOf("{}bar") || slotOf("{foo") == slotOf("{bar") {
		t.Error("an empty or unfinished tag is taken for one")
	}
}
