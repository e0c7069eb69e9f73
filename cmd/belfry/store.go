package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"

	"belfry"
	"belfry/auth"
	"belfry/internal/transfer"
	"belfry/mongo"
	"belfry/sqlite"
)

// storeFlags say where messages and activities are kept. The URI is a secret: it may
// hold a password.
type storeFlags struct {
	Store            auth.Secret `help:"MongoDB that keeps messages and activities: mongodb:// or mongodb+srv://. Better in the environment or the file than here. Default: SQLite, in the data directory." placeholder:"URI"`
	StoreRetention   string      `help:"What deletes in MongoDB: delete is belfry; ttl is the server by age, by TTL indexes on what is read and on activities, and belfry deletes what is unread and notices; capped is the server by size, which drops the oldest messages and activities, read or not, from collections of a fixed size (MongoDB 6.0 and later), beside belfry." enum:"delete,ttl,capped" default:"delete"`
	StoreCappedBytes int64       `help:"With store-retention capped: size of the collection of messages, and of that of activities; at least 16777216." default:"0" placeholder:"BYTES"`
	StoreCappedRows  int64       `help:"With store-retention capped: how many each may have at most; 0 for as many as fit." default:"0" placeholder:"ROWS"`
	StoreDatabase    string      `help:"Database there. Default: the one that the URI names, or belfry." placeholder:"NAME"`
}

// A store is a [belfry.Store] that is closed at the end.
type store interface {
	belfry.Store
	io.Closer
	Transfer() transfer.Store
}

func isMongoURI(s string) bool {
	return strings.HasPrefix(s, "mongodb://") || strings.HasPrefix(s, "mongodb+srv://")
}

// open opens the database, by default the one in dir. It refuses one that has only a part of another.
func (f storeFlags) open(ctx context.Context, dir string, kept retentionFlags, log *slog.Logger) (store, error) {
	ttl, err := f.ttl(kept)
	if err != nil {
		return nil, err
	}
	capped, err := f.capped(kept)
	if err != nil {
		return nil, err
	}
	s, err := f.openAny(ctx, dir, ttl, capped, log)
	if err != nil {
		return nil, err
	}
	p, unfinished, err := s.Transfer().Progress(ctx)
	if err == nil && unfinished {
		err = fmt.Errorf("%s has a part of %s: let belfry migrate finish that first", s.Transfer().Name(), p.Source)
	}
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// ttl returns what the server deletes by itself.
func (f storeFlags) ttl(kept retentionFlags) (mongo.TTL, error) {
	var err error
	switch {
	case f.StoreRetention != "ttl":
		return mongo.TTL{}, nil
	case f.Store == "":
		err = errors.New("store-retention is for MongoDB: set store as well")
	case kept.MessageAge <= 0 && kept.ActivityAge <= 0:
		err = errors.New("store-retention is ttl, and neither retention.message-age nor retention.activity-age is set")
	case kept.MessageAge > 0 && kept.Messages > 0:
		err = errors.New("retention.messages cannot be kept where the server deletes messages by itself: leave it out, or set store-retention to delete")
	case kept.ActivityAge > 0 && kept.Activities > 0:
		err = errors.New("retention.activities cannot be kept where the server deletes activities by itself: leave it out, or set store-retention to delete")
	}
	return mongo.TTL{MessageAge: kept.MessageAge, ActivityAge: kept.ActivityAge}, err
}

// capped returns the sizes of capped collections.
func (f storeFlags) capped(kept retentionFlags) (mongo.Capped, error) {
	capped := mongo.Capped{Bytes: f.StoreCappedBytes, Rows: f.StoreCappedRows}
	var err error
	switch {
	case f.StoreRetention != "capped" && capped != (mongo.Capped{}):
		err = errors.New("store-capped-bytes and store-capped-rows are for store-retention capped")
	case f.StoreRetention != "capped":
	case f.Store == "":
		err = errors.New("store-retention is for MongoDB: set store as well")
	case capped.Bytes < mongo.MinCappedBytes:
		err = fmt.Errorf("store-retention is capped, and store-capped-bytes is %d: it is at least %d", capped.Bytes, mongo.MinCappedBytes)
	case capped.Rows < 0:
		err = errors.New("store-capped-rows is negative; 0 means as many as fit")
	case kept.Messages > 0 || kept.Activities > 0:
		err = errors.New("retention.messages and retention.activities cannot be kept where the server drops the oldest by itself: leave them out, and set store-capped-rows")
	}
	return capped, err
}

func (f storeFlags) openAny(ctx context.Context, dir string, ttl mongo.TTL, capped mongo.Capped, log *slog.Logger) (store, error) {
	uri := string(f.Store)
	switch {
	case uri == "" && f.StoreDatabase != "":
		return nil, errors.New("store-database is for MongoDB: set store as well")
	case uri == "":
		return sqlite.Open(ctx, dir, sqlite.Options{Logger: log})
	case !isMongoURI(uri):
		return nil, errors.New("store is no mongodb:// or mongodb+srv:// URI; leave it out for SQLite in the data directory")
	}
	if err := os.MkdirAll(dir, 0o700); err != nil { // of the delivery record
		return nil, err
	}
	s, err := mongo.Open(ctx, mongo.Options{URI: uri, Database: f.StoreDatabase, TTL: &ttl, Capped: &capped, Logger: log})
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	log.Info("messages and activities are kept in MongoDB")
	return s, nil
}
