package mongo_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"
)

// TestWritesThatConcernManyFitIntoCommits has writes wait for one commit that together concern more than a document holds: pushes
// to thousands of receivers each.
func TestWritesThatConcernManyFitIntoCommits(t *testing.T) {
	const writes, each = 12, 15_000
	db := database(t)
	s := open(t, db)
	concerned := make(map[string][]string)
	for i := range writes {
		touches := make([]string, each)
		for j := range touches {
			touches[j] = fmt.Sprintf("u:%d-%d-%s", i, j, strings.Repeat("x", 100))
		}
		concerned[fmt.Sprint("k", i)] = touches
	}
	if err := s.Concern(context.Background(), concerned); err != nil {
		t.Error(err)
	}
	// The server of the tests may take larger ones than MongoDB.
	const mostBytes = 16 << 20
	found, err := db.Collection("belfryCommits").Find(context.Background(), bson.D{})
	if err != nil {
		t.Fatal(err)
	}
	var commits []bson.Raw
	if err := found.All(context.Background(), &commits); err != nil {
		t.Fatal(err)
	}
	for _, c := range commits {
		if len(c) > mostBytes {
			t.Errorf("a commit has %d bytes, and a document at most %d", len(c), mostBytes)
		}
	}
	if len(commits) > writes {
		t.Errorf("there are %d commits, fewer have room for all", len(commits))
	}
}
