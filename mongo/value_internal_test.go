package mongo

import (
	"math"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
)

func TestNumbersOfCommitsAreInOrderAndComeBack(t *testing.T) {
	last := ""
	for _, n := range []number{1, 2, 9, 10, 11, 99, 100, 1 << 40, math.MaxInt64} {
		raw, err := bson.Marshal(bson.D{{Key: "_id", Value: n}})
		if err != nil {
			t.Fatal(err)
		}
		text, ok := bson.Raw(raw).Lookup("_id").StringValueOK()
		if !ok || text <= last {
			t.Errorf("%d is %q in the database, after %q", n, text, last)
		}
		last = text
		var back struct {
			N number `bson:"_id"`
		}
		if err := bson.Unmarshal(raw, &back); err != nil || back.N != n {
			t.Errorf("%d comes back as %d, %v", n, back.N, err)
		}
	}
	var old struct {
		N number `bson:"_id"`
	}
	raw, _ := bson.Marshal(bson.D{{Key: "_id", Value: int64(7)}})
	if err := bson.Unmarshal(raw, &old); err != nil || old.N != 7 {
		t.Errorf("the commit 7 of an earlier version is %d, %v", old.N, err)
	}
}
