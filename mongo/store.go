package mongo

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"belfry"
	"belfry/internal/storage"

	"go.mongodb.org/mongo-driver/v2/bson"
	driver "go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"
)

// DefaultDatabase is the database where the URI names none.
const DefaultDatabase = "belfry"

// opTimeout bounds one operation on the server, and the wait for a server. Tests have a longer one.
var opTimeout = 10 * time.Second

const (
	// longTimeout bounds one that reads or writes much: a count of all that there is, a page of a copy.
	longTimeout = 10 * time.Minute
	// indexTimeout bounds the making of indexes, for which the server reads a collection: an application may have stored much.
	indexTimeout = 24 * time.Hour
	// selectTimeout bounds the search for a primary, and connectTimeout one attempt to connect.
	selectTimeout  = 5 * time.Second
	connectTimeout = 5 * time.Second
)

// Options alters a [Store]. URI is needed.
type Options struct {
	// URI names the servers, as MongoDB's connection strings do. It may hold a
	// password, and is in no error and no log.
	URI string
	// Database is the name of the database; "" means the one that the URI names, or
	// [DefaultDatabase].
	Database string
	// Patience is how long this process may take to apply a commit, and half of how long it
	// waits for another that does not apply one; 0 means [DefaultPatience]. All processes have
	// the same.
	Patience time.Duration
	// MustExist says to fail where the database has nothing, rather than to begin there.
	MustExist bool
	// TTL says what the server deletes by itself. Nil leaves that as it is in the database,
	// which is for who only copies it.
	TTL *TTL
	// Capped says whether the server drops what is oldest, likewise. All processes have the same.
	Capped *Capped
	Logger *slog.Logger // nil means slog.Default()
}

// DefaultPatience is the Patience of zero [Options]: far more than a commit takes
// on a server that is well.
const DefaultPatience = 3 * time.Second

// A Store keeps all that belfry keeps in a MongoDB database, which it may share
// with other processes. It is safe for concurrent use.
type Store struct {
	log      *slog.Logger
	name     string // of servers and database, without secrets
	patience time.Duration
	ttl      TTL
	capped   bool // msgNotice and handleLog are capped collections
	client   *driver.Client
	c        collections
	head     headTracker
	lookups  lookups
	// turn is held by who commits, and by a reader whom commits have disturbed
	// again and again.
	turn    chan struct{}
	writer  *writer
	late    *storage.Late
	answers storage.Answers
	pruning sync.Mutex // held for a whole step of retention
	inboxes storage.Suspects
}

var _ belfry.Store = (*Store)(nil)

