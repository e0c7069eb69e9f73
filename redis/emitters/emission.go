package emitters

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"belfry"
)

// Limits on what is heard.
const (
	MaxBytes = 2 * belfry.MaxEventBytes // of a message
	MaxRooms = 1000                     // that one names, with those that it excepts
	maxFiles = 10                       // binary arguments; clients take no more
)

// ErrUnsupported says that a message is well-formed and asks for what belfry does not do.
var ErrUnsupported = errors.New("belfry does not do that")

// An Emission is what one message asks for.
type Emission struct {
	// Envelope has the rooms that the message names, or all pages that are logged in where it names none. Its
	// arguments are what encoding/json makes: nil, bool, float64, string, []any and map[string]any; also
	// int64 and uint64, and []byte for binary ones.
	Envelope belfry.Envelope
	// Copy is set where another message, to the first of the rooms, asks for the same.
	Copy bool
}

// Parse reads what was published on a channel. Prefix is that of the emitters, such as socket.io. It fails
// where the message is malformed or too large, names an event that [belfry.ReservedEvent] knows, or, with
// [ErrUnsupported], asks for something else than an event for pages or their end.
func Parse(prefix, channel string, payload []byte) (Emission, error) {
	place, ok := strings.CutPrefix(channel, prefix)
	switch {
	case !ok:
		return Emission{}, errors.New("the channel has another prefix")
	case len(payload) > MaxBytes:
		return Emission{}, fmt.Errorf("it has %d bytes; at most %d are allowed", len(payload), MaxBytes)
	}
	if namespace, ok := strings.CutPrefix(place, "-request#"); ok {
		env, err := parseRequest(namespace, payload)
		return Emission{Envelope: env}, err
	}
	m, err := split(payload)
	if err != nil {
		return Emission{}, err
	}
	env, err := m.envelope()
	if err != nil {
		return Emission{}, err
	}
	copied, err := m.copied(place, env.Rooms)
	if len(env.Rooms) == 0 {
		env.Rooms = []string{belfry.EverybodyRoom}
	}
	return Emission{env, copied}, err
}

// A message is a broadcast that has been decoded and not been checked.
type message struct {
	packet  map[string]any
	options map[string]any
	binary  bool // it has binary arguments
}

func split(payload []byte) (message, error) {
	d := newDecoder(payload)
	decoded, err := d.whole()
	if err != nil {
		return message{}, err
	}
	parts, _ := decoded.([]any)
	if len(parts) == 3 {
		if _, ok := parts[0].(string); !ok {
			return message{}, errors.New("it does not begin with the name of a sender")
		}
		parts = parts[1:]
	}
	if len(parts) != 2 {
		return message{}, errors.New("it is not [sender, packet, options] or [packet, options]")
	}
	packet, ok := parts[0].(map[string]any)
	if !ok {
		return message{}, errors.New("its packet is no map")
	}
	options, ok := parts[1].(map[string]any)
	if list, isList := parts[1].([]any); !ok && (!isList || len(list) > 0) { // PHP has one empty array for both
		return message{}, errors.New("its options are no map")
	}
	switch {
	case d.files > maxFiles:
		return message{}, fmt.Errorf("it has %d binary values; at most %d are allowed", d.files, maxFiles)
	case d.files > 0 && d.placeholder:
		return message{}, errors.New("it has binary values, and a _placeholder that clients would take for one")
	}
	return message{packet, options, d.files > 0}, nil
}

func (m message) namespace() (string, error) {
	namespace, ok := m.packet["nsp"].(string)
	if !ok && m.packet["nsp"] != nil {
		return "", errors.New("its namespace is no string")
	}
	if namespace == "" {
		namespace = "/"
	}
	return namespace, nil
}

// envelope checks the parts. It leaves the rooms empty where there are none.
func (m message) envelope() (belfry.Envelope, error) {
	var none belfry.Envelope
	if t := m.packet["type"]; t != int64(2) && t != int64(5) {
		return none, fmt.Errorf("%w: its packet is no event", ErrUnsupported)
	}
	namespace, err := m.namespace()
	if err != nil {
		return none, err
	}
	if err := checkNamespace(namespace); err != nil {
		return none, err
	}
	data, _ := m.packet["data"].([]any)
	if len(data) == 0 {
		return none, errors.New("its packet has no event")
	}
	event, ok := data[0].(string)
	if !ok {
		return none, errors.New("the name of its event is no string")
	}
	if err := checkEvent(event); err != nil {
		return none, err
	}
	rooms, err := names("rooms", m.options["rooms"])
	if err != nil {
		return none, err
	}
	except, err := names("except", m.options["except"])
	if err != nil {
		return none, err
	}
	return belfry.Envelope{Rooms: rooms, Except: except, Event: event, Args: data[1:]}, checkRooms(rooms, except)
}

// copied says whether the message is one of several that are the same, published to each of the rooms, and
// not the first. So nothing has to be remembered, and an event that is really sent twice comes twice.
func (m message) copied(place string, rooms []string) (bool, error) {
	if place == "#/#" || place == "#emitter" {
		return false, nil
	}
	rest, ok := strings.CutPrefix(place, "#/#")
	if !ok {
		return false, errors.New("its channel is none of those of emitters")
	}
	room, ok := strings.CutSuffix(rest, "#")
	if !ok || !slices.Contains(rooms, room) {
		return false, errors.New("its channel is that of a room which it does not name")
	}
	return room != rooms[0], nil
}

// names reads a list of rooms. An empty map is an empty list: some languages have one type for both.
func names(what string, v any) ([]string, error) {
	switch v := v.(type) {
	case nil:
		return nil, nil
	case map[string]any:
		if len(v) == 0 {
			return nil, nil
		}
	case []any:
		list := make([]string, len(v))
		for i, one := range v {
			name, ok := one.(string)
			if !ok {
				return nil, fmt.Errorf("one of its %s is no string", what)
			}
			list[i] = name
		}
		return list, nil
	}
	return nil, fmt.Errorf("its %s are no list", what)
}

func checkNamespace(namespace string) error {
	if namespace != "/" {
		return fmt.Errorf("%w: it is for the namespace %.100q, and there is only /", ErrUnsupported, namespace)
	}
	return nil
}

func checkEvent(event string) error {
	switch {
	case event == "" || len(event) > belfry.MaxEventNameBytes || !utf8.ValidString(event):
		return fmt.Errorf("the name of its event is not 1 to %d bytes of UTF-8", belfry.MaxEventNameBytes)
	case belfry.ReservedEvent(event):
		return fmt.Errorf("the event %q is one that only belfry or Socket.IO itself sends", event)
	}
	return nil
}

func checkRooms(rooms, except []string) error {
	if n := len(rooms) + len(except); n > MaxRooms {
		return fmt.Errorf("it names %d rooms; at most %d are allowed", n, MaxRooms)
	}
	return nil
}
