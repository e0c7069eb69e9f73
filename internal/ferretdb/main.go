// Command ferretdb serves the MongoDB wire protocol from SQLite files, by
// FerretDB 1.24: what the tests of package mongo run against where no other server is named.
// It has a module of its own, so that belfry's stays free of it.
//
// It takes a directory for its files and an address to listen on, and ends when standard input does: so it
// never outlives the test that started it, however that ends.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"

	"github.com/FerretDB/FerretDB/ferretdb"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "ferretdb:", err)
		os.Exit(1)
	}
}

func run() error {
	if len(os.Args) != 3 {
		return fmt.Errorf("usage: ferretdb <directory> <host:port>")
	}
	dir, err := filepath.Abs(os.Args[1])
	if err != nil {
		return err
	}
	socket := filepath.Join(dir, "socket")
	if err := os.Remove(socket); err != nil && !errors.Is(err, fs.ErrNotExist) { // one that was killed has left it
		return err
	}
	server, err := ferretdb.New(&ferretdb.Config{
		Listener: ferretdb.ListenerConfig{Unix: socket},
		Handler:  "sqlite",
		// What outlives the machine is not what these tests are about.
		SQLiteURL: "file:" + dir + "/?_pragma=synchronous(off)",
		Logger:    slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelError})),
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer cancel()
		_, _ = io.Copy(io.Discard, os.Stdin) // however it ends, it is the end
	}()
	// New has made the socket, so that whoever finds the front listening is served.
	listener, err := net.Listen("tcp", os.Args[2])
	if err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() {
		defer cancel()
		failed <- (&front{listener, socket}).serve()
	}()
	defer listener.Close()
	if err := server.Run(ctx); err != nil {
		return err
	}
	select {
	case err := <-failed:
		return err
	default:
		return nil
	}
}
