package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/signal"
	"strings"
	"syscall"

	"belfry/auth"
	"belfry/internal/transfer"
	"belfry/mongo"
	"belfry/sqlite"
)

// A migrateCmd copies one store into another.
type migrateCmd struct {
	From         auth.Secret `required:"" help:"Store to copy: a data directory (or sqlite:DIR), or a mongodb:// or mongodb+srv:// URI, better in the environment than here. No belfry may use it meanwhile." placeholder:"STORE"`
	To           auth.Secret `required:"" help:"Store to copy it to, likewise. It is empty, or has what this command has copied before it was interrupted." placeholder:"STORE"`
	FromDatabase string      `help:"MongoDB database of --from. Default: the one that the URI names, or belfry." placeholder:"NAME"`
	ToDatabase   string      `help:"MongoDB database of --to, likewise." placeholder:"NAME"`
}

// Help is shown below the flags.
func (*migrateCmd) Help() string {
	return "Stop every belfry that uses either store before: what is stored while it runs may be lost, and the comparison at the end fails then. " +
		"For SQLite on this machine the command sees that itself; for MongoDB it cannot. " +
		"Interrupted in any way, the same command goes on where it was. At the end it reads both stores and compares them. " +
		"The source stays as it is. " + leftBehind
}

const leftBehind = "token.secret, push.key and the delivery record (journal.db) are no part of a store: they stay in the data directory where they are."

// Run implements the command.
func (c *migrateCmd) Run(out *surroundings) (err error) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends it at once
	defer func() {
		if ctx.Err() != nil && errors.Is(err, context.Canceled) {
			err = errors.New("interrupted: the same command goes on from here")
		}
	}()
	from, err := place{"from", c.From, c.FromDatabase}.open(ctx, true)
	if err != nil {
		return err
	}
	defer closeInto(&err, from)
	to, err := place{"to", c.To, c.ToDatabase}.open(ctx, false)
	if err != nil {
		return err
	}
	defer closeInto(&err, to)
	source, target := from.Transfer(), to.Transfer()
	p, unfinished, err := target.Progress(ctx)
	if err != nil {
		return err
	}
	verb := "copying"
	if unfinished && p.Source == source.Name() {
		verb = "going on copying"
	}
	fmt.Fprintf(out.stdout, "%s %s to %s\n", verb, source.Name(), target.Name())
	if err := transfer.Copy(ctx, source, target, newReporter(out)); err != nil {
		return err
	}
	fmt.Fprintf(out.stdout, "done: %s has all that %s has. %s\n", target.Name(), source.Name(), leftBehind)
	return nil
}

func closeInto(err *error, c io.Closer) { *err = errors.Join(*err, c.Close()) }

// A place is where the command line says that a store is. It may be a URI with a password.
type place struct {
	flag     string
	where    auth.Secret
	database string
}

// open opens the store. Nobody may use it.
func (p place) open(ctx context.Context, mustExist bool) (store, error) {
	where := string(p.where)
	dir, isDirectory := strings.CutPrefix(where, "sqlite:")
	switch {
	case isMongoURI(where):
		s, err := mongo.Open(ctx, mongo.Options{URI: where, Database: p.database, MustExist: mustExist})
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.flag, err)
		}
		return s, nil
	case where == "" || strings.Contains(where, "://") || !isDirectory && strings.Contains(where, "@"):
		return nil, fmt.Errorf("%s is neither a mongodb:// or mongodb+srv:// URI nor a directory, which may also be written sqlite:DIR", p.flag)
	case p.database != "":
		return nil, fmt.Errorf("%s-database is for MongoDB, and %s is a directory", p.flag, p.flag)
	}
	exists, err := sqlite.Exists(dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.flag, err)
	}
	if !exists && mustExist {
		return nil, fmt.Errorf("%s: there is no %s in %s", p.flag, sqlite.FileName, dir)
	}
	if exists {
		used, err := sqlite.InUse(ctx, dir)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.flag, err)
		}
		if used {
			return nil, fmt.Errorf("%s: another process uses the database in %s: stop it first", p.flag, dir)
		}
	}
	return sqlite.Open(ctx, dir, sqlite.Options{})
}
