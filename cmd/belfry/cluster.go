package main

import (
	"context"
	"log/slog"
	"time"

	"belfry"
	"belfry/auth"
	"belfry/redis"
	"belfry/server"
)

// redisFlags say where the nodes of an installation meet. The URL is a secret: it may hold a password.
type redisFlags struct {
	URL         auth.Secret `help:"Redis where several nodes meet that share a MongoDB: redis://user:password@host:6379/0, rediss:// for TLS, several addresses separated by commas for a cluster, ?master=NAME for Sentinel. Better in the environment or the file than here." placeholder:"URL"`
	Prefix      string      `help:"What keys and channels there begin with; all nodes have the same." default:"belfry"`
	ArticleHash bool        `help:"Keep up the hashes socketio:company:<id> of users and their pages, for code that reads them."`
}

// clusterFlags say how nodes treat each other.
type clusterFlags struct {
	Lease time.Duration `help:"How long the users of a node that is gone without a word are counted; all nodes have the same." default:"15s"`
}

// A node is what one process shares with others.
type node struct {
	client  *redis.Client
	options redis.PresenceOptions
	shared  bool // the store
}

var _ server.Cluster = (*node)(nil)

// joinCluster connects to Redis where one is set, and has the server work with it.
func (f serverFlags) joinCluster(ctx context.Context, o *server.Options, log *slog.Logger) (leave func(), err error) {
	if f.Redis.URL == "" {
		return func() {}, nil
	}
	client, err := redis.Open(ctx, redis.Options{URL: string(f.Redis.URL), Prefix: f.Redis.Prefix, Logger: log})
	if err != nil {
		return nil, err
	}
	o.Cluster = &node{client: client, shared: f.Store != "", options: redis.PresenceOptions{
		Lease: f.Cluster.Lease, ArticleHash: f.Redis.ArticleHash,
	}}
	return client.Close, nil
}

// Broker implements [server.Cluster]. With a store of its own a node is alone.
func (n *node) Broker(e belfry.Emitter) server.Broker {
	if !n.shared {
		return server.NewMemoryBroker(e)
	}
	return redis.NewBroker(context.Background(), n.client, redis.BrokerOptions{Emitter: e})
}

// Presence implements [server.Cluster].
func (n *node) Presence(o belfry.PresenceOptions) (server.Presence, error) {
	options := n.options
	options.PresenceOptions = o
	return redis.NewPresence(n.client, options)
}
