package main

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"time"

	"belfry"
	"belfry/auth"
	"belfry/engineio"
	"belfry/redis"
	"belfry/redis/emitters"
	"belfry/server"
)

// redisFlags say where the nodes of an installation meet. The URL is a secret: it may hold a password.
type redisFlags struct {
	URL           auth.Secret `help:"Redis where several nodes meet that share a MongoDB: redis://user:password@host:6379/0, rediss:// for TLS with ?ca=FILE for an authority of your own, several addresses separated by commas for a cluster, ?master=NAME for Sentinel. Better in the environment or the file than here." placeholder:"URL"`
	Prefix        string      `help:"What keys and channels there begin with; all nodes have the same." default:"belfry"`
	ArticleHash   bool        `help:"Keep up the hashes socketio:company:<id> of users and their pages, for code that reads them."`
	EmitterCompat bool        `help:"Show pages what Socket.IO emitters publish there (@socket.io/redis-emitter and its like)."`
	EmitterPrefix string      `help:"The key of these emitters." default:"socket.io" placeholder:"NAME"`
}

// clusterFlags say how nodes treat each other.
type clusterFlags struct {
	Listen    string        `help:"Address for other nodes, which pass polling requests on: a private ip:port. With it, no balancer need be sticky." placeholder:"ADDR"`
	Advertise string        `help:"Where other nodes reach it. Default: the address of cluster.listen." placeholder:"ADDR"`
	Lease     time.Duration `help:"How long the users of a node that is gone without a word are counted; all nodes have the same." default:"15s"`
}

// A node is what one process shares with others.
type node struct {
	name     string
	client   *redis.Client
	options  redis.PresenceOptions
	shared   bool // the store
	presence *redis.Presence
}

var _ server.Cluster = (*node)(nil)

// joinCluster connects to Redis where one is set, and has the server work with it.
func (f serverFlags) joinCluster(ctx context.Context, o *server.Options, log *slog.Logger) (leave func(), err error) {
	if f.Redis.URL == "" {
		switch {
		case f.Redis.EmitterCompat || f.Redis.ArticleHash:
			return nil, errors.New("redis.emitter-compat and redis.article-hash need redis.url")
		case f.Cluster.Listen != "" || f.Cluster.Advertise != "":
			return nil, errors.New("cluster.listen and cluster.advertise are for several nodes, which find each other by redis.url")
		}
		return func() {}, nil
	}
	client, err := redis.Open(ctx, f.redisOptions(log))
	if err != nil {
		return nil, err
	}
	n := &node{client: client, shared: f.Store != "", options: redis.PresenceOptions{Lease: f.Cluster.Lease, ArticleHash: f.Redis.ArticleHash}}
	var random [engineio.MaxNodeLen / 2]byte
	rand.Read(random[:]) // never fails
	n.name = hex.EncodeToString(random[:])
	n.options.Node = n.name
	o.Cluster = n
	if f.Cluster.Listen != "" {
		if f.Auth.TokenSecret == "" {
			client.Close()
			return nil, errors.New("cluster.listen needs auth.token-secret: all nodes have the same, and prove by it who they are")
		}
		if n.options.Address = f.Cluster.Advertise; n.options.Address == "" {
			n.options.Address = f.Cluster.Listen
		}
		o.Hop = server.HopOptions{
			Node: n.name, Listen: f.Cluster.Listen, Advertise: f.Cluster.Advertise, Secret: f.Auth.TokenSecret, Address: n.address,
		}
	}
	return client.Close, nil
}

func (f serverFlags) redisOptions(log *slog.Logger) redis.Options {
	return redis.Options{URL: string(f.Redis.URL), Prefix: f.Redis.Prefix, Logger: log}
}

// address is where another node is reached. It is asked when the server is there, and so is the presence.
func (n *node) address(name string) (string, bool) { return n.presence.Address(name) }

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
	presence, err := redis.NewPresence(n.client, options)
	n.presence = presence
	return presence, err
}

// hearEmitters shows the pages of this node what emitters publish, until ctx ends, where that is wanted.
func (f serverFlags) hearEmitters(ctx context.Context, service *belfry.Service, log *slog.Logger) (wait func(), err error) {
	if !f.Redis.EmitterCompat {
		return func() {}, nil
	}
	client, err := redis.Open(ctx, f.redisOptions(log)) // nothing else is read from its connection
	if err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		err := client.HearEmitters(ctx, emitters.Options{Prefix: f.Redis.EmitterPrefix, Logger: log}, func(env belfry.Envelope) { service.EmitHere(env) })
		if ctx.Err() == nil {
			log.Error("emitters are not heard any more", "err", err)
		}
	}()
	return func() {
		<-ended
		client.Close()
	}, nil
}
