package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"belfry"
	"belfry/auth"
	"belfry/server"
	"belfry/sqlite"
)

// stopTimeout bounds a graceful stop.
const stopTimeout = 15 * time.Second

// A serveCmd serves until SIGINT or SIGTERM.
type serveCmd struct {
	Listen      string `help:"Address for pages." default:":2120" placeholder:"ADDR"`
	Data        string `help:"Directory of the database and the secrets; made where missing." default:"belfry-data" type:"path" placeholder:"DIR"`
	Dev         bool   `help:"For development on this machine: pages log in without a token, backends push without the key, both from loopback only."`
	serverFlags `embed:""`
}

// serverFlags are the settings of a server.
type serverFlags struct {
	PushListen  string   `help:"Address for backends." default:"127.0.0.1:2121" placeholder:"ADDR"`
	Path        string   `help:"Path of Socket.IO." default:"/socket.io/"`
	Origins     []string `help:"Origins of pages beside the own host, such as https://app.example.com; * for all." placeholder:"ORIGIN"`
	Zone        string   `help:"Time zone of dates on the wire." default:"${zone}"`
	ReplayLimit int      `help:"Messages that a login replays at most." default:"100"`

	storeFlags `embed:""`

	CatchUpLimit     int      `help:"What a page that comes back is told at most; beyond it, it loads its lists anew." default:"500"`
	ForcedCategories []string `help:"Categories of messages that users cannot turn off." placeholder:"NAME"`

	Auth      authFlags      `embed:"" prefix:"auth."`
	Redis     redisFlags     `embed:"" prefix:"redis."`
	Cluster   clusterFlags   `embed:"" prefix:"cluster."`
	Presence  presenceFlags  `embed:"" prefix:"presence."`
	Retention retentionFlags `embed:"" prefix:"retention."`
	Record    recordFlags    `embed:"" prefix:"record."`
	Topics    topicFlags     `embed:"" prefix:"topics."`
	Socket    socketFlags    `embed:"" prefix:"socket."`
	Limits    limitFlags     `embed:"" prefix:"limits."`
	logFlags  `embed:""`
}

type authFlags struct {
	InsecureLogin string      `help:"From where pages log in with {uid, companyID} and no token: off, loopback or anywhere. With --dev the default is loopback." enum:",off,loopback,anywhere" default:""`
	PushKey       auth.Secret `help:"Key of backends. Default: made once, in the data directory." placeholder:"KEY"`
	PublicKeys    string      `help:"PEM file of public keys or certificates whose tokens are taken beside those of the secret: RSA (RS256), P-256 (ES256), Ed25519 (EdDSA)." type:"path" placeholder:"FILE"`
	JWKS          string      `help:"URL of a JWK Set with more such keys; https, or http on loopback." placeholder:"URL"`
	tokenFlags    `embed:""`
}

// tokenFlags are what signing and checking login tokens need.
type tokenFlags struct {
	TokenSecret  auth.Secret `help:"Secret of login tokens (HS256), at least 32 bytes. Better in the environment or the file than here. Default: made once, in the data directory." placeholder:"SECRET"`
	CompanyClaim string      `help:"Claim of login tokens with the company. Default: company." default:"company" placeholder:"NAME"`
	Issuer       string      `help:"What the claim iss of login tokens must be. Default: anything." placeholder:"NAME"`
	Audience     string      `help:"What the claim aud of login tokens must contain. Default: anything." placeholder:"NAME"`
}

type presenceFlags struct {
	Grace time.Duration `help:"How long a user without a page still counts as online; at least 500ms." default:"3s"`
}

// retentionFlags say how much is kept. By default nothing is ever deleted.
type retentionFlags struct {
	MessageAge      time.Duration `help:"Delete messages that are older, such as 2160h; 0 keeps them." default:"0s" placeholder:"TIME"`
	Messages        int           `help:"Delete the oldest messages beyond this number; 0 for no limit." default:"0" placeholder:"ROWS"`
	MessagesPerUser int           `help:"Delete a user's oldest messages beyond this number; 0 for no limit." default:"0" placeholder:"ROWS"`
	ActivityAge     time.Duration `help:"Delete activities that are older; 0 keeps them." default:"0s" placeholder:"TIME"`
	Activities      int           `help:"Delete the oldest activities beyond this number; 0 for no limit." default:"0" placeholder:"ROWS"`
	LogAge          time.Duration `help:"How long pages that come back are told what was read, changed and withdrawn meanwhile." default:"720h" placeholder:"TIME"`
}

