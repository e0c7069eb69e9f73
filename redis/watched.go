package redis

import (
	"context"
	"slices"
	"sync"
	"time"

	"belfry"

	"github.com/redis/rueidis"
)

// maxSubscribed is how many channels are subscribed to with one command.
const maxSubscribed = 500

// watched are the channels that this node listens to beside its own and that of all.
type watched struct {
	mu       sync.Mutex
	pages    map[string][]string // channels, by page
	channels map[string]*channel
	dirty    map[string]struct{} // channels that are to be subscribed to or no longer
	lost     chan struct{}       // closed while there is no connection
	changed  chan struct{}
}

// A channel is one that pages watch.
type channel struct {
	pages int
	ready chan struct{} // closed when Redis has confirmed it
}

func newWatched() *watched {
	w := &watched{
		pages: make(map[string][]string), channels: make(map[string]*channel), dirty: make(map[string]struct{}),
		lost: make(chan struct{}), changed: make(chan struct{}, 1),
	}
	close(w.lost)
	return w
}

// Watch implements [belfry.Broker].
func (b *Broker) Watch(ctx context.Context, page string, rooms []string) error {
	w := b.watched
	w.mu.Lock()
	var wait []chan struct{}
	var added []string
	for _, name := range channelsOf(rooms) {
		if name == channelAll {
			continue
		}
		c := w.channels[name]
		if c == nil {
			c = &channel{ready: make(chan struct{})}
			w.channels[name] = c
			w.mark(name)
		}
		if !slices.Contains(w.pages[page], name) {
			w.pages[page] = append(w.pages[page], name)
			c.pages++
			added = append(added, name)
		}
		wait = append(wait, c.ready)
	}
	lost := w.lost
	w.mu.Unlock()
	for _, ready := range wait {
		select {
		case <-ready:
		case <-lost: // the receiver knows
			return nil
		case <-ctx.Done():
			w.mu.Lock()
			w.remove(page, added) // what it watched before it watches still
			w.mu.Unlock()
			return ctx.Err()
		}
	}
	return nil
}

// Unwatch implements [belfry.Broker].
func (b *Broker) Unwatch(page string, rooms []string) {
	w := b.watched
	w.mu.Lock()
	defer w.mu.Unlock()
	names := w.pages[page]
	if rooms != nil {
		names = channelsOf(rooms)
	}
	w.remove(page, slices.Clone(names))
}

// remove takes channels from a page. The lock is held.
func (w *watched) remove(page string, names []string) {
	for _, name := range names {
		i := slices.Index(w.pages[page], name)
		if i < 0 {
			continue
		}
		w.pages[page] = slices.Delete(w.pages[page], i, i+1)
		c := w.channels[name]
		if c.pages--; c.pages == 0 {
			delete(w.channels, name)
			w.mark(name)
		}
	}
	if len(w.pages[page]) == 0 {
		delete(w.pages, page)
	}
}

// mark has the goroutine look at a channel. The lock is held.
func (w *watched) mark(name string) {
	w.dirty[name] = struct{}{}
	select {
	case w.changed <- struct{}{}:
	default:
	}
}

// take returns what is to be done, given what is subscribed to.
func (w *watched) take(have map[string]struct{}) (subscribe, unsubscribe []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for name := range w.dirty {
		_, subscribed := have[name]
		switch c := w.channels[name]; {
		case c != nil && !subscribed:
			subscribe = append(subscribe, name)
			have[name] = struct{}{}
		case c != nil:
			c.confirm()
		case subscribed:
			unsubscribe = append(unsubscribe, name)
			delete(have, name)
		}
	}
	clear(w.dirty)
	return subscribe, unsubscribe
}

func (c *channel) confirm() {
	select {
	case <-c.ready:
	default:
		close(c.ready)
	}
}

