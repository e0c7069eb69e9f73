package mongo_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"belfry"
	"belfry/mongo"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
)

var ann = belfry.Identity{User: "1", Company: "acme"}

// message makes a message to ann.
func message(ids *belfry.IDSource) belfry.Message {
	now := time.Now()
	return belfry.Message{ID: ids.New(now), Receiver: "1", Company: "acme", SenderID: "7", Type: 1, Title: "t", Date: now.Truncate(time.Second)}
}

func add(t *testing.T, s *mongo.Store, m ...belfry.Message) {
	t.Helper()
	if _, err := s.Add(context.Background(), belfry.Entries{Messages: m}); err != nil {
		t.Fatal(err)
	}
}

func wantUnread(t *testing.T, s *mongo.Store, want int) {
	t.Helper()
	c, err := s.Counts(context.Background(), ann)
	if err != nil || c.Unread != want {
		t.Errorf("%d are unread (%v), want %d", c.Unread, err, want)
	}
}

// commitID is the _id of a commit.
func commitID(n int64) string { return fmt.Sprintf("%019d", n) }

// wantApplied waits until a commit is applied: an impatient store leaves that to later where the server is slow, and nobody makes another
// commit before.
func wantApplied(t *testing.T, db *driver.Database, n int64) {
	t.Helper()
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		var c struct {
			Applied bool `bson:"applied"`
		}
		if err := db.Collection("belfryCommits").FindOne(context.Background(), bson.D{{Key: "_id", Value: commitID(n)}}).Decode(&c); err != nil {
			t.Fatal(err)
		}
		if c.Applied {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("commit %d is not applied", n)
		}
	}
}

