package mongo_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"belfry"
	"belfry/internal/transfer"
	"belfry/mongo"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

var someBytes = mongo.Capped{Bytes: mongo.MinCappedBytes}

// capCollections makes the capped collections of a database.
func capCollections(t *testing.T, db *driver.Database, capped mongo.Capped) {
	t.Helper()
	if err := mongo.CapCollections(context.Background(), db, capped); err != nil {
		t.Fatal(err)
	}
}

// openCapped returns a store on capped collections, from which the test drops what the server would.
func openCapped(t *testing.T, db *driver.Database) *mongo.Store {
	t.Helper()
	capCollections(t, db, someBytes)
	s := open(t, db)
	if err := s.AssumeCapped(context.Background(), true); err != nil {
		t.Fatal(err)
	}
	return s
}

// drop deletes the oldest documents of a collection as the server would.
func drop(t *testing.T, db *driver.Database, name string, n int64) {
	t.Helper()
	ctx := context.Background()
	cursor, err := db.Collection(name).Find(ctx, bson.D{}, options.Find().SetSort(bson.D{{Key: "$natural", Value: 1}}).SetLimit(n))
	if err != nil {
		t.Fatal(err)
	}
	var oldest []struct {
		ID bson.ObjectID `bson:"_id"`
	}
	if err := cursor.All(ctx, &oldest); err != nil {
		t.Fatal(err)
	}
	for _, one := range oldest {
		if result, err := db.Collection(name).DeleteOne(ctx, bson.D{{Key: "_id", Value: one.ID}}); err != nil || result.DeletedCount != 1 {
			t.Fatal(result, err)
		}
	}
	if int64(len(oldest)) != n {
		t.Fatalf("there are %d documents in %s, %d are to be dropped", len(oldest), name, n)
	}
}

func placeAgo(ago time.Duration) belfry.ID { return belfry.NewIDSource().New(time.Now().Add(-ago)) }

func addActivity(t *testing.T, s *mongo.Store, ago time.Duration) belfry.ID {
	t.Helper()
	a := belfry.Activity{ID: placeAgo(ago), Company: "acme", Title: "t", Date: time.Now()}
	if _, err := s.Add(context.Background(), belfry.Entries{Activities: []belfry.Activity{a}}); err != nil {
		t.Fatal(err)
	}
	return a.ID
}

func countsOf(t *testing.T, s *mongo.Store) belfry.Counts {
	t.Helper()
	counts, err := s.Counts(context.Background(), ann)
	if err != nil {
		t.Fatal(err)
	}
	return counts
}

var everybody = []belfry.Identity{{}}

// wantNoticed fails unless a look finds that messages were dropped, or that none were.
func wantNoticed(t *testing.T, s *mongo.Store, dropped bool) {
	t.Helper()
	deleted, unread := prune(t, s, belfry.MessageLimits{})
	if deleted != 0 || dropped != slices.Equal(unread, everybody) || !dropped && len(unread) > 0 {
		t.Errorf("%d messages are deleted, unread ones of %v; want everybody to be told: %v", deleted, unread, dropped)
	}
}

func TestAPageOfANewDatabaseWithCappedCollectionsMissesNothing(t *testing.T) {
	s := openCapped(t, database(t))
	before := placeAgo(time.Hour)
	if !logReaches(t, s, before) {
		t.Error("the log of an empty database is not complete")
	}
	ids := messagesFrom(t, s, time.Second, 3)
	addActivity(t, s, time.Second)
	if !logReaches(t, s, before) || !logReaches(t, s, belfry.ID{}) {
		t.Error("the log is not complete from before the first message, and nothing has been dropped")
	}
	version := countsOf(t, s).Version
	for i, id := range []belfry.ID{ids[1], ids[0]} { // the second one is the head
		wantNoticed(t, s, false)
		if _, err := s.Withdraw(context.Background(), id, belfry.At(placeAgo(0))); err != nil {
			t.Fatal(err)
		}
		if !logReaches(t, s, before) {
			t.Errorf("the log is not complete after %d messages were withdrawn", i+1)
		}
	}
	wantNoticed(t, s, false)
	if got := countsOf(t, s); got.Unread != 1 || got.Version != version+2 {
		t.Errorf("%+v, want 1 unread and two versions more than %d", got, version)
	}
}

