package mongo

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"

	"belfry"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// A Capped says that msgNotice and handleLog are capped collections: the server drops the oldest documents of each, read or not,
// where others would not fit. It needs MongoDB 6.0. PruneMessages and PruneActivities delete as well what is beyond limits, notices among it,
// which are in another collection; the numbers of all messages and activities are not known, so that there is no limit on them.
//
// What is dropped is found out by PruneMessages and PruneActivities. Until then counts may have changed under their version. Since
// knows at once.
type Capped struct {
	// Bytes is the size of each of the two, from [MinCappedBytes] to 1 PiB; it is rounded up to a multiple of 256. 0 means that they
	// are not capped.
	Bytes int64
	// Rows is how many documents each may have, less than 2³¹; 0 means as many as fit.
	Rows int64
}

// MinCappedBytes is the least size of a capped collection: the largest document that there may be fits.
const MinCappedBytes = 16 << 20

const (
	maxCappedBytes = 1 << 50
	// cappedUnit is what servers before 6.2 round sizes up to.
	cappedUnit = 256
	// oldestCapping is the first version where documents of capped collections may be deleted and change their size.
	oldestCapping = 6
)

// checked returns the sizes as the server has them.
func (c Capped) checked() (Capped, error) {
	if c.Bytes == 0 && c.Rows == 0 {
		return c, nil
	}
	if c.Bytes < MinCappedBytes || c.Bytes > maxCappedBytes {
		return c, belfry.Errorf(belfry.ErrInvalid, "a capped collection of %d bytes: it has from %d to %d", c.Bytes, MinCappedBytes, int64(maxCappedBytes))
	}
	if c.Rows < 0 || c.Rows > math.MaxInt32 {
		return c, belfry.Errorf(belfry.ErrInvalid, "a capped collection of %d documents: it has from 1 to %d, or with 0 as many as fit", c.Rows, math.MaxInt32)
	}
	c.Bytes = (c.Bytes + cappedUnit - 1) / cappedUnit * cappedUnit
	return c, nil
}

func (c Capped) String() string {
	if c.Rows == 0 {
		return fmt.Sprintf("%d bytes", c.Bytes)
	}
	return fmt.Sprintf("%d bytes and %d documents", c.Bytes, c.Rows)
}

// cappedOnes are the collections that a Capped is about.
var cappedOnes = []string{msgNotice, handleLog}

// prepareCapped makes the collections that are missing, and fails where one is other than it is to be.
func (s *Store) prepareCapped(ctx context.Context, want Capped) error {
	want, err := want.checked()
	if err != nil {
		return err
	}
	s.capped = want != Capped{}
	missing, err := s.c.missingCapped(ctx, want)
	if err != nil || !s.capped {
		return err
	}
	if err := tryCapped(ctx, s.c.messages.Database()); err != nil {
		return err
	}
	return s.c.makeCapped(ctx, want, missing)
}

// missingCapped returns which of the collections are not there. It fails where one is not capped as it is to be.
func (c *collections) missingCapped(ctx context.Context, want Capped) (missing []string, err error) {
	for _, name := range cappedOnes {
		have, ok, err := c.capOf(ctx, name)
		switch {
		case err != nil:
			return nil, err
		case !ok:
			missing = append(missing, name)
		case have != want:
			return nil, otherCap(name, have, want)
		}
	}
	return missing, nil
}

// capOf returns how a collection is capped, and whether there is one.
func (c *collections) capOf(ctx context.Context, name string) (have Capped, ok bool, err error) {
	said, ok, err := c.optionsOf(ctx, name)
	if err != nil || !ok {
		return have, false, err
	}
	var o struct {
		Capped bool  `bson:"capped"`
		Size   int64 `bson:"size"`
		Max    int64 `bson:"max"`
	}
	if err := bson.Unmarshal(said, &o); err != nil {
		return have, false, err
	}
	if o.Capped {
		have.Bytes = (o.Size + cappedUnit - 1) / cappedUnit * cappedUnit
		if o.Max > 0 && o.Max <= math.MaxInt32 { // others are no limit
			have.Rows = o.Max
		}
	}
	return have, true, nil
}

// otherCap says what to do about a collection that is not as it is to be.
func otherCap(name string, have, want Capped) error {
	switch {
	case want == Capped{}:
		return belfry.Errorf(belfry.ErrInvalid, "%s is a capped collection of %v, from which the server drops the oldest: "+
			"set store-retention to capped, with that size, or let belfry migrate copy what there is into another database", name, have)
	case have == Capped{}:
		commands := fmt.Sprintf("db.runCommand({convertToCapped: %q, size: %d})", name, want.Bytes)
		if want.Rows > 0 {
			commands += fmt.Sprintf(" and db.runCommand({collMod: %q, cappedMax: %d})", name, want.Rows)
		}
		return belfry.Errorf(belfry.ErrInvalid, "%s is there and not capped. Either stop every belfry that uses the database and run %s: "+
			"nobody can use the database meanwhile, the oldest that do not fit are dropped, and the indexes are lost, which belfry makes again. "+
			"Or start with an empty database, and let belfry migrate copy into that. A sharded collection cannot be capped", name, commands)
	}
	return belfry.Errorf(belfry.ErrInvalid, "%s is capped at %v, and is to be at %v: set that size here, as all processes have it, or run "+
		"db.runCommand({collMod: %q, cappedSize: %d, cappedMax: %d}), where 0 is no limit; the oldest that do not fit are dropped", name, have, want, name, want.Bytes, want.Rows)
}

