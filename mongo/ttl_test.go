package mongo_test

import (
	"context"
	"testing"
	"time"

	"belfry"
	"belfry/mongo"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// expire deletes what the server would by its TTL indexes.
func expire(t *testing.T, db *driver.Database, ttl mongo.TTL) {
	t.Helper()
	before := func(age time.Duration) bson.E {
		return bson.E{Key: "storedAt", Value: bson.D{{Key: "$lt", Value: time.Now().Add(-age)}}}
	}
	for name, filter := range map[string]bson.D{
		"msgNotice": {before(ttl.MessageAge), {Key: "isRead", Value: int32(1)}},
		"handleLog": {before(ttl.ActivityAge)},
	} {
		result, err := db.Collection(name).DeleteMany(context.Background(), filter)
		if err != nil {
			t.Fatal(err)
		}
		if result.DeletedCount == 0 {
			t.Errorf("nothing in %s expires", name)
		}
	}
}

// messagesFrom makes and stores messages to ann as if it were another time.
func messagesFrom(t *testing.T, s *mongo.Store, ago time.Duration, n int) []belfry.ID {
	t.Helper()
	source := belfry.NewIDSource()
	var list []belfry.Message
	var ids []belfry.ID
	for range n {
		m := belfry.Message{ID: source.New(time.Now().Add(-ago)), Receiver: "1", Company: "acme", Type: 1, Title: "t", Date: time.Now()}
		list, ids = append(list, m), append(ids, m.ID)
	}
	add(t, s, list...)
	return ids
}

func markRead(t *testing.T, s *mongo.Store, ids ...belfry.ID) {
	t.Helper()
	place := belfry.NewIDSource().New(time.Now())
	if _, err := s.Mark(context.Background(), ann, belfry.Mark{Kind: belfry.RevisionRead, IDs: ids, Place: belfry.At(place)}); err != nil {
		t.Fatal(err)
	}
}

// prune prunes until there is nothing left to do.
func prune(t *testing.T, s *mongo.Store, limits belfry.MessageLimits) (deleted int, unread []belfry.Identity) {
	t.Helper()
	for {
		p, err := s.PruneMessages(context.Background(), limits, 10)
		if err != nil {
			t.Fatal(err)
		}
		deleted, unread = deleted+p.Deleted, append(unread, p.Unread...)
		if !p.More {
			return deleted, unread
		}
	}
}

func inboxIDs(t *testing.T, s *mongo.Store) (ids []belfry.ID) {
	t.Helper()
	list, err := s.Inbox(context.Background(), ann, belfry.InboxQuery{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range list {
		ids = append(ids, m.ID)
	}
	return ids
}

// logReaches reports whether the log is complete after a place.
func logReaches(t *testing.T, s *mongo.Store, after belfry.ID) bool {
	t.Helper()
	_, complete, err := s.Since(context.Background(), ann, after, belfry.NewIDSource().New(time.Now().Add(time.Minute)), 1000)
	if err != nil {
		t.Fatal(err)
	}
	return complete
}

var dayAndTwo = mongo.TTL{MessageAge: 24 * time.Hour, ActivityAge: 48 * time.Hour}

func TestWhatTheServerDeletesByItselfChangesNoCountAndLeavesNoGap(t *testing.T) {
	ctx := context.Background()
	db := database(t)
	s := open(t, db)
	before := messagesFrom(t, s, 30*time.Hour, 2) // before there was a TTL
	s.AssumeTTL(dayAndTwo)
	old := messagesFrom(t, s, 26*time.Hour, 3)
	young := messagesFrom(t, s, 22*time.Hour, 3)
	act := belfry.Activity{ID: belfry.NewIDSource().New(time.Now().Add(-50 * time.Hour)), Company: "acme", Title: "t", Date: time.Now()}
	if _, err := s.Add(ctx, belfry.Entries{Activities: []belfry.Activity{act}}); err != nil {
		t.Fatal(err)
	}
	markRead(t, s, before[0], old[0], old[1], young[0])
	wantUnread(t, s, 4)
	counted, err := s.Counts(ctx, ann)
	if err != nil {
		t.Fatal(err)
	}
	if logReaches(t, s, old[1]) || logReaches(t, s, belfry.NewIDSource().New(time.Now().Add(-24*time.Hour))) {
		t.Error("the log reaches back to what the server may delete now")
	}
	if !logReaches(t, s, young[0]) {
		t.Error("the log does not reach back to what is kept")
	}

	expire(t, db, dayAndTwo)
	if again, err := s.Counts(ctx, ann); err != nil || again.Unread != counted.Unread || again.Unseen != counted.Unseen || again.Version != counted.Version {
		t.Errorf("the server has changed the counts from %+v to %+v, %v", counted, again, err)
	}
	if got := inboxIDs(t, s); len(got) != 6 {
		t.Errorf("there are %d messages, want those that were stored before, the unread one and the young ones", len(got))
	}
	if got, err := s.Undelivered(ctx, ann, 100); err != nil || len(got) != 4 {
		t.Errorf("%d messages wait, %v; want those that are unread", len(got), err)
	}

	// Retention deletes what the server leaves: the two from before, and one that is unread.
	limits := belfry.MessageLimits{Since: belfry.NewIDSource().New(time.Now().Add(-24 * time.Hour))}
	deleted, unread := prune(t, s, limits)
	if deleted != 3 || len(unread) == 0 {
		t.Errorf("%d messages are deleted, want 3; unread ones of %v", deleted, unread)
	}
	for _, who := range unread {
		if who != (belfry.Identity{User: "1"}) {
			t.Errorf("%v has lost unread messages", who)
		}
	}
	wantUnread(t, s, 2)
	if after, err := s.Counts(ctx, ann); err != nil || after.Version <= counted.Version {
		t.Errorf("the version of the counts is %d after %d, %v", after.Version, counted.Version, err)
	}
	if p, err := s.PruneActivities(ctx, belfry.ActivityLimits{Since: act.ID}, 10); err != nil || p.Deleted != 0 {
		t.Errorf("PruneActivities: %+v, %v", p, err)
	}
	for name, err := range map[string]error{
		"messages":   func() error { _, err := s.PruneMessages(ctx, belfry.MessageLimits{Rows: 1}, 10); return err }(),
		"activities": func() error { _, err := s.PruneActivities(ctx, belfry.ActivityLimits{Rows: 1}, 10); return err }(),
	} {
		if belfry.ErrorCode(err) != belfry.ErrInvalid {
			t.Errorf("a limit on all %s: %v", name, err)
		}
	}
}

func TestReadMessagesThatExpireSoonAreLeftToTheServer(t *testing.T) {
	db := database(t)
	s := open(t, db)
	s.AssumeTTL(dayAndTwo)
	old := messagesFrom(t, s, 26*time.Hour, 2)
	markRead(t, s, old...)
	limits := belfry.MessageLimits{Since: belfry.NewIDSource().New(time.Now().Add(-24 * time.Hour))}
	if deleted, _ := prune(t, s, limits); deleted != 0 {
		t.Errorf("%d messages are deleted", deleted)
	}
	place := belfry.NewIDSource().New(time.Now())
	if _, err := s.Mark(context.Background(), ann, belfry.Mark{Kind: belfry.RevisionUnread, IDs: old[:1], Place: belfry.At(place)}); err != nil {
		t.Fatal(err)
	}
	// It is unread again, so that the server would leave it.
	if deleted, unread := prune(t, s, limits); deleted != 1 || len(unread) != 1 {
		t.Errorf("%d messages are deleted, unread ones of %v", deleted, unread)
	}
}

func TestWithoutATTLTheNumbersAreRightAgain(t *testing.T) {
	ctx := context.Background()
	db := database(t)
	s := open(t, db)
	s.AssumeTTL(dayAndTwo)
	old := messagesFrom(t, s, 26*time.Hour, 4)
	young := messagesFrom(t, s, time.Hour, 4)
	act := belfry.Activity{ID: belfry.NewIDSource().New(time.Now().Add(-50 * time.Hour)), Company: "acme", Title: "t", Date: time.Now()}
	if _, err := s.Add(ctx, belfry.Entries{Activities: []belfry.Activity{act}}); err != nil {
		t.Fatal(err)
	}
	markRead(t, s, old...)
	expire(t, db, dayAndTwo)
	if err := s.EndTTL(ctx); err != nil {
		t.Fatal(err)
	}
	if logReaches(t, s, old[3]) || !logReaches(t, s, young[0]) {
		t.Error("without a TTL, the log does not reach back to where it did")
	}
	if deleted, _ := prune(t, s, belfry.MessageLimits{Rows: 4}); deleted != 0 {
		t.Errorf("%d of 4 messages are deleted beyond 4", deleted)
	}
	if deleted, _ := prune(t, s, belfry.MessageLimits{Rows: 3}); deleted != 1 {
		t.Errorf("%d of 4 messages are deleted beyond 3", deleted)
	}
}

func openTTL(db *driver.Database, ttl mongo.TTL) (*mongo.Store, error) {
	return mongo.Open(context.Background(), mongo.Options{URI: server.URI, Database: db.Name(), Patience: patience, TTL: &ttl})
}

func TestATTLThatTheServerCannotHaveIsRefused(t *testing.T) {
	for _, ttl := range []mongo.TTL{{MessageAge: time.Minute}, {ActivityAge: 100 * 365 * 24 * time.Hour}} {
		if _, err := openTTL(database(t), ttl); belfry.ErrorCode(err) != belfry.ErrInvalid {
			t.Errorf("%v: %v", ttl, err)
		}
	}
	if !server.Slow {
		t.Skip("this server has TTL indexes")
	}
	if _, err := openTTL(database(t), dayAndTwo); belfry.ErrorCode(err) != belfry.ErrInvalid {
		t.Errorf("a server without TTL indexes: %v", err)
	}
}

func TestTheIndexesFollowTheTTL(t *testing.T) {
	if server.Slow {
		t.Skip("FerretDB has no TTL indexes: name a MongoDB by BELFRY_TEST_MONGO")
	}
	db := database(t)
	for _, ttl := range []mongo.TTL{dayAndTwo, {MessageAge: time.Hour, ActivityAge: time.Hour}, {ActivityAge: time.Hour}, {}} {
		s, err := openTTL(db, ttl)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		open(t, db) // it leaves them as they are
		for name, age := range map[string]time.Duration{"msgNotice": ttl.MessageAge, "handleLog": ttl.ActivityAge} {
			indexes, err := db.Collection(name).Indexes().ListSpecifications(context.Background())
			if err != nil {
				t.Fatal(err)
			}
			var got time.Duration
			for _, index := range indexes {
				if index.ExpireAfterSeconds != nil {
					got = time.Duration(*index.ExpireAfterSeconds) * time.Second
				}
			}
			if got != age {
				t.Errorf("what is in %s expires after %v, want %v", name, got, age)
			}
		}
	}
}

// TestProcessesEndATTLAtTheSameTime has two begin with the indexes there.
func TestProcessesEndATTLAtTheSameTime(t *testing.T) {
	ctx := context.Background()
	db := database(t)
	a, b := open(t, db), open(t, db)
	ids := belfry.NewIDSource()
	add(t, a, message(ids)) // or there would be no collection
	if _, err := db.Collection("msgNotice").Indexes().CreateOne(ctx, driver.IndexModel{
		Keys: bson.D{{Key: "storedAt", Value: 1}}, Options: options.Index().SetName("belfryTTL"),
	}); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Collection("msgNotice").Indexes().CreateOne(ctx, driver.IndexModel{
		Keys: bson.D{{Key: "isRead", Value: 1}, {Key: "_id", Value: 1}}, Options: options.Index().SetName("belfryAged"),
	}); err != nil {
		t.Fatal(err)
	}
	for _, s := range []*mongo.Store{a, b} {
		if err := s.ChangeTTL(ctx, mongo.TTL{MessageAge: time.Hour}, mongo.TTL{}); err != nil {
			t.Error(err)
		}
	}
}
