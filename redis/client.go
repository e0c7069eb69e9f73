package redis

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"belfry"
	"belfry/redis/emitters"

	"github.com/redis/rueidis"
)

// DefaultPrefix is the prefix of keys and channels where [Options] name none.
const DefaultPrefix = "belfry"

const (
	// dialTimeout bounds one attempt to connect.
	dialTimeout = 3 * time.Second
	// silence is after how long without an answer a connection is given up. A call of a [Presence] gives up earlier.
	silence = 3 * time.Second
	// flushDelay lets commands of other goroutines join a write: twice the operations per second.
	flushDelay = 20 * time.Microsecond
	// topologyEvery is how often Sentinel is asked which server is the master, in case its
	// message was missed.
	topologyEvery = 5 * time.Second
	// maxMoved is how often a command follows the masters of a cluster: two of them may each say that the other has a slot,
	// for ever, where slots have moved faster than they have heard of it.
	maxMoved = 8
	// bufferBytes is per connection and direction; the driver's own choice is 512 KiB.
	bufferBytes = 64 << 10
)

// Options alters a [Client]. URL is needed.
type Options struct {
	// URL names the servers: redis://user:password@host:6379/0, or rediss:// for TLS. Several
	// addresses, separated by commas, are nodes of a cluster; one is enough to find the others. With
	// ?master=name they are sentinels, with ?sentinel_username and ?sentinel_password where they ask
	// for those. With rediss:// the certificates of all are checked against the system's authorities, or those
	// in the PEM file that ?ca names; ?cert and ?key name the files of the client's own, where it is asked for one.
	// It may hold passwords, and is in no error and no log.
	URL string
	// Prefix begins all keys and channels, so that installations can share a server; "" means
	// [DefaultPrefix]. It is of letters, digits, '-', '_' and '.'.
	Prefix string
	Logger *slog.Logger // nil means slog.Default()
}

// A Client is a connection to Redis. It is safe for concurrent use.
type Client struct {
	r       rueidis.Client
	prefix  string
	log     *slog.Logger
	silence time.Duration // after which a connection is given up
	dials   atomic.Int64  // connections that were made
}

var goodPrefix = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)

// Open connects to Redis, which has to answer. It comes back by itself when it is lost later. Close ends it.
func Open(ctx context.Context, o Options) (*Client, error) { return open(ctx, o, silence) }

func open(ctx context.Context, o Options, silence time.Duration) (*Client, error) {
	config, err := parseURL(o.URL)
	if err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	config.Dialer.Timeout, config.ConnWriteTimeout = max(dialTimeout, silence), silence
	c := &Client{prefix: o.Prefix, log: o.Logger, silence: silence}
	if c.prefix == "" {
		c.prefix = DefaultPrefix
	}
	if !goodPrefix.MatchString(c.prefix) {
		return nil, fmt.Errorf("redis: the prefix %q has other characters than letters, digits, '-', '_' and '.', or more than 64", c.prefix)
	}
	if c.log == nil {
		c.log = slog.Default()
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if deadline, ok := ctx.Deadline(); ok {
		config.Dialer.Timeout = min(config.Dialer.Timeout, time.Until(deadline))
	}
	config.DialCtxFn = func(ctx context.Context, addr string, d *net.Dialer, t *tls.Config) (net.Conn, error) {
		conn, err := dial(ctx, addr, d, t)
		if err == nil {
			c.dials.Add(1)
		}
		return conn, err
	}
	var asked atomic.Bool // for a certificate that there is none of
	if t := config.TLSConfig; t != nil && t.Certificates == nil {
		t.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			asked.Store(true)
			return &tls.Certificate{}, nil
		}
	}
	if c.r, err = rueidis.NewClient(config); err != nil {
		return nil, fmt.Errorf("redis: connecting to %s: %w%s", strings.Join(config.InitAddress, ", "), err, advice(err, config.TLSConfig != nil, asked.Load()))
	}
	if err := c.r.Do(ctx, c.r.B().Ping().Build()).Error(); err != nil {
		c.r.Close()
		return nil, fmt.Errorf("redis: %w%s", err, advice(err, config.TLSConfig != nil, asked.Load()))
	}
	return c, nil
}

func dial(ctx context.Context, addr string, d *net.Dialer, t *tls.Config) (net.Conn, error) {
	if t == nil {
		return d.DialContext(ctx, "tcp", addr)
	}
	return (&tls.Dialer{NetDialer: d, Config: t}).DialContext(ctx, "tcp", addr)
}

// HearEmitters is [emitters.Listen] over the client's connection, of which nothing else is read meanwhile.
func (c *Client) HearEmitters(ctx context.Context, o emitters.Options, emit func(belfry.Envelope)) error {
	return emitters.Listen(ctx, c.r, o, emit)
}

// Close ends the connections. What uses the client is closed before.
func (c *Client) Close() { c.r.Close() }

// clustered says whether keys in different slots are out of reach of one script.
func (c *Client) clustered() bool { return c.r.Mode() == rueidis.ClientModeCluster }

