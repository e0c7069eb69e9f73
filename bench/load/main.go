// Load is belfry bench for a server on the centrifuge library: the same load generator, whose
// pages speak that library's protocol. It takes the flags of belfry bench that the comparison needs, and prints the
// report as JSON.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"os"
	"os/signal"
	"syscall"

	"belfry/load"
)

func main() {
	log.SetFlags(0)
	if len(os.Args) < 2 {
		log.Fatal("usage: load SCENARIO [flags]")
	}
	o, err := options(os.Args[1], os.Args[2:])
	if err == nil {
		err = run(o)
	}
	if err != nil {
		log.Fatal(err)
	}
}

func options(scenario string, args []string) (load.Options, error) {
	o := load.Options{Scenario: load.Scenario(scenario), Path: "/connection/websocket", Dialect: dialect{}}
	f := flag.NewFlagSet("load", flag.ContinueOnError)
	f.StringVar(&o.URL, "url", "http://127.0.0.1:2120", "where pages connect")
	f.StringVar(&o.Push, "push", "http://127.0.0.1:2121", "where backends push")
	f.IntVar(&o.Pages, "pages", 1000, "pages to open")
	f.IntVar(&o.Callers, "callers", 16, "publications in flight")
	f.IntVar(&o.Callers, "ahead", 16, "the same")
	f.IntVar(&o.Size, "size", 100, "bytes of content of a publication")
	f.IntVar(&o.Connecting, "connecting", 100, "pages that log in at the same time")
	f.DurationVar(&o.Duration, "duration", 0, "how long to measure")
	f.DurationVar(&o.WarmUp, "warm-up", 0, "how long to push before that")
	f.BoolVar(&o.Verify, "verify", false, "check what every page gets")
	f.IntVar(&o.ServerPID, "server-pid", 0, "process of the server")
	f.Bool("json", true, "print one JSON object: always")
	return o, f.Parse(args)
}

// run runs, prints the report, and fails as belfry bench does.
func run(o load.Options) error {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	r, err := load.Run(ctx, o)
	if err != nil {
		return err
	}
	if err := json.NewEncoder(os.Stdout).Encode(r); err != nil {
		return err
	}
	switch {
	case r.Interrupted:
	case r.Connect.Opened == 0:
		return fmt.Errorf("no page could log in: %v", r.Errors)
	case o.Verify && (r.Verify.Faults > 0 || r.Life.Away > 0):
		return fmt.Errorf("%d faults, %d pages were not open at the end", r.Verify.Faults, r.Life.Away)
	}
	return nil
}
