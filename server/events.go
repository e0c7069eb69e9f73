package server

import (
	"context"
	"encoding/json"
	"time"

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
	var list struct {
		listArg
		TypeID   belfry.MessageType `json:"typeID"`
		Category string             `json:"category"`
		Unread   bool               `json:"unread"`
		Archived bool               `json:"archived"`
	}
	if err := decodeArg(arg, &list); err != nil {
		return nil, err
	}
	messages, err := g.service.Inbox(ctx, p.who, belfry.InboxQuery{
		Before: list.Before, Limit: list.Limit,
		Type: list.TypeID, Category: list.Category, Unread: list.Unread, Archived: list.Archived,
	})
	if err != nil {
		return nil, err
	}
	events := make([]messageEvent, len(messages))
	for i := range messages {
		messages[i].Bare = false // a list is of objects
		events[i] = messageEvent{message: &messages[i], format: p.format, zone: g.zone}
	}
	return struct {
		OK       bool           `json:"ok"`
		Messages []messageEvent `json:"messages"`
		Next     string         `json:"next,omitempty"`
	}{true, events, list.next(len(messages), func() belfry.ID { return messages[len(messages)-1].ID })}, nil
}

func (g *gateway) dynamics(ctx context.Context, p *page, arg json.RawMessage) (any, error) {
	var list struct {
		listArg
		OperatorID json.RawMessage   `json:"operatorID"`
		ObjectType belfry.ObjectType `json:"objectType"`
		ObjectID   json.RawMessage   `json:"objectID"`
		From       time.Time         `json:"from"`
		Until      time.Time         `json:"until"`
	}
	if err := decodeArg(arg, &list); err != nil {
		return nil, err
	}
	q := belfry.FeedQuery{Before: list.Before, ObjectType: list.ObjectType, From: list.From, Until: list.Until, Limit: list.Limit}
	var err error
	if q.OperatorID, err = optionalIDArg("operatorID", list.OperatorID); err != nil {
		return nil, err
	}
	if q.ObjectID, err = optionalIDArg("objectID", list.ObjectID); err != nil {
		return nil, err
	}
	activities, err := g.service.Feed(ctx, p.who.Company, q)
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

// optionalIDArg is idArg for an id that may be missing.
func optionalIDArg(field string, raw json.RawMessage) (string, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return "", nil
	}
	return idArg(field, raw)
}

// done answers events that have nothing to tell.
type done struct {
	OK bool `json:"ok"`
}

// countsAnswer answers the events that change counts.
type countsAnswer struct {
	OK     bool          `json:"ok"`
	Counts belfry.Counts `json:"counts"`
}

// idsArg names messages.
type idsArg struct {
	IDs []belfry.ID `json:"ids"`
}

func idsOf(arg json.RawMessage) ([]belfry.ID, error) {
	var named idsArg
	if err := decodeArg(arg, &named); err != nil {
		return nil, err
	}
	if len(named.IDs) == 0 {
		return nil, belfry.Errorf(belfry.ErrInvalid, "ids is missing: the messageIDs; read_all marks everything")
	}
	return named.IDs, nil
}

// marking makes the answer to an event that marks the messages that it names.
func (g *gateway) marking(kind belfry.RevisionKind) func(context.Context, *page, json.RawMessage) (any, error) {
	return func(ctx context.Context, p *page, arg json.RawMessage) (any, error) {
		ids, err := idsOf(arg)
		if err != nil {
			return nil, err
		}
		counts, err := g.service.Mark(ctx, p.who, belfry.Mark{Kind: kind, IDs: ids})
		return countsAnswer{true, counts}, err
	}
}

func (g *gateway) readAll(ctx context.Context, p *page, arg json.RawMessage) (any, error) {
	var which struct {
		TypeID belfry.MessageType `json:"typeID"`
	}
	if err := decodeArg(arg, &which); err != nil {
		return nil, err
	}
	counts, err := g.service.Mark(ctx, p.who, belfry.Mark{Kind: belfry.RevisionRead, Type: which.TypeID})
	return countsAnswer{true, counts}, err
}

// received is how a page confirms messages, for the delivery record.
func (g *gateway) received(_ context.Context, p *page, arg json.RawMessage) (any, error) {
	ids, err := idsOf(arg)
	if err != nil {
		return nil, err
	}
	if !p.mayConfirm(len(ids)) {
		return nil, belfry.Errorf(belfry.ErrLimited, "the page confirms more than it gets; try again later")
	}
	return done{true}, g.service.Acknowledge(p.who, p.ID(), ids)
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

// A preferenceArg is a preference as pages write and read it: raw text in every format, so that what was
// read can be written.
type preferenceArg struct {
	TypeID    belfry.MessageType `json:"typeID,omitempty"`
	Category  string             `json:"category,omitempty"`
	InApp     *bool              `json:"inApp,omitempty"`
	MuteUntil time.Time          `json:"muteUntil,omitzero"`
}

type preferencesAnswer struct {
	OK          bool            `json:"ok"`
	Preferences []preferenceArg `json:"preferences"`
}

func (g *gateway) preferences(ctx context.Context, p *page, _ json.RawMessage) (any, error) {
	preferences, err := g.service.Preferences(ctx, p.who.User)
	if err != nil {
		return nil, err
	}
	answer := preferencesAnswer{true, make([]preferenceArg, len(preferences))}
	for i, one := range preferences {
		on := !one.Off
		answer.Preferences[i] = preferenceArg{one.Type, one.Category, &on, one.MuteUntil}
	}
	return answer, nil
}

func (g *gateway) setPreferences(ctx context.Context, p *page, arg json.RawMessage) (any, error) {
	var wanted struct {
		Preferences *[]preferenceArg `json:"preferences"`
	}
	if err := decodeArg(arg, &wanted); err != nil {
		return nil, err
	}
	if wanted.Preferences == nil {
		return nil, belfry.Errorf(belfry.ErrInvalid, "preferences is missing; an empty list turns everything on")
	}
	preferences := make([]belfry.Preference, len(*wanted.Preferences))
	for i, one := range *wanted.Preferences {
		preferences[i] = belfry.Preference{
			Type: one.TypeID, Category: one.Category, MuteUntil: one.MuteUntil,
			Off: one.InApp != nil && !*one.InApp,
		}
	}
	if err := g.service.SetPreferences(ctx, p.who.User, preferences); err != nil {
		return nil, err
	}
	return g.preferences(ctx, p, nil)
}
