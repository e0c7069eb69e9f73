package belfry

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits on generic events.
const (
	MaxEventNameBytes = 128
	MaxEventRooms     = 100
	MaxEventBytes     = 64 * 1024
)

// A GenericEvent is an event of the application's own on its way to pages that
// are open. It is not stored, and pages that are away do not get it later.
type GenericEvent struct {
	Event string
	// Rooms name who gets it: uid:…, company:… and topic:…; Except who does not.
	Rooms, Except []string
	// Data is the event's argument, any JSON, or nil for none.
	Data json.RawMessage
}

// ownEvents are the names that only belfry itself uses, and those that
// Socket.IO clients raise themselves (Socket.IO documentation, "Emit cheatsheet").
var ownEvents = []string{
	EventMessage, EventActivity, EventOnlineCount, EventCounts, EventRead, EventChanged, EventReset, EventTokenExpiring,
	"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener",
}

// ReservedEvent reports whether an event is belfry's own or Socket.IO's, so that an application
// cannot send one of that name.
func ReservedEvent(name string) bool { return slices.Contains(ownEvents, name) }

// PublishEvent sends an event to the pages in rooms and returns how many it was queued
// for. It fails with [ErrInvalid], or with [ErrUnavailable] where pages cannot be reached. With a key it is sent once; see
// [Service.PushMessage].
func (s *Service) PublishEvent(ctx context.Context, e GenericEvent, key *RequestKey) (pages int, err error) {
	if err := e.check(); err != nil {
		return 0, err
	}
	return once(ctx, s, key, func(keep func(int) *Request) (int, error) {
		if request := keep(0); request != nil {
			if _, err := s.store.Add(ctx, Entries{Request: request}); err != nil {
				return 0, err
			}
		}
		return s.publishEvent(context.WithoutCancel(ctx), e)
	})
}

func (s *Service) publishEvent(ctx context.Context, e GenericEvent) (pages int, err error) {
	env := Envelope{Rooms: e.Rooms, Except: e.Except, Event: e.Event}
	if e.Data != nil {
		env.Args = []any{e.Data}
	}
	// A client that recovers its state takes a string at the end of any event, its name
	// included, for a cursor, so one follows.
	text := len(e.Data) == 0 || e.Data[0] == '"'
	var reach Reach
	s.line.at(func(place ID) {
		if text {
			env.Cursor = Cursor(place)
		}
		reach, err = s.broker.Publish(ctx, env)
	})
	if err != nil {
		return 0, &Error{Code: ErrUnavailable, Message: "the pages could not be reached", Err: err}
	}
	if reach.Here >= paceFrom {
		s.broker.Pace()
	}
	return s.pages(ctx, reach), nil
}

// EmitHere shows the pages of this node an event that came from elsewhere: by Redis, from a Socket.IO emitter.
func (s *Service) EmitHere(env Envelope) (pages int) {
	text := len(env.Args) == 0
	if !text {
		_, text = env.Args[len(env.Args)-1].(string)
	}
	s.line.at(func(place ID) {
		if text && !env.Disconnect {
			env.Cursor = Cursor(place)
		}
		pages = s.emit(env)
	})
	return pages
}

// check checks an event and cuts the white space around its data.
func (e *GenericEvent) check() error {
	var name, rooms, data error
	switch {
	case e.Event == "":
		name = invalidField("event", "is missing")
	case len(e.Event) > MaxEventNameBytes || !utf8.ValidString(e.Event):
		name = invalidField("event", "must be at most %d bytes of UTF-8", MaxEventNameBytes)
	case ReservedEvent(e.Event):
		name = invalidField("event", "%q is used by belfry itself", e.Event)
	}
	if len(e.Rooms) == 0 {
		rooms = invalidField("rooms", "is missing")
	}
	switch e.Data = json.RawMessage(strings.TrimSpace(string(e.Data))); {
	case len(e.Data) == 0:
		e.Data = nil
	case len(e.Data) > MaxEventBytes:
		data = invalidField("data", "is %d bytes long; at most %d are allowed", len(e.Data), MaxEventBytes)
	case !json.Valid(e.Data) || !utf8.Valid(e.Data):
		data = invalidField("data", "must be JSON")
	}
	return allInvalid(name, rooms, checkRooms("rooms", e.Rooms), checkRooms("except", e.Except), data)
}

func checkRooms(field string, rooms []string) error {
	if len(rooms) > MaxEventRooms {
		return invalidField(field, "lists %d rooms; at most %d are allowed", len(rooms), MaxEventRooms)
	}
	for _, room := range rooms {
		kind, id, _ := strings.Cut(room, ":")
		if kind != "uid" && kind != "company" && kind != "topic" {
			return invalidField(field, "must be uid:…, company:… or topic:…")
		}
		if parsed, err := ParseID(field, id); err != nil || parsed != id {
			return invalidField(field, "has an entry without a name, or with one that is too long or malformed")
		}
	}
	return nil
}
