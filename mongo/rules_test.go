package mongo_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"belfry"
	"belfry/mongo"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// TestCollectionsWithValidatorsAreRefused needs a server that has them; where it refuses to make one there is nothing to be found.
func TestCollectionsWithValidatorsAreRefused(t *testing.T) {
	ctx := context.Background()
	db := database(t)
	err := db.CreateCollection(ctx, "handleLog", options.CreateCollection().SetValidator(bson.D{{Key: "title", Value: "theirs"}}))
	var refused driver.CommandError
	if errors.As(err, &refused) && refused.Name == "NotImplemented" {
		t.Skip("FerretDB has no validators: name a MongoDB by BELFRY_TEST_MONGO")
	}
	if err != nil {
		t.Fatal(err)
	}
	s, err := mongo.Open(ctx, mongo.Options{URI: server.URI, Database: db.Name(), Patience: patience})
	if err == nil {
		s.Close()
	}
	if belfry.ErrorCode(err) != belfry.ErrInvalid || !strings.Contains(err.Error(), "handleLog") {
		t.Errorf("it is opened: %v", err)
	}
}

// A message that such an index keeps out would be lost when its commit is applied, long after it was promised.
func TestCollectionsWithUniqueIndexesOfOthersAreRefused(t *testing.T) {
	ctx := context.Background()
	db := database(t)
	_, err := db.Collection("msgNotice").Indexes().CreateOne(ctx, driver.IndexModel{
		Keys: bson.D{{Key: "title", Value: 1}}, Options: options.Index().SetUnique(true).SetName("theirs"),
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := mongo.Open(ctx, mongo.Options{URI: server.URI, Database: db.Name(), Patience: patience})
	if err != nil {
		if belfry.ErrorCode(err) != belfry.ErrInvalid || !strings.Contains(err.Error(), "theirs") || !strings.Contains(err.Error(), "msgNotice") {
			t.Error(err)
		}
		return
	}
	defer s.Close()
	ids := belfry.NewIDSource()
	add(t, s, message(ids))
	add(t, s, message(ids))
	wantUnread(t, s, 2)
	t.Error("it is opened")
}
