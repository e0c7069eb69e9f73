package main

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"belfry"
	"belfry/auth"
	"belfry/server"
)

const testSecret = "0123456789abcdef0123456789abcdef"

// runs runs a command line in this process.
func runs(args ...string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = run(args, &out, &err)
	return code, out.String(), err.String()
}

func TestVersion(t *testing.T) {
	code, out, _ := runs("version")
	if code != 0 || !strings.HasPrefix(out, "belfry "+version) || !strings.Contains(out, "go1.") {
		t.Errorf("code %d, %q", code, out)
	}
}

func TestATokenIsValidForWhomItNames(t *testing.T) {
	dir := t.TempDir()
	for name, args := range map[string][]string{
		"with the secret of the data directory": {"--data", dir},
		"with a secret that is set":             {"--auth.token-secret", testSecret},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, stderr := runs(append([]string{"token", "--uid", "7", "--company", "acme", "--ttl", "1h"}, args...)...)
			if code != 0 {
				t.Fatalf("code %d: %s", code, stderr)
			}
			secret := auth.Secret(testSecret)
			if args[0] == "--data" {
				var err error
				if secret, err = auth.LoadOrCreateSecret(filepath.Join(dir, tokenSecretFile)); err != nil {
					t.Fatal(err)
				}
			}
			tokens, err := auth.NewTokens(auth.TokenOptions{Secret: secret})
			if err != nil {
				t.Fatal(err)
			}
			claims, err := tokens.Verify(strings.TrimSpace(out))
			if err != nil || claims.Who != (belfry.Identity{User: "7", Company: "acme"}) {
				t.Errorf("the token speaks for %+v, %v", claims.Who, err)
			}
		})
	}
}

