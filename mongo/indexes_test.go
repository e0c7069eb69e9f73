package mongo_test

import (
	"context"
	"testing"
	"time"

	"belfry/mongo"

	"go.mongodb.org/mongo-driver/v2/event"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// TestIndexesOfMuchMayTakeTheirTime looks at how long the server may take: it reads all that an application has stored, and where it is
// stopped before the end, nothing of that is kept.
func TestIndexesOfMuchMayTakeTheirTime(t *testing.T) {
	ctx := context.Background()
	name := database(t).Name()
	var made int
	monitor := &event.CommandMonitor{Started: func(_ context.Context, e *event.CommandStartedEvent) {
		if e.CommandName != "createIndexes" {
			return
		}
		made++
		if limit, ok := e.Command.Lookup("maxTimeMS").AsInt64OK(); ok && time.Duration(limit)*time.Millisecond < time.Hour {
			t.Errorf("the server may take %d ms for the indexes of %v", limit, e.Command.Lookup("createIndexes"))
		}
	}}
	client, err := driver.Connect(options.Client().ApplyURI(server.URI).SetTimeout(10 * time.Second).SetMonitor(monitor))
	if err != nil {
		t.Fatal(err)
	}
	if err := mongo.MakeIndexes(ctx, client.Database(name)); err != nil || made == 0 {
		t.Errorf("%d times indexes are made: %v", made, err)
	}
	if err := client.Disconnect(ctx); err != nil {
		t.Error(err)
	}
}
