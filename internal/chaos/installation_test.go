package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"belfry/internal/mongotest"
	"belfry/internal/proctest"
	"belfry/internal/redistest"
)

const (
	nodeCount   = 3
	lease       = 3 * time.Second
	grace       = time.Second
	tokenSecret = "a secret of the chaos test that is long enough"
	pushKey     = "the key of the chaos test's backends"
)

// An installation is three nodes, what they need, and the ways between.
type installation struct {
	dir   string // logs, and what each node keeps
	redis *redistest.Server
	store *mongotest.Server
	nodes []*node
	pages *balancer
	push  *balancer

	redisOurs, storeOurs bool // so that they may be stopped
}

// A node is one process of belfry, which is started again whenever it ends.
type node struct {
	number              int
	public, push, hop   string // addresses
	toRedis, toStore    *link  // nil where the URL does not name one server
	binary, dir, log    string
	env                 []string
	redisPrefix, dbName string
	process             *proctest.Process
	starts              int
}

// install starts everything.
func install(ctx context.Context, dir, run string) (_ *installation, err error) {
	in := &installation{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, in.stop())
		}
	}()
	binary := filepath.Join(dir, "belfry")
	if out, err := exec.CommandContext(ctx, "go", "build", "-o", binary, "belfry/cmd/belfry").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w\n%s", err, out)
	}
	if in.redis, err = redistest.Start(os.Stderr); err != nil {
		return in, err
	}
	if in.store, err = mongotest.Start(os.Stderr); err != nil {
		return in, err
	}
	in.redisOurs = os.Getenv(redistest.Variable) == ""
	in.storeOurs = os.Getenv(mongotest.Variable) == ""
	var publics, pushes []string
	for i := range nodeCount {
		n, err := in.newNode(i, binary, run)
		if err != nil {
			return in, err
		}
		in.nodes = append(in.nodes, n)
		publics, pushes = append(publics, n.public), append(pushes, n.push)
	}
	if in.pages, err = newBalancer(publics); err != nil {
		return in, err
	}
	if in.push, err = newBalancer(pushes); err != nil {
		return in, err
	}
	for _, n := range in.nodes {
		if err := n.start(ctx); err != nil {
			return in, err
		}
	}
	for _, n := range in.nodes {
		if err := n.awaitHealth(ctx); err != nil {
			return in, err
		}
	}
	return in, nil
}

func (in *installation) newNode(number int, binary, run string) (n *node, err error) {
	n = &node{number: number, binary: binary, redisPrefix: "chaos-" + run, dbName: "belfry_chaos_" + run}
	n.dir = filepath.Join(in.dir, fmt.Sprintf("node%d", number))
	n.log = n.dir + ".log"
	if n.public, err = proctest.FreeAddr(); err != nil {
		return nil, err
	}
	if n.push, err = proctest.FreeAddr(); err != nil {
		return nil, err
	}
	if n.hop, err = proctest.FreeAddr(); err != nil {
		return nil, err
	}
	redisURL, storeURI := in.redis.URL, in.store.URI
	if n.toRedis, redisURL, err = linked(redisURL, "redis"); err != nil {
		return nil, err
	}
	if n.toStore, storeURI, err = linked(storeURI, "mongodb"); err != nil {
		return nil, err
	}
	n.env = []string{
		"BELFRY_STORE=" + storeURI, "BELFRY_REDIS_URL=" + redisURL,
		"BELFRY_AUTH_TOKEN_SECRET=" + tokenSecret, "BELFRY_AUTH_PUSH_KEY=" + pushKey,
	}
	return n, nil
}

// linked makes a link to the server of a URL and returns the URL that goes through it. Where the URL names several
// servers, or one by TLS, there is no link.
func linked(address, scheme string) (*link, string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, "", errors.New("the URL of a server cannot be read") // it may hold a password
	}
	if u.Scheme != scheme || u.Port() == "" || strings.Contains(u.Host, ",") {
		return nil, address, nil
	}
	l, err := newLink(u.Host)
	if err != nil {
		return nil, "", err
	}
	u.Host = l.addr
	if scheme == "mongodb" { // or the driver would go to where the server says that it is
		q := u.Query()
		q.Set("directConnection", "true")
		u.RawQuery = q.Encode()
		if u.Path == "" {
			u.Path = "/"
		}
	}
	return l, u.String(), nil
}

// nodePatience is how long a node may take to listen, and to be well again when all that it needs is there.
const nodePatience = time.Minute

// start runs the node until it listens; one that ends before, because what it needs is away, is started again.
func (n *node) start(ctx context.Context) error {
	deadline := time.Now().Add(nodePatience)
	for {
		process, err := proctest.Start(n.log, n.env, n.binary, "serve", "--listen", n.public, "--push-listen", n.push,
			"--data", n.dir, "--store-database", n.dbName, "--redis.prefix", n.redisPrefix,
			"--cluster.listen", n.hop, "--cluster.lease", lease.String(), "--presence.grace", grace.String(), "--catch-up-limit", "100000",
			"--socket.ping-interval", "3s", "--socket.ping-timeout", "3s", "--limits.handshakes", "100000")
		if err != nil {
			return err
		}
		n.process = process
		n.starts++
		err = poll(ctx, deadline, func() error {
			select {
			case <-process.Exited:
				return nil
			default:
			}
			_, err := n.health(ctx)
			return err
		})
		if err != nil {
			return fmt.Errorf("node %d does not listen: %w", n.number, err)
		}
		select {
		case <-process.Exited:
			if err := process.Kill(); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

func (n *node) health(ctx context.Context) (status int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+n.push+"/healthz", nil)
	if err != nil {
		return 0, err
	}
	res, err := lonely.Do(req)
	if err != nil {
		return 0, err
	}
	io.Copy(io.Discard, res.Body)
	return res.StatusCode, res.Body.Close()
}

func (n *node) awaitHealth(ctx context.Context) error {
	err := poll(ctx, time.Now().Add(nodePatience), func() error {
		status, err := n.health(ctx)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("status %d", status)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("node %d is not well: %w", n.number, err)
	}
	return nil
}

// lonely makes a connection for each request, as a backend does that runs once per page.
var lonely = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// poll asks until there is no error, and returns the last one at the deadline.
func poll(ctx context.Context, deadline time.Time, ask func() error) error {
	for {
		err := ask()
		if err == nil || ctx.Err() != nil || time.Now().After(deadline) {
			return errors.Join(err, ctx.Err())
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// stop ends everything that runs.
func (in *installation) stop() error {
	var all error
	for _, n := range in.nodes {
		if n.process != nil {
			all = errors.Join(all, n.process.Kill())
		}
		for _, l := range []*link{n.toRedis, n.toStore} {
			if l != nil {
				l.close()
			}
		}
	}
	for _, b := range []*balancer{in.pages, in.push} {
		if b != nil {
			b.close()
		}
	}
	if in.redis != nil {
		all = errors.Join(all, in.redis.Stop())
	}
	if in.store != nil {
		if !in.storeOurs && len(in.nodes) > 0 {
			all = errors.Join(all, in.drop())
		}
		all = errors.Join(all, in.store.Stop())
	}
	return all
}

// drop deletes what the nodes have stored on a server that is not the test's.
func (in *installation) drop() error {
	ctx, cancel := context.WithTimeout(context.Background(), nodePatience)
	defer cancel()
	client, err := mongo.Connect(options.Client().ApplyURI(in.store.URI))
	if err != nil {
		return errors.New("the URI of the store cannot be read") // it may hold a password
	}
	return errors.Join(client.Database(in.nodes[0].dbName).Drop(ctx), client.Disconnect(ctx))
}