func TestCommandLinesThatAreWrong(t *testing.T) {
	dir := t.TempDir()
	open := filepath.Join(dir, "open")
	if err := os.MkdirAll(open, 0o700); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(open, tokenSecretFile), testSecret, 0o644)
	cases := []struct {
		name string
		args []string
		code int
		says string
	}{
		{"an unknown flag", []string{"serve", "--colour"}, 2, "--colour"},
		{"an unknown command", []string{"ring"}, 2, "ring"},
		{"a stray argument", []string{"version", "now"}, 2, "now"},
		{"a token for nobody", []string{"token", "--company", "1"}, 2, "--uid"},
		{"a token without a company", []string{"token", "--uid", "1"}, 2, "--company"},
		{"an empty user", []string{"token", "--data", dir, "--uid", " ", "--company", "1"}, 1, "uid is missing"},
		{"a user that is too long", []string{"token", "--data", dir, "--uid", strings.Repeat("u", 129), "--company", "1"}, 1, "129 bytes"},
		{"a ttl that is none", []string{"token", "--uid", "1", "--company", "1", "--ttl", "soon"}, 2, "ttl"},
		{"a ttl of nothing", []string{"token", "--data", dir, "--uid", "1", "--company", "1", "--ttl", "0s"}, 1, "ttl"},
		{"a ttl in the past", []string{"token", "--data", dir, "--uid", "1", "--company", "1", "--ttl=-1h"}, 1, "ttl"},
		{"a secret that is too short", []string{"token", "--uid", "1", "--company", "1", "--auth.token-secret", "short"}, 1, "at least 32"},
		{"a secret that others can read", []string{"token", "--uid", "1", "--company", "1", "--data", open}, 1, "chmod 600"},
		{"public keys that are missing", []string{"serve", "--data", dir, "--auth.public-keys", filepath.Join(dir, "none.pem")}, 1, "none.pem"},
		{"public keys that are none", []string{"serve", "--data", dir, "--auth.public-keys", filepath.Join(open, tokenSecretFile)}, 1, "no public key"},
		{"a JWKS URL that anybody on the way can change", []string{"serve", "--data", dir, "--auth.jwks", "http://login.example.com/keys"}, 1, "https"},
		{"a company in a claim that says something else", []string{"token", "--data", dir, "--uid", "1", "--company", "1", "--auth.company-claim", "exp"}, 1, "claim exp"},
		{"an unknown zone", []string{"serve", "--data", dir, "--zone", "Mars/Olympus"}, 1, "Mars/Olympus"},
		{"an unknown kind of login", []string{"serve", "--data", dir, "--auth.insecure-login", "maybe"}, 2, "insecure-login"},
		{"an unknown log level", []string{"serve", "--data", dir, "--log-level", "loud"}, 2, "log-level"},
		{"a negative retention", []string{"serve", "--data", dir, "--retention.message-age=-1h"}, 1, "retention.message-age is negative"},
		{"a retention that is no number", []string{"serve", "--data", dir, "--retention.messages", "few"}, 2, "retention.messages"},
		{"a store that is none", []string{"serve", "--data", dir, "--store", "mysql://u:" + testSecret + "@127.0.0.1/"}, 1, "mongodb://"},
		{"a store whose URI is malformed", []string{"serve", "--data", dir, "--store", "mongodb://u:" + testSecret + "%zz@127.0.0.1/"}, 1, "malformed"},
		{"a store that does not answer", []string{"serve", "--data", dir, "--store", "mongodb://u:" + testSecret + "@127.0.0.1:1/?serverSelectionTimeoutMS=1"}, 1, "not available"},
		{"a database of no store", []string{"serve", "--data", dir, "--store-database", "x"}, 1, "set store"},
		{"another kind of retention", []string{"serve", "--data", dir, "--store-retention", "never"}, 2, "store-retention"},
		{"capped collections of no server", []string{"serve", "--data", dir, "--store-retention", "capped", "--store-capped-bytes", "16777216"}, 1, "store-retention is for MongoDB"},
		{"capped collections without a size", []string{"serve", "--data", dir, "--store", "mongodb://127.0.0.1:1/", "--store-retention", "capped", "--store-capped-rows", "9"}, 1, "store-capped-bytes is 0: it is at least 16777216"},
		{"capped collections that are too small", []string{"serve", "--data", dir, "--store", "mongodb://127.0.0.1:1/", "--store-retention", "capped", "--store-capped-bytes", "4096"}, 1, "store-capped-bytes is 4096"},
		{"capped collections of less than nothing", []string{"serve", "--data", dir, "--store", "mongodb://127.0.0.1:1/", "--store-retention", "capped", "--store-capped-bytes", "16777216", "--store-capped-rows=-1"}, 1, "store-capped-rows is negative"},
		{"capped collections of no number", []string{"serve", "--data", dir, "--store-retention", "capped", "--store-capped-bytes", "16MB"}, 2, "store-capped-bytes"},
		{"a size of collections that are not capped", []string{"serve", "--data", dir, "--store", "mongodb://127.0.0.1:1/", "--store-capped-bytes", "16777216"}, 1, "are for store-retention capped"},
		{"capped collections and a number of messages", []string{"serve", "--data", dir, "--store", "mongodb://127.0.0.1:1/", "--store-retention", "capped", "--store-capped-bytes", "16777216", "--retention.messages", "9"}, 1, "set store-capped-rows"},
		{"capped collections and a number of activities", []string{"serve", "--data", dir, "--store", "mongodb://127.0.0.1:1/", "--store-retention", "capped", "--store-capped-bytes", "16777216", "--retention.activities", "9"}, 1, "set store-capped-rows"},
		{"retention by a server that there is not", []string{"serve", "--data", dir, "--store-retention", "ttl", "--retention.message-age", "24h"}, 1, "store-retention is for MongoDB"},
		{"retention by the server without an age", []string{"serve", "--data", dir, "--store", "mongodb://127.0.0.1:1/", "--store-retention", "ttl"}, 1, "neither retention.message-age nor"},
		{"retention by the server with a number of messages", []string{"serve", "--data", dir, "--store", "mongodb://127.0.0.1:1/", "--store-retention", "ttl", "--retention.message-age", "24h", "--retention.messages", "9"}, 1, "retention.messages cannot be kept"},
		{"retention by the server with a number of activities", []string{"serve", "--data", dir, "--store", "mongodb://127.0.0.1:1/", "--store-retention", "ttl", "--retention.activity-age", "24h", "--retention.activities", "9"}, 1, "retention.activities cannot be kept"},
		{"a Redis that is none", []string{"serve", "--data", dir, "--redis.url", "http://u:" + testSecret + "@127.0.0.1/"}, 1, "redis://"},
		{"a Redis that does not answer", []string{"serve", "--data", dir, "--redis.url", "redis://u:" + testSecret + "@127.0.0.1:1"}, 1, "127.0.0.1:1"},
		{"nodes that cannot find each other", []string{"serve", "--data", dir, "--cluster.listen", "127.0.0.1:2122"}, 1, "redis.url"},
		{"emitters without a Redis", []string{"serve", "--data", dir, "--redis.emitter-compat"}, 1, "need redis.url"},
		{"a path without slashes", []string{"serve", "--data", dir, "--path", "io"}, 1, "slash"},
		{"an origin that is none", []string{"serve", "--data", dir, "--origins", "app"}, 1, "origin"},
		{"a listen address that is none", []string{"serve", "--data", dir, "--listen", "nowhere"}, 1, "nowhere"},
		{"a configuration file that is missing", []string{"serve", "--config", filepath.Join(dir, "none.yaml")}, 2, "none.yaml"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			code, _, stderr := runs(c.args...)
			if code != c.code || !strings.Contains(stderr, c.says) {
				t.Errorf("code %d, want %d; it says %q, want %q", code, c.code, stderr, c.says)
			}
			if strings.Contains(stderr, testSecret) {
				t.Errorf("it shows the secret: %s", stderr)
			}
		})
	}
}

