// Command socketio-echo is a small Socket.IO server that returns what it gets.
// It shows how package socketio is used, and test suites of the protocol can
// be run against it.
//
// In the namespaces / and /custom it emits "auth" with the client's auth
// payload to every client that connects. It answers "message" with
// "message-back" and the same arguments, and acknowledges "message-with-ack"
// with them.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"belfry/socketio"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "socketio-echo:", err)
		os.Exit(1)
	}
}

// A config is what the flags say.
type config struct {
	listen  string
	path    string
	options socketio.Options
}

func parseFlags(args []string) (config, error) {
	c := config{options: socketio.Options{ConnectTimeout: 1500 * time.Millisecond}}
	engine := &c.options.Engine
	engine.CheckOrigin = func(*http.Request) bool { return true }
	flags := flag.NewFlagSet("socketio-echo", flag.ContinueOnError)
	flags.StringVar(&c.listen, "listen", "127.0.0.1:3000", "`address` to listen on")
	flags.StringVar(&c.path, "path", "/socket.io/", "`path` to serve")
	flags.Var((*duration)(&engine.PingInterval), "ping-interval", "`time` between heartbeats, such as 25s or 25000 (ms)")
	flags.Var((*duration)(&engine.PingTimeout), "ping-timeout", "`time` a heartbeat may take")
	flags.Var((*duration)(&c.options.ConnectTimeout), "connect-timeout", "`time` in which a client must join a namespace")
	flags.IntVar(&engine.MaxPayload, "max-payload", 1_000_000, "`bytes` of the largest message from a client")
	if err := flags.Parse(args); err != nil {
		return c, err
	}
	if flags.NArg() > 0 {
		return c, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	c.path = "/" + strings.Trim(c.path, "/") + "/"
	return c, nil
}

// A duration is a flag in Go's notation or in plain milliseconds.
type duration time.Duration

func (d *duration) String() string { return time.Duration(*d).String() }

func (d *duration) Set(s string) error {
	if ms, err := strconv.Atoi(s); err == nil {
		*d = duration(time.Duration(ms) * time.Millisecond)
		return nil
	}
	v, err := time.ParseDuration(s)
	*d = duration(v)
	return err
}

// newServer makes a server with the echo's handlers.
func newServer(options socketio.Options) *socketio.Server {
	server := socketio.NewServer(options)
	for _, name := range []string{"/", "/custom"} {
		n := server.Of(name)
		n.OnConnect(func(s *socketio.Socket) {
			report(s.Emit("auth", s.Auth()))
		})
		n.On("message", func(s *socketio.Socket, e *socketio.Event) {
			report(s.Emit("message-back", e.Args.All()...))
		})
		n.On("message-with-ack", func(s *socketio.Socket, e *socketio.Event) {
			report(e.Ack(e.Args.All()...))
		})
	}
	return server
}

// report logs what could not be sent, except to a client that is gone or that
// waits for nothing.
func report(err error) {
	if err != nil && !errors.Is(err, socketio.ErrNotConnected) && !errors.Is(err, socketio.ErrNoAck) {
		slog.Warn("cannot answer", "err", err)
	}
}

func run(ctx context.Context, args []string) error {
	c, err := parseFlags(args)
	if err != nil {
		return err
	}
	server := newServer(c.options)
	mux := http.NewServeMux()
	mux.Handle(c.path, server)
	listener, err := net.Listen("tcp", c.listen)
	if err != nil {
		return err
	}
	web := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- web.Serve(listener) }()
	slog.Info("listening", "address", listener.Addr().String(), "path", c.path)
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	return shutdown(server, web)
}

func shutdown(server *socketio.Server, web *http.Server) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	return errors.Join(server.Shutdown(ctx), web.Shutdown(ctx))
}

// stopTimeout bounds the stop of the program.
const stopTimeout = 5 * time.Second

var _ flag.Value = (*duration)(nil)
