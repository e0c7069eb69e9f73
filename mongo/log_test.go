package mongo_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"belfry"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
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

// TestWhomItConcernsIsNotKnownAcrossAGap has a commit be gone from the middle of those that are kept.
func TestWhomItConcernsIsNotKnownAcrossAGap(t *testing.T) {
	ctx := context.Background()
	db := database(t)
	s := open(t, db)
	var ids belfry.IDSource
	var stored []belfry.Message
	for i := range 4 { // commits 2 to 5
		m := message(&ids)
		m.Receiver = belfry.UserID([]string{"ann", "bob", "cyd", "dan"}[i])
		add(t, s, m)
		stored = append(stored, m)
	}
	if _, err := db.Collection("belfryCommits").DeleteOne(ctx, bson.D{{Key: "_id", Value: commitID(4)}}); err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{false, false, false, true} {
		owners, known, err := s.Concerned(ctx, stored[i].ID)
		if err != nil || known != want {
			t.Errorf("after message %d: %v, %t (%v), and cyd is not there: want %t", i, owners, known, err, want)
		}
	}
}

// TestCommitsThatAreKeptFollowEachOther has commits of processes whose clocks differ.
func TestCommitsThatAreKeptFollowEachOther(t *testing.T) {
	ctx := context.Background()
	db := database(t)
	s := open(t, db)
	var made []any
	hour := time.Now().Add(-time.Hour)
	for n := int64(2); n < 20; n++ {
		at := hour
		if n == 5 || n == 6 {
			at = time.Now().Add(time.Hour)
		}
		made = append(made, bson.D{{Key: "_id", Value: commitID(n)}, {Key: "at", Value: at}, {Key: "applied", Value: true}})
	}
	if _, err := db.Collection("belfryCommits").InsertMany(ctx, made); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Collection("belfryCommits").UpdateOne(ctx, bson.D{{Key: "_id", Value: commitID(1)}}, bson.D{{Key: "$set", Value: bson.D{{Key: "at", Value: hour}}}}); err != nil {
		t.Fatal(err)
	}
	there := func() (first string, n int64) {
		var d struct {
			ID string `bson:"_id"`
		}
		err := db.Collection("belfryCommits").FindOne(ctx, bson.D{}, options.FindOne().SetSort(bson.D{{Key: "_id", Value: 1}})).Decode(&d)
		if err != nil {
			t.Fatal(err)
		}
		if n, err = db.Collection("belfryCommits").CountDocuments(ctx, bson.D{}); err != nil {
			t.Fatal(err)
		}
		return d.ID, n
	}
	const keep = 256
	if err := s.Trim(ctx, keep+15); err != nil {
		t.Fatal(err)
	}
	if first, n := there(); first != commitID(5) || n != 15 {
		t.Errorf("%d are kept, from %v on; want 15, from 5 on", n, first)
	}
	for n := int64(5); n < 7; n++ {
		if _, err := db.Collection("belfryCommits").UpdateOne(ctx, bson.D{{Key: "_id", Value: commitID(n)}}, bson.D{{Key: "$set", Value: bson.D{{Key: "at", Value: hour}}}}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Trim(ctx, keep+15); err != nil {
		t.Fatal(err)
	}
	if first, n := there(); first != commitID(15) || n != 5 {
		t.Errorf("%d are kept, from %v on; want 5, from 15 on", n, first)
	}
}
