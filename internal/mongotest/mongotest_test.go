package mongotest_test

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"belfry/internal/mongotest"
)

// launch starts a server, with a collection, until the test ends.
func launch(t *testing.T) (*mongotest.Server, context.Context, *mongo.Collection) {
	t.Helper()
	s, err := mongotest.Launch(os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	client, err := mongo.Connect(options.Client().ApplyURI(s.URI))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Disconnect(context.Background()) })
	return s, ctx, client.Database("test").Collection("things")
}

// A question that is cut off may be answered by a part of what there is, and leave a connection of the stand-in
// that answers others from the past.
func TestAQuestionIsNotCutOff(t *testing.T) {
	_, ctx, things := launch(t)
	many := make([]any, 5000)
	for i := range many {
		many[i] = bson.M{"_id": i, "n": i, "text": strings.Repeat("x", 1000)}
	}
	if _, err := things.InsertMany(ctx, many); err != nil {
		t.Fatal(err)
	}
	// It reads all of them to find the last, which takes more than the millisecond that it is given.
	question := bson.D{{Key: "find", Value: "things"}, {Key: "filter", Value: bson.D{{Key: "n", Value: len(many) - 1}}}, {Key: "maxTimeMS", Value: int64(1)}}
	var answer struct {
		Cursor struct{ FirstBatch []bson.Raw }
	}
	// The driver would send the time that a context leaves.
	if err := things.Database().RunCommand(context.WithoutCancel(ctx), question).Decode(&answer); err != nil || len(answer.Cursor.FirstBatch) != 1 {
		t.Errorf("it found %d things, %v", len(answer.Cursor.FirstBatch), err)
	}
}

func TestAServerIsKilledAndComesBackWithWhatItHasStored(t *testing.T) {
	s, ctx, things := launch(t)
	if _, err := things.InsertOne(ctx, bson.M{"_id": 1}); err != nil {
		t.Fatal(err)
	}
	if err := s.Pause(); err != nil {
		t.Fatal(err)
	}
	if err := s.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := s.Restart(); err != nil {
		t.Fatal(err)
	}
	if n, err := things.CountDocuments(ctx, bson.M{}); n != 1 || err != nil {
		t.Errorf("it has %d things, %v", n, err)
	}
}
