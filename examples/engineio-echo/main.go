// Command engineio-echo sends every message of a bare Engine.IO connection
// back to it: the smallest program on package engineio, and one to hold a client or
// a test suite of the protocol against.
package main

import (
	"context"
	"flag"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"belfry/engineio"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:3000", "address to listen on")
	path := flag.String("path", "/engine.io/", "path of the protocol")
	interval, timeout := duration(25*time.Second), duration(20*time.Second)
	flag.Var(&interval, "ping-interval", "time between heartbeats, such as 25s or 25000 (milliseconds)")
	flag.Var(&timeout, "ping-timeout", "time a heartbeat may take, such as 20s or 20000 (milliseconds)")
	maxPayload := flag.Int("max-payload", 1_000_000, "largest message in bytes")
	flag.Parse()
	if err := run(*listen, *path, engineio.Options{
		PingInterval: time.Duration(interval),
		PingTimeout:  time.Duration(timeout),
		MaxPayload:   *maxPayload,
		CheckOrigin:  func(*http.Request) bool { return true },
	}); err != nil {
		log.Fatal(err)
	}
}

// A duration is a flag that takes Go's notation or, as the protocol's own options
// do, a plain number of milliseconds.
type duration time.Duration

func (d *duration) String() string { return time.Duration(*d).String() }

func (d *duration) Set(text string) error {
	if ms, err := strconv.ParseInt(text, 10, 32); err == nil {
		*d = duration(time.Duration(ms) * time.Millisecond)
		return nil
	}
	value, err := time.ParseDuration(text)
	*d = duration(value)
	return err
}

func run(listen, path string, options engineio.Options) error {
	engine := engineio.NewServer(options, func(s *engineio.Session) engineio.Receiver { return echo{s} })
	mux := http.NewServeMux()
	mux.Handle(path, engine)

	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	log.Printf("listening on http://%s%s", listener.Addr(), path)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	go func() {
		<-ctx.Done()
		bounded, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		engine.Shutdown(bounded)
		server.Shutdown(bounded)
	}()
	if err := server.Serve(listener); err != http.ErrServerClosed {
		return err
	}
	return nil
}

// echo sends what its session receives.
type echo struct{ session *engineio.Session }

func (e echo) Message(data []byte, binary bool) {
	e.session.Send(engineio.NewFrame(e.session.Protocol(), engineio.Message{Data: data, Binary: binary}))
}

func (e echo) Closed(engineio.Reason) {}