// leaveCommit leaves a commit as a process does that is killed after it: with some of its ops done
// and some not. It stores the third message, reads the first and withdraws the second.
func leaveCommit(t *testing.T, db *driver.Database, s *mongo.Store, ids *belfry.IDSource) (first, second, third belfry.Message) {
	t.Helper()
	ctx := context.Background()
	first, second, third = message(ids), message(ids), message(ids)
	add(t, s, first, second)
	var newest struct {
		Version int64         `bson:"version"`
		Last    bson.ObjectID `bson:"last"`
	}
	if err := db.Collection("belfryCommits").FindOne(ctx, bson.D{{Key: "_id", Value: commitID(2)}}).Decode(&newest); err != nil {
		t.Fatal(err)
	}
	wantApplied(t, db, 2)
	const n = int64(3)
	raw, err := bson.Marshal(bson.D{
		{Key: "_id", Value: bson.ObjectID(third.ID)}, {Key: "receiverID", Value: int32(1)}, {Key: "companyID", Value: "acme"},
		{Key: "typeID", Value: int32(1)}, {Key: "isRead", Value: int32(0)}, {Key: "isArchived", Value: int32(0)},
		{Key: "isDelivered", Value: int32(0)}, {Key: "date", Value: third.Date}, {Key: "v", Value: n},
	})
	if err != nil {
		t.Fatal(err)
	}
	read := bson.D{{Key: "isRead", Value: int32(1)}}
	_, err = db.Collection("belfryCommits").InsertOne(ctx, bson.D{
		{Key: "_id", Value: commitID(n)}, {Key: "version", Value: newest.Version + 1}, {Key: "last", Value: bson.ObjectID(third.ID)},
		{Key: "messages", Value: int64(3)}, {Key: "activities", Value: int64(0)}, {Key: "applied", Value: false},
		{Key: "token", Value: bson.NewObjectID()}, {Key: "at", Value: time.Now()}, {Key: "touches", Value: bson.A{"u:1"}},
		{Key: "ops", Value: bson.A{
			bson.D{{Key: "in", Value: "msgNotice"}, {Key: "doc", Value: bson.Raw(raw)}},
			bson.D{{Key: "in", Value: "msgNotice"}, {Key: "ids", Value: bson.A{bson.ObjectID(first.ID)}}, {Key: "set", Value: read}},
			bson.D{{Key: "in", Value: "msgNotice"}, {Key: "ids", Value: bson.A{bson.ObjectID(second.ID)}}, {Key: "delete", Value: true}},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Collection("msgNotice").InsertOne(ctx, bson.Raw(raw)); err != nil {
		t.Fatal(err)
	}
	return first, second, third
}

// openImpatient opens a store that soon completes what others have left.
func openImpatient(t *testing.T, db *driver.Database) *mongo.Store {
	t.Helper()
	s, err := mongo.Open(context.Background(), mongo.Options{URI: server.URI, Database: db.Name(), Patience: 500 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestCommitIsCompletedByOthers(t *testing.T) {
	db := database(t)
	s, ids := openImpatient(t, db), belfry.NewIDSource()
	first, _, third := leaveCommit(t, db, s, ids)
	wantUnread(t, s, 1)
	list, err := s.Inbox(context.Background(), ann, belfry.InboxQuery{Limit: 10})
	if err != nil || len(list) != 2 || list[0].ID != third.ID || list[1].ID != first.ID || !list[1].IsRead {
		t.Errorf("there is %+v (%v), want %v unread and %v read", list, err, third.ID, first.ID)
	}
	add(t, s, message(ids))
	wantUnread(t, s, 2)
}

// TestWhatIsBehindADoneUpsertIsDoneToo has a commit completed of which a document is there already, and others are not: it was
// left by a process that died, or another completes it at the same time.
func TestWhatIsBehindADoneUpsertIsDoneToo(t *testing.T) {
	ctx := context.Background()
	db := database(t)
	s := open(t, db)
	ids := belfry.NewIDSource()
	leaveCommit(t, db, s, ids)
	var ops bson.A
	for _, key := range []string{"first", "second", "third"} {
		ops = append(ops, bson.D{{Key: "in", Value: "belfryFloors"}, {Key: "ids", Value: bson.A{key}}, {Key: "upsert", Value: true},
			{Key: "set", Value: bson.D{{Key: "place", Value: bson.ObjectID(ids.New(time.Now()))}}}})
	}
	if _, err := db.Collection("belfryCommits").UpdateOne(ctx, bson.D{{Key: "_id", Value: commitID(3)}},
		bson.D{{Key: "$set", Value: bson.D{{Key: "ops", Value: ops}}}}); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Collection("belfryFloors").InsertOne(ctx, bson.D{{Key: "_id", Value: "first"}, {Key: "v", Value: int64(3)}}); err != nil {
		t.Fatal(err)
	}
	openImpatient(t, db)
	if n, err := db.Collection("belfryFloors").CountDocuments(ctx, bson.D{{Key: "v", Value: int64(3)}}); err != nil || n != 3 {
		t.Errorf("%d of 3 are there, %v", n, err)
	}
}

// TestATokenThatIsVoidByACommitIsVoidBeforeThatIsApplied asks for it in both ways.
func TestATokenThatIsVoidByACommitIsVoidBeforeThatIsApplied(t *testing.T) {
	ctx := context.Background()
	at := time.Now().Truncate(time.Second)
	for name, revoked := range map[string]func(*mongo.Store) (time.Time, error){
		"Profile": func(s *mongo.Store) (time.Time, error) {
			p, err := s.Profile(ctx, ann)
			return p.Revoked, err
		},
		"Revoked": func(s *mongo.Store) (time.Time, error) {
			all, err := s.Revoked(ctx, []belfry.UserID{"nobody", ann.User})
			return all[ann.User], err
		},
	} {
		t.Run(name, func(t *testing.T) {
			db := database(t)
			s := openImpatient(t, db)
			leaveCommit(t, db, s, belfry.NewIDSource())
			ops := bson.A{bson.D{{Key: "in", Value: "belfrySettings"}, {Key: "ids", Value: bson.A{string(ann.User)}},
				{Key: "upsert", Value: true}, {Key: "set", Value: bson.D{{Key: "revokedBefore", Value: at}}}}}
			if _, err := db.Collection("belfryCommits").UpdateOne(ctx, bson.D{{Key: "_id", Value: commitID(3)}},
				bson.D{{Key: "$set", Value: bson.D{{Key: "ops", Value: ops}}}}); err != nil {
				t.Fatal(err)
			}
			if got, err := revoked(s); err != nil || !got.Equal(at) {
				t.Errorf("tokens are void before %v (%v), want %v", got, err, at)
			}
		})
	}
}

// Nobody else need read or write for that.
func TestCommitThatCouldNotBeAppliedIsMadeUpFor(t *testing.T) {
	ctx := context.Background()
	db := database(t)
	s := openImpatient(t, db)
	_, second, _ := leaveCommit(t, db, s, belfry.NewIDSource())
	s.LeaveUnapplied()
	for end := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		n, err := db.Collection("msgNotice").CountDocuments(ctx, bson.D{{Key: "_id", Value: bson.ObjectID(second.ID)}})
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatal("it is never applied")
		}
	}
}

// TestProcessesShareADatabase has several stores write to one inbox.
func TestProcessesShareADatabase(t *testing.T) {
	const processes, each = 3, 15
	ctx := context.Background()
	db := database(t)
	var stores []*mongo.Store
	for range processes {
		stores = append(stores, open(t, db))
	}
	var writing sync.WaitGroup
	for _, s := range stores {
		writing.Go(func() {
			ids := belfry.NewIDSource()
			for i := range each {
				m := message(ids)
				if i%3 == 0 { // each takes the place of another's
					m.CollapseKey = "k"
				}
				if _, err := s.Add(ctx, belfry.Entries{Messages: []belfry.Message{m}}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writing.Wait()
	want := processes*each - processes*each/3 + 1
	for _, s := range stores {
		wantUnread(t, s, want)
	}
	total := 0
	for more := true; more; {
		pruned, err := stores[0].PruneMessages(ctx, belfry.MessageLimits{Rows: 10}, 20)
		if err != nil {
			t.Fatal(err)
		}
		total, more = total+pruned.Deleted, pruned.More
	}
	if total != want-10 {
		t.Errorf("%d were beyond the limit, want %d", total, want-10)
	}
	wantUnread(t, stores[1], 10)
}

// TestWhoEnrolsSeesWhatAnotherProcessStores has one process enrol and another send notices.
func TestWhoEnrolsSeesWhatAnotherProcessStores(t *testing.T) {
	ctx := context.Background()
	db := database(t)
	here, there := open(t, db), open(t, db)
	ids := belfry.NewIDSource()
	for i := range 10 {
		who := belfry.Identity{User: belfry.UserID(fmt.Sprint("new", i)), Company: "acme"}
		if err := here.Enrol(ctx, who, ids.New(time.Now())); err != nil {
			t.Fatal(err)
		}
		notice := message(ids)
		notice.Receiver = ""
		add(t, there, notice)
		for _, s := range []*mongo.Store{there, here} {
			list, err := s.Inbox(ctx, who, belfry.InboxQuery{Limit: 10})
			if err != nil || len(list) != 1 || list[0].ID != notice.ID {
				t.Fatalf("%v sees %+v (%v), want the notice", who, list, err)
			}
		}
	}
}

// TestWhatIsRecordedAnotherProcessSees has one process deliver, and another ask what waits.
func TestWhatIsRecordedAnotherProcessSees(t *testing.T) {
	ctx := context.Background()
	db := database(t)
	here, there := open(t, db), open(t, db)
	ids := belfry.NewIDSource()
	who := belfry.Identity{User: "ann", Company: "acme"}
	for range 5 {
		m := message(ids)
		m.Receiver, m.Company = who.User, who.Company
		add(t, here, m)
		if err := here.MarkDelivered(ctx, who.User, []belfry.ID{m.ID}); err != nil {
			t.Fatal(err)
		}
		for range 2 { // the second time there is nothing to record
			if err := here.RecordDelivered(ctx, who.User); err != nil {
				t.Fatal(err)
			}
		}
		if waiting, err := there.Undelivered(ctx, who, 10); err != nil || len(waiting) != 0 {
			t.Fatalf("%+v wait (%v), want none", waiting, err)
		}
	}
}

// addTrimmed stores four messages, commits 2 to 5, of which the last alone is kept.
func addTrimmed(t *testing.T, db *driver.Database, s *mongo.Store, ids *belfry.IDSource) {
	t.Helper()
	for range 4 {
		add(t, s, message(ids))
	}
	if _, err := db.Collection("belfryCommits").DeleteMany(context.Background(), bson.D{{Key: "_id", Value: bson.D{{Key: "$lt", Value: commitID(5)}}}}); err != nil {
		t.Fatal(err)
	}
}

// TestIdleProcessGoesOn has a process write after others, whose commits are no longer kept.
func TestIdleProcessGoesOn(t *testing.T) {
	ctx := context.Background()
	db := database(t)
	idle, busy := open(t, db), open(t, db)
	ids := belfry.NewIDSource()
	addTrimmed(t, db, busy, ids)
	before, err := busy.Counts(ctx, ann)
	if err != nil {
		t.Fatal(err)
	}
	idle.Idle()
	if c, err := idle.Counts(ctx, ann); err != nil || c.Version != before.Version {
		t.Errorf("the version is %d (%v), want %d", c.Version, err, before.Version)
	}
	idle.Idle()
	add(t, idle, message(ids))
	for _, s := range []*mongo.Store{idle, busy} {
		wantUnread(t, s, 5)
		if c, err := s.Counts(ctx, ann); err != nil || c.Version != before.Version+1 {
			t.Errorf("the version is %d (%v), want %d", c.Version, err, before.Version+1)
		}
	}
}

// TestProcessThatStoodStillMakesNoOtherHistory has a process write that takes a commit for the newest which is no longer kept, as after
// its machine was stopped: the number after it could be given once more.
func TestProcessThatStoodStillMakesNoOtherHistory(t *testing.T) {
	ctx := context.Background()
	db := database(t)
	still, busy := open(t, db), open(t, db)
	ids := belfry.NewIDSource()
	addTrimmed(t, db, busy, ids)
	add(t, still, message(ids))
	if got := still.Head(); got != 6 {
		t.Errorf("it has made commit %d, want 6", got)
	}
	for _, s := range []*mongo.Store{still, busy} {
		wantUnread(t, s, 5)
	}
	if n, err := db.Collection("belfryCommits").CountDocuments(ctx, bson.D{}); err != nil || n != 2 {
		t.Errorf("there are %d commits (%v), want 5 and 6", n, err)
	}
}

// TestReadersFollowWhatDoesNotConcernThem has a process that only reads know what others have stored for others: otherwise each
// of its readers would look at all of that again.
func TestReadersFollowWhatDoesNotConcernThem(t *testing.T) {
	db := database(t)
	reader, writer := open(t, db), open(t, db)
	ids := belfry.NewIDSource()
	for range 12 {
		m := message(ids)
		m.Receiver = "2"
		add(t, writer, m)
		wantUnread(t, reader, 0)
		if got, want := reader.Head(), writer.Head(); got != want {
			t.Fatalf("the reader knows the history up to %d, and it goes to %d", got, want)
		}
	}
	for range 12 { // more than is followed one by one
		m := message(ids)
		m.Receiver = "2"
		add(t, writer, m)
	}
	wantUnread(t, reader, 0)
	add(t, writer, message(ids))
	wantUnread(t, reader, 1)
}

// TestKeyIsTakenByOneProcess has several stores ask for the same key.
func TestKeyIsTakenByOneProcess(t *testing.T) {
	db := database(t)
	a, b := open(t, db), open(t, db)
	ids := belfry.NewIDSource()
	for i := range 10 {
		var taking sync.WaitGroup
		errs := make([]error, 2)
		for j, s := range []*mongo.Store{a, b} {
			m := message(ids)
			taking.Go(func() {
				_, errs[j] = s.Add(context.Background(), belfry.Entries{
					Messages: []belfry.Message{m}, Request: &belfry.Request{Key: fmt.Sprint(i), Made: time.Now()},
				})
			})
		}
		taking.Wait()
		if (errs[0] == nil) == (errs[1] == nil) {
			t.Fatalf("the answers are %v and %v, want one success", errs[0], errs[1])
		}
		for _, err := range errs {
			if err != nil && belfry.ErrorCode(err) != belfry.ErrConflict {
				t.Error(err)
			}
		}
		wantUnread(t, a, i+1)
	}
}

// TestArticleReadsItsFields looks at the documents as the article's application does.
func TestArticleReadsItsFields(t *testing.T) {
	ctx := context.Background()
	db := database(t)
	s := open(t, db)
	m := message(belfry.NewIDSource())
	add(t, s, m)
	var d bson.M
	// "receiverID, typeID and isRead together find a user's unread messages."
	err := db.Collection("msgNotice").FindOne(ctx, bson.D{{Key: "receiverID", Value: 1}, {Key: "typeID", Value: 1}, {Key: "isRead", Value: 0}}).Decode(&d)
	if err != nil {
		t.Fatal(err)
	}
	for field, want := range map[string]any{
		"_id": bson.ObjectID(m.ID), "senderID": int32(7), "companyID": "acme", "title": "t", "date": bson.NewDateTimeFromTime(m.Date),
	} {
		if d[field] != want {
			t.Errorf("%s is %v (%T), want %v (%T)", field, d[field], d[field], want, want)
		}
	}
}

// TestWhatTheArticleHasStoredIsTakenOver starts on messages and activities that the article's
// application has stored by itself.
func TestWhatTheArticleHasStoredIsTakenOver(t *testing.T) {
	ctx := context.Background()
	db := database(t)
	ids := belfry.NewIDSource()
	begun := time.Now().Truncate(time.Second)
	var messages, activities []any
	var want []belfry.ID
	for i := range 5 {
		m, a := ids.New(begun), ids.New(begun)
		want = append([]belfry.ID{m}, want...)
		about := bson.D{
			{Key: "companyID", Value: "acme"}, {Key: "portrait", Value: ""}, {Key: "title", Value: fmt.Sprint(i)},
			{Key: "content", Value: "c"}, {Key: "url", Value: ""}, {Key: "date", Value: begun},
		}
		messages = append(messages, append(bson.D{
			{Key: "_id", Value: bson.ObjectID(m)}, {Key: "senderID", Value: 7}, {Key: "sender", Value: "s"}, {Key: "receiverID", Value: 1},
			{Key: "typeID", Value: 1 + i%3}, {Key: "isRead", Value: i % 2},
		}, about...))
		activities = append(activities, append(bson.D{
			{Key: "_id", Value: bson.ObjectID(a)}, {Key: "operatorID", Value: 7}, {Key: "operator", Value: "o"}, {Key: "receiver", Value: ""},
			{Key: "objectType", Value: 1}, {Key: "objectID", Value: 9},
		}, about...))
	}
	for name, documents := range map[string][]any{"msgNotice": messages, "handleLog": activities} {
		if _, err := db.Collection(name).InsertMany(ctx, documents); err != nil {
			t.Fatal(err)
		}
	}
	s := open(t, db)
	wantUnread(t, s, 3)
	list, err := s.Inbox(ctx, ann, belfry.InboxQuery{Limit: 10})
	if err != nil || len(list) != len(want) {
		t.Fatalf("the inbox has %d messages (%v), want %d", len(list), err, len(want))
	}
	for i, m := range list {
		if m.ID != want[i] || m.SenderID != "7" || !m.Date.Equal(begun) || m.IsRead != (i%2 == 1) {
			t.Errorf("message %d is %+v", i, m)
		}
	}
	if waiting, err := s.Undelivered(ctx, ann, 10); err != nil || len(waiting) != 0 {
		t.Errorf("%d messages of the application wait for pages (%v)", len(waiting), err)
	}
	feed, err := s.Feed(ctx, "acme", belfry.FeedQuery{Limit: 10})
	if err != nil || len(feed) != 5 || feed[0].OperatorID != "7" || feed[0].ObjectID != "9" {
		t.Errorf("the feed is %+v (%v)", feed, err)
	}
	mark := belfry.Mark{Kind: belfry.RevisionArchived, IDs: want[:1], Place: belfry.At(ids.New(begun))}
	if marked, err := s.Mark(ctx, ann, mark); err != nil || marked.Counts.Unread != 2 || len(marked.Own) != 1 {
		t.Errorf("the mark has done %+v (%v)", marked, err)
	}
	add(t, s, message(ids))
	for _, limits := range []belfry.MessageLimits{{Rows: 5}, {RowsPerUser: 4}, {Since: want[1]}} {
		for i := 0; ; i++ {
			pruned, err := s.PruneMessages(ctx, limits, 2)
			if err != nil || i > 100 {
				t.Fatalf("%+v: %+v, %v", limits, pruned, err)
			}
			if !pruned.More {
				break
			}
		}
	}
	all, err := db.Collection("msgNotice").CountDocuments(ctx, bson.D{})
	if err != nil || all != 3 { // the new one, and two of the application
		t.Errorf("%d messages are left (%v), want 3", all, err)
	}
	wantUnread(t, s, 1)
}

func TestIndexesAreMade(t *testing.T) {
	ctx := context.Background()
	db := database(t)
	if err := mongo.MakeIndexes(ctx, db); err != nil {
		t.Fatal(err)
	}
	all, err := db.Collection("msgNotice").Indexes().ListSpecifications(ctx)
	if err != nil || len(all) != 7 {
		t.Errorf("there are %d indexes (%v), want 6 and that of _id", len(all), err)
	}
	// Since asks for an owner's revisions in this order, and for some of them.
	all, err = db.Collection("belfryRevisions").Indexes().ListSpecifications(ctx)
	if err != nil || !slices.ContainsFunc(all, func(i driver.IndexSpecification) bool { return i.Name == "owner_1_companyID_1_place_1_kind_1__id_1" }) {
		t.Errorf("the indexes of the revisions are %+v (%v)", all, err)
	}
}

func TestSecretsAreNotInErrors(t *testing.T) {
	const secret = "s3cr3t"
	for _, uri := range []string{
		"mongodb://belfry:" + secret + "@127.0.0.1:1/?serverSelectionTimeoutMS=1", "mongodb://belfry:" + secret + "%zz@127.0.0.1/",
		"mysql://belfry:" + secret + "@127.0.0.1/", "mongodb://belfry:" + secret + "@127.0.0.1:99999999/",
	} {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		s, err := mongo.Open(ctx, mongo.Options{URI: uri})
		cancel()
		if err == nil {
			s.Close()
			t.Errorf("%q is opened", uri)
		} else if strings.Contains(err.Error(), secret) {
			t.Errorf("the error tells the password: %v", err)
		}
	}
}