func TestHelp(t *testing.T) {
	for _, args := range [][]string{{"--help"}, {"serve", "--help"}, {"demo", "--help"}, {"token", "--help"}, {"version", "--help"}, {"migrate", "--help"}} {
		code, out, stderr := runs(args...)
		if code != 0 || !strings.HasPrefix(out, "Usage: belfry") || stderr != "" {
			t.Errorf("%v: code %d, %q %q", args, code, out, stderr)
		}
	}
}

func writeFile(t *testing.T, path, content string, mode fs.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

// parsed parses a command line and returns its flags, and what run would say.
func parsed(args ...string) (cli, error) {
	var c cli
	parser, err := kong.New(&c, kong.DefaultEnvars("BELFRY"), kong.Configuration(loadYAML), kong.Vars{"zone": server.DefaultZone})
	if err != nil {
		return c, err
	}
	_, err = parser.Parse(args)
	return c, err
}

func TestTheConfigurationFile(t *testing.T) {
	file := func(content string) string {
		path := filepath.Join(t.TempDir(), "belfry.yaml")
		writeFile(t, path, content, 0o600)
		return path
	}
	t.Run("sections, lists, numbers, times and switches", func(t *testing.T) {
		c, err := parsed("serve", "--config", file(`
listen: 127.0.0.1:1
push_listen: 127.0.0.1:2
dev: true
replay_limit: 7
zone: UTC
origins: [https://a.example, "https://b.example"]
auth:
  insecure_login: off
  push_key: from-the-file
presence:
  grace: 1500ms
retention:
  message_age: 2160h
  messages: 1000000
  messages_per_user: 500
  activity_age: 48h
  activities: 7
  log_age: 240h
record:
  rows: 5
topics:
  hook: https://app.example/may-join
catch_up_limit: 9
forced_categories: [security, billing]
socket:
  max_payload: 1000000
limits:
  handshakes: 2.5
log_format: json
log_level: debug
`))
		s := c.Serve
		if err != nil || s.Listen != "127.0.0.1:1" || s.PushListen != "127.0.0.1:2" || !s.Dev || s.ReplayLimit != 7 || s.Zone != "UTC" ||
			!slices.Equal(s.Origins, []string{"https://a.example", "https://b.example"}) || s.Auth.InsecureLogin != "off" ||
			s.Auth.PushKey != "from-the-file" || s.Presence.Grace != 1500*time.Millisecond || s.Socket.MaxPayload != 1_000_000 ||
			s.Retention != (retentionFlags{MessageAge: 2160 * time.Hour, Messages: 1_000_000, MessagesPerUser: 500, ActivityAge: 48 * time.Hour, Activities: 7, LogAge: 240 * time.Hour}) ||
			s.Record.Rows != 5 || s.Topics.Hook != "https://app.example/may-join" || s.CatchUpLimit != 9 || !slices.Equal(s.ForcedCategories, []string{"security", "billing"}) ||
			s.Limits.Handshakes != 2.5 || s.LogFormat != "json" || s.LogLevel.String() != "DEBUG" {
			t.Errorf("%v: %+v", err, s)
		}
	})
	t.Run("keys written flat, and as the flags are", func(t *testing.T) {
		c, err := parsed("serve", "--config", file("auth.push-key: k\npresence.grace: 9s\npush-listen: 127.0.0.1:2\n"))
		if s := c.Serve; err != nil || s.Auth.PushKey != "k" || s.Presence.Grace != 9*time.Second || s.PushListen != "127.0.0.1:2" {
			t.Errorf("%v: %+v", err, s)
		}
	})
	t.Run("keys of another command", func(t *testing.T) {
		c, err := parsed("token", "--uid", "1", "--company", "1", "--config", file("dev: true\nauth: {token_secret: x}\n"))
		if err != nil || c.Token.Auth.TokenSecret != "x" {
			t.Errorf("%v: %+v", err, c.Token)
		}
	})
	t.Run("an empty file, and one of comments", func(t *testing.T) {
		for _, content := range []string{"", "# nothing\n", "auth:\n  # push_key: x\n"} {
			if c, err := parsed("serve", "--config", file(content)); err != nil || c.Serve.Listen != ":2120" {
				t.Errorf("%q: %v, listen %s", content, err, c.Serve.Listen)
			}
		}
	})
	for name, f := range map[string]struct{ content, says string }{
		"an unknown key":            {"colour: red\n", "unknown key colour"},
		"an unknown key in a list":  {"auth:\n  push_key: a\n  pushkey: b\n", "unknown key auth.pushkey"},
		"a section that is unknown": {"database:\n  url: x\n", "unknown key database.url"},
		"an empty unknown section":  {"database:\n", "unknown key database"},
		"no YAML":                   {"{", "configuration file"},
		"a list":                    {"- a\n", "configuration file"},
		"two documents":             {"dev: true\n---\ndev: false\n", "configuration file"},
		"a value of the wrong kind": {"replay_limit: many\n", "replay-limit"},
		"a wrong choice":            {"auth: {insecure_login: maybe}\n", "insecure-login"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := parsed("serve", "--config", file(f.content)); err == nil || !strings.Contains(err.Error(), f.says) {
				t.Errorf("%v; want %q", err, f.says)
			}
		})
	}
	t.Run("the command line wins over the environment, and that over the file", func(t *testing.T) {
		path := file("listen: file\npush_listen: file\nzone: file\norigins: [file]\n")
		t.Setenv("BELFRY_LISTEN", "environment")
		t.Setenv("BELFRY_PUSH_LISTEN", "environment")
		c, err := parsed("serve", "--config", path, "--listen", "flag")
		if s := c.Serve; err != nil || s.Listen != "flag" || s.PushListen != "environment" || s.Zone != "file" || !slices.Equal(s.Origins, []string{"file"}) {
			t.Errorf("%v: %+v", err, s)
		}
	})
	t.Run("BELFRY_CONFIG names it", func(t *testing.T) {
		t.Setenv("BELFRY_CONFIG", file("listen: file\n"))
		if c, err := parsed("serve"); err != nil || c.Serve.Listen != "file" {
			t.Errorf("%v: %+v", err, c.Serve)
		}
	})
}