// Open connects to the database, makes the indexes that are missing, and heals
// what a process has left half done. Close ends it.
func Open(ctx context.Context, o Options) (*Store, error) {
	s := &Store{log: o.Logger, patience: o.Patience, turn: make(chan struct{}, 1), late: storage.NewLate()}
	if s.log == nil {
		s.log = slog.Default()
	}
	if s.patience <= 0 {
		s.patience = DefaultPatience
	}
	name := o.Database
	if name == "" {
		name = databaseOf(o.URI)
	}
	config := options.Client().ApplyURI(o.URI).SetAppName("belfry").
		SetTimeout(opTimeout).SetServerSelectionTimeout(selectTimeout).SetConnectTimeout(connectTimeout).
		// What is answered as stored, a majority has in its journals. Reads are of the primary, and of what it has: one that does not
		// know yet that it is none may answer from before for some seconds.
		SetReadPreference(readpref.Primary()).SetWriteConcern(writeconcern.Majority())
	if err := config.Validate(); err != nil {
		return nil, uriError(err)
	}
	var err error
	if s.client, err = driver.Connect(config); err != nil {
		return nil, fmt.Errorf("mongo: %w", portError(ctx, err))
	}
	s.name = "mongodb://" + strings.Join(slices.Sorted(slices.Values(config.Hosts)), ",") + "/" + name
	s.c = collectionsOf(s.client.Database(name))
	if err := s.open(ctx, &o); err != nil {
		// The context may have ended; connections are closed all the same.
		return nil, fmt.Errorf("mongo: %w", errors.Join(portError(ctx, err), s.client.Disconnect(context.WithoutCancel(ctx))))
	}
	s.writer = newWriter(s)
	if o.Capped == nil { // what is copied says back to where it reaches
		if err := s.lookAtAll(ctx, true); err != nil {
			return nil, fmt.Errorf("mongo: %w", errors.Join(err, s.Close()))
		}
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, o *Options) error {
	if o.MustExist {
		if err := s.exists(ctx); err != nil {
			return err
		}
	}
	if o.Capped != nil {
		if *o.Capped != (Capped{}) && o.TTL != nil && *o.TTL != (TTL{}) {
			return belfry.Errorf(belfry.ErrInvalid, "capped collections have no TTL indexes: leave one of both out")
		}
		if err := s.prepareCapped(ctx, *o.Capped); err != nil {
			return err
		}
	}
	if err := s.c.wantUnruled(ctx); err != nil {
		return err
	}
	indexed, err := usesIndexes(ctx, s.c.commits.Database())
	if err == nil && indexed {
		err = s.c.makeIndexes(ctx)
	}
	if err != nil {
		return err
	}
	if err := s.begin(ctx); err != nil {
		return err
	}
	if err := s.advance(ctx); err != nil {
		return err
	}
	if o.Capped != nil {
		if err := s.followCapped(ctx); err != nil {
			return err
		}
	}
	if o.TTL == nil {
		return nil
	}
	return s.useTTL(ctx, *o.TTL, indexed)
}

// exists fails where neither belfry nor an application of its own has stored anything.
func (s *Store) exists(ctx context.Context) error {
	for _, c := range []*driver.Collection{s.c.commits, s.c.messages, s.c.activities} {
		found, err := find[struct{}](ctx, c, bson.D{}, options.Find().SetLimit(1).SetProjection(bson.D{{Key: "_id", Value: 1}}))
		if err != nil || len(found) > 0 {
			return err
		}
	}
	return belfry.Errorf(belfry.ErrNotFound, "there is nothing of belfry in the database %s", s.name)
}

// Close finishes the writes that have been asked for, records the deliveries,
// and closes the connections. Whoever asks later gets [belfry.ErrUnavailable].
func (s *Store) Close() error {
	s.writer.close()
	ctx, cancel := context.WithTimeout(context.Background(), opTimeout)
	defer cancel()
	return s.client.Disconnect(ctx)
}

// uriError says what is wrong with a URI, in words that do not repeat it.
func uriError(err error) error {
	var unresolved *net.DNSError
	if errors.As(err, &unresolved) {
		return errors.New("mongo: the DNS has no servers for the mongodb+srv:// URI of the database, or does not answer")
	}
	return errors.New("mongo: the URI of the database is malformed: it is mongodb://user:password@host:port/database, special characters of the password as %XX")
}

// databaseOf returns the database that a URI names, or the default. A slash in a
// password is escaped there.
func databaseOf(uri string) string {
	_, rest, _ := strings.Cut(uri, "://")
	_, path, _ := strings.Cut(rest, "/")
	if name, _, _ := strings.Cut(path, "?"); name != "" {
		return name
	}
	return DefaultDatabase
}

// portError turns an error of the driver into one that the port allows.
func portError(ctx context.Context, err error) error {
	var own *belfry.Error
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &own):
		return err
	case errors.Is(err, driver.ErrClientDisconnected):
		return errClosed
	}
	return &belfry.Error{Code: belfry.ErrUnavailable, Message: "the database is not available", Err: err}
}

// errClosed answers whoever comes after Close.
var errClosed = belfry.Errorf(belfry.ErrUnavailable, "the database is closed")

// together runs functions at the same time and returns the first of their errors.
func together(fs ...func() error) error {
	errs := make([]error, len(fs))
	var running sync.WaitGroup
	for i, f := range fs {
		running.Go(func() { errs[i] = f() })
	}
	running.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// find decodes all documents that a query finds.
func find[T any](ctx context.Context, c *driver.Collection, filter bson.D, o ...options.Lister[options.FindOptions]) ([]T, error) {
	cursor, err := c.Find(ctx, filter, o...)
	if err != nil {
		return nil, err
	}
	var found []T
	err = cursor.All(ctx, &found)
	return found, err
}

// findOne decodes the document with an _id, if there is one.
func findOne[T any](ctx context.Context, c *driver.Collection, id any) (found T, ok bool, err error) {
	err = c.FindOne(ctx, bson.D{{Key: "_id", Value: id}}).Decode(&found)
	if errors.Is(err, driver.ErrNoDocuments) {
		return found, false, nil
	}
	return found, err == nil, err
}
