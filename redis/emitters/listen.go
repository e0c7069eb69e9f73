package emitters

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"
	"golang.org/x/time/rate"

	"belfry"
)

// DefaultPrefix is what emitters use where they are not told otherwise (their option key).
const DefaultPrefix = "socket.io"

const (
	firstPause = 100 * time.Millisecond // before subscribing again; doubled each time
	maxPause   = 5 * time.Second
	// Refusals are logged so often, after so many at once.
	refusalEvery = 10 * time.Second
	refusalBurst = 5
)

// Options alter [Listen].
type Options struct {
	Prefix string       // of the emitters' channels; "" means [DefaultPrefix]
	Logger *slog.Logger // nil means slog.Default()
}

// Listen calls emit with what emitters publish, one after the other, until ctx ends or the client is closed, and
// returns that as an error. It subscribes again whenever Redis was away; what is published meanwhile is lost, as
// Redis keeps nothing. What it refuses it logs, a few every ten seconds.
//
// Every node that listens hears everything, so emit is for the pages of its own node. It follows the arguments by a
// cursor where there are none or the last is a string, as [belfry.Service.PublishEvent] does. While it runs nothing is
// read from the connection, which therefore should be of a client that is used for nothing else.
func Listen(ctx context.Context, client rueidis.Client, o Options, emit func(belfry.Envelope)) error {
	l := &listener{prefix: o.Prefix, log: o.Logger, emit: emit, refusals: rate.NewLimiter(rate.Every(refusalEvery), refusalBurst)}
	if l.prefix == "" {
		l.prefix = DefaultPrefix
	}
	if l.log == nil {
		l.log = slog.Default()
	}
	patterns := l.patterns()
	hooked := rueidis.WithOnSubscriptionHook(ctx, func(s rueidis.PubSubSubscription) {
		if s.Kind == "psubscribe" && s.Channel == patterns[0] {
			l.subscribed()
		}
	})
	for pause := firstPause; ; {
		before := l.times.Load()
		err := client.Receive(hooked, client.B().Psubscribe().Pattern(patterns...).Build(), l.hear)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, rueidis.ErrClosing):
			return fmt.Errorf("emitters are no longer heard: %w", err)
		case l.times.Load() > before:
			pause = firstPause
		}
		l.log.Warn("emitters are not heard", "err", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
			pause = min(2*pause, maxPause)
		}
	}
}

// A listener is one call of Listen.
type listener struct {
	prefix   string
	log      *slog.Logger
	emit     func(belfry.Envelope)
	times    atomic.Int64 // subscribed
	refusals *rate.Limiter
	unlogged int // refusals since the last that was logged
}

// quote takes the meaning from the characters that have one in a pattern.
var quote = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`)

func (l *listener) patterns() []string {
	prefix := quote.Replace(l.prefix)
	return []string{prefix + "#/#*", prefix + "#emitter", prefix + "-request#/#"}
}

func (l *listener) subscribed() {
	if l.times.Add(1) == 1 {
		l.log.Info("emitters are heard", "prefix", l.prefix)
		return
	}
	l.log.Warn("emitters are heard again; what they sent meanwhile is lost", "prefix", l.prefix)
}

func (l *listener) hear(m rueidis.PubSubMessage) {
	switch emission, err := Parse(l.prefix, m.Channel, []byte(m.Message)); {
	case err != nil:
		l.refuse(m.Channel, err)
	case !emission.Copy:
		l.emit(emission.Envelope)
	}
}

func (l *listener) refuse(channel string, err error) {
	if !l.refusals.Allow() {
		l.unlogged++
		return
	}
	l.log.Warn("a message of an emitter was refused", "channel", fmt.Sprintf("%.200q", channel), "err", err, "more", l.unlogged)
	l.unlogged = 0
}