func TestWhatIsWithdrawnBeforeTheFirstLookIsNotDropped(t *testing.T) {
	s := openCapped(t, database(t))
	ids := messagesFrom(t, s, time.Second, 2)
	if _, err := s.Withdraw(context.Background(), ids[0], belfry.At(placeAgo(0))); err != nil {
		t.Fatal(err)
	}
	wantNoticed(t, s, false)
	if !logReaches(t, s, placeAgo(time.Hour)) {
		t.Error("the log is not complete")
	}
}

func TestWhatTheServerDropsIsMissedByNobody(t *testing.T) {
	db := database(t)
	s := openCapped(t, db)
	old := messagesFrom(t, s, 3*time.Hour, 4)
	addActivity(t, s, 3*time.Hour)
	middle := messagesFrom(t, s, 2*time.Hour, 2)
	messagesFrom(t, s, time.Hour, 2)
	wantNoticed(t, s, false)
	counted := countsOf(t, s)

	drop(t, db, "msgNotice", 4)
	soonAfter := belfry.NewIDSource().New(middle[0].Time().Add(30 * time.Second)) // of the clocks of processes that is no difference
	for place, complete := range map[belfry.ID]bool{
		{}: false, old[0]: false, old[3]: false, middle[0]: false, soonAfter: false,
		placeAgo(2*time.Hour - 2*time.Minute): true, placeAgo(0): true,
	} {
		if logReaches(t, s, place) != complete {
			t.Errorf("the log from %v ago is complete: %v", time.Since(place.Time()).Round(time.Second), !complete)
		}
	}
	if got := countsOf(t, s); got.Unread != 4 {
		t.Errorf("%d are unread, want the 4 that are left", got.Unread)
	}
	if got, err := s.Undelivered(context.Background(), ann, 100); err != nil || len(got) != 4 {
		t.Errorf("%d messages wait, %v; want the 4 that are left", len(got), err)
	}

	wantNoticed(t, s, true)
	if got := countsOf(t, s); got.Unread != 4 || got.Version <= counted.Version {
		t.Errorf("after the look: %+v, want 4 unread and a higher version than %d", got, counted.Version)
	}
	wantNoticed(t, s, false)
	if logReaches(t, s, middle[0]) || !logReaches(t, s, placeAgo(time.Hour)) {
		t.Error("the log does not reach back as it did before the look")
	}

	// Nobody has looked since: the log knows all the same.
	drop(t, db, "msgNotice", 2)
	if logReaches(t, s, placeAgo(2*time.Hour-2*time.Minute)) || !logReaches(t, s, placeAgo(time.Hour-2*time.Minute)) {
		t.Error("the log does not know what was dropped after the look")
	}
	wantNoticed(t, s, true)
}

func TestActivitiesThatTheServerDropsChangeNoCount(t *testing.T) {
	ctx := context.Background()
	db := database(t)
	s := openCapped(t, db)
	messagesFrom(t, s, 4*time.Hour, 1)
	addActivity(t, s, 3*time.Hour)
	addActivity(t, s, time.Hour)
	wantNoticed(t, s, false)
	look := func() {
		t.Helper()
		if p, err := s.PruneActivities(ctx, belfry.ActivityLimits{}, 10); err != nil || p.Deleted != 0 || p.More || p.Unread != nil {
			t.Errorf("PruneActivities: %+v, %v", p, err)
		}
	}
	look()
	counted := countsOf(t, s)
	drop(t, db, "handleLog", 1)
	for range 2 {
		if logReaches(t, s, placeAgo(2*time.Hour)) || !logReaches(t, s, placeAgo(time.Hour-2*time.Minute)) {
			t.Error("the log does not know which activities were dropped")
		}
		look()
	}
	// A reader may have read the floors before another process has noticed.
	if _, err := db.Collection("belfryFloors").DeleteMany(ctx, bson.D{}); err != nil {
		t.Fatal(err)
	}
	if logReaches(t, s, placeAgo(2*time.Hour)) {
		t.Error("the log knows by its floors alone what was dropped")
	}
	wantNoticed(t, s, false)
	if got := countsOf(t, s); got.Version != counted.Version {
		t.Errorf("the version of the counts is %d after %d", got.Version, counted.Version)
	}
}

