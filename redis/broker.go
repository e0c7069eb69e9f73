package redis

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"log/slog"
	"sync"
	"time"

	"belfry"

	"github.com/redis/rueidis"
)

// BrokerOptions says how a [Broker] works. Emitter is needed.
type BrokerOptions struct {
	Emitter belfry.Emitter
	// Patience is how long a call waits for the other nodes to say whom they have reached; 0 means [DefaultPatience].
	Patience time.Duration
}

// A Broker carries what one node tells its pages to the others, by Redis' publish and subscribe: sharded where there is a
// cluster that can, with all channels on one of its masters, so that what a node sends is heard in the order in which it
// was sent. Redis may lose anything; see [belfry.Receiver].
//
// A node listens to the channels of the users, companies and topics of its own pages, and to one for all nodes.
type Broker struct {
	c        *Client
	log      *slog.Logger
	emitter  belfry.Emitter
	node     string
	patience time.Duration
	sharded  bool
	receiver belfry.Receiver
	watched  *watched
	out      outbox

	stop    context.CancelFunc
	running sync.WaitGroup
}

var _ belfry.Broker = (*Broker)(nil)

// NewBroker makes a broker. It begins with Serve, and does not close the client; Close ends it.
func NewBroker(ctx context.Context, c *Client, o BrokerOptions) *Broker {
	var nonce [8]byte
	rand.Read(nonce[:]) // never fails
	b := &Broker{
		c: c, log: c.log, emitter: o.Emitter, node: hex.EncodeToString(nonce[:]), patience: o.Patience,
		watched: newWatched(), out: newOutbox(),
	}
	if b.patience <= 0 {
		b.patience = DefaultPatience
	}
	b.sharded = c.clustered() && b.canShard(ctx)
	b.stop = func() {}
	return b
}

// shardPatience is how long the servers of a cluster may take to say whether they have sharded channels.
const shardPatience = 10 * time.Second

// canShard asks whether the servers of a cluster have sharded channels, as those of Redis 7 and later do; before, a cluster
// carries everything to all of its nodes. Those who take the one do not hear those who take the other, so that no answer is not
// taken for a no: it is asked again, and in the end taken for a yes.
func (b *Broker) canShard(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, shardPatience)
	defer cancel()
	var err error
	for ctx.Err() == nil {
		err = b.c.r.Do(ctx, b.c.r.B().Spublish().Channel(b.name("probe")).Message("").Build()).Error()
		if e, said := rueidis.IsRedisErr(err); err == nil || said && !e.IsClusterDown() && !e.IsLoading() && !isMoving(err) {
			return err == nil
		}
		pause(ctx, retryEvery)
	}
	b.log.Warn("the cluster does not say whether it has sharded channels; it is taken to have them", "err", err)
	return true
}

// Serve implements [belfry.Broker].
func (b *Broker) Serve(r belfry.Receiver) (shared bool) {
	b.receiver = r
	ctx, stop := context.WithCancel(context.Background())
	b.stop = stop
	r.Lost()
	b.running.Go(func() { b.listen(ctx) })
	b.running.Go(func() { b.send(ctx) })
	return true
}

// Close ends what the broker does, and returns when nothing of it is running. What is published afterwards stays on this node.
func (b *Broker) Close() {
	b.stop()
	b.out.close()
	b.running.Wait()
}

// name is that of a channel in Redis.
func (b *Broker) name(channel string) string { return "{" + b.c.prefix + "}:" + channel }

// nodeChannel is what only one node listens to.
func nodeChannel(node string) string { return "n:" + node }

// Emit implements [belfry.Broker].
func (b *Broker) Emit(env belfry.Envelope) (pages int) { return b.emitter.Emit(env) }

// Pace implements [belfry.Broker].
func (b *Broker) Pace() { b.emitter.Pace() }

var errAway = &belfry.Error{Code: belfry.ErrUnavailable, Message: "the other nodes cannot be reached"}

// Publish implements [belfry.Broker]. It fails where Redis is known to be away, after the pages of this node have got the
// envelope.
func (b *Broker) Publish(_ context.Context, env belfry.Envelope) (belfry.Reach, error) {
	reach := belfry.Reach{}
	if len(env.Rooms) > 0 {
		reach.Here = b.emitter.Emit(env)
	}
	h := b.out.put(&outgoing{envelope: &env})
	if h == nil {
		return reach, errAway
	}
	reach.Elsewhere = func(ctx context.Context) ([]int, error) { return b.await(ctx, h, 1) }
	return reach, nil
}

// Share implements [belfry.Broker]. What cannot be sent the other nodes find in the store.
func (b *Broker) Share(u belfry.Unit) belfry.Reach {
	h := b.out.put(&outgoing{unit: &u})
	if h == nil {
		return belfry.Reach{}
	}
	return belfry.Reach{Elsewhere: func(ctx context.Context) ([]int, error) { return b.await(ctx, h, len(u.News)) }}
}

// publish is the command that sends a message.
func (b *Broker) publish(channel, message string) rueidis.Completed {
	if b.sharded {
		return b.c.r.B().Spublish().Channel(b.name(channel)).Message(message).Build()
	}
	return b.c.r.B().Publish().Channel(b.name(channel)).Message(message).Build()
}