func TestEveryFlagIsAnEnvironmentVariableAndAKeyOfTheFile(t *testing.T) {
	var c cli
	parser, err := kong.New(&c, kong.DefaultEnvars("BELFRY"), kong.Vars{"zone": server.DefaultZone})
	if err != nil {
		t.Fatal(err)
	}
	flags := 0
	err = kong.Visit(parser.Model, func(node kong.Visitable, next kong.Next) error {
		flag, ok := node.(*kong.Flag)
		if !ok || flag.Name == "help" || flag.Name == "config" {
			return next(nil)
		}
		flags++
		want := "BELFRY_" + strings.ToUpper(strings.NewReplacer("-", "_", ".", "_").Replace(flag.Name))
		if !slices.Equal(flag.Envs, []string{want}) {
			t.Errorf("--%s is the variable %v, want %s", flag.Name, flag.Envs, want)
		}
		file, err := loadYAML(strings.NewReader(strings.ReplaceAll(flag.Name, "-", "_") + ": x\n"))
		if err != nil {
			return err
		}
		if err := file.Validate(parser.Model); err != nil {
			t.Errorf("--%s is no key of the file: %v", flag.Name, err)
		}
		if value, err := file.Resolve(nil, nil, flag); value != "x" || err != nil {
			t.Errorf("--%s has the value %v of the file, %v", flag.Name, value, err)
		}
		return next(nil)
	})
	if err != nil || flags < 20 {
		t.Errorf("%d flags, %v", flags, err)
	}
}

func FuzzLoadYAML(f *testing.F) {
	f.Add("listen: x\nauth:\n  push_key: [1, {a: b}, null]\n")
	f.Add("a: &a {b: c}\nd: *a\n1: 2\n? [x]\n: y\n")
	f.Add("listen: 2026-01-01\n")
	f.Fuzz(func(t *testing.T, content string) {
		file, err := loadYAML(strings.NewReader(content))
		if err != nil {
			return
		}
		for name := range file.(*fileSettings).values {
			if _, err := file.Resolve(nil, nil, &kong.Flag{Value: &kong.Value{Name: name, Tag: &kong.Tag{}}}); err != nil {
				t.Errorf("%q: %v", name, err)
			}
		}
	})
}