func (c *collections) makeCapped(ctx context.Context, want Capped, missing []string) error {
	for _, name := range missing {
		o := options.CreateCollection().SetCapped(true).SetSizeInBytes(want.Bytes)
		if want.Rows > 0 {
			o.SetMaxDocuments(want.Rows)
		}
		err := c.messages.Database().CreateCollection(ctx, name, o)
		var refused driver.CommandError
		if err != nil && !(errors.As(err, &refused) && refused.Name == "NamespaceExists") {
			return err
		}
	}
	// Another process, or an application, may have been first.
	left, err := c.missingCapped(ctx, want)
	if err == nil && len(left) > 0 {
		err = belfry.Errorf(belfry.ErrUnavailable, "the server has not made %s", strings.Join(left, " and "))
	}
	return err
}

// tryCapped fails unless the server does with capped collections what belfry needs. The version alone does not tell: one that
// was upgraded may be kept to what an earlier one did, and others speak the protocol without doing all of it.
func tryCapped(ctx context.Context, db *driver.Database) (err error) {
	var info struct {
		Version string `bson:"version"`
	}
	if err := db.RunCommand(ctx, bson.D{{Key: "buildInfo", Value: int32(1)}}).Decode(&info); err != nil {
		return err
	}
	if tooOldToCap(info.Version) {
		return belfry.Errorf(belfry.ErrInvalid, "the server is MongoDB %s: capped collections need %d.0 or later, "+
			"where what is in them can be edited and withdrawn; leave deleting to belfry or to TTL indexes", info.Version, oldestCapping)
	}
	c := db.Collection("belfryTry" + bson.NewObjectID().Hex())
	if err := db.CreateCollection(ctx, c.Name(), options.CreateCollection().SetCapped(true).SetSizeInBytes(MinCappedBytes).SetMaxDocuments(1)); err != nil {
		return refusal(err, "has no capped collections")
	}
	defer func() { err = errors.Join(err, c.Drop(context.WithoutCancel(ctx))) }()
	for id := range int32(3) {
		if _, err := c.InsertOne(ctx, bson.D{{Key: "_id", Value: id}, {Key: "text", Value: ""}}); err != nil {
			return refusal(err, "does not store into capped collections")
		}
	}
	if first, err := c.CountDocuments(ctx, bson.D{{Key: "_id", Value: int32(0)}}); err != nil {
		return err
	} else if first > 0 {
		return belfry.Errorf(belfry.ErrInvalid, "the server takes capped collections and drops nothing from them: leave deleting to belfry")
	}
	last := bson.D{{Key: "_id", Value: int32(2)}}
	if _, err := c.UpdateOne(ctx, last, bson.D{{Key: "$set", Value: bson.D{{Key: "text", Value: "longer"}}}}); err != nil {
		return refusal(err, "does not let documents in capped collections grow")
	}
	if _, err := c.DeleteOne(ctx, last); err != nil {
		return refusal(err, "does not let documents in capped collections be deleted")
	}
	return nil
}

// refusal says what a server cannot do, where it is that which has failed.
func refusal(err error, what string) error {
	var refused driver.ServerError
	if !errors.As(err, &refused) || driver.IsNetworkError(err) || driver.IsTimeout(err) {
		return err
	}
	return &belfry.Error{Code: belfry.ErrInvalid, Err: err, Message: "the server " + what +
		"; a MongoDB whose featureCompatibilityVersion is 6.0 or later does"}
}

// tooOldToCap also takes versions that it does not understand: these have to show what they do.
func tooOldToCap(version string) bool {
	major, _, _ := strings.Cut(version, ".")
	n, err := strconv.Atoi(major)
	return err == nil && n < oldestCapping
}

// undiminished writes n documents into a collection, and fails where the server has dropped others for them, or some of them.
func (c *collections) undiminished(ctx context.Context, in *driver.Collection, n int, write func() error) error {
	have, _, err := c.capOf(ctx, in.Name())
	if err != nil {
		return err
	}
	if have == (Capped{}) {
		return write()
	}
	before, err := headOf(ctx, in)
	if err != nil {
		return err
	}
	if err := write(); err != nil {
		return err
	}
	after, err := headOf(ctx, in)
	if err != nil {
		return err
	}
	whole := sameHead(before, after)
	if before == nil {
		there, err := in.CountDocuments(ctx, bson.D{})
		if err != nil {
			return err
		}
		whole = there == int64(n)
	}
	if !whole {
		return belfry.Errorf(belfry.ErrInvalid, "%s is capped at %v, and what is to be copied does not fit: the server has dropped what was copied first", in.Name(), have)
	}
	return nil
}