// setConnected says whether there is a connection. When there is none nothing is confirmed, and nobody waits for it.
func (w *watched) setConnected(connected bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if connected {
		w.lost = make(chan struct{})
		return
	}
	select {
	case <-w.lost:
	default:
		close(w.lost)
	}
	for name, c := range w.channels {
		select {
		case <-c.ready:
			c.ready = make(chan struct{})
		default:
		}
		w.dirty[name] = struct{}{}
	}
}

// listen is the goroutine that listens, over one connection, so that the order is kept.
func (b *Broker) listen(ctx context.Context) {
	for ctx.Err() == nil {
		err := b.listenOnce(ctx)
		b.watched.setConnected(false)
		b.receiver.Lost()
		if ctx.Err() == nil {
			b.log.Warn("nothing is heard from other nodes; this one reads the store", "err", err)
			pause(ctx, retryEvery)
		}
	}
}

func (b *Broker) listenOnce(ctx context.Context) error {
	conn, release := b.c.r.Dedicate()
	defer release()
	defer conn.Close()
	in := newInbox()
	broken := make(chan error, 1)
	ended := conn.SetPubSubHooks(rueidis.PubSubHooks{OnMessage: func(m rueidis.PubSubMessage) { b.take(in, m) }, OnSubscription: func(s rueidis.PubSubSubscription) { b.confirm(s, broken) }})
	have := make(map[string]struct{})
	b.watched.setConnected(true)
	if err := b.subscribe(ctx, conn, true, []string{nodeChannel(b.node)}); err != nil {
		return err
	}
	found := false
	for {
		subscribe, unsubscribe := b.watched.take(have)
		if err := b.subscribe(ctx, conn, true, subscribe); err != nil {
			return err
		}
		if err := b.subscribe(ctx, conn, false, unsubscribe); err != nil {
			return err
		}
		if !found { // last, so that of what is heard nothing is missing
			if err := b.subscribe(ctx, conn, true, []string{channelAll}); err != nil {
				return err
			}
			found = true
			b.receiver.Found()
		}
		select {
		case <-b.watched.changed:
		case err := <-ended:
			return err
		case err := <-broken:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// subscribe subscribes to channels, or ends that, and returns when Redis has confirmed it.
func (b *Broker) subscribe(ctx context.Context, conn rueidis.DedicatedClient, on bool, channels []string) error {
	for some := range slices.Chunk(channels, maxSubscribed) {
		names := make([]string, len(some))
		for i, channel := range some {
			names[i] = b.name(channel)
		}
		bounded, cancel := context.WithTimeout(ctx, b.c.silence)
		err := conn.Do(bounded, b.subscription(on, names)).Error()
		cancel()
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *Broker) subscription(on bool, names []string) rueidis.Completed {
	build := b.c.r.B()
	switch {
	case on && b.sharded:
		return build.Ssubscribe().Channel(names...).Build()
	case on:
		return build.Subscribe().Channel(names...).Build()
	case b.sharded:
		return build.Sunsubscribe().Channel(names...).Build()
	}
	return build.Unsubscribe().Channel(names...).Build()
}

// confirm notes what Redis says of a subscription. That it ends one by itself, as when a slot moves, is a loss.
func (b *Broker) confirm(s rueidis.PubSubSubscription, broken chan<- error) {
	name := s.Channel[min(len(b.name("")), len(s.Channel)):]
	w := b.watched
	w.mu.Lock()
	defer w.mu.Unlock()
	c := w.channels[name]
	switch s.Kind {
	case "subscribe", "ssubscribe":
		if c != nil {
			c.confirm()
		}
	case "sunsubscribe":
		if c != nil && c.isReady() || name == channelAll {
			select {
			case broken <- errMoved:
			default:
			}
		}
	}
}

func (c *channel) isReady() bool {
	select {
	case <-c.ready:
		return true
	default:
		return false
	}
}

// pause waits.
func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

var errMoved = &belfry.Error{Code: belfry.ErrUnavailable, Message: "Redis has ended a subscription"}