func TestWhatIsDroppedBeforeTheFirstLookIsNoticed(t *testing.T) {
	for _, name := range []string{"msgNotice", "handleLog"} {
		db := database(t)
		s := openCapped(t, db)
		messagesFrom(t, s, 2*time.Hour, 1)
		messagesFrom(t, s, time.Hour, 2)
		addActivity(t, s, 2*time.Hour)
		addActivity(t, s, time.Hour)
		drop(t, db, name, 1)
		if logReaches(t, s, placeAgo(3*time.Hour)) || !logReaches(t, s, placeAgo(time.Hour-2*time.Minute)) {
			t.Errorf("the log does not know what was dropped from %s before anybody looked", name)
		}
		wantNoticed(t, s, name == "msgNotice")
	}
}

func TestOneOfSeveralProcessesNoticesWhatWasDropped(t *testing.T) {
	db := database(t)
	stores := []*mongo.Store{openCapped(t, db), openCapped(t, db)}
	reader := openCapped(t, db) // it does not look
	messagesFrom(t, stores[0], 2*time.Hour, 3)
	wantNoticed(t, stores[0], false)
	wantNoticed(t, stores[1], false)
	version := countsOf(t, reader).Version
	drop(t, db, "msgNotice", 1)

	told := make([]int, len(stores))
	var running sync.WaitGroup
	for i, s := range stores {
		running.Go(func() {
			for more := true; more; {
				p, err := s.PruneMessages(context.Background(), belfry.MessageLimits{}, 10)
				if err != nil {
					t.Error(err)
					return
				}
				told[i] += len(p.Unread)
				more = p.More
			}
		})
	}
	running.Wait()
	if told[0]+told[1] != 1 {
		t.Errorf("everybody is told %v times, want once", told)
	}
	for _, s := range append(stores, reader) {
		if got := countsOf(t, s); got.Version != version+1 || got.Unread != 2 {
			t.Errorf("%+v, want 2 unread and the version after %d", got, version)
		}
	}
}

func TestRetentionBesideCappedCollectionsIsNotTakenForTheServer(t *testing.T) {
	ctx := context.Background()
	db := database(t)
	s := openCapped(t, db)
	messagesFrom(t, s, 4*time.Hour, 3)
	messagesFrom(t, s, time.Hour, 3)
	addActivity(t, s, 4*time.Hour)
	addActivity(t, s, time.Hour)
	onlyAnn := func(limits belfry.MessageLimits, want int) {
		t.Helper()
		deleted, unread := prune(t, s, limits)
		if deleted != want || slices.ContainsFunc(unread, func(who belfry.Identity) bool { return who != belfry.Identity{User: "1"} }) {
			t.Errorf("%d messages are deleted, want %d; unread ones of %v", deleted, want, unread)
		}
		wantNoticed(t, s, false)
	}
	onlyAnn(belfry.MessageLimits{Since: placeAgo(2 * time.Hour)}, 3)
	onlyAnn(belfry.MessageLimits{RowsPerUser: 2}, 1)
	version := countsOf(t, s).Version
	for i, want := range []int{1, 0, 0} {
		if p, err := s.PruneActivities(ctx, belfry.ActivityLimits{Since: placeAgo(2 * time.Hour)}, 10); err != nil || p.Deleted != want {
			t.Errorf("step %d of activities: %+v, %v", i, p, err)
		}
	}
	if got := countsOf(t, s); got.Version != version || got.Unread != 2 {
		t.Errorf("%+v, want 2 unread and version %d", got, version)
	}
	// What the server drops meanwhile is noticed all the same.
	drop(t, db, "msgNotice", 1)
	deleted, unread := prune(t, s, belfry.MessageLimits{RowsPerUser: 1})
	if deleted != 0 || !slices.Equal(unread, everybody) {
		t.Errorf("%d messages are deleted, unread ones of %v; want everybody to be told", deleted, unread)
	}
	// All that there are, so that there is no head.
	onlyAnn(belfry.MessageLimits{Since: placeAgo(-time.Hour)}, 1)
	messagesFrom(t, s, 0, 1)
	if got := inboxIDs(t, s); len(got) != 1 {
		t.Errorf("%d messages", len(got))
	}
}