func (f retentionFlags) retention() (belfry.Retention, error) {
	for name, negative := range map[string]bool{
		"message-age":       f.MessageAge < 0,
		"messages":          f.Messages < 0,
		"messages-per-user": f.MessagesPerUser < 0,
		"activity-age":      f.ActivityAge < 0,
		"activities":        f.Activities < 0,
	} {
		if negative {
			return belfry.Retention{}, fmt.Errorf("retention.%s is negative; 0 means no limit", name)
		}
	}
	if f.LogAge <= 0 {
		return belfry.Retention{}, errors.New("retention.log-age must be longer than nothing")
	}
	return belfry.Retention(f), nil
}

// recordFlags bound the delivery record, which belfry explain reads.
type recordFlags struct {
	Age  time.Duration `help:"How long the delivery record is kept." default:"168h" placeholder:"TIME"`
	Rows int           `help:"Facts that it holds at most; 0 keeps no record." default:"1000000"`
}

// open opens the record in dir, or none.
func (f recordFlags) open(ctx context.Context, dir string, log *slog.Logger) (belfry.Journal, func() error, error) {
	switch {
	case f.Rows < 0 || f.Age <= 0:
		return nil, nil, errors.New("record.rows is negative, or record.age is not positive")
	case f.Rows == 0:
		return nil, func() error { return nil }, nil
	}
	journal, err := sqlite.OpenJournal(ctx, dir, sqlite.JournalOptions{Rows: f.Rows, Age: f.Age, Logger: log})
	if err != nil {
		return nil, nil, err
	}
	return journal, journal.Close, nil
}

// topicFlags say who is asked about topics that a token does not list.
type topicFlags struct {
	Hook       string      `help:"URL that is asked whether a page may join a topic that its token does not list: it gets {uid, companyID, topic} and answers 2xx or 403." placeholder:"URL"`
	HookSecret auth.Secret `help:"Secret that signs these questions: X-Belfry-Signature is sha256= and the HMAC-SHA256 of the body." placeholder:"SECRET"`
}

type socketFlags struct {
	PingInterval time.Duration `help:"Time between heartbeats." default:"25s"`
	PingTimeout  time.Duration `help:"Time that a heartbeat may take." default:"20s"`
	MaxPayload   int           `help:"Bytes that a page may send at once." default:"1000000"`
	MaxQueue     int           `help:"Bytes that may wait for one page before it is disconnected." default:"262144"`
}

type limitFlags struct {
	Pages      int     `help:"Open pages of one address." default:"10000"`
	Handshakes float64 `help:"Connections per second of one address." default:"200"`
}

type logFlags struct {
	LogFormat string     `help:"text or json." enum:"text,json" default:"text"`
	LogLevel  slog.Level `help:"debug, info, warn or error." default:"info"`
}

func (f logFlags) logger(w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: f.LogLevel}
	if f.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

// Run implements the command.
func (c *serveCmd) Run(out *surroundings) error {
	log := c.logger(out.stderr)
	return c.serve(c.Data, log, func(o *server.Options) {
		o.Listen = c.Listen
		if c.Dev {
			developerAccess(o)
		}
	}, func(*server.Server) {})
}

// developerAccess opens what --dev opens, as far as it is not set otherwise.
func developerAccess(o *server.Options) {
	o.OpenPush = true
	o.LoopbackOrigins = true
	if o.InsecureLogin == "" {
		o.InsecureLogin = server.InsecureLoopback
	}
}

