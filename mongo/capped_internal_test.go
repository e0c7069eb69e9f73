package mongo

import (
	"strings"
	"testing"
)

func TestVersionsThatCannotCap(t *testing.T) {
	for version, tooOld := range map[string]bool{"4.4.29": true, "5.0.31": true, "5.3.2": true, "6.0.0": false, "7.0.42": false, "8.0.4": false, "10.1.0": false, "next": false} {
		if got := tooOldToCap(version); got != tooOld {
			t.Errorf("%s is too old: %v", version, got)
		}
	}
}

func TestTheSizesOfCappedCollections(t *testing.T) {
	for name, one := range map[string]struct {
		asked, got Capped
		refused    string
	}{
		"none":                     {Capped{}, Capped{}, ""},
		"a multiple of 256":        {Capped{Bytes: 1 << 30}, Capped{Bytes: 1 << 30}, ""},
		"rounded up":               {Capped{Bytes: 1<<30 + 1, Rows: 7}, Capped{Bytes: 1<<30 + 256, Rows: 7}, ""},
		"too small for a document": {Capped{Bytes: MinCappedBytes - 1}, Capped{}, "16777215 bytes"},
		"too large":                {Capped{Bytes: 1<<50 + 1}, Capped{}, "bytes"},
		"rows alone":               {Capped{Rows: 10}, Capped{}, "0 bytes"},
		"fewer rows than none":     {Capped{Bytes: 1 << 30, Rows: -1}, Capped{}, "-1 documents"},
		"too many rows":            {Capped{Bytes: 1 << 30, Rows: 1 << 31}, Capped{}, "2147483648 documents"},
	} {
		got, err := one.asked.checked()
		if one.refused == "" && (err != nil || got != one.got) || one.refused != "" && (err == nil || !strings.Contains(err.Error(), one.refused)) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}
