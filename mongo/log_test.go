package mongo_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"belfry"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// Of what is alike to a sort, MongoDB says nothing of the order ("Sort Consistency" in the manual's cursor.sort()), and two
// pages that read the log must get one.
func TestRevisionsAtOnePlaceHaveOneOrder(t *testing.T) {
	db := database(t)
	s := open(t, db)
	var ids belfry.IDSource
	m := message(&ids)
	add(t, s, m)
	place := ids.New(time.Now())
	var want, got []belfry.ID
	for _, company := range []string{"c", "a", "b"} { // as they lie in the collection
		id := ids.New(time.Now())
		want = append(want, id)
		if _, err := db.Collection("belfryRevisions").InsertOne(context.Background(), bson.D{
			{Key: "_id", Value: place.String() + "/1/" + company}, {Key: "owner", Value: int32(1)}, {Key: "companyID", Value: "acme"},
			{Key: "place", Value: bson.ObjectID(place)}, {Key: "kind", Value: int32(belfry.RevisionRead)}, {Key: "typeID", Value: int32(0)},
			{Key: "ids", Value: bson.A{bson.ObjectID(id)}},
		}); err != nil {
			t.Fatal(err)
		}
	}
	want = []belfry.ID{want[1], want[2], want[0]}
	entries, complete, err := s.Since(context.Background(), ann, m.ID, ids.New(time.Now()), 10)
	if err != nil || !complete {
		t.Fatalf("%v, %v", complete, err)
	}
	for _, e := range entries {
		got = append(got, e.Revision.IDs...)
	}
	if !slices.Equal(got, want) {
		t.Errorf("the log has %v, want %v", got, want)
	}
}