func TestNumbersOfRowsCannotBeKeptBesideCappedCollections(t *testing.T) {
	ctx := context.Background()
	s := openCapped(t, database(t))
	if _, err := s.PruneMessages(ctx, belfry.MessageLimits{Rows: 1}, 10); belfry.ErrorCode(err) != belfry.ErrInvalid {
		t.Errorf("messages: %v", err)
	}
	if _, err := s.PruneActivities(ctx, belfry.ActivityLimits{Rows: 1}, 10); belfry.ErrorCode(err) != belfry.ErrInvalid {
		t.Errorf("activities: %v", err)
	}
}

func TestADatabaseThatBecomesCappedAndNoLongerIsCutsTheLogAndCountsAgain(t *testing.T) {
	ctx := context.Background()
	db := database(t)
	capCollections(t, db, someBytes)
	s := open(t, db)
	last := messagesFrom(t, s, 2*time.Hour, 4)[3]
	become := func(capped bool) {
		t.Helper()
		drop(t, db, "msgNotice", 1) // convertToCapped and the copy that undoes it may do that
		version := countsOf(t, s).Version
		if err := s.AssumeCapped(ctx, capped); err != nil {
			t.Fatal(err)
		}
		if got := countsOf(t, s); got.Version <= version {
			t.Errorf("capped %v: the version of the counts is %d after %d", capped, got.Version, version)
		}
		if logReaches(t, s, placeAgo(3*time.Hour)) || !logReaches(t, s, last) {
			t.Errorf("capped %v: the log is not cut at what was there", capped)
		}
		version = countsOf(t, s).Version
		if err := s.AssumeCapped(ctx, capped); err != nil { // as the next start
			t.Fatal(err)
		}
		if got := countsOf(t, s); got.Version != version {
			t.Errorf("capped %v: another start changes the version of the counts from %d to %d", capped, version, got.Version)
		}
	}
	become(true)
	become(false)
	if deleted, _ := prune(t, s, belfry.MessageLimits{Rows: 2}); deleted != 0 {
		t.Errorf("%d of 2 messages are deleted beyond 2", deleted)
	}
	if deleted, _ := prune(t, s, belfry.MessageLimits{Rows: 1}); deleted != 1 {
		t.Errorf("%d of 2 messages are deleted beyond 1", deleted)
	}
}

func TestWhoCopiesFromCappedCollectionsCopiesBackToWhereTheLogReaches(t *testing.T) {
	db := database(t)
	s := openCapped(t, db)
	old := messagesFrom(t, s, 2*time.Hour, 1)
	messagesFrom(t, s, time.Hour, 1)
	wantNoticed(t, s, false)
	drop(t, db, "msgNotice", 1)
	if copied := open(t, db); logReaches(t, copied, old[0]) { // it takes the floors alone, as a copy does
		t.Error("the floors do not say what was dropped")
	}
}

