package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"belfry"
	"belfry/auth"
	"belfry/load"
)

// benchAuth are the key and the secret of the installation.
type benchAuth struct {
	keyFlags   `embed:""`
	tokenFlags `embed:""`
}

// A benchCmd is a load generator for an installation.
type benchCmd struct {
	Scenario string `arg:"" help:"fanout: activities to whole companies. unicast: messages to random users. mixed: both. storm: all pages log in at once. idle: pages that only stay." enum:"fanout,unicast,mixed,storm,idle"`

	URL  string    `help:"Where pages connect." default:"http://127.0.0.1:2120" placeholder:"URL"`
	Path string    `help:"Path of Socket.IO." default:"/socket.io/"`
	Push string    `help:"URL of the push port." default:"http://127.0.0.1:2121" placeholder:"URL"`
	Data string    `help:"Directory of the key and of the secret that signs the pages' tokens." default:"belfry-data" type:"path" placeholder:"DIR"`
	Auth benchAuth `embed:"" prefix:"auth."`
	Dev  bool      `help:"Pages log in without a token, as serve --dev lets them. Default where there is no secret."`

	Pages           int           `help:"Pages to open." default:"1000"`
	Companies       int           `help:"Companies that share them." default:"1"`
	UsersPerCompany int           `help:"Users who share the pages of a company. Default: one page each." placeholder:"N"`
	Callers         int           `help:"Publications in flight (also --ahead)." aliases:"ahead" default:"16"`
	Rate            float64       `help:"Publications per second, in all. Default: as many as get through." placeholder:"N"`
	Duration        time.Duration `help:"How long to measure." default:"10s"`
	WarmUp          time.Duration `help:"How long to push before that." default:"2s"`
	Drain           time.Duration `help:"How long to wait without progress for what is still to come." default:"10s"`
	Size            int           `help:"Bytes of content of a publication." default:"100"`
	Stored          bool          `help:"Have the server store what is pushed. Default: only open pages get it."`
	Transport       string        `help:"websocket, polling, or mixed: half of each." enum:"websocket,polling,mixed" default:"websocket"`
	Revision        string        `help:"Of Socket.IO: 5 for clients 3.x and 4.x, 4 for 1.x and 2.x, or mixed: half of each." enum:"4,5,mixed" default:"5"`
	Connecting      int           `help:"Pages that log in at the same time." default:"100"`
	Churn           float64       `help:"Pages that leave per second; each comes back within two seconds." placeholder:"N"`
	Slow            float64       `help:"Share of the pages that read slowly, such as 0.1." placeholder:"SHARE"`
	SlowRate        int           `help:"Bytes per second that they read." default:"4096"`
	Verify          bool          `help:"Check for every page that nothing was lost, doubled or out of order; exit with 1 if something was, or a page did not come back."`
	Recover         bool          `help:"Pages that come back ask for what they have missed."`
	JSON            bool          `help:"Print one JSON object and nothing else."`
	ServerPID       int           `help:"Process of the server, if it runs on this machine: its memory and CPU are reported." placeholder:"PID"`
	Seed            uint64        `help:"Makes the choices of two runs the same." placeholder:"N"`
}

// benchTokenTTL is how long the pages' tokens hold: longer than anybody measures.
const benchTokenTTL = 7 * 24 * time.Hour

// shares are what the settings of transport and revision mean.
var shares = map[string]float64{"websocket": 0, "polling": 1, "5": 0, "4": 1, "mixed": 0.5}

// Run implements the command.
func (c *benchCmd) Run(out *surroundings) error {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	context.AfterFunc(ctx, cancel) // a second signal ends the process
	options, err := c.options(out.stderr)
	if err != nil {
		return err
	}
	report, err := load.Run(ctx, options)
	if err != nil {
		return err
	}
	if c.JSON {
		enc := json.NewEncoder(out.stdout)
		enc.SetEscapeHTML(false)
		err = enc.Encode(report)
	} else {
		err = report.Print(out.stdout)
	}
	if err != nil {
		return err
	}
	return c.verdict(report)
}

// verdict is an error if the run proves nothing or proves faults.
func (c *benchCmd) verdict(r *load.Report) error {
	switch {
	case r.Connect.Opened == 0 && !r.Interrupted:
		return errors.New("no page could log in")
	case c.Verify && r.Verify.Faults > 0:
		return fmt.Errorf("%d faults", r.Verify.Faults)
	case c.Verify && r.Life.Away > 0 && !r.Interrupted:
		return fmt.Errorf("%d pages were not open at the end: of them nothing is proved", r.Life.Away)
	}
	return nil
}

func (c *benchCmd) options(stderr io.Writer) (load.Options, error) {
	key, err := existingSecret(c.Auth.PushKey, filepath.Join(c.Data, pushKeyFile))
	if err != nil {
		return load.Options{}, err
	}
	sign, err := c.signer()
	if err != nil {
		return load.Options{}, err
	}
	o := load.Options{
		URL: c.URL, Path: c.Path, Push: c.Push, Key: string(key), Token: sign,
		Scenario: load.Scenario(c.Scenario), Pages: c.Pages, Companies: c.Companies, UsersPerCompany: c.UsersPerCompany,
		Callers: c.Callers, Rate: c.Rate, Duration: c.Duration, WarmUp: c.WarmUp, Drain: c.Drain, Size: c.Size, Stored: c.Stored,
		Polling: shares[c.Transport], Revision4: shares[c.Revision], Connecting: c.Connecting, Churn: c.Churn, Slow: c.Slow,
		SlowRate: c.SlowRate, Verify: c.Verify, Recover: c.Recover, ServerPID: c.ServerPID, Seed: c.Seed,
	}
	if !c.JSON {
		o.Progress = progressOn(stderr)
	}
	return o, nil
}

// signer signs the pages' tokens; it is nil where the server takes pages without.
func (c *benchCmd) signer() (func(uid, company string) (string, error), error) {
	if c.Dev {
		return nil, nil
	}
	secret, err := existingSecret(c.Auth.TokenSecret, filepath.Join(c.Data, tokenSecretFile))
	if err != nil || secret == "" {
		return nil, err
	}
	options, err := c.Auth.tokenOptions(c.Data)
	if err != nil {
		return nil, err
	}
	tokens, err := auth.NewTokens(options)
	if err != nil {
		return nil, err
	}
	return func(uid, company string) (string, error) {
		who, err := belfry.NewIdentity(uid, company)
		if err != nil {
			return "", err
		}
		return tokens.Sign(who, benchTokenTTL)
	}, nil
}

// progressOn writes progress to w: over one line on a terminal, line by line elsewhere.
func progressOn(w io.Writer) func(load.Progress) {
	before, after := "", "\n"
	if isTerminal(w) {
		before, after = "\r\x1b[K", "" // to the start of the line, which is cleared
	}
	return func(p load.Progress) {
		if after == "" && p.Done {
			fmt.Fprint(w, before)
		} else if !p.Done {
			fmt.Fprint(w, before, p, after)
		}
	}
}

// isTerminal takes any character device for one.
func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