// errURL names no part of the URL: which part is the password is unclear in one that cannot be read.
var errURL = errors.New("the URL is not like redis://user:password@host:6379/0 or rediss://…; " +
	"characters such as / ? # @ in a password are written as %2F %3F %23 %40")

var errParameter = errors.New("the URL has a parameter, or a password with a '?' in it, that is not known; " +
	"there are master, sentinel_username, sentinel_password, ca, cert, key, skip_verify and client_name")

var errPlain = errors.New("ca, cert, key and skip_verify in the URL are for TLS, which a URL that begins with rediss:// has")

var errPair = errors.New("cert and key in the URL name two files, one with the client's certificate and one with its key")

// parseURL reads the URL. The driver's parser knows neither several addresses nor our names.
func parseURL(s string) (rueidis.ClientOption, error) {
	var none rueidis.ClientOption
	scheme, rest, ok := strings.Cut(s, "://")
	if !ok || scheme != "redis" && scheme != "rediss" {
		return none, errURL
	}
	authority, tail := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, tail = rest[:i], rest[i:]
	}
	user, hosts := "", authority
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		user, hosts = authority[:i+1], authority[i+1:]
	}
	all := strings.Split(hosts, ",")
	u, err := url.Parse(scheme + "://" + user + all[0] + tail)
	if err != nil || u.Fragment != "" {
		return none, errURL
	}
	q := u.Query()
	master, sentinel := q.Get("master"), url.UserPassword(q.Get("sentinel_username"), q.Get("sentinel_password"))
	for _, name := range []string{"master", "sentinel_username", "sentinel_password"} {
		q.Del(name)
	}
	ca, cert, key := q.Get("ca"), q.Get("cert"), q.Get("key")
	if scheme == "redis" && (ca != "" || cert != "" || key != "" || q.Has("skip_verify")) {
		return none, errPlain
	}
	for _, name := range []string{"ca", "cert", "key"} {
		q.Del(name)
	}
	for name := range q {
		if name != "skip_verify" && name != "client_name" {
			return none, errParameter
		}
	}
	u.RawQuery = q.Encode()
	config, err := rueidis.ParseURL(u.String())
	if err != nil {
		return none, errURL
	}
	for _, host := range all[1:] {
		other, err := rueidis.ParseURL("redis://" + host)
		if err != nil || host == "" {
			return none, errURL
		}
		config.InitAddress = append(config.InitAddress, other.InitAddress...)
	}
	if config.TLSConfig != nil {
		config.TLSConfig.ServerName = "" // that of each address
		if err := addFiles(config.TLSConfig, ca, cert, key); err != nil {
			return none, err
		}
	}
	if master != "" {
		config.Sentinel.MasterSet = master
		config.Sentinel.TLSConfig = config.TLSConfig
		config.Sentinel.Username = sentinel.Username()
		config.Sentinel.Password, _ = sentinel.Password()
		config.Sentinel.TopologyRefreshInterval = topologyEvery
		config.Sentinel.Dialer.Timeout = dialTimeout
	}
	config.MaxFlushDelay = flushDelay
	config.DisableCache = true
	config.ClusterOption.MaxMovedRedirections = maxMoved
	config.ReadBufferEachConn, config.WriteBufferEachConn = bufferBytes, bufferBytes
	return config, nil
}

// addFiles has certificates checked against an authority, and shows one, where files are named.
func addFiles(config *tls.Config, ca, cert, key string) error {
	if ca != "" {
		pem, err := os.ReadFile(ca)
		if err != nil {
			return fmt.Errorf("the authority's certificate that ca in the URL names: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("there is no certificate in %s, which ca in the URL names; it is to be a PEM file", ca)
		}
	}
	if (cert == "") != (key == "") {
		return errPair
	}
	if cert != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return fmt.Errorf("the client's certificate that cert and key in the URL name: %w", err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return nil
}

// advice says what to do about an error, where it may be of TLS, or "". Asked is whether a server has asked for a certificate
// and got none: that it ends the connection for this is not always in the error.
func advice(err error, secure, asked bool) string {
	var (
		unknown x509.UnknownAuthorityError
		host    x509.HostnameError
		record  tls.RecordHeaderError
		network *net.OpError
	)
	_, isAnswer := rueidis.IsRedisErr(err)
	switch {
	case errors.As(err, &unknown):
		return "; name the file with the certificate of the authority that has signed the server's: rediss://…?ca=FILE"
	case errors.As(err, &host):
		return "; the server's certificate is for other names: have the URL, and what Sentinel or a cluster says of itself, use one of them"
	case errors.As(err, &record), secure && errors.Is(err, context.DeadlineExceeded) && !errors.As(err, &network):
		return "; there is perhaps no TLS at this address: its URL begins with redis://" // Redis waits for the end of a line
	case asked && !isAnswer:
		return "; the server asks for a certificate of its clients: rediss://…?cert=FILE&key=FILE"
	}
	return ""
}