func TestACopyThatACappedCollectionDoesNotHoldIsRefused(t *testing.T) {
	ctx := context.Background()
	db := database(t)
	capCollections(t, db, someBytes)
	write := func(name string, n, dropped int) error {
		return mongo.Undiminished(ctx, db.Collection(name), n, func() error {
			for range n {
				if _, err := db.Collection(name).InsertOne(ctx, bson.D{{Key: "_id", Value: bson.NewObjectID()}}); err != nil {
					return err
				}
			}
			if dropped > 0 {
				drop(t, db, name, int64(dropped))
			}
			return nil
		})
	}
	for range 2 {
		if err := write("msgNotice", 3, 0); err != nil {
			t.Errorf("a page that fits: %v", err)
		}
	}
	for name, of := range map[string]string{"a page that drops others": "msgNotice", "a page that does not fit itself": "handleLog"} {
		if err := write(of, 3, 1); belfry.ErrorCode(err) != belfry.ErrInvalid || !strings.Contains(err.Error(), of+" is capped at 16777216 bytes") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// silent is a reporter that tells nobody.
type silent struct{}

func (silent) Begin(string, transfer.Kind, int64) {}
func (silent) Add(int)                            {}
func (silent) End(transfer.Sum)                   {}

func TestACopyGoesIntoCappedCollectionsAndCutsTheLogAtTheNextStart(t *testing.T) {
	ctx := context.Background()
	source, target := open(t, database(t)), openCapped(t, database(t))
	messagesFrom(t, source, time.Hour, 3)
	last := addActivity(t, source, 30*time.Minute)
	if err := transfer.Copy(ctx, source.Transfer(), target.Transfer(), silent{}); err != nil {
		t.Fatal(err)
	}
	if err := target.AssumeCapped(ctx, true); err != nil { // as the next start does
		t.Fatal(err)
	}
	if logReaches(t, target, placeAgo(2*time.Hour)) || !logReaches(t, target, last) {
		t.Error("the log is not cut at what was copied, in whatever order")
	}
	wantNoticed(t, target, false)
	if got := countsOf(t, target); got.Unread != 3 {
		t.Errorf("%d are unread, want 3", got.Unread)
	}
}

// sizes returns how the collections of a database are capped, as the server lists it.
func sizes(t *testing.T, db *driver.Database) map[string]string {
	t.Helper()
	found, err := db.ListCollectionSpecifications(context.Background(), bson.D{})
	if err != nil {
		t.Fatal(err)
	}
	sizes := make(map[string]string)
	for _, one := range found {
		if capped, _ := one.Options.Lookup("capped").BooleanOK(); !capped {
			continue
		}
		size := one.Options.Lookup("size")
		bytes, _ := size.AsInt64OK()
		rows, _ := one.Options.Lookup("max").AsInt64OK()
		sizes[one.Name] = mongo.Capped{Bytes: bytes, Rows: rows}.String()
	}
	return sizes
}

func TestTheTwoCollectionsAreMadeCapped(t *testing.T) {
	for want, capped := range map[string]mongo.Capped{
		"16777216 bytes":                  someBytes,
		"33554688 bytes and 10 documents": {Bytes: 2*mongo.MinCappedBytes + 1, Rows: 10},
	} {
		db := database(t)
		capCollections(t, db, capped)
		capCollections(t, db, capped) // of the size that they have
		open(t, db)
		if got := sizes(t, db); len(got) != 2 || got["msgNotice"] != want || got["handleLog"] != want {
			t.Errorf("capped are %v, want %v", got, want)
		}
	}
}

func openWith(t *testing.T, db *driver.Database, capped mongo.Capped, ttl mongo.TTL) error {
	t.Helper()
	s, err := mongo.Open(context.Background(), mongo.Options{URI: server.URI, Database: db.Name(), Patience: patience, Capped: &capped, TTL: &ttl})
	if err == nil {
		t.Cleanup(func() {
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	return err
}

func TestCollectionsThatAreNotCappedAsTheyShouldBeAreRefused(t *testing.T) {
	plain := func(t *testing.T, db *driver.Database) { messagesFrom(t, open(t, db), 0, 1) }
	capped := func(t *testing.T, db *driver.Database) { capCollections(t, db, someBytes) }
	for name, one := range map[string]struct {
		have func(*testing.T, *driver.Database)
		want mongo.Capped
		ttl  mongo.TTL
		says []string
	}{
		"not capped": {plain, someBytes, mongo.TTL{}, []string{
			"is there and not capped", `db.runCommand({convertToCapped: "msgNotice", size: 16777216})`, "belfry migrate", "sharded",
		}},
		"not capped, with rows": {plain, mongo.Capped{Bytes: mongo.MinCappedBytes, Rows: 9}, mongo.TTL{}, []string{
			`db.runCommand({collMod: "msgNotice", cappedMax: 9})`,
		}},
		"of another size": {capped, mongo.Capped{Bytes: 2 * mongo.MinCappedBytes}, mongo.TTL{}, []string{
			"capped at 16777216 bytes, and is to be at 33554432 bytes", `db.runCommand({collMod: "msgNotice", cappedSize: 33554432, cappedMax: 0})`,
		}},
		"of another number of rows":   {capped, mongo.Capped{Bytes: mongo.MinCappedBytes, Rows: 9}, mongo.TTL{}, []string{"is to be at 16777216 bytes and 9 documents"}},
		"capped and not to be":        {capped, mongo.Capped{}, mongo.TTL{}, []string{"is a capped collection of 16777216 bytes", "store-retention", "belfry migrate"}},
		"too small":                   {plain, mongo.Capped{Bytes: 4096}, mongo.TTL{}, []string{"4096 bytes"}},
		"both capped and with a TTL":  {plain, someBytes, dayAndTwo, []string{"capped collections have no TTL indexes"}},
		"capped and with a TTL later": {capped, mongo.Capped{}, dayAndTwo, []string{"is a capped collection"}},
	} {
		t.Run(name, func(t *testing.T) {
			db := database(t)
			one.have(t, db)
			err := openWith(t, db, one.want, one.ttl)
			if belfry.ErrorCode(err) != belfry.ErrInvalid {
				t.Fatalf("%v", err)
			}
			for _, part := range one.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%v; want %q", err, part)
				}
			}
		})
	}
}

func TestAServerThatDropsNothingIsRefused(t *testing.T) {
	if !server.Slow {
		t.Skip("this server drops what does not fit")
	}
	db := database(t)
	err := openWith(t, db, someBytes, mongo.TTL{})
	if belfry.ErrorCode(err) != belfry.ErrInvalid || !strings.Contains(err.Error(), "drops nothing") {
		t.Errorf("%v", err)
	}
	if left, err := db.ListCollectionNames(context.Background(), bson.D{}); err != nil || len(left) > 0 {
		t.Errorf("it has left %v, %v", left, err)
	}
}

func TestARealServerDropsTheOldest(t *testing.T) {
	if server.Slow {
		t.Skip("FerretDB drops nothing from capped collections: name a MongoDB by BELFRY_TEST_MONGO")
	}
	ctx := context.Background()
	db := database(t)
	capped := mongo.Capped{Bytes: mongo.MinCappedBytes, Rows: 20}
	s, err := mongo.Open(ctx, mongo.Options{URI: server.URI, Database: db.Name(), Patience: patience, Capped: &capped, TTL: new(mongo.TTL)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	messagesFrom(t, s, 3*time.Hour, 10)
	wantNoticed(t, s, false)
	if !logReaches(t, s, placeAgo(4*time.Hour)) {
		t.Error("the log is not complete, and nothing has been dropped")
	}
	young := messagesFrom(t, s, time.Hour, 20)
	if got := inboxIDs(t, s); len(got) != 20 || got[0] != young[19] {
		t.Errorf("there are %d messages, want the 20 that were stored last", len(got))
	}
	if logReaches(t, s, placeAgo(2*time.Hour)) || !logReaches(t, s, placeAgo(time.Hour-2*time.Minute)) {
		t.Error("the log does not know what was dropped")
	}
	wantNoticed(t, s, true)
	if got := countsOf(t, s); got.Unread != 20 {
		t.Errorf("%d are unread, want 20", got.Unread)
	}
	// Documents grow, change and go as in any collection.
	edited := belfry.Message{ID: young[5], Type: 1, Title: strings.Repeat("longer ", 100), Date: time.Now()}
	if err := s.Edit(ctx, edited, belfry.At(placeAgo(0))); err != nil {
		t.Error(err)
	}
	markRead(t, s, young[6])
	if _, err := s.Withdraw(ctx, young[7], belfry.At(placeAgo(0))); err != nil {
		t.Error(err)
	}
	if got := countsOf(t, s); got.Unread != 18 {
		t.Errorf("%d are unread, want 18", got.Unread)
	}
	// By bytes, too.
	for range 20 {
		m := belfry.Message{ID: placeAgo(0), Receiver: "1", Company: "acme", Type: 1, Title: "t", Content: strings.Repeat("x", 1<<20), Date: time.Now()}
		add(t, s, m)
	}
	if got := inboxIDs(t, s); len(got) >= 17 {
		t.Errorf("%d MiB fit into 16", len(got))
	}
	wantNoticed(t, s, true)
}