// serve runs a server on the data in dir until it is told to stop. Alter may
// change its options, started is called when it listens.
func (f serverFlags) serve(dir string, log *slog.Logger, alter func(*server.Options), started func(*server.Server)) (err error) {
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	options, err := f.options(dir, log)
	if err != nil {
		return err
	}
	defer options.Tokens.Close()
	store, err := f.storeFlags.open(ctx, dir, f.Retention, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	journal, closeJournal, err := f.Record.open(ctx, dir, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, closeJournal()) }()
	options.Store, options.Journal = store, journal
	options.Check = func(ctx context.Context) error {
		// Nothing that another process has left half done keeps this waiting: all nodes would be taken for ill at once.
		_, err := store.Profile(ctx, belfry.Identity{User: "health", Company: "check"})
		return err
	}
	leave, err := f.joinCluster(ctx, &options, log)
	if err != nil {
		return err
	}
	defer leave()
	alter(&options)
	srv, err := server.New(ctx, options)
	if err != nil {
		return err
	}
	defer func() { // before the store closes, whether it has started or not
		bounded, cancelStop := context.WithTimeout(context.Background(), stopTimeout)
		defer cancelStop()
		err = errors.Join(err, srv.Stop(bounded))
	}()
	if err := srv.Start(); err != nil {
		return err
	}
	hearing, stopHearing := context.WithCancel(ctx)
	ended, err := f.hearEmitters(hearing, srv.Service(), log)
	if err != nil {
		stopHearing()
		return err
	}
	defer ended()
	defer stopHearing()
	started(srv)
	select {
	case err = <-srv.Failed():
		return err
	case <-ctx.Done():
		log.Info("stopping")
		return nil
	}
}

// options turns flags into options, and makes the secrets that are not set.
func (f serverFlags) options(dir string, log *slog.Logger) (server.Options, error) {
	zone, err := time.LoadLocation(f.Zone)
	if err != nil {
		return server.Options{}, fmt.Errorf("zone: %w", err)
	}
	key, err := secretOr(f.Auth.PushKey, dir, pushKeyFile)
	if err != nil {
		return server.Options{}, err
	}
	retention, err := f.Retention.retention()
	if err != nil {
		return server.Options{}, err
	}
	tokens, err := f.Auth.tokens(dir, log) // last, because they must be closed
	if err != nil {
		return server.Options{}, err
	}
	return server.Options{
		PushListen:       f.PushListen,
		Path:             f.Path,
		Tokens:           tokens,
		PushKey:          auth.NewKey(key),
		InsecureLogin:    server.InsecureLogin(f.Auth.InsecureLogin),
		Origins:          f.Origins,
		ForcedCategories: f.ForcedCategories,
		Zone:             zone,
		Grace:            max(f.Presence.Grace, time.Millisecond),
		ReplayLimit:      f.ReplayLimit,
		CatchUpLimit:     f.CatchUpLimit,
		TopicHook:        server.TopicHook{URL: f.Topics.Hook, Secret: f.Topics.HookSecret},
		Retention:        retention,
		PingInterval:     f.Socket.PingInterval,
		PingTimeout:      f.Socket.PingTimeout,
		MaxPayload:       f.Socket.MaxPayload,
		MaxQueue:         f.Socket.MaxQueue,
		Limits:           server.Limits{Pages: f.Limits.Pages, Handshakes: f.Limits.Handshakes},
		Logger:           log,
	}, nil
}

// The files of the secrets that are made at first start.
const (
	tokenSecretFile = "token.secret"
	pushKeyFile     = "push.key"
)

// tokens are those of a server. It has a secret also where it has public keys:
// it signs tokens for backends and statements for recovery.
func (f authFlags) tokens(dir string, log *slog.Logger) (*auth.Tokens, error) {
	options, err := f.tokenOptions(dir)
	if err != nil {
		return nil, err
	}
	if f.PublicKeys != "" {
		if options.Keys, err = auth.LoadPublicKeys(f.PublicKeys); err != nil {
			return nil, err
		}
	}
	options.JWKS = f.JWKS
	options.Logger = log
	return auth.NewTokens(options)
}

func (f tokenFlags) tokenOptions(dir string) (auth.TokenOptions, error) {
	secret, err := secretOr(f.TokenSecret, dir, tokenSecretFile)
	return auth.TokenOptions{
		Secret:       secret,
		CompanyClaim: f.CompanyClaim,
		Issuer:       f.Issuer,
		Audience:     f.Audience,
	}, err
}

// secretOr returns the secret that is set, or the one in the file.
func secretOr(set auth.Secret, dir, file string) (auth.Secret, error) {
	if set != "" {
		return set, nil
	}
	return auth.LoadOrCreateSecret(filepath.Join(dir, file))
}

// existingSecret returns the secret that is set, or the one in a file, or none where there is
// no file.
func existingSecret(set auth.Secret, path string) (auth.Secret, error) {
	if set != "" {
		return set, nil
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	return auth.LoadOrCreateSecret(path)
}
