package server

import (
	"context"
	"encoding/json"

	"belfry"
)

// The events that a logged-in page asks with. Each takes one object, or nothing,
// and is answered through its ack.

// decodeArg reads the object of an event; a missing one is empty.
func decodeArg(arg json.RawMessage, into any) error {
	if len(arg) == 0 || string(arg) == "null" {
		return nil
	}
	if err := json.Unmarshal(arg, into); err != nil {
		return &belfry.Error{Code: belfry.ErrInvalid, Message: "the argument must be an object with the documented fields", Err: err}
	}
	return nil
}

// A listArg pages through a list: Before is the next of the answer before.
type listArg struct {
	Before belfry.ID `json:"before"`
	Limit  int       `json:"limit"`
}

// next returns where the list goes on after n entries of which the last has the
// id that last returns, or nothing at its end.
func (l listArg) next(n int, last func() belfry.ID) string {
	if n < belfry.ListLimit(l.Limit) {
		return ""
	}
	return last().String()
}

func (g *gateway) messages(ctx context.Context, p *page, arg json.RawMessage) (any, error) {
	var list listArg
	if err := decodeArg(arg, &list); err != nil {
		return nil, err
	}
	messages, err := g.service.Inbox(ctx, p.who, list.Before, list.Limit)
	if err != nil {
		return nil, err
	}
	events := make([]messageEvent, len(messages))
	for i := range messages {
		messages[i].Bare = false // a list is of objects
		events[i] = messageEvent{&messages[i], p.format, g.zone}
	}
	return struct {
		OK       bool           `json:"ok"`
		Messages []messageEvent `json:"messages"`
		Next     string         `json:"next,omitempty"`
	}{true, events, list.next(len(messages), func() belfry.ID { return messages[len(messages)-1].ID })}, nil
}

func (g *gateway) dynamics(ctx context.Context, p *page, arg json.RawMessage) (any, error) {
	var list listArg
	if err := decodeArg(arg, &list); err != nil {
		return nil, err
	}
	activities, err := g.service.Feed(ctx, p.who, list.Before, list.Limit)
	if err != nil {
		return nil, err
	}
	events := make([]activityEvent, len(activities))
	for i := range activities {
		events[i] = activityEvent{&activities[i], p.format, g.zone}
	}
	return struct {
		OK         bool            `json:"ok"`
		Activities []activityEvent `json:"activities"`
		Next       string          `json:"next,omitempty"`
	}{true, events, list.next(len(activities), func() belfry.ID { return activities[len(activities)-1].ID })}, nil
}

// countsAnswer answers the events that change counts.
type countsAnswer struct {
	OK     bool          `json:"ok"`
	Counts belfry.Counts `json:"counts"`
}

func (g *gateway) read(ctx context.Context, p *page, arg json.RawMessage) (any, error) {
	var named struct {
		IDs []belfry.ID `json:"ids"`
	}
	if err := decodeArg(arg, &named); err != nil {
		return nil, err
	}
	if len(named.IDs) == 0 {
		return nil, belfry.Errorf(belfry.ErrInvalid, "ids is missing; read_all marks everything")
	}
	counts, err := g.service.MarkRead(ctx, p.who, named.IDs)
	return countsAnswer{true, counts}, err
}

func (g *gateway) readAll(ctx context.Context, p *page, _ json.RawMessage) (any, error) {
	counts, err := g.service.MarkRead(ctx, p.who, nil)
	return countsAnswer{true, counts}, err
}

func (g *gateway) seen(ctx context.Context, p *page, arg json.RawMessage) (any, error) {
	var named struct {
		Last belfry.ID `json:"last"`
	}
	if err := decodeArg(arg, &named); err != nil {
		return nil, err
	}
	if named.Last.IsZero() {
		return nil, belfry.Errorf(belfry.ErrInvalid, "last is missing: the messageID of the newest message that was shown")
	}
	counts, err := g.service.MarkSeen(ctx, p.who, named.Last)
	return countsAnswer{true, counts}, err
}

func (g *gateway) online(ctx context.Context, p *page, _ json.RawMessage) (any, error) {
	online, err := g.service.Online(ctx, p.who.Company)
	return struct {
		OK bool `json:"ok"`
		belfry.OnlineCount
	}{true, online}, err
}
