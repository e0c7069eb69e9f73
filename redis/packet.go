package redis

import (
	"encoding/json"
	"fmt"
	"strings"

	"belfry"
)

// What nodes send each other is a letter for its kind and JSON.
const (
	kindNews     = 'N' // what a run of units has for one channel
	kindRun      = 'R' // the end of a run: what of it a node watches it has by now
	kindEnvelope = 'E'
	kindAnswer   = 'A' // how many pages were reached
	kindHole     = 'H' // that what was sent before may not have come
)

// A packet is what one message of Redis carries.
type packet struct {
	From string `json:"from"` // a node
	// Number tells the sender's runs and envelopes apart, or is that of what an answer is to.
	Number      uint64         `json:"n,omitempty"`
	After, Last *belfry.ID     `json:",omitempty"` // of a run
	News        []numberedNews `json:",omitempty"`
	Envelope    *envelope      `json:",omitempty"`
	Packets     int            `json:",omitempty"` // that an answer is to
	Pages       map[int]int    `json:",omitempty"` // by the index of the news, or 0
}

// numberedNews are news and their index in their run.
type numberedNews struct {
	Index int
	belfry.News
}

// An envelope is a [belfry.Envelope] without its cursor, which each node sets for itself.
type envelope struct {
	Rooms, Except []string
	Event         string            `json:",omitempty"`
	Args          []arg             `json:",omitempty"`
	Cursor        bool              `json:",omitempty"`
	Disconnect    bool              `json:",omitempty"`
	Recount       []belfry.Identity `json:",omitempty"`
	Resettle      bool              `json:",omitempty"`
	Record        belfry.UserID     `json:",omitempty"`
}

// An arg is an argument of an event: one of the fields.
type arg struct {
	Message  *belfry.Message       `json:",omitempty"`
	Counts   *belfry.Counts        `json:",omitempty"` // after the message, or alone
	Activity *belfry.Activity      `json:",omitempty"`
	Revision *belfry.RevisionEvent `json:",omitempty"`
	JSON     json.RawMessage       `json:",omitempty"`
}

func newEnvelope(env *belfry.Envelope) (*envelope, error) {
	e := &envelope{
		Rooms: env.Rooms, Except: env.Except, Event: env.Event, Cursor: env.Cursor != belfry.Cursor{},
		Disconnect: env.Disconnect, Recount: env.Recount, Resettle: env.Resettle, Record: env.Record,
	}
	for _, value := range env.Args {
		var a arg
		switch v := value.(type) {
		case belfry.MessageEvent:
			a.Message, a.Counts = v.Message, v.Counts
		case belfry.Counts:
			a.Counts = &v
		case *belfry.Activity:
			a.Activity = v
		case belfry.RevisionEvent:
			a.Revision = &v
		default:
			var err error
			if a.JSON, err = json.Marshal(v); err != nil {
				return nil, err
			}
		}
		e.Args = append(e.Args, a)
	}
	return e, nil
}

func (e *envelope) envelope() belfry.Envelope {
	env := belfry.Envelope{
		Rooms: e.Rooms, Except: e.Except, Event: e.Event, Disconnect: e.Disconnect, Recount: e.Recount, Resettle: e.Resettle, Record: e.Record,
	}
	if e.Cursor {
		env.Cursor = belfry.Cursor{1} // any; the receiver replaces it
	}
	for _, a := range e.Args {
		var value any
		switch {
		case a.Message != nil:
			value = belfry.MessageEvent{Message: a.Message, Counts: a.Counts}
		case a.Counts != nil:
			value = *a.Counts
		case a.Activity != nil:
			value = a.Activity
		case a.Revision != nil:
			value = *a.Revision
		default:
			value = a.JSON
		}
		env.Args = append(env.Args, value)
	}
	return env
}

// encode returns the message of a packet.
func encode(kind byte, p *packet) (string, error) {
	body, err := json.Marshal(p)
	return string(kind) + string(body), err
}

// decode reads a message.
func decode(message string) (kind byte, p *packet, err error) {
	if message == "" {
		return 0, nil, fmt.Errorf("an empty message")
	}
	p = &packet{}
	if err := json.Unmarshal([]byte(message[1:]), p); err != nil {
		return 0, nil, err
	}
	kind = message[0]
	switch {
	case p.From == "",
		kind == kindRun && (p.After == nil || p.Last == nil),
		kind == kindEnvelope && p.Envelope == nil:
		return 0, nil, fmt.Errorf("a message of kind %q that is not complete", kind)
	}
	for i := range p.News {
		if n := &p.News[i]; n.Message == nil && n.Activity == nil && n.Revision == nil {
			return 0, nil, fmt.Errorf("news without content")
		}
	}
	return kind, p, nil
}

// channelAll is the channel that every node listens to.
const channelAll = "all"

// channelOf returns the channel of a room. A user's pages in all companies have one.
func channelOf(room string) string {
	kind, name, _ := strings.Cut(room, ":")
	switch kind {
	case "uid":
		return "u:" + name
	case "member":
		_, user, _ := strings.Cut(name, "\x00")
		return "u:" + user
	case "company":
		return "c:" + name
	case "topic":
		return "t:" + name
	}
	return channelAll
}

// channelsOf returns the channels of rooms, each once.
func channelsOf(rooms []string) []string {
	var channels []string
	seen := make(map[string]struct{}, len(rooms))
	for _, room := range rooms {
		channel := channelOf(room)
		if _, known := seen[channel]; !known {
			seen[channel] = struct{}{}
			channels = append(channels, channel)
		}
	}
	return channels
}
