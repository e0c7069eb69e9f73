package mongo

import (
	"context"
	"slices"
	"strings"

	"belfry"
	"belfry/internal/transfer"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// Transfer returns the store as what a copy reads, or writes. The store is newly opened, no other process uses the database,
// and nothing else is asked of it until the copy has ended. A copy is no matter of the history, which
// goes on from what Settle commits.
func (s *Store) Transfer() transfer.Store { return port{s} }

type port struct{ s *Store }

// belfryTransfer has one document, while a copy into this database is not finished.
const belfryTransfer = "belfryTransfer"

type progressDocument struct {
	ID       string            `bson:"_id"`
	Progress transfer.Progress `bson:"progress"`
}

const theProgress = "progress"

func (p port) progress() *driver.Collection {
	return p.s.c.commits.Database().Collection(belfryTransfer)
}

// A shelf is where records of a kind are.
type shelf struct {
	in     string
	filter bson.D // which documents are such records
	take   func(raw bson.Raw) (transfer.Record, error)
	put    func(r transfer.Record) (document any, err error)
}

// copied is the commit that copied documents are of: any later one may change them.
const copied = 1

// Name implements [transfer.Store].
func (p port) Name() string { return p.s.name }

// State implements [transfer.Store].
func (p port) State(ctx context.Context) (transfer.State, error) {
	if err := p.s.advance(ctx); err != nil {
		return transfer.State{}, portError(ctx, err)
	}
	at, _ := p.s.head.get()
	return transfer.State{Last: belfry.ID(at.Last), Version: at.Version}, nil
}

// Count implements [transfer.Store].
func (p port) Count(ctx context.Context, kind transfer.Kind) (int64, error) {
	bounded, cancel := context.WithTimeout(ctx, longTimeout)
	defer cancel()
	n, err := p.s.c.byName[shelves[kind].in].CountDocuments(bounded, shelves[kind].filter)
	return n, portError(ctx, err)
}

// Read implements [transfer.Store]. The order is that of the _id, which is an ObjectId or a string.
func (p port) Read(ctx context.Context, kind transfer.Kind, after string, limit int) (records []transfer.Record, next string, err error) {
	f := shelves[kind]
	for len(records) == 0 {
		raws, err := p.page(ctx, &f, after, limit)
		if err != nil {
			return nil, "", portError(ctx, err)
		}
		for _, raw := range raws {
			r, err := f.take(raw)
			if err != nil {
				return nil, "", err
			}
			records = append(records, r)
		}
		if kind == transfer.Marks {
			if records, err = p.ofNotices(ctx, records); err != nil {
				return nil, "", portError(ctx, err)
			}
		}
		if len(raws) < limit {
			return records, "", nil
		}
		after = placeOf(raws[len(raws)-1].Lookup("_id"))
	}
	return records, after, nil
}

func (p port) page(ctx context.Context, f *shelf, after string, limit int) ([]bson.Raw, error) {
	ctx, cancel := context.WithTimeout(ctx, longTimeout)
	defer cancel()
	filter := slices.Clone(f.filter)
	if after != "" {
		filter = append(filter, bson.E{Key: "_id", Value: bson.D{{Key: "$gt", Value: idOf(after)}}})
	}
	return find[bson.Raw](ctx, p.s.c.byName[f.in], filter, options.Find().SetSort(bson.D{{Key: "_id", Value: 1}}).SetLimit(int64(limit)))
}

// ofNotices leaves out marks of notices that are gone.
func (p port) ofNotices(ctx context.Context, records []transfer.Record) ([]transfer.Record, error) {
	var ids []any
	for _, r := range records {
		ids = append(ids, objectID(r.(*transfer.Mark).Notice))
	}
	if len(ids) == 0 {
		return nil, nil
	}
	ids = slices.Compact(ids) // those of one notice lie together
	found, err := find[struct {
		ID bson.ObjectID `bson:"_id"`
	}](ctx, p.s.c.notices, bson.D{{Key: "_id", Value: among(ids)}}, options.Find().SetProjection(bson.D{{Key: "_id", Value: 1}}))
	there := make(map[belfry.ID]bool, len(found))
	for _, one := range found {
		there[belfry.ID(one.ID)] = true
	}
	return slices.DeleteFunc(records, func(r transfer.Record) bool { return !there[r.(*transfer.Mark).Notice] }), err
}

// placeOf makes text of an _id. Its first letter tells the types apart.
func placeOf(id bson.RawValue) string {
	if oid, ok := id.ObjectIDOK(); ok {
		return "i" + oid.Hex()
	}
	return "t" + id.StringValue()
}

func idOf(place string) any {
	if hex, ok := strings.CutPrefix(place, "i"); ok {
		if oid, err := bson.ObjectIDFromHex(hex); err == nil {
			return oid
		}
	}
	return strings.TrimPrefix(place, "t")
}

// Progress implements [transfer.Store].
func (p port) Progress(ctx context.Context) (transfer.Progress, bool, error) {
	d, ok, err := findOne[progressDocument](ctx, p.progress(), theProgress)
	return d.Progress, ok, portError(ctx, err)
}

// Write implements [transfer.Store]. What is there already makes an insert fail, which is forgiven.
func (p port) Write(ctx context.Context, kind transfer.Kind, records []transfer.Record, at transfer.Progress) error {
	bounded, cancel := context.WithTimeout(ctx, longTimeout)
	defer cancel()
	return portError(ctx, p.write(bounded, kind, records, at))
}

func (p port) write(ctx context.Context, kind transfer.Kind, records []transfer.Record, at transfer.Progress) error {
	f := shelves[kind]
	var models []driver.WriteModel
	for _, r := range records {
		if v, ok := r.(*transfer.Revocation); ok { // beside the preferences of the user
			models = append(models, driver.NewUpdateOneModel().SetUpsert(true).SetFilter(bson.D{{Key: "_id", Value: string(v.User)}}).
				SetUpdate(bson.D{{Key: "$set", Value: bson.D{{Key: "revokedBefore", Value: v.Before}, {Key: "v", Value: int64(copied)}}}}))
			continue
		}
		if s, ok := r.(*transfer.SeenPlace); ok { // beside the membership
			d := readerDocument{}
			models = append(models, readerModel(d.set(s.Who, bson.E{Key: "seen", Value: objectID(s.Last)})))
			continue
		}
		document, err := f.put(r)
		if err != nil {
			return err
		}
		models = append(models, driver.NewInsertOneModel().SetDocument(document))
	}
	if len(models) > 0 {
		in := p.s.c.byName[f.in]
		err := p.s.c.undiminished(ctx, in, len(models), func() error {
			_, err := in.BulkWrite(ctx, models, options.BulkWrite().SetOrdered(false))
			return exceptDuplicates(err)
		})
		if err != nil {
			return err
		}
	}
	_, err := p.progress().ReplaceOne(ctx, bson.D{{Key: "_id", Value: theProgress}}, progressDocument{theProgress, at}, options.Replace().SetUpsert(true))
	return err
}

// readerModel sets fields of a reader, whatever else is known of it.
func readerModel(o op) driver.WriteModel {
	return driver.NewUpdateOneModel().SetUpsert(true).SetFilter(bson.D{{Key: "_id", Value: o.IDs[0]}}).
		SetUpdate(bson.D{{Key: "$set", Value: append(o.Set, bson.E{Key: "v", Value: int64(copied)})}})
}

// Settle implements [transfer.Store]: it makes a commit that says what there is. Capped collections then count as newly capped: what
// was copied is in them in the order of its pages.
func (p port) Settle(ctx context.Context, source transfer.State) error {
	return portError(ctx, p.s.recount(ctx, state{Last: objectID(source.Last), Version: source.Version}, forgetHeads))
}

// Finish implements [transfer.Store].
func (p port) Finish(ctx context.Context) error { return portError(ctx, p.progress().Drop(ctx)) }

func take[D any](make func(*D) (transfer.Record, error)) func(bson.Raw) (transfer.Record, error) {
	return func(raw bson.Raw) (transfer.Record, error) {
		var d D
		if err := bson.Unmarshal(raw, &d); err != nil {
			return nil, err
		}
		return make(&d)
	}
}

func takeMessage(raw bson.Raw) (transfer.Record, error) {
	var d messageDocument
	if err := bson.Unmarshal(raw, &d); err != nil {
		return nil, err
	}
	m, err := d.message()
	// What applications have stored by themselves does not wait.
	waits, isNumber := raw.Lookup("isDelivered").AsInt64OK()
	return &transfer.Message{Message: m, Delivered: !isNumber || waits != 0}, err
}

func putMessage(r transfer.Record) (any, error) {
	m := r.(*transfer.Message)
	d, err := newMessageDocument(&m.Message, copied)
	d.IsDelivered = flag(m.Delivered)
	return d, err
}

func takeNotice(d *messageDocument) (transfer.Record, error) {
	m, err := d.message()
	m.Later = d.Later != 0
	return &transfer.Notice{Message: m, Replaced: d.Replaced != 0}, err
}

func putNotice(r transfer.Record) (any, error) {
	n := r.(*transfer.Notice)
	d, err := newMessageDocument(&n.Message, copied)
	d.Replaced = flag(n.Replaced)
	return d, err
}

// A wholeMark is a markDocument with all its fields.
type wholeMark struct {
	ID         string       `bson:"_id"`
	ReceiverID word         `bson:"receiverID"`
	CompanyID  word         `bson:"companyID"`
	Mark       markDocument `bson:",inline"`
	V          int64        `bson:"v"`
}

// A wholeReader is a readerDocument with all its fields.
type wholeReader struct {
	User      word           `bson:"user"`
	CompanyID word           `bson:"companyID"`
	Reader    readerDocument `bson:",inline"`
	V         int64          `bson:"v"`
}

func (d *wholeReader) who() belfry.Identity {
	return belfry.Identity{User: belfry.UserID(d.User), Company: belfry.CompanyID(d.CompanyID)}
}

func takeRevision(d *revisionDocument) (transfer.Record, error) {
	return &transfer.Revision{Owner: belfry.UserID(d.Owner), Revision: d.revision()}, nil
}

func putRevision(r transfer.Record) (any, error) {
	v := r.(*transfer.Revision)
	key := revision{owner: v.Owner, company: v.Company, place: v.Place, kind: v.Kind}
	d := revisionDocument{
		Key: key.key(), Owner: word(v.Owner), CompanyID: word(v.Company), Place: objectID(v.Place), Kind: int32(v.Kind), TypeID: int32(v.Type),
	}
	for _, id := range v.IDs {
		d.IDs = append(d.IDs, objectID(id))
	}
	return d, nil
}

func takeFloor(d *floorDocument) (transfer.Record, error) {
	user, _ := strings.CutPrefix(d.Key, touchUser(""))
	if d.Key == floorOfAll {
		user = ""
	}
	return &transfer.Floor{Owner: belfry.UserID(user), Place: belfry.ID(d.Place)}, nil
}

func putFloor(r transfer.Record) (any, error) {
	f := r.(*transfer.Floor)
	key := floorOfAll
	if f.Owner != "" {
		key = touchUser(f.Owner)
	}
	return floorDocument{Key: key, Place: objectID(f.Place)}, nil
}

func takeRequest(d *requestDocument) (transfer.Record, error) {
	r := &transfer.Request{Request: belfry.Request{Key: d.Key, Answer: d.Answer, Made: d.Made.UTC()}}
	copy(r.Fingerprint[:], d.Fingerprint)
	return r, nil
}

func putRequest(r transfer.Record) (any, error) {
	q := r.(*transfer.Request)
	return requestDocument{Key: q.Key, Fingerprint: q.Fingerprint[:], Answer: q.Answer, Made: q.Made}, nil
}

var isThere = bson.D{{Key: "$exists", Value: true}}

var shelves = map[transfer.Kind]shelf{
	transfer.Messages: {in: msgNotice, filter: bson.D{}, take: takeMessage, put: putMessage},
	transfer.Notices:  {in: belfryNotices, filter: bson.D{}, take: take(takeNotice), put: putNotice},
	transfer.Marks: {
		in: belfryMarks, filter: bson.D{{Key: "isRead", Value: int32(1)}}, // others count for nothing
		take: take(func(d *wholeMark) (transfer.Record, error) {
			return &transfer.Mark{
				Notice: belfry.ID(d.Mark.Notice), User: belfry.UserID(d.ReceiverID), Company: belfry.CompanyID(d.CompanyID), Archived: d.Mark.IsArchived != 0,
			}, nil
		}),
		put: func(r transfer.Record) (any, error) {
			m := r.(*transfer.Mark)
			return wholeMark{
				ID: markKey(m.Notice, m.User), ReceiverID: word(m.User), CompanyID: word(m.Company), V: copied,
				Mark: markDocument{Notice: objectID(m.Notice), IsRead: 1, IsArchived: flag(m.Archived)},
			}, nil
		},
	},
	transfer.Activities: {
		in: handleLog, filter: bson.D{},
		take: take(func(d *activityDocument) (transfer.Record, error) {
			a, err := d.activity()
			return &transfer.Activity{Activity: a}, err
		}),
		put: func(r transfer.Record) (any, error) {
			return newActivityDocument(&r.(*transfer.Activity).Activity, copied)
		},
	},
	transfer.Members: {
		in: belfryReaders, filter: bson.D{{Key: "since", Value: isThere}},
		take: take(func(d *wholeReader) (transfer.Record, error) {
			m := &transfer.Member{Who: d.who(), Since: belfry.ID(*d.Reader.Since), Heard: belfry.ID(*d.Reader.Since)}
			if d.Reader.Heard != nil {
				m.Heard = belfry.ID(*d.Reader.Heard)
			}
			return m, nil
		}),
		put: func(r transfer.Record) (any, error) {
			m := r.(*transfer.Member)
			since, heard := objectID(m.Since), objectID(m.Heard)
			return wholeReader{
				User: word(m.Who.User), CompanyID: word(m.Who.Company), V: copied,
				Reader: readerDocument{Key: identityKey(m.Who), Since: &since, Heard: &heard},
			}, nil
		},
	},
	transfer.Seen: {
		in: belfryReaders, filter: bson.D{{Key: "seen", Value: isThere}},
		take: take(func(d *wholeReader) (transfer.Record, error) {
			return &transfer.SeenPlace{Who: d.who(), Last: belfry.ID(*d.Reader.Seen)}, nil
		}),
	},
	transfer.Revisions: {in: belfryRevisions, filter: bson.D{}, take: take(takeRevision), put: putRevision},
	transfer.Floors:    {in: belfryFloors, filter: bson.D{}, take: take(takeFloor), put: putFloor},
	transfer.Scheduled: {
		in: belfryScheduled, filter: bson.D{},
		take: take(func(d *scheduledDocument) (transfer.Record, error) {
			return &transfer.ScheduledPush{ID: belfry.ID(d.ID), Due: d.Due.UTC(), Draft: d.Draft}, nil
		}),
		put: func(r transfer.Record) (any, error) {
			p := r.(*transfer.ScheduledPush)
			return scheduledDocument{ID: objectID(p.ID), Due: p.Due, Draft: p.Draft, V: copied}, nil
		},
	},
	transfer.Requests: {in: belfryRequests, filter: bson.D{}, take: take(takeRequest), put: putRequest},
	transfer.Preferences: {
		in: belfrySettings, filter: bson.D{{Key: "preferences.0", Value: isThere}},
		take: take(func(d *settingsDocument) (transfer.Record, error) {
			return &transfer.UserPreferences{User: belfry.UserID(d.User), Preferences: d.preferences()}, nil
		}),
		put: func(r transfer.Record) (any, error) {
			p := r.(*transfer.UserPreferences)
			return settingsDocument{User: string(p.User), Preferences: preferenceDocuments(p.Preferences)}, nil
		},
	},
	transfer.Revocations: {
		in: belfrySettings, filter: bson.D{{Key: "revokedBefore", Value: isThere}},
		take: take(func(d *settingsDocument) (transfer.Record, error) {
			return &transfer.Revocation{User: belfry.UserID(d.User), Before: timeOf(d.RevokedBefore)}, nil
		}),
	},
}
