package mongo

import (
	"context"
	"strings"

	"belfry"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// The names of the collections. The first two are those of the article, whose
// applications read them.
const (
	msgNotice       = "msgNotice"
	handleLog       = "handleLog"
	belfryNotices   = "belfryNotices"
	belfryMarks     = "belfryMarks"
	belfryReaders   = "belfryReaders"
	belfrySettings  = "belfrySettings"
	belfryRevisions = "belfryRevisions"
	belfryFloors    = "belfryFloors"
	belfryScheduled = "belfryScheduled"
	belfryRequests  = "belfryRequests"
	belfryCommits   = "belfryCommits"
	belfryParts     = "belfryParts"
	belfryGone      = "belfryGone"
	belfryCapped    = "belfryCapped"
)

// collections are those of one database.
type collections struct {
	messages, activities, notices, marks, readers, settings *driver.Collection
	revisions, floors, scheduled, requests, commits, parts  *driver.Collection
	gone, heads                                             *driver.Collection
	byName                                                  map[string]*driver.Collection
}

func collectionsOf(db *driver.Database) collections {
	c := collections{byName: make(map[string]*driver.Collection)}
	for name, to := range map[string]**driver.Collection{
		msgNotice: &c.messages, handleLog: &c.activities, belfryNotices: &c.notices, belfryMarks: &c.marks,
		belfryReaders: &c.readers, belfrySettings: &c.settings, belfryRevisions: &c.revisions, belfryFloors: &c.floors,
		belfryScheduled: &c.scheduled, belfryRequests: &c.requests, belfryCommits: &c.commits, belfryParts: &c.parts,
		belfryGone: &c.gone, belfryCapped: &c.heads,
	} {
		*to = db.Collection(name)
		c.byName[name] = *to
	}
	return c
}

// wantUnruled fails where an application has had its collections refuse documents for more than their _id. A commit stands before it
// is applied: what an index refused then would be missing, and nobody told, and what a validator refused would hold up all commits after it.
func (c *collections) wantUnruled(ctx context.Context) error {
	for _, one := range []*driver.Collection{c.messages, c.activities} {
		said, _, err := c.optionsOf(ctx, one.Name())
		if err != nil {
			return err
		}
		refuses, err := validates(said)
		if err != nil {
			return err
		}
		if refuses {
			return belfry.Errorf(belfry.ErrInvalid, "%s has a validator, so that messages and activities could be refused: drop it, "+
				`or have it warn only (collMod with validationAction: "warn")`, one.Name())
		}
		indexes, err := one.Indexes().ListSpecifications(ctx)
		if err != nil {
			return err
		}
		for _, index := range indexes {
			if index.Unique != nil && *index.Unique && index.Name != "_id_" {
				return belfry.Errorf(belfry.ErrInvalid, "the index %q of %s is unique, so that messages and activities could be lost: drop it, or make it one that is not",
					index.Name, one.Name())
			}
		}
	}
	return nil
}

// optionsOf returns the options of a collection, as listCollections answers them, and whether there is one.
func (c *collections) optionsOf(ctx context.Context, name string) (said bson.Raw, ok bool, err error) {
	found, err := c.messages.Database().ListCollectionSpecifications(ctx, bson.D{{Key: "name", Value: name}})
	if err != nil || len(found) == 0 {
		return nil, false, err
	}
	return found[0].Options, true, nil
}

// validates reports whether a collection with these options refuses documents by rules.
func validates(options bson.Raw) (bool, error) {
	var rules struct {
		Validator bson.D `bson:"validator"`
		Action    string `bson:"validationAction"`
		Level     string `bson:"validationLevel"`
	}
	if len(options) == 0 {
		return false, nil
	}
	err := bson.Unmarshal(options, &rules)
	return len(rules.Validator) > 0 && rules.Action != "warn" && rules.Level != "off", err
}

// usesIndexes reports whether the server uses indexes. FerretDB 1 finds documents by
// their _id alone, and keeps any others at a cost that is many times that of the write.
func usesIndexes(ctx context.Context, db *driver.Database) (bool, error) {
	var info struct {
		Version string `bson:"ferretdbVersion"`
	}
	err := db.RunCommand(ctx, bson.D{{Key: "buildInfo", Value: int32(1)}}).Decode(&info)
	return info.Version == "" || strings.HasPrefix(info.Version, "v2."), err
}

// makeIndexes makes the indexes that are missing: one for every query.
func (c *collections) makeIndexes(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, indexTimeout)
	defer cancel()
	ascending := func(fields ...string) driver.IndexModel {
		keys := make(bson.D, 0, len(fields))
		for _, field := range fields {
			keys = append(keys, bson.E{Key: field, Value: int32(1)})
		}
		return driver.IndexModel{Keys: keys}
	}
	// Of what few documents have, only those are in the index.
	sparse := func(field string) driver.IndexModel {
		return driver.IndexModel{Keys: bson.D{{Key: field, Value: int32(1)}}, Options: options.Index().SetSparse(true)}
	}
	for _, one := range []struct {
		of      *driver.Collection
		indexes []driver.IndexModel
	}{
		{c.messages, []driver.IndexModel{
			ascending("receiverID", "_id"),
			ascending("receiverID", "isRead", "companyID", "typeID", "_id"), // the counts read nothing else
			ascending("receiverID", "isArchived", "_id"),
			ascending("receiverID", "isDelivered", "isRead", "_id"),
			sparse("collapseOf"), sparse("expires"),
		}},
		{c.notices, []driver.IndexModel{ascending("companyID", "replaced", "later", "_id"), sparse("collapseOf"), sparse("expires")}},
		{c.marks, []driver.IndexModel{ascending("receiverID", "companyID", "isArchived", "notice")}},
		{c.activities, []driver.IndexModel{
			ascending("companyID", "_id"), ascending("companyID", "operatorID", "_id"),
			ascending("companyID", "objectType", "_id"), ascending("companyID", "objectType", "objectID", "_id"),
		}},
		{c.revisions, []driver.IndexModel{
			ascending("owner", "companyID", "place", "kind", "_id"), // in the order of the log, or Since sorts all that there are
			ascending("place"),
		}},
		{c.scheduled, []driver.IndexModel{ascending("due", "_id")}},
		{c.requests, []driver.IndexModel{ascending("made")}},
	} {
		if _, err := one.of.Indexes().CreateMany(ctx, one.indexes); err != nil {
			return err
		}
	}
	return nil
}
